package gateway

import (
	"context"
	"net/http"
	"sync"
)

// A cacheFlight is a request to the origin that others wait for, because they may be
// able to use its response.
type cacheFlight struct {
	flights *cacheFlights
	key     cacheFlightKey
	done    chan struct{}

	// Guarded by flights.mu, then constant once done is closed.
	end     cacheEnd
	err     error // if it failed, unless the origin has answered with an error
	body    *cacheBody
	waiting bool
}

// A cacheFlightKey tells requests apart that will not get the same response, as far
// as is known.
type cacheFlightKey struct {
	cacheKey
	vary string
}

type cacheFlights struct {
	mu   sync.Mutex
	byID map[cacheFlightKey]*cacheFlight
}

// join returns the flight for a key, which the caller leads if there was none.
func (fs *cacheFlights) join(key cacheFlightKey) (f *cacheFlight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f = fs.byID[key]; f != nil {
		f.waiting = true
		f.pump()
		return f, false
	}
	f = &cacheFlight{flights: fs, key: key, done: make(chan struct{})}
	fs.byID[key] = f
	return f, true
}

// pump makes the flight independent of its leader's reading, once somebody waits.
func (f *cacheFlight) pump() {
	if f.waiting && f.body != nil && f.body.startPump() {
		go f.body.pump()
	}
}

// reading tells a flight the body that has to be read before it can end.
func (f *cacheFlight) reading(b *cacheBody) {
	if f == nil {
		return
	}
	f.flights.mu.Lock()
	defer f.flights.mu.Unlock()
	f.body = b
	f.pump()
}

// fail ends a flight whose request failed.
func (f *cacheFlight) fail(err error) {
	if f == nil {
		return
	}
	f.flights.mu.Lock()
	f.err = err
	f.flights.mu.Unlock()
	f.land(cacheFailed)
}

// land ends a flight, unless it has ended.
func (f *cacheFlight) land(end cacheEnd) {
	if f == nil {
		return
	}
	f.flights.mu.Lock()
	defer f.flights.mu.Unlock()
	if f.flights.byID[f.key] == f {
		delete(f.flights.byID, f.key)
		f.end = end
		close(f.done)
	}
}

// lead makes a request to the origin as the leader of f.
func (c *Cache) lead(x *cacheExchange, f *cacheFlight) (*http.Response, error) {
	x.flight = f
	handed := false
	defer func() {
		if !handed { // Base has panicked, or called runtime.Goexit
			f.land(cacheLost)
		}
	}()
	resp, err := c.forward(x)
	handed = true
	return resp, err
}

// wait waits for the end of a flight, or of the caller's context.
func (f *cacheFlight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
