package loadbalance

import (
	"math"
	"sync/atomic"
	"time"
)

// A node is the state of an endpoint. It outlives the sets that the endpoint is in.
type node struct {
	traffic
	learnt  atomic.Uint64 // an estimate
	stamp   atomic.Int64  // when it was learnt
	heard   atomic.Int64  // when it gave the last good answer, to about stale/16
	key     atomic.Uint64 // of its price, see publish
	price   atomic.Uint32 // a float32, as of stamp
	special atomic.Uint32 // why a good call has more to do when it ends

	steady atomic.Uint32 // good answers in a row that were no slower than expected, up to 15
	row    atomic.Uint32 // failures in a row
	core   *core
	health *health  // not looked at for good calls to healthy endpoints
	name   string   // the key of the endpoint
	_      [24]byte // so that no two share a cache line, nor a pair of them
}

func newNode(c *core, key string, now int64) *node {
	n := &node{core: c, name: key, health: &health{since: now}}
	n.heard.Store(now)
	n.publish(estimate{}, now)
	return n
}

// An estimate is what is known about an endpoint, in one word: the latency in
// nanoseconds, 0 if it is not known, and the share of failures.
type estimate struct{ latency, failures float32 }

func estimateOf(word uint64) estimate {
	return estimate{math.Float32frombits(uint32(word)), math.Float32frombits(uint32(word >> 32))}
}

func (e estimate) word() uint64 {
	return uint64(math.Float32bits(e.failures))<<32 | uint64(math.Float32bits(e.latency))
}

// keep is how much of an average remains after d: close to e^(-d/decay), by a few
// multiplications.
func keep(d int64, decay float64) float32 {
	if d <= 0 {
		return 1
	}
	x := float32(1 / (1 + float64(d)/(8*decay)))
	x *= x
	x *= x
	return x * x
}

// current is the estimate as it is now.
func (n *node) current(now int64) estimate {
	e := estimateOf(n.learnt.Load())
	if d := now - n.stamp.Load(); d > n.core.stale {
		k := keep(d, n.core.decay)
		e.failures *= k
		e.latency *= k
	}
	return e
}

// unknown is the latency of an endpoint about which nothing is known, nor about any
// other.
const unknown = 1e3

// publish makes the price of an estimate known to picks, after it was learnt, and its key:
// what the price would have been at the epoch, as a logarithm to the base 2. As all
// prices fade by the same factor, keys compare like the prices at any time, however old
// they are (Cormode et al., "Forward decay", 2009). Where the estimate has failures, which
// fade differently, its key is not a number.
func (n *node) publish(e estimate, now int64) {
	price, key := e.price(), math.NaN()
	if e.failures == 0 {
		key = math.Log2(float64(price)) + float64(now)*n.core.fade
	}
	n.stamp.Store(now)
	n.price.Store(math.Float32bits(price))
	n.key.Store(math.Float64bits(key))
}

// price is what a call to an idle endpoint costs. The latency counts with a power of
// 5/4: of two endpoints that are equally busy for their speed the faster one is the
// better choice, as the other may be slow whatever its load. Failures make it look
// slower: hardly for one in many calls, a thousand times if all calls fail.
func (e estimate) price() float32 {
	l := float64(max(e.latency, unknown))
	return float32(l*math.Sqrt(math.Sqrt(l))) * penalty(e.failures)
}

// penalty is how much more expensive the share of failures makes a call.
func penalty(failures float32) float32 {
	s := 1 - failures
	s *= s
	s *= s
	return 1 / max(s*s, 1e-3)
}

// cost is the price, by the calls before it, and by how much longer than expected
// they wait already.
func (n *node) cost(now int64) float32 {
	e, price := estimateOf(n.learnt.Load()), math.Float32frombits(n.price.Load())
	if now-n.stamp.Load() > n.core.stale {
		e = n.current(now)
		price = e.price()
	}
	w := n.waiting.Load()
	c := price * float32(w&countMask+1+n.open.Load()&countMask)
	// One that answers others meanwhile does not hang, however long a call takes.
	silence := float32(now - n.heard.Load())
	if o, l := min(oldest(w, now), silence), max(e.latency, unknown); o > l {
		c *= o / l
	}
	return c
}

// oldest is the age of the oldest of the calls that wait: had they begun at regular
// times, it would be this much by the sum of their ages.
func oldest(waiting uint64, now int64) float32 {
	if count := waiting & countMask; count > 0 {
		return float32(2 * ages(waiting, now) / float64(count+1))
	}
	return 0
}

