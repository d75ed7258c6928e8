package facade

import "time"

// armLocked makes the timer fire at limit, if not before.
func (r *run) armLocked(limit, now time.Duration) {
	switch {
	case r.timer == nil:
		r.timer = time.AfterFunc(limit-now, r.expire)
	case r.alarm == 0 || limit < r.alarm:
		r.timer.Reset(limit - now)
	default:
		return
	}
	r.alarm = limit
}

// expire leaves behind what has had its time, on a goroutine of the timer's, which
// then is a worker.
func (r *run) expire() {
	r.work(r.launch(r.leave()), false)
}

func (r *run) leave() (own, others int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return none, none
	}
	r.alarm = 0
	now := r.now()
	for i := range r.cells {
		c := &r.cells[i]
		if c.limit == 0 || c.phase != running && c.phase != substituting {
			continue
		}
		if c.limit > now {
			r.armLocked(c.limit, now)
			continue
		}
		r.running--
		if c.phase == substituting {
			c.unneeded = false
			r.decideLocked(int32(i), c.status, nil, &fallbackError{c.err, &timeout{after: now - c.begun}})
		} else {
			r.leaveLocked(int32(i))
		}
	}
	r.running++ // for this worker, which dispatchLocked takes it from
	return r.dispatchLocked(false)
}

// leaveLocked goes on without the function of part i.
func (r *run) leaveLocked(i int32) {
	c, n := &r.cells[i], &r.plan.nodes[i]
	r.plan.counts[i].left.Add(1)
	c.status, c.err = Failed, &timeout{after: c.limit - c.begun}
	c.left, c.unknown, c.limit = true, n.undoable(), 0
	c.timed.expired() // whatever ends the run, this context ended of its deadline
	if r.cause != nil {
		c.status, c.err = Cancelled, r.stop
	}
	if n.fallback == nil || r.cause != nil {
		r.decideWithoutLocked(i)
		return
	}
	c.phase, c.next = waiting, r.first // before all others: it has had its place
	if r.first = i; c.next == none {
		r.last = i
	}
}
