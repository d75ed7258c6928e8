package loadbalance

type p2c struct{}

func (p2c) Build(View) Policy { return p2c{} }

func (p2c) Next(v View) int {
	n := v.Len()
	if n == 1 {
		return 0
	}
	if v.skip != nil {
		return leastLoaded{}.Next(v)
	}
	i, j := two(v.Rand(), n)
	if v.s.even {
		if v.InFlight(j) < v.InFlight(i) {
			return j
		}
	} else if v.load(j) < v.load(i) {
		return j
	}
	return i
}
