package breaker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// trials are the calls that a half-open breaker lets through. Each has a number.
// The breaker's lock guards them. The closed episode that they lead to keeps them,
// as the response of a good one may still break off.
type trials struct {
	last              uint32  // number
	list              []trial // not done, by number, which is the order of their leases too
	succeeded, failed int
}

// A trial has a place from its beginning until it is done without an outcome, or
// its lease is over without one. What it reports later counts all the same, once.
type trial struct {
	number  uint32
	outcome Outcome // Default: none yet
	expires time.Duration
}

// maxLost bounds the list, to so many times Config.Trials: the news of a trial that
// takes longer than so many leases is lost.
const maxLost = 1024

// begin returns the number of a new trial; 0: there is no place.
func (t *trials) begin(now time.Duration, cfg *Config) uint32 {
	taken := t.succeeded + t.failed
	for i := len(t.list) - 1; i >= 0 && t.list[i].expires > now; i-- {
		if t.list[i].outcome == Default {
			taken++
		}
	}
	if taken >= cfg.Trials {
		return 0
	}
	if len(t.list)/maxLost >= cfg.Trials {
		t.list = slices.Delete(t.list, 0, 1)
	}
	t.last++
	t.list = append(t.list, trial{number: t.last, expires: add(now, cfg.TrialLease)})
	return t.last
}

// report books an outcome, which is Default for none. It reports whether a success
// has turned into a failure.
func (t *trials) report(number uint32, o Outcome, done bool) (turned bool) {
	i, ok := slices.BinarySearchFunc(t.list, number, func(t trial, n uint32) int { return cmp.Compare(t.number, n) })
	if !ok {
		return false // done already: this is a copy of its permit
	}
	x := &t.list[i]
	switch was := x.outcome; {
	case o == Success && was == Default:
		t.succeeded++
		x.outcome = Success
	case o == Failure && was != Failure:
		t.failed++
		x.outcome = Failure
		if turned = was == Success; turned {
			t.succeeded--
		}
	}
	if done {
		t.list = slices.Delete(t.list, i, i+1)
	}
	return turned
}

// try finds a place for a call of a half-open breaker.
func (b *Breaker) try(ctx context.Context, e *episode) (Permit, error) {
	b.mu.Lock()
	now := time.Since(b.epoch)
	n := e.trials.begin(now, &b.cfg)
	b.mu.Unlock()
	if n == 0 {
		return Permit{}, b.refuse(ctx, e)
	}
	return Permit{episode: e, began: now, seat: onTrial.with(n)}, nil
}

// tried books what is known of the trial with permit p, and decides.
func (b *Breaker) tried(ctx context.Context, e *episode, p *Permit, o Outcome, done bool, now time.Duration) {
	switch {
	case o == Success && p.seat&tooLong != 0:
		o = Failure
	case o != Success && o != Failure:
		o = Default
	}
	if o != Default {
		p.seat |= judged
	}
	b.mu.Lock()
	current := b.current.Load()
	turned := e.trials.report(p.seat.number(), o, done)
	var after *episode // closed by this trial, which was good then
	switch t := e.trials; {
	case current.trials != t: // the state has changed
	case current.state == HalfOpen && t.succeeded >= b.cfg.TrialsNeeded:
		b.closeLocked(ctx, now, t)
	case current.state == HalfOpen && t.failed > b.cfg.Trials-b.cfg.TrialsNeeded:
		why := fmt.Sprintf("%d of %d trials failed", t.failed, b.cfg.Trials)
		b.openLocked(ctx, now, b.openTimeLocked(e, now), reason(why), why)
	case !turned || current.state != Closed:
	case !b.provenLocked(current, now) || current.window != nil && current.window.sum(now)[good] == 0:
		const why = "a trial failed after it had been answered well"
		b.openLocked(ctx, now, b.openTimeLocked(e, now), reason(why), why)
	default:
		after = current
	}
	b.mu.Unlock()
	if after != nil {
		b.bad(ctx, after, now, failed)
		return
	}
	b.deliver()
}
