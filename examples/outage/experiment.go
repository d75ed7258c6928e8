package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// sampleEvery is how often belay's states are looked at.
const sampleEvery = 100 * time.Millisecond

// An experiment is one run of all columns.
type experiment struct {
	schedule    schedule
	start       time.Time
	columns     []*column // plain, naive, careful, belay
	targets     []string  // names of what belay has a state of
	turns       bool      // a call goes to one column after the other, not to all
	samples     []sample
	end         time.Duration // from start to the end of the last call
	late        time.Duration // by which the worst call was issued too late
	interrupted bool
}

// A sample is the state of belay at a moment: of each target, and of the service.
type sample struct {
	at     time.Duration
	states []string
}

// A network is where servers listen and clients dial.
type network interface {
	listen() (net.Listener, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// loopback is the network of a real run.
type loopback struct{ net.Dialer }

func (loopback) listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// buildStack builds a client that sends its requests to targets by base.
type buildStack func(base http.RoundTripper, targets []*url.URL) stack

// stacks are what is compared, in the order of the columns.
var stacks = []buildStack{plainStack, naiveStack, carefulStack, belayStack}

// newExperiment starts a set of servers for each column. stop ends them.
func newExperiment(n network, s schedule, seed uint64) (e *experiment, stop func(), err error) {
	e = &experiment{schedule: s, start: time.Now()}
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	for i := range len(instances) {
		e.targets = append(e.targets, instances[i:i+1])
	}
	e.targets = append(e.targets, service)
	for _, build := range stacks {
		c, end, err := startColumn(n, build, s, seed, e.start)
		if err != nil {
			stop()
			return nil, nil, err
		}
		stops = append(stops, end)
		e.columns = append(e.columns, c)
	}
	return e, stop, nil
}

// startColumn starts a set of servers and makes the client that calls them. stop ends both.
func startColumn(n network, build buildStack, con conditions, seed uint64, start time.Time) (c *column, stop func(), err error) {
	set, err := startSet(n.listen, con, seed, start)
	if err != nil {
		return nil, nil, err
	}
	var targets []*url.URL
	for _, in := range set {
		targets = append(targets, in.target)
	}
	base := newTransport()
	base.DialContext = dial(n, set)
	c = newColumn(build(base, targets), verifyPayload)
	c.set = set
	c.received = func() [][]time.Duration {
		var all [][]time.Duration
		for _, in := range set {
			all = append(all, in.received())
		}
		return all
	}
	return c, func() { base.CloseIdleConnections(); stopSet(set) }, nil
}

// run issues a call at each of the moments, waits until all have ended, and calls show after each sample. When ctx ends,
// so does the run, and calls on their way then do not count.
func (e *experiment) run(ctx context.Context, moments []time.Duration, show func(now time.Duration)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var calls sync.WaitGroup
		e.late = issue(ctx, e.start, slices.Values(moments), func(id int) {
			for i, c := range e.columns {
				if !e.turns || i == id%len(e.columns) {
					calls.Go(func() { c.call(ctx, e.start, id) })
				}
			}
		})
		calls.Wait()
	}()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			e.end = time.Since(e.start)
			e.interrupted = ctx.Err() != nil
			return
		case <-tick.C:
			now := time.Since(e.start)
			e.samples = append(e.samples, sample{now, e.belay()})
			show(now)
		}
	}
}

// belay returns the states of the column that has them.
func (e *experiment) belay() []string {
	for _, c := range e.columns {
		if c.states != nil {
			return c.states()
		}
	}
	return nil
}

// results measures every column over the whole run.
func (e *experiment) results() []result {
	var list []result
	until := min(e.end, e.schedule.total) // later no calls are issued
	for _, c := range e.columns {
		list = append(list, measure(c.name, e.schedule, c.finished(), c.received(), until))
	}
	return list
}

// verifyPayload reads the answer to a call and compares it with the right one.
func verifyPayload(id int, resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if !bytes.Equal(body, payload(id)) {
		return errors.New("wrong answer")
	}
	return nil
}
