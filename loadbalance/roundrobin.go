package loadbalance

import "sync/atomic"

type roundRobin struct{ next *atomic.Uint64 }

func newRoundRobin(v View) Policy {
	r := roundRobin{new(atomic.Uint64)}
	r.next.Store(v.Rand() >> 1) // clients that start together do not march in step
	return r
}

func (r roundRobin) Build(View) Policy { return r }

func (r roundRobin) Next(v View) int {
	n := v.Len()
	i := int(r.next.Add(1) % uint64(n))
	if v.skip != nil {
		for range n {
			if !v.Skip(i) {
				break
			}
			i = int(r.next.Add(1) % uint64(n))
		}
	}
	return i
}
