package httpcache

import (
	"context"
	"net/http"
	"sync"
)

// A flight is a request to the origin that others wait for, because they may be
// able to use its response.
type flight struct {
	flights *flights
	key     flightKey
	done    chan struct{}

	// Guarded by flights.mu, then constant once done is closed.
	end     ending
	err     error // if it failed, unless the origin has answered with an error
	body    *tee
	waiting bool
}

// A flightKey tells requests apart that will not get the same response, as far
// as is known.
type flightKey struct {
	key
	vary string
}

type flights struct {
	mu   sync.Mutex
	byID map[flightKey]*flight
}

// join returns the flight for a key, which the caller leads if there was none.
func (fs *flights) join(key flightKey) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f = fs.byID[key]; f != nil {
		f.waiting = true
		f.pump()
		return f, false
	}
	f = &flight{flights: fs, key: key, done: make(chan struct{})}
	fs.byID[key] = f
	return f, true
}

// pump makes the flight independent of its leader's reading, once somebody waits.
func (f *flight) pump() {
	if f.waiting && f.body != nil && f.body.startPump() {
		go f.body.pump()
	}
}

// reading tells a flight the body that has to be read before it can end.
func (f *flight) reading(b *tee) {
	if f == nil {
		return
	}
	f.flights.mu.Lock()
	defer f.flights.mu.Unlock()
	f.body = b
	f.pump()
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
	if f.flights.byID[f.key] == f {
		delete(f.flights.byID, f.key)
		f.end = end
		close(f.done)
	}
}

// lead makes a request to the origin as the leader of f.
func (c *Cache) lead(x *exchange, f *flight) (*http.Response, error) {
	x.flight = f
	handed := false
	defer func() {
		if !handed { // Base has panicked, or called runtime.Goexit
			f.land(endLost)
		}
	}()
	resp, err := c.forward(x)
	handed = true
	return resp, err
}

// wait waits for the end of a flight, or of the caller's context.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