// latency is what an answer is expected to take, not counting the calls before it.
func (n *node) latency(now int64) time.Duration {
	l := n.current(now).latency
	if n.core.timed {
		l = max(l, oldest(n.waiting.Load(), now))
	}
	return time.Duration(l)
}

// weighs is the weight of one call in the share of failures.
const weighs = 1.0 / 16

// known reports whether a good call has nothing to tell: it was no slower than the
// others, one of which has just spoken for it.
func (n *node) known(now, rtt int64) bool {
	word := n.learnt.Load()
	return word>>32 == 0 && float32(rtt) <= math.Float32frombits(uint32(word)) && now-n.stamp.Load() < n.core.stale/16
}

// learn takes in a call that ended at now and took rtt, or less than 0 if that was
// not measured; the outcome is Default if it is not known yet. A failure may make the
// endpoint look slower, never faster.
func (n *node) learn(now, rtt int64, o Outcome) {
	good := o == Success || o == Default
	if good {
		n.heard.Store(now)
	}
	for {
		old, steady := n.learnt.Load(), n.steady.Load()
		e := estimateOf(old)
		d := now - n.stamp.Load()
		k := keep(d, n.core.decay)
		if good && rtt >= 0 && e.failures > 0 && d > n.core.silence {
			k = min(k, afterSilence)
		}
		e.failures *= k
		switch {
		case o == Default:
		case !good:
			e.failures += (1 - e.failures) * weighs
		default:
			e.failures -= e.failures * weighs
			if e.failures < 1e-3 {
				e.failures = 0
			}
		}
		first := e.latency == 0 && good
		switch r := float32(rtt); {
		case rtt < 0 || e.latency == 0 && !good: // not measured, or nothing to go by
		case first:
			e.latency = r
		case r > e.latency && good:
			e.latency = min(r, e.latency*patience(steady))
			steady = 0
		case r > e.latency:
			e.latency = r
		case good:
			k = min(k, 1-weighs)
			e.latency = e.latency*k + r*(1-k)
			steady = min(steady+1, maxSteady)
		}
		if n.learnt.CompareAndSwap(old, e.word()) {
			n.steady.Store(steady)
			n.publish(e, now)
			if first && e.latency > 0 {
				n.core.seed(e.latency, now)
			}
			return
		}
	}
}

// afterSilence is how much is left at most of the estimate of an endpoint that has failed,
// when a good answer comes after a long silence.
const afterSilence = 0.25

// silent reports whether nothing was learnt from a node for long.
func (n *node) silent(now int64) bool { return now-n.stamp.Load() > n.core.silence }

// maxSteady is how many good answers count against a slow one.
const maxSteady = 15

// patience is by what factor one slow answer makes the expected latency rise at most,
// after so many answers that were as fast as expected. What one call in thousands waits
// for says little about the next; of two in a row the second counts in full.
func patience(steady uint32) float32 {
	if steady == 0 {
		return math.MaxFloat32
	}
	return 1 + 16/float32(steady+1)
}

// endure takes in a call whose end says nothing, but that it took longer than rtt: an
// endpoint whose calls are given up, as the slow one of two hedges is, is no fast one.
func (n *node) endure(now, rtt int64) {
	word := n.learnt.Load()
	e := n.current(now)
	if e.latency > 0 && float32(rtt) > e.latency {
		e.latency = float32(rtt)
		if n.learnt.CompareAndSwap(word, e.word()) {
			n.publish(e, now)
		}
	}
}

// assume sets the latency if it is not known.
func (n *node) assume(latency float32, now int64) {
	word := n.learnt.Load()
	if e := estimateOf(word); e.latency == 0 && latency > 0 {
		e.latency = latency
		if n.learnt.CompareAndSwap(word, e.word()) {
			n.publish(e, now)
		}
	}
}

// forgive forgets the failures of an endpoint that is well again, and the latency of
// calls that have timed out: it may be as fast as the others usually are.
func (n *node) forgive(now int64, usual float32) {
	for {
		word := n.learnt.Load()
		e := estimate{latency: estimateOf(word).latency}
		if usual > 0 {
			e.latency = min(e.latency, usual)
		}
		if n.learnt.CompareAndSwap(word, e.word()) {
			n.publish(e, now)
			return
		}
	}
}
