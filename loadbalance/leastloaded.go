package loadbalance

type leastLoaded struct{}

func (leastLoaded) Build(View) Policy { return leastLoaded{} }

func (leastLoaded) Next(v View) int { return v.best(v.load) }

// load is what one more call would make of a member.
func (v View) load(i int) float64 {
	load := float64(v.s.nodes[i].inFlight() + 1)
	if v.s.even {
		return load
	}
	return load * v.s.members[i].inverse
}
