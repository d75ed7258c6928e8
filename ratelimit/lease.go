package ratelimit

import (
	"math"
	"time"
)

// A lease is what is left of the tokens that the store has given for a key.
type lease struct {
	due      time.Duration // when the first of them may be used
	interval time.Duration
	n        int
	stale    time.Duration // how long after that it may be used
	end      int64         // Lease.End
}

// A sharedKey is what a Shared knows about one key. All is guarded by line.mu.
type sharedKey struct {
	shared *Shared
	name   string
	line   line
	terms  terms // as the latest call has found them

	leases []lease // the oldest first
	left   int     // tokens in leases
	wanted int     // tokens that the store was asked for last, if they are to last for a while
	asking chan struct{}
	until  time.Duration // the store has not as much to give as was wanted before then
	next   time.Duration // when what is not given out by the store comes due
	timer  *time.Timer   // gives back what nobody uses
	idle   bool          // nothing was used since timer was set

	used   int           // tokens since the store was last asked
	last   time.Duration // when that was
	demand float64       // tokens a second, on average

	fullAt time.Duration // of the bucket that stands in for the store
}

func (s *Shared) newKey(key string, t terms) *sharedKey {
	k := &sharedKey{shared: s, name: key, terms: t, last: s.now() - s.ahead()}
	k.line = line{
		name:   s.cfg.Name,
		places: max(0, s.cfg.Queue),
		takeLocked: func(w *waiter, at time.Time) (after time.Duration) {
			after, err := k.takeLocked(w.n, at.Sub(s.epoch))
			if err != nil {
				w.err = &Error{Name: s.cfg.Name, Cause: err}
			}
			return after
		},
		mostLocked: func() int {
			if k.terms.interval == 0 {
				return math.MaxInt
			}
			return k.terms.burst
		},
		longestLocked: func(ahead int64, n int, at time.Time) time.Duration {
			return k.estimateLocked(ahead+int64(n), at.Sub(s.epoch))
		},
	}
	if s.cfg.For != nil {
		k.line.renew = func() { k.renew(s.termsOf(key)) }
	}
	return k
}

// renew lets those that wait know the terms that hold now.
func (k *sharedKey) renew(t terms) {
	k.line.mu.Lock()
	defer k.line.mu.Unlock()
	if k.terms != t {
		k.terms, k.until, k.next = t, 0, 0
		k.line.serveLocked()
	}
}

// takeLocked takes n tokens at a time, or returns how long after that they are there;
// never, if the store is asked about it; or why they are refused for good.
func (k *sharedKey) takeLocked(n int, at time.Duration) (after time.Duration, err error) {
	if k.terms.interval == 0 {
		return 0, nil
	}
	k.dropLocked(at)
	if k.left >= n {
		if due := k.dueLocked(n); due > at {
			return due - at, nil
		}
		k.useLocked(n)
		if k.asking == nil && k.until <= at && k.wanted > 1 && 2*k.left < k.wanted {
			k.askLocked(k.wanted/2, at)
		}
		return 0, nil
	}
	since, down := k.shared.down()
	switch {
	case down == nil && k.asking == nil && k.soonestLocked(n) > at:
		return k.soonestLocked(n) - at, nil
	case k.asking == nil:
		k.askLocked(n-k.left, at)
	}
	if down == nil {
		return never, nil
	}
	switch k.shared.cfg.OnFailure {
	case FailOpen:
		return 0, nil
	case FailClosed:
		return 0, down
	}
	return k.shareLocked(n, at, since), nil
}

// dropLocked forgets tokens that nobody has used in time.
func (k *sharedKey) dropLocked(at time.Duration) {
	for len(k.leases) > 0 {
		l := &k.leases[0]
		if past := at - l.stale - l.due; past > 0 {
			k.skipLocked(l, int(min(int64(l.n), int64(past/l.interval)+1)))
		}
		if l.n > 0 {
			return
		}
		k.leases = k.leases[1:]
	}
	k.leases = nil
}

func (k *sharedKey) skipLocked(l *lease, n int) {
	l.due += time.Duration(n) * l.interval
	l.n -= n
	k.left -= n
}

// dueLocked is when the n-th of the tokens that are left may be used.
func (k *sharedKey) dueLocked(n int) (due time.Duration) {
	for _, l := range k.leases {
		m := min(n, l.n)
		if due = max(due, l.due+time.Duration(m-1)*l.interval); m == n {
			break
		}
		n -= m
	}
	return due
}

// useLocked uses n of the tokens that are left.
func (k *sharedKey) useLocked(n int) {
	k.used += n
	k.idle = false
	for n > 0 {
		l := &k.leases[0]
		m := min(n, l.n)
		k.skipLocked(l, m)
		if n -= m; l.n == 0 {
			k.leases = k.leases[1:]
		}
	}
}

const (
	memory = time.Second // over which demand is an average
	many   = 8           // tokens in the time of a lease
)

