package loadbalance

import "sync/atomic"

type roundRobin struct{ next *atomic.Uint32 }

func newRoundRobin(v View) Policy {
	r := roundRobin{new(atomic.Uint32)}
	r.next.Store(uint32(v.Rand())) // clients that start together do not march in step
	return r
}

func (r roundRobin) Build(View) Policy { return r }

func (r roundRobin) Next(v View) int {
	n := v.Len()
	i := int(r.next.Add(1) % uint32(n))
	if v.skip != nil {
		for range n {
			if !v.Skip(i) {
				break
			}
			i = int(r.next.Add(1) % uint32(n))
		}
	}
	return i
}
