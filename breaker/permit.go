package breaker

import (
	"context"
	"time"
)

// A Permit is the right to make one call. It must be given back with [Permit.Done].
// It must not be copied: go vet reports that.
//
// The zero value is the permit of a call that nobody counts.
type Permit struct {
	_       noCopy
	episode *episode      // nil: done already, or nobody wants to know
	began   time.Duration // if slowness matters; if asGood: when the call was counted
	seat    seat
}

// noCopy makes go vet report copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// A seat is what a call holds, and what is known about it: a set of flags. The
// upper half is a number: a trial's, or the tag of the row that the call has ended.
// The rest is the length of that row. Three words keep a Permit in registers.
type seat uint64

const (
	inSlowStart seat = 1 << iota // the call counts in episode.running
	onTrial                      // it is one of episode.trials
	stopped                      // its time is over
	tooLong                      // and was longer than Slow
	judged                       // its outcome has been counted
	asGood                       // as a success, which a failure takes back

	seatFlags    = iota
	maxSuspended = 1<<(32-seatFlags) - 1
)

func (s seat) with(number uint32) seat { return s | seat(number)<<32 }
func (s seat) number() uint32          { return uint32(s >> 32) }
func (s seat) row() int                { return int(uint32(s) >> seatFlags) }

// Allow asks for a call without making it, for what [Do] does not fit. It never
// blocks. It returns an [*Error] if the call must not be made.
func (b *Breaker) Allow() (Permit, error) {
	if e := b.current.Load(); e.path.Load() == admit {
		return Permit{episode: e}, nil
	}
	return b.ask(context.Background())
}

// ask decides about a call, however the breaker is.
func (b *Breaker) ask(ctx context.Context) (Permit, error) {
	e := b.current.Load()
	switch e.path.Load() {
	case admit:
		return Permit{episode: e}, nil
	case admitTimed:
		return Permit{episode: e, began: time.Since(e.epoch)}, nil
	case refuse:
		b.window.count(refused)
		return Permit{}, e.refusal
	}
	switch e.state {
	case Open:
		return b.refuse(ctx, e)
	case HalfOpen:
		return b.try(ctx, e)
	}
	now := time.Since(b.epoch)
	if e.inflight != nil && e.inflight.due(now) {
		if why := b.verdict(e, now); why != "" {
			b.trip(ctx, e, now, why)
			if b.current.Load() != e {
				return b.ask(ctx)
			}
		}
	}
	var place seat
	if e.starting.Load() {
		if !b.start(e, now) {
			return b.refuse(ctx, e)
		}
		place = inSlowStart
	}
	if e.inflight != nil {
		e.inflight.begin(now)
	}
	return Permit{episode: e, began: now, seat: place}, nil
}

// refuse returns the refusal of e, unless the breakers of the Set must not refuse.
func (b *Breaker) refuse(ctx context.Context, e *episode) (Permit, error) {
	if e.state != Closed && b.set != nil && b.set.overrules() {
		b.window.count(overruled)
		b.set.overruled.Add(1)
		b.observe(ctx, Event{Kind: Overruled, Name: b.cfg.Name})
		return Permit{episode: e, began: time.Since(b.epoch)}, nil
	}
	b.window.count(refused)
	b.observe(ctx, Event{Kind: Refused, Name: b.cfg.Name, Err: e.refusal})
	return Permit{}, e.refusal
}

// unhindered is the number of simultaneous calls that a slow start lets through in
// any case: so few do no harm, and those who make few calls see no slow start.
const unhindered = 10

// start decides about a call in slow start. The shares of the calls add up, so that
// those admitted are spread evenly.
func (b *Breaker) start(e *episode, now time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	progress := float64(now-e.began) / float64(b.cfg.SlowStart)
	if progress >= 1 {
		e.starting.Store(false)
		e.path.Store(e.usual)
	} else if e.running.Load() >= unhindered {
		if e.share += 0.1 + 0.9*progress; e.share < 1 {
			return false
		}
		e.share--
	}
	e.running.Add(1)
	return true
}

// Answered says how the backend has answered while the call goes on: a stream has
// begun well, or has not. It counts at once, and ends the time that is compared with
// Slow. The call keeps its place until Done. Only the first Answered counts that says
// Success or Failure. Default and Ignored say that the outcome is not known yet.
func (p *Permit) Answered(o Outcome) { p.answered(context.Background(), o, 0) }