// wantLocked is for how many tokens the store is asked: what this process has used of
// late in the time of a lease. It is 0 if there is little use in more than are needed.
func (k *sharedKey) wantLocked(at time.Duration) int {
	elapsed := max(at-k.last, time.Millisecond).Seconds()
	k.demand = (k.demand*memory.Seconds() + float64(k.used)) / (memory.Seconds() + elapsed)
	rate := max(float64(k.used)/elapsed, k.demand)
	length := k.shared.cfg.Lease
	if length <= 0 {
		return 0
	}
	waiting := min(k.line.high.sum+k.line.low.sum, int64(k.terms.burst))
	// Not much more than an equal part, so that who has asked first does not go on having
	// everything.
	most := 1.25 * float64(length) / float64(k.terms.interval) / float64(k.shared.peers())
	return int(math.Ceil(min(max(rate*length.Seconds(), float64(waiting)), most, math.MaxInt32)))
}

// withinLocked is how long before it may be used a token is of use.
func (k *sharedKey) withinLocked() time.Duration {
	if k.wanted < many && k.line.waiting.Load() == 0 {
		return 0 // it may be long until somebody uses it
	}
	return k.shared.ahead()
}

// soonestLocked is when the store may have as many tokens as are wanting for n.
func (k *sharedKey) soonestLocked(n int) time.Duration {
	return k.next + k.terms.cost(int64(n-k.left)) - k.terms.full - k.withinLocked()
}

// askLocked asks the store for n tokens or more, in a goroutine of its own. A store that
// does not answer is asked only now and then.
func (k *sharedKey) askLocked(n int, at time.Duration) {
	if !k.shared.mayAsk(at) {
		return
	}
	k.wanted = k.wantLocked(at)
	r := LeaseRequest{
		Owner:    k.shared.owner,
		Interval: k.terms.interval,
		Burst:    k.terms.burst,
		Least:    n,
		N:        max(n, k.wanted),
		Within:   k.withinLocked(),
		Ahead:    k.shared.ahead(),
		Keep:     k.shared.ownerFor(),
	}
	k.used, k.last = 0, at
	k.sendLocked(r)
}

func (k *sharedKey) sendLocked(r LeaseRequest) {
	asking := make(chan struct{})
	k.asking = asking
	go func() {
		defer close(asking)
		got, err := k.shared.ask(k.name, r)
		k.shared.answered(got, err)
		k.receive(r, got, err)
	}()
}

// receive takes the answer of the store, and serves those that wait for it. The
// store's now was before this process's: tokens are used late, never early.
func (k *sharedKey) receive(r LeaseRequest, got Lease, err error) {
	k.line.mu.Lock()
	defer k.line.mu.Unlock()
	k.asking = nil
	now := k.shared.now()
	full := r.Interval * time.Duration(r.Burst)
	switch {
	case err != nil:
	case got.N > 0:
		k.leases = append(k.leases, lease{
			due:      now + got.Begin + r.Interval - full,
			interval: r.Interval,
			n:        got.N,
			stale:    full + k.shared.keeps(),
			end:      got.End,
		})
		k.left += got.N
		k.next = now + got.Begin + time.Duration(got.N)*r.Interval
		k.watchLocked()
	case r.N > 0:
		wait := max(got.RetryAfter, r.Within+time.Millisecond)
		k.until = now + wait - r.Within
		k.next = now + wait + full - time.Duration(r.Least)*r.Interval
	default:
		k.next = now + got.Begin
	}
	k.line.serveLocked()
}

// watchLocked sees to it that what nobody uses for the time of a lease is given back.
func (k *sharedKey) watchLocked() {
	if k.shared.cfg.Lease <= 0 {
		return
	}
	k.idle = true
	if k.timer == nil {
		k.timer = time.AfterFunc(k.shared.cfg.Lease, k.giveBack)
	}
}

func (k *sharedKey) giveBack() {
	k.line.mu.Lock()
	defer k.line.mu.Unlock()
	k.timer = nil
	k.dropLocked(k.shared.now())
	switch {
	case k.left == 0:
	case !k.idle || k.asking != nil || k.line.waiting.Load() > 0 || k.leases[0].due > k.shared.now()-k.shared.cfg.Lease:
		k.watchLocked()
	default:
		l := k.leases[len(k.leases)-1]
		if _, down := k.shared.down(); down != nil || l.interval != k.terms.interval {
			return // they become stale
		}
		r := LeaseRequest{Owner: k.shared.owner, Interval: l.interval, Burst: k.terms.burst, Ahead: k.shared.ahead(), Keep: k.shared.ownerFor(), Back: l.end, BackN: l.n}
		k.leases, k.left, k.demand = nil, 0, 0
		k.sendLocked(r)
	}
}

// estimateLocked is how long after a time there are n tokens, if no other process takes
// any until then.
func (k *sharedKey) estimateLocked(n int64, at time.Duration) time.Duration {
	if k.terms.interval == 0 {
		return 0
	}
	if n <= int64(k.left) {
		return k.dueLocked(int(n)) - at
	}
	return k.next + k.terms.cost(n-int64(k.left)) - k.terms.full - at
}
