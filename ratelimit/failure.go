package ratelimit

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// FailurePolicy says what a [Shared] does with calls while its Store does not answer.
type FailurePolicy uint8

const (
	// LastShare lets the process go on at the rate that it had last, which within a
	// second becomes its equal part of the limit: Rate by the number of processes
	// that were known last. All of them together stay about within the limit. A
	// process to which the store has never answered does not know of others, and has
	// the whole Rate.
	LastShare FailurePolicy = iota
	// FailOpen lets everything through.
	FailOpen
	// FailClosed lets nothing through.
	FailClosed
)

func (p FailurePolicy) String() string {
	switch p {
	case LastShare:
		return "last share"
	case FailOpen:
		return "open"
	case FailClosed:
		return "closed"
	}
	return fmt.Sprintf("FailurePolicy(%d)", uint8(p))
}

// MarshalText implements [encoding.TextMarshaler].
func (p FailurePolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

const (
	// A store that has failed is left alone for so long, which doubles up to the second.
	minAlone = time.Second
	maxAlone = 30 * time.Second
)

// A storeState says whether the store answers. It is guarded by Shared.mu.
type storeState struct {
	err   error         // nil: it answers
	since time.Duration // when it ceased to
	alone time.Duration // how long it is left alone
	again time.Duration // when it may be asked again
}

// mayAsk reports whether the store may be asked at a time. Of those that would find out
// whether it answers again, it lets one through.
func (s *Shared) mayAsk(now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store.err == nil {
		return true
	}
	if now < s.store.again {
		return false
	}
	s.store.again = now + s.store.alone
	return true
}

// down returns since when the store does not answer, and why; nil if it does.
func (s *Shared) down() (since time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.since, s.store.err
}

// untilAsked is how long a store that does not answer is still left alone.
func (s *Shared) untilAsked(now time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Millisecond, s.store.again-now)
}

// answered keeps what came of asking the store, and tells of a change.
func (s *Shared) answered(lease Lease, err error) {
	if changed := s.keep(lease, err); changed && s.cfg.Observe != nil {
		kind := StoreUp
		if err != nil {
			kind = StoreDown
		}
		s.cfg.Observe(context.Background(), Event{Kind: kind, Name: s.cfg.Name, Cause: err})
	}
}

func (s *Shared) keep(lease Lease, err error) (changed bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if err == nil {
		changed = s.store.err != nil
		s.store = storeState{}
		s.owners = max(1, lease.Owners)
		return changed
	}
	s.failed++
	st := &s.store
	if changed = st.err == nil; changed {
		st.since, st.alone = now, minAlone
	} else {
		st.alone = min(2*st.alone, maxAlone)
	}
	st.err, st.again = fmt.Errorf("%w: %w", ErrStore, err), now+st.alone
	return changed
}

// shareLocked takes n tokens of this process's share of the limit, while the store does
// not answer.
func (k *sharedKey) shareLocked(n int, at, since time.Duration) (after time.Duration) {
	limit := float64(time.Second) / float64(k.terms.interval)
	share := limit / float64(k.shared.peers())
	if last := min(k.demand, limit); last > share {
		gone := float64(at-since) / float64(shareAfter)
		share += (last - share) * max(0, 1-gone)
	}
	t := terms{burst: k.terms.burst, interval: interval(rate.Limit(share))}
	// A bucket that begins empty: what was there has been used from the leases.
	t.full = t.cost(int64(max(n, k.terms.burst/k.shared.peers())))
	if fullAt := since + t.full; k.fullAt < fullAt {
		k.fullAt = fullAt
	}
	next, after := t.next(k.fullAt, at, n)
	if after <= 0 {
		k.fullAt = next
	}
	return after
}

// shareAfter is how long a process goes on at more than its equal share.
const shareAfter = time.Second
