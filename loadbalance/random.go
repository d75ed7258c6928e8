package loadbalance

type random struct{}

func (random) Build(View) Policy { return random{} }

func (random) Next(v View) int {
	n := v.Len()
	if v.skip == nil {
		return below(v.Rand(), n)
	}
	return v.best(func(int) float64 { return 0 })
}

// best returns the member with the lowest cost that is not to be skipped, any of
// them if several are equal.
func (v View) best(cost func(i int) float64) int {
	best, equal, lowest, r := 0, 0, 0.0, uint64(0)
	for i := range v.Len() {
		if v.Skip(i) {
			continue
		}
		switch c := cost(i); {
		case equal == 0 || c < lowest:
			best, equal, lowest = i, 1, c
		case c == lowest:
			best, equal, r = v.tie(best, i, equal, r)
		}
	}
	return best
}

// tie chooses between the best of so many equals and one more, each of which must
// be as likely as the others in the end. r is the randomness that it has left.
func (v View) tie(best, i, equal int, r uint64) (int, int, uint64) {
	if equal == 1 {
		r = v.Rand()
	}
	equal++
	r = r*0x9e3779b97f4a7c15 + 1
	if below(r>>32, equal) == 0 {
		best = i
	}
	return best, equal, r
}
