package breaker

import "time"

// A Permit is the right to make one call. It must be given back with [Permit.Done].
type Permit struct {
	b          *Breaker
	generation uint64
	place      int    // of a probe, in Breaker.probes
	sequence   uint64 // of a probe; 0 for other calls
}

// Allow asks for a call without making it, for what [Do] does not fit. It never
// blocks. It returns an [*Error] if the call must not be made.
func (b *Breaker) Allow() (Permit, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Closed && !b.ramping {
		return b.permit(), nil
	}
	now := time.Since(b.epoch)
	if b.state == Open {
		if now < b.reopen {
			return Permit{}, b.refusal
		}
		b.become(HalfOpen, now)
	}
	if b.state == HalfOpen {
		for i := range b.probes {
			p := &b.probes[i]
			if p.sequence == 0 || !p.reported && now >= p.expires {
				*p = probe{sequence: p.sequence + 1, expires: now + b.cfg.ProbeLease}
				return Permit{b: b, generation: b.generation, place: i, sequence: p.sequence}, nil
			}
		}
		return Permit{}, &Error{Name: b.cfg.Name, State: HalfOpen}
	}
	if !b.admit(now) {
		return Permit{}, &Error{Name: b.cfg.Name, State: Closed}
	}
	return b.permit(), nil
}

// permit is that of a closed breaker.
func (b *Breaker) permit() Permit {
	b.running++
	return Permit{b: b, generation: b.generation}
}

// admit lets the share of calls through that the ramp-up has reached. The shares
// of the calls add up, so that the calls admitted are spread evenly. A call that
// would be the only one does no harm: those who make few calls see no ramp-up.
func (b *Breaker) admit(now time.Duration) bool {
	progress := float64(now-b.since) / float64(b.cfg.RampUp)
	if progress >= 1 {
		b.ramping = false
		return true
	}
	if b.running == 0 {
		return true
	}
	b.share += 0.1 + 0.9*progress
	if b.share < 1 {
		return false
	}
	b.share--
	return true
}

// Done reports how the call ended. Only the first Done on a Permit counts, and
// none after the state has changed since Allow.
func (p *Permit) Done(o Outcome) { p.done(o, 0) }

// done also takes what a Retry-After asked for.
func (p *Permit) done(o Outcome, retryAfter time.Duration) {
	b := p.b
	if b == nil {
		return
	}
	p.b = nil
	now := time.Since(b.epoch)
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.generation != b.generation {
		return
	}
	if o == Failure && retryAfter > 0 {
		b.asked = max(b.asked, now+min(retryAfter, b.cfg.MaxOpenFor))
	}
	if b.state == HalfOpen {
		b.probed(p, o, now)
		return
	}
	b.running--
	switch o {
	case Success:
		b.inARow = 0
		b.window.add(now, false)
	case Failure:
		b.inARow++
		b.window.add(now, true)
		if b.bad(now) {
			b.become(Open, now)
		}
	}
}

// bad reports whether a closed breaker must open.
func (b *Breaker) bad(now time.Duration) bool {
	if b.cfg.Consecutive > 0 && b.inARow >= b.cfg.Consecutive {
		return true
	}
	calls, failures := b.window.sum(now)
	return b.cfg.FailureRate > 0 && calls >= b.cfg.MinCalls &&
		float64(failures) >= b.cfg.FailureRate*float64(calls)
}

// probed books the end of a probe.
func (b *Breaker) probed(p *Permit, o Outcome, now time.Duration) {
	place := &b.probes[p.place]
	if place.sequence != p.sequence || place.reported {
		return // its lease was over and another has its place
	}
	switch o {
	case Ignored:
		// Free for the next call; the sequence also shuts out copies of p.
		*place = probe{sequence: p.sequence + 1, expires: now}
		return
	case Success:
		b.succeeded++
	case Failure:
		b.failed++
	}
	place.reported = true
	if b.succeeded >= b.cfg.ProbesNeeded {
		b.become(Closed, now)
	} else if b.failed > b.cfg.Probes-b.cfg.ProbesNeeded {
		b.become(Open, now)
	}
}

func (b *Breaker) become(s State, now time.Duration) {
	if s == Open {
		if b.state == Closed && now-b.since >= b.lastOpen {
			b.streak = 0
		}
		d := b.cfg.MaxOpenFor
		if b.streak < 62 && b.cfg.OpenFor <= d>>b.streak {
			d = b.cfg.OpenFor << b.streak
		}
		b.streak++
		d -= time.Duration(b.rand() * float64(d) / 5)
		b.reopen = max(now+d, b.asked)
		b.lastOpen = b.reopen - now
		b.refusal = &Error{Name: b.cfg.Name, State: Open, until: b.epoch.Add(b.reopen)}
	}
	if s == HalfOpen {
		clear(b.probes)
		b.succeeded, b.failed = 0, 0
	}
	if s == Closed {
		b.window.reset()
		b.inARow = 0
		b.asked = 0
		b.ramping = b.cfg.RampUp > 0
		b.share = 0
		b.running = 0
	}
	b.state = s
	b.since = now
	b.generation++
}
