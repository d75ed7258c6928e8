package breaker

import (
	"context"
	"time"
)

// A Permit is the right to make one call. It must be given back with [Permit.Done].
type Permit struct {
	episode *episode      // nil: done already, or nobody wants to know
	began   time.Duration // if slowness matters
	seat    seat
}

// A seat is what a call holds besides its permit: nothing, a count in
// episode.running, or a place among the probes and the sequence in which it was
// taken. Three words keep a Permit in registers.
type seat uint64

const rampSeat seat = 1

func probeSeat(place int, sequence uint32) seat { return seat(sequence)<<32 | seat(place)<<1 }

func (s seat) place() int       { return int(uint32(s) >> 1) }
func (s seat) sequence() uint32 { return uint32(s >> 32) }

// settled reports whether the permit of a good call needs no Done.
func (p *Permit) settled() bool {
	e := p.episode
	return e != nil && e.free && p.seat == 0 && e.inARow.Load() == 0
}

// Allow asks for a call without making it, for what [Do] does not fit. It never
// blocks. It returns an [*Error] if the call must not be made.
func (b *Breaker) Allow() (Permit, error) {
	if e := b.current.Load(); e.path.Load() == admit {
		return Permit{episode: e}, nil
	}
	return b.allow(context.Background())
}

func (b *Breaker) allow(ctx context.Context) (Permit, error) {
	e := b.current.Load()
	switch e.path.Load() {
	case admit:
		return Permit{episode: e}, nil
	case admitTimed:
		return Permit{episode: e, began: time.Since(e.epoch)}, nil
	case refuse:
		return Permit{}, e.refusal
	}
	return b.ask(ctx, e)
}

// ask is allow for all but the simplest cases.
func (b *Breaker) ask(ctx context.Context, e *episode) (Permit, error) {
	switch {
	case e.state == Open:
		if b.set != nil && b.set.overrules() {
			b.observe(ctx, Event{Kind: Overruled, Name: b.cfg.Name})
			return Permit{}, nil
		}
		return Permit{}, b.refuse(ctx, e.refusal)
	case e.state == HalfOpen:
		return b.probe(ctx, e)
	case e.disabled:
		return Permit{}, nil
	}
	p := Permit{episode: e}
	p.began = time.Since(b.epoch)
	if e.ramping.Load() {
		if !b.rampUp(e, p.began) {
			return Permit{}, b.refuse(ctx, e.refusal)
		}
		p.seat = rampSeat
	}
	if e.inflight != nil {
		if e.inflight.due(p.began) {
			if why := b.verdict(e, p.began); why != nil {
				b.trip(ctx, e, p.began, why)
				return b.allow(ctx)
			}
		}
		e.inflight.begin(p.began)
	}
	return p, nil
}

func (b *Breaker) refuse(ctx context.Context, err *Error) error {
	if b.cfg.Observe != nil {
		b.observe(ctx, Event{Kind: Refused, Name: b.cfg.Name, Err: err})
	}
	return err
}

// rampUp lets the share of calls through that the ramp-up has reached. The shares
// of the calls add up, so that the calls admitted are spread evenly. A call that
// would be the only one does no harm: those who make few calls see no ramp-up.
func (b *Breaker) rampUp(e *episode, now time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	progress := float64(now-e.began) / float64(b.cfg.RampUp)
	if progress >= 1 {
		e.ramping.Store(false)
		e.path.Store(e.usual)
	} else if e.running.Load() > 0 {
		e.share += 0.1 + 0.9*progress
		if e.share < 1 {
			return false
		}
		e.share--
	}
	e.running.Add(1)
	return true
}

