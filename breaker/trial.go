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

// news is what a report says that was not known of a trial.
type news uint8

const (
	none   news = iota
	first       // its outcome
	turned      // its success has turned into a failure
	over        // it has ended without an outcome
)

// report books an outcome, which is Default for none.
func (t *trials) report(number uint32, o Outcome, done bool) (n news) {
	i, ok := slices.BinarySearchFunc(t.list, number, func(t trial, n uint32) int { return cmp.Compare(t.number, n) })
	if !ok {
		return none // done already: this is a copy of its permit
	}
	x := &t.list[i]
	switch was := x.outcome; {
	case o == Success && was == Default:
		t.succeeded++
		x.outcome, n = Success, first
	case o == Failure && was == Default:
		t.failed++
		x.outcome, n = Failure, first
	case o == Failure && was == Success:
		t.succeeded--
		t.failed++
		x.outcome, n = Failure, turned
	case o == Default && was == Default && done:
		n = over
	}
	if done {
		t.list = slices.Delete(t.list, i, i+1)
	}
	return n
}

// try finds a place for a call of a half-open breaker.
func (b *Breaker) try(ctx context.Context, e *episode) (Permit, error) {
	b.mu.Lock()
	now := time.Since(b.epoch)
	n := e.trials.begin(now, &b.cfg)
	if n > 0 {
		b.tries++
	}
	b.mu.Unlock()
	if n == 0 {
		return b.refuse(ctx, e)
	}
	return Permit{episode: e, began: now, seat: onTrial.with(n)}, nil
}

// tried books what is known of the trial with permit p, and decides.
func (b *Breaker) tried(ctx context.Context, e *episode, p *Permit, o Outcome, done bool, now time.Duration) {
	k := kindOf(o, p.seat&tooLong != 0)
	switch {
	case o != Success && o != Failure:
		o, k = Default, ignored
	case k != good:
		o = Failure
	}
	if o != Default {
		p.seat |= judged
	}
	b.mu.Lock()
	current := b.current.Load()
	news := e.trials.report(p.seat.number(), o, done)
	var after *episode // closed by this trial, which was good then
	switch t := e.trials; {
	case current.trials != t: // the state has changed
	case current.state == HalfOpen && t.succeeded >= b.cfg.TrialsNeeded:
		b.closeLocked(ctx, now, t)
	case current.state == HalfOpen && t.failed > b.cfg.Trials-b.cfg.TrialsNeeded:
		why := fmt.Sprintf("%d of %d trials failed", t.failed, b.cfg.Trials)
		b.openLocked(ctx, now, b.openTimeLocked(e, now), reason(why), why)
	case news != turned || current.state != Closed:
	case !b.provenLocked(current, now) || current.window != nil && current.sum(now)[good] == 0:
		const why = "a trial failed after it had been answered well"
		b.openLocked(ctx, now, b.openTimeLocked(e, now), reason(why), why)
	default:
		after = current
	}
	if news == turned {
		b.window.uncount()
	}
	if news != none && after == nil {
		b.window.count(k)
	}
	b.mu.Unlock()
	if after != nil {
		b.bad(ctx, after, now, failed)
		return
	}
	b.deliver()
}