// answered also takes what a Retry-After asks for.
func (p *Permit) answered(ctx context.Context, o Outcome, retryAfter time.Duration) {
	if e := p.episode; e != nil && p.seat&judged == 0 {
		e.b.settle(ctx, e, p, o, retryAfter, false)
	}
}

// Done gives the Permit back and says how the call ended. Only the first Done counts,
// and none after the state has changed since Allow. Default and Ignored only give the
// Permit back. After Answered(Success), Failure takes that success back: the row of
// failures goes on that it had ended, unless a call has ended well in the meantime. If
// the breaker has closed on account of it, the breaker opens again.
func (p *Permit) Done(o Outcome) {
	if e := p.episode; o == Success && e != nil && e.success == counted && p.seat == 0 && e.row.empty() {
		p.episode = nil
		e.b.window.count(good)
		return
	}
	p.done(context.Background(), o, 0)
}

// done also takes what a Retry-After asks for.
func (p *Permit) done(ctx context.Context, o Outcome, retryAfter time.Duration) {
	e := p.episode
	if e == nil {
		return
	}
	p.episode = nil
	switch {
	case p.seat == 0 && o == Success && e.succeed(p.began):
	case o == Success && p.seat&(asGood|inSlowStart) == asGood: // it was, and still is
		e.row.keep()
	default:
		e.b.settle(ctx, e, p, o, retryAfter, true)
	}
}

// succeed counts the success of a call that holds nothing, if there is no more to do
// about it; otherwise it reports false.
func (e *episode) succeed(began time.Duration) bool {
	switch e.success {
	case reported:
		return false
	case clocked:
		now := time.Since(e.epoch)
		if e.slow > 0 && now-began > e.slow {
			return false
		}
		e.count(now, good)
	case counted:
		e.b.window.count(good)
	}
	e.row.end()
	return true
}

// settle books what is known of a call: how it was answered, or how it ended.
func (b *Breaker) settle(ctx context.Context, e *episode, p *Permit, o Outcome, retryAfter time.Duration, done bool) {
	now := time.Since(b.epoch)
	if p.seat&stopped == 0 {
		p.seat |= stopped
		if b.cfg.Slow > 0 && now-p.began > b.cfg.Slow {
			p.seat |= tooLong
		}
		if e.inflight != nil {
			e.inflight.end(p.began)
		}
	}
	if done && p.seat&inSlowStart != 0 {
		e.running.Add(-1)
	}
	if o == Failure && retryAfter > 0 {
		e.postpone(add(now, min(retryAfter, b.cfg.MaxOpenFor)))
	}
	switch {
	case p.seat&onTrial != 0:
		b.tried(ctx, e, p, o, done, now)
	case o != Success && o != Failure: // nothing new is known
		if done && p.seat&judged == 0 {
			b.window.count(ignored)
		}
	case p.seat&asGood != 0:
		p.seat &^= asGood
		b.revise(ctx, e, p, o, now)
	case p.seat&judged != 0: // it was bad, and stays so
	case o == Success && p.seat&tooLong == 0:
		p.seat |= judged
		e.count(now, good)
		if done {
			e.row.end()
			return
		}
		tag, n := e.row.suspend()
		p.began, p.seat = now, (p.seat | asGood | seat(n)<<seatFlags).with(tag)
	default:
		p.seat |= judged
		b.bad(ctx, e, now, kindOf(o, p.seat&tooLong != 0))
	}
}

// revise books the end of a call that was counted as good when it was answered.
func (b *Breaker) revise(ctx context.Context, e *episode, p *Permit, o Outcome, now time.Duration) {
	if o == Success {
		e.row.keep()
		return
	}
	b.mu.Lock() // so that Stats sees both or neither
	e.takeBack(p.began)
	e.count(now, failed)
	b.mu.Unlock()
	if e.judges() {
		e.row.restore(p.seat.number(), p.seat.row())
		b.trip(ctx, e, now, b.verdict(e, now))
	}
}

// bad counts a bad call, and opens the breaker if it must.
func (b *Breaker) bad(ctx context.Context, e *episode, now time.Duration, k kind) {
	e.count(now, k)
	if e.judges() {
		e.row.add()
		b.trip(ctx, e, now, b.verdict(e, now))
	}
}
