package main

import (
	"context"
	"iter"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// poisson returns the moments at which calls are issued: rate a second for the time total, independent of each other.
func poisson(seed uint64, rate float64, total time.Duration) []time.Duration {
	random := rand.New(rand.NewPCG(seed, 0))
	var moments []time.Duration
	for t := 0.0; ; {
		t += random.ExpFloat64() / rate
		moment := time.Duration(t * float64(time.Second))
		if moment >= total {
			return moments
		}
		moments = append(moments, moment)
	}
}

// issue runs send for each moment, never waiting for an answer: users do not wait for each other either. It returns how
// late it was at worst, which says whether the machine was too slow for the load.
func issue(ctx context.Context, start time.Time, moments iter.Seq[time.Duration], send func(id int)) (late time.Duration) {
	id := -1
	for moment := range moments {
		id++
		if wait := moment - time.Since(start); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return late
			}
		} else {
			late = max(late, -wait)
		}
		if ctx.Err() != nil {
			return late
		}
		send(id)
	}
	return late
}

// A call is what became of one call of a client.
type call struct {
	issued, took time.Duration // issued counts from the start of the run
	ok           bool          // the right answer came in time, down to the last byte
}

// A column is a stack at work.
type column struct {
	stack
	verify   func(id int, resp *http.Response) error // reads the answer
	received func() [][]time.Duration                // when requests arrived upstream, per instance
	set      []*instance                             // what it calls, if that is ours

	client http.Client
	mu     sync.Mutex
	calls  []call // in order of their ends
}

func newColumn(s stack, verify func(int, *http.Response) error) *column {
	return &column{stack: s, verify: verify, client: http.Client{
		Transport: s.transport,
		// A redirect is an answer: to follow it would be a request more.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// call makes one call and records it, unless the whole run was interrupted meanwhile.
func (c *column) call(ctx context.Context, start time.Time, id int) {
	issued := time.Since(start)
	err := c.fetch(ctx, id)
	took := time.Since(start) - issued
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call{issued, took, err == nil})
}

func (c *column) fetch(ctx context.Context, id int) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service.example/", nil)
	if err != nil {
		return err
	}
	req.Header.Set(idHeader, strconv.Itoa(id))
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return c.verify(id, resp)
}

// finished returns the calls that have ended so far.
func (c *column) finished() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[:len(c.calls):len(c.calls)]
}

// take returns the calls that have ended since it was called last, and forgets them.
func (c *column) take() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.calls
	c.calls = nil
	return taken
}
