package retry

import "context"

// settle books the end of an attempt. It returns the attempt to follow at once, or
// nil.
func (r *race[T]) settle(e *entrant, v T, err error, inline bool) *entrant {
	res := result[T]{by: e, value: v, err: err}
	if err != nil {
		res.verdict = r.judged(e.ctx, err)
	}
	r.mu.Lock()
	lost, number, denied := r.settleLocked(res)
	r.mu.Unlock()
	r.drop(lost)
	if number > 0 && r.park != nil && lost.by != e {
		r.park(v)
	}
	return r.follow(number, !res.verdict.rejected, denied, inline)
}

// settleLocked takes res for the race's result, unless the race is over or res is a
// refusal where an attempt has been sent. lost is what the caller will not get;
// number is that of the attempt to begin at once, or 0.
func (r *race[T]) settleLocked(res result[T]) (lost result[T], number int, denied bool) {
	r.running--
	if r.over {
		return res, 0, false
	}
	rejected := res.verdict.rejected
	if !rejected {
		r.sent++
	} else {
		r.refused++
		r.refusal = res.err
	}
	if lost = res; !rejected || r.sent == 0 {
		lost, r.result = r.result, res
	}
	if res.err == nil || res.verdict.stop && !rejected {
		r.endLocked()
		return lost, 0, false
	}
	if !res.verdict.stop && res.verdict.after <= 0 {
		number, denied = r.bookLocked(rejected)
	}
	if r.running == 0 {
		switch {
		case r.sent > 0 && r.refusal != nil:
			r.result.cause = r.refusal
		case r.denied && r.begun < r.h.cfg.Max:
			r.result.cause = ErrBudget
		case r.begun > 1:
			r.result.cause = ErrExhausted
		}
		r.endLocked()
	}
	return lost, number, denied
}

// endLocked ends the race and cancels all attempts but the one whose result it has.
func (r *race[T]) endLocked() {
	if r.over {
		return
	}
	r.over = true
	if r.armed {
		r.armed = !r.timer.Stop()
	}
	if r.done != nil {
		close(r.done)
	}
	if r.result.by != &r.first {
		r.first.cancel(errBeaten)
	}
	for _, e := range r.others {
		if e != r.result.by {
			e.cancel(errBeaten)
		}
	}
}

// drop gives away what does not reach the caller.
func (r *race[T]) drop(lost result[T]) {
	if lost.by == nil {
		return
	}
	defer lost.by.cancel(nil)
	switch {
	case r.lose != nil:
		r.lose(lost.value, lost.err)
	case r.discard != nil && lost.err == nil:
		r.discard(lost.value)
	}
}

func (r *race[T]) judged(ctx context.Context, err error) verdict {
	if r.judge != nil {
		return r.judge(ctx, err)
	}
	return classify(ctx, r.h.cfg.Classify, err)
}