// probe finds a place for a call of a half-open breaker.
func (b *Breaker) probe(ctx context.Context, e *episode) (Permit, error) {
	now := time.Since(b.epoch)
	b.mu.Lock()
	for i := range e.probes {
		p := &e.probes[i]
		if p.sequence == 0 || !p.reported && now >= p.expires {
			*p = place{sequence: p.sequence + 1, expires: now + b.cfg.ProbeLease}
			b.mu.Unlock()
			return Permit{episode: e, began: now, seat: probeSeat(i, p.sequence)}, nil
		}
	}
	b.mu.Unlock()
	return Permit{}, b.refuse(ctx, e.refusal)
}

// Done reports how the call ended. Only the first Done on a Permit counts, and
// none after the state has changed since Allow.
func (p *Permit) Done(o Outcome) {
	if o == Success && p.settled() {
		p.episode = nil
		return
	}
	p.done(context.Background(), o, 0)
}

// done also takes what a Retry-After asked for.
func (p *Permit) done(ctx context.Context, o Outcome, retryAfter time.Duration) {
	e := p.episode
	if e == nil {
		return
	}
	if o != Success || p.seat != 0 || !e.succeed(p.began) {
		e.b.report(ctx, p, o, retryAfter)
	}
	p.episode = nil
}

// succeed counts the success of a call that began at began, if that is all there is
// to do about it; otherwise it reports false.
func (e *episode) succeed(began time.Duration) bool {
	if !e.simple {
		return false
	}
	if e.window != nil || e.slow > 0 {
		now := time.Since(e.epoch)
		if e.slow > 0 && now-began > e.slow {
			return false
		}
		if e.window != nil {
			e.window.add(now, good)
		}
	}
	if e.inARow.Load() != 0 { // rarely: to read is cheap, to write is not
		e.inARow.Store(0)
	}
	return true
}

// report is done for all but a simple success.
func (b *Breaker) report(ctx context.Context, p *Permit, o Outcome, retryAfter time.Duration) {
	e := p.episode
	now := time.Since(b.epoch)
	if o == Failure && retryAfter > 0 {
		e.postpone(now + min(retryAfter, b.cfg.MaxOpenFor))
	}
	tooLong := b.cfg.Slow > 0 && now-p.began > b.cfg.Slow
	if e.state == HalfOpen {
		b.probed(ctx, p, o, tooLong, now)
		return
	}
	if p.seat == rampSeat {
		e.running.Add(-1)
	}
	if e.inflight != nil {
		e.inflight.end(p.began)
	}
	k := good
	switch {
	case o == Ignored:
		return
	case o == Failure && tooLong:
		k = slowAndFailed
	case o == Failure:
		k = failed
	case tooLong:
		k = slow
	}
	if e.window != nil {
		e.window.add(now, k)
	}
	if k == good {
		if e.inARow.Load() != 0 {
			e.inARow.Store(0)
		}
		return
	}
	e.inARow.Add(1)
	if why := b.verdict(e, now); why != nil {
		b.trip(ctx, e, now, why)
	}
}

// probed books the end of a probe.
func (b *Breaker) probed(ctx context.Context, p *Permit, o Outcome, tooLong bool, now time.Duration) {
	e := p.episode
	b.mu.Lock()
	place := &e.probes[p.seat.place()]
	if b.current.Load() != e || place.sequence != p.seat.sequence() || place.reported {
		b.mu.Unlock()
		return // the state has changed, or another has the place of this probe
	}
	switch {
	case o == Ignored:
		// Free for the next call; the sequence also shuts out copies of p.
		place.sequence++
		place.expires = now
	case o == Success && !tooLong:
		place.reported = true
		e.succeeded++
	default:
		place.reported = true
		e.failed++
	}
	if e.succeeded >= b.cfg.ProbesNeeded {
		b.close(ctx, now, "enough probes succeeded")
	} else if e.failed > b.cfg.Probes-b.cfg.ProbesNeeded {
		b.open(ctx, now, b.openTime(e, now), reason("%d of %d probes failed", e.failed, b.cfg.Probes))
	}
	b.mu.Unlock()
	b.deliver()
}
