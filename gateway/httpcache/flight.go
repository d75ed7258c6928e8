package httpcache

import (
	"context"
	"hash/maphash"
	"net/http"
	"sync"
	"time"
)

// A flight is a request to the origin that others wait for, because they may be
// able to use its response.
type flight struct {
	flights *flights
	hash    uint64
	key     *key
	vary    string // what tells requests apart that will not get the same response, as far as is known

	// Under the lock of flights, then constant once it has ended.
	done    chan struct{} // nil until somebody waits
	ended   bool
	end     ending
	err     error // if it failed, unless the origin has answered with an error
	body    *tee
	waiting int
}

// An ending is how the attempt to get a storable response has ended.
type ending uint8

const (
	endLost    ending = iota // by chance: another attempt may succeed
	endStored                // there is one now
	endRefused               // not to be stored, and neither will be the next
	endFailed                // the origin did not answer
)

// flights are those under way.
type flights struct {
	mu     sync.Mutex
	closed bool               // nothing is read ahead any more
	byHash map[uint64]*flight // those that may be joined
	ahead  map[*tee]bool      // bodies that are read ahead
}

// take returns the flight that a request may wait for, or else a new one, which it
// leads, or else, if it does not want to wait or another has the same hash, nil.
func (fs *flights) take(x *exchange, vary string, wait bool) (f *flight, leads bool) {
	h := x.hash.key
	if vary != "" {
		h ^= maphash.String(x.cache.store.seed, vary)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f = fs.byHash[h]; f == nil {
		f = &x.own
		f.flights, f.hash, f.key, f.vary = fs, h, &x.key, vary
		fs.byHash[h] = f
		return f, true
	}
	if !wait || *f.key != x.key || f.vary != vary {
		return nil, false
	}
	if f.done == nil {
		f.done = make(chan struct{})
	}
	f.waiting++
	fs.readAhead(f)
	return f, false
}

// readAhead makes the flight independent of its leader's reading, once somebody waits.
func (fs *flights) readAhead(f *flight) {
	if f.waiting > 0 && f.body != nil && !fs.closed && f.body.startPump() {
		fs.ahead[f.body] = true
		go f.pump(f.body)
	}
}

func (f *flight) pump(b *tee) {
	defer func() {
		f.flights.mu.Lock()
		defer f.flights.mu.Unlock()
		delete(f.flights.ahead, b)
		f.flights.readAhead(f) // for one who has come since
	}()
	b.pump()
}

// reading tells a flight the body that has to be read before it can end.
func (f *flight) reading(b *tee) {
	if f == nil {
		return
	}
	f.flights.mu.Lock()
	defer f.flights.mu.Unlock()
	f.body = b
	f.flights.readAhead(f)
}

// fail ends a flight whose request failed.
func (f *flight) fail(err error) {
	if f == nil {
		return
	}
	f.flights.mu.Lock()
	f.err = err
	f.flights.mu.Unlock()
	f.land(endFailed)
}

// land ends a flight, unless it has ended.
func (f *flight) land(end ending) {
	if f == nil {
		return
	}
	f.flights.mu.Lock()
	defer f.flights.mu.Unlock()
	if f.ended {
		return
	}
	f.ended, f.end = true, end
	f.closeLocked()
	if f.done != nil {
		close(f.done)
	}
}

// closeLocked lets nobody join any more.
func (f *flight) closeLocked() {
	if f.flights.byHash[f.hash] == f {
		delete(f.flights.byHash, f.hash)
	}
}

// wait waits for the end of a flight, for a limited time. It reports false if that is
// over: whoever comes next begins anew.
func (f *flight) wait(ctx context.Context, limit time.Duration) (landed bool, err error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	defer f.leave()
	select {
	case <-f.done:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-timer.C:
		f.flights.mu.Lock()
		defer f.flights.mu.Unlock()
		f.closeLocked()
		return false, nil
	}
}

// leave is called by one who has waited. With the last of them goes what was done for
// them.
func (f *flight) leave() {
	f.flights.mu.Lock()
	f.waiting--
	last := f.waiting == 0 && !f.ended
	body := f.body
	f.flights.mu.Unlock()
	if last && body != nil {
		body.stopPump()
	}
}

// close ends what is read ahead.
func (fs *flights) close() {
	fs.mu.Lock()
	fs.closed = true
	var bodies []*tee
	for b := range fs.ahead {
		bodies = append(bodies, b)
	}
	fs.mu.Unlock()
	for _, b := range bodies {
		b.stopPump()
	}
}

// maxRounds is how often a request waits for the responses to others because
// each has taught it that the next one fits better.
const maxRounds = 4

// collapse forwards a request, or waits for the response to one that is under way
// and uses that if it may.
func (x *exchange) collapse() (*http.Response, error) {
	c := x.cache
	x.together = true
	begin := c.now()
	last := ""
	for round := 0; ; {
		vary := ""
		if len(x.variants) > 0 {
			vary = varyKey(x.variants[0].vary, x.header)
		}
		left := c.cfg.MaxWait - c.now().sub(begin)
		if round > 0 && last == vary || round == maxRounds || left <= 0 || c.passes.has(x.hash.key, c.now()) {
			return x.forward()
		}
		f, leads := c.flights.take(x, vary, true)
		if f == nil {
			return x.forward()
		}
		if !leads {
			landed, err := f.wait(x.req.Context(), left)
			if err != nil {
				return nil, refuse(x.req, x.missed(err, false))
			}
			if !landed {
				return x.forward()
			}
		}
		// Also for the leader: another flight may have landed since the look-up.
		now := c.now()
		x.look()
		if x.entry.freshness(now, &x.want) == fresh {
			if leads {
				f.land(endStored)
			}
			return x.hit(now, Status{Forward: x.why, Collapsed: true}), nil
		}
		if leads {
			return x.lead(f)
		}
		switch f.end {
		case endStored:
			round++
			last = vary
		case endRefused:
			return x.forward()
		case endFailed:
			if x.entry.useInstead(now, &x.want, c.cfg.StaleIfError, f.err) {
				return x.instead(now, f.err), nil
			}
			// Who has made the other request shows in an answer, but not in an error.
			if f.err != nil && x.vouched {
				return nil, x.missed(f.err, true)
			}
			return x.forward()
		}
	}
}

// lead makes a request to the origin as the leader of f.
func (x *exchange) lead(f *flight) (*http.Response, error) {
	x.flight = f
	handed := false
	defer func() {
		if !handed { // Base has panicked, or called runtime.Goexit
			f.land(endLost)
		}
	}()
	resp, err := x.forward()
	handed = true
	return resp, err
}
