package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a network within the process, so that a whole run fits into a synctest bubble.
type memory struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener
}

type memoryListener struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (m *memory) listen() (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners == nil {
		m.listeners = map[string]*memoryListener{}
	}
	ln := &memoryListener{
		address: fmt.Sprintf("127.0.0.1:%d", 1000+len(m.listeners)),
		conns:   make(chan net.Conn),
		closed:  make(chan struct{}),
	}
	m.listeners[ln.address] = ln
	return ln, nil
}

func (m *memory) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	m.mu.Lock()
	ln := m.listeners[address]
	m.mu.Unlock()
	client, server := net.Pipe()
	select {
	case ln.conns <- server:
		return client, nil
	case <-ln.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (ln *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-ln.conns:
		return c, nil
	case <-ln.closed:
		return nil, net.ErrClosed
	}
}

func (ln *memoryListener) Close() error {
	ln.once.Do(func() { close(ln.closed) })
	return nil
}

func (ln *memoryListener) Addr() net.Addr {
	addr, _ := net.ResolveTCPAddr("tcp", ln.address)
	return addr
}

// serversDone is when servers have finished what their clients have given up.
const serversDone = slowFor + maxWait + time.Second

// simulate is a run in virtual time.
func simulate(t *testing.T, o options) (e *experiment) {
	synctest.Test(t, func(t *testing.T) {
		var stop func()
		var err error
		e, stop, err = newExperiment(&memory{}, schedule{o.duration, o.rate}, o.seed)
		if err != nil {
			t.Fatal(err)
		}
		e.run(t.Context(), poisson(o.seed, o.rate, o.duration), func(time.Duration) {})
		time.Sleep(serversDone)
		stop()
		synctest.Wait()
	})
	return e
}

func TestCheckIsMet(t *testing.T) {
	for _, o := range []options{
		{duration: 12 * time.Second, rate: 200, seed: 1},
		{duration: 12 * time.Second, rate: 200, seed: 2},
		{duration: 26 * time.Second, rate: 200, seed: 1},
	} {
		if testing.Short() && o.duration > 12*time.Second {
			continue
		}
		e := simulate(t, o)
		var out strings.Builder
		printTable(&out, e)
		results := e.results()
		if !check(&out, named(results, "plain"), named(results, "belay")) {
			t.Errorf("%+v:\n%s", o, out.String())
		}
		// What the columns are there to show.
		plain, naive, careful := named(results, "plain"), named(results, "naive"), named(results, "careful")
		if got := plain.load.rate(); got < 0.95 || got > 1.05 {
			t.Errorf("%+v: plain sends %.2f requests per call in the outage, want about 1", o, got)
		}
		if got := naive.load.rate(); got < 3.8 || got > 4.2 {
			t.Errorf("%+v: naive sends %.2f requests per call in the outage, want about 4", o, got)
		}
		if naive.recovery >= 0 && naive.recovery < plain.recovery {
			t.Errorf("%+v: naive recovers after %v, before plain after %v", o, naive.recovery, plain.recovery)
		}
		if got := careful.answered.rate(); got < plain.answered.rate()+0.05 || got > named(results, "belay").answered.rate() {
			t.Errorf("%+v: careful answers %.3f", o, got)
		}
		if plain.answered.rate() > 0.8 {
			t.Errorf("%+v: plain answers %.2f, so the faults do not hurt", o, plain.answered.rate())
		}
	}
}

// Without faults all answer everything, with one request for each call.
func TestHealthyRun(t *testing.T) {
	defer func(saved []phase) { phases = saved }(phases)
	phases = []phase{{unavailable, instances, moment{}, moment{}}, {reduced, instances, moment{}, moment{}}}
	e := simulate(t, options{duration: 3 * time.Second, rate: 100, seed: 1})
	for i, r := range e.results() {
		sent := 0
		for _, instance := range e.columns[i].received() {
			sent += len(instance)
		}
		if r.calls == 0 || r.answered != (share{r.calls, r.calls}) || sent != r.calls {
			t.Errorf("%s: %d calls, %d requests, %v answered", r.name, r.calls, sent, r.answered)
		}
	}
}

func TestInterruptedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := schedule{26 * time.Second, 100}
		e, stop, err := newExperiment(&memory{}, s, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // while A is slow
		defer cancel()
		e.run(ctx, poisson(1, s.rate, s.total), func(time.Duration) {})
		time.Sleep(serversDone)
		stop()
		if !e.interrupted || e.end != 3*time.Second {
			t.Errorf("interrupted %v at %v, want true at 3 s", e.interrupted, e.end)
		}
		var out strings.Builder
		printTable(&out, e)
		for _, r := range e.results() {
			if r.calls < 200 || r.load.of != 0 || r.recovery >= 0 {
				t.Errorf("%+v", r)
			}
		}
		for _, c := range e.columns {
			for _, call := range c.finished() {
				if call.took < time.Second && call.issued+call.took == e.end {
					t.Errorf("%s: a call that was on its way counts: %+v", c.name, call)
				}
			}
		}
		if !strings.Contains(out.String(), "ended before the outage") {
			t.Errorf("no word about the outage in:\n%s", out.String())
		}
		synctest.Wait()
	})
}

func TestServersThatCannotStart(t *testing.T) {
	if _, _, err := newExperiment(&broken{}, schedule{26 * time.Second, 100}, 1); err == nil || !strings.Contains(err.Error(), "starting server A") {
		t.Errorf("error %v", err)
	}
}

type broken struct{ loopback }

func (broken) listen() (net.Listener, error) { return nil, net.ErrClosed }
