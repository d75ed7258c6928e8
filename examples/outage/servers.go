package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// idHeader carries the number of the call, which decides what its answer holds and how long the work for it takes.
const idHeader = "Call-Id"

// Conditions say what is wrong with an instance at a moment of the run, since when, and how many requests a second it can
// answer. A schedule knows them in advance, a board is told them by those who look at the live page.
type conditions interface {
	fault(instance byte, t time.Duration) (f fault, since time.Duration)
	capacity(instance byte, t time.Duration) float64
}

// An instance is one HTTP server with faults. Its capacity is a queue in fluid form: each answer takes 1/capacity of the
// server's time, in order of arrival, and a client that gives up does not take its request out of the queue, so too much
// load makes every answer too late, as it does in life.
type instance struct {
	name       byte
	conditions conditions
	seed       uint64
	start      time.Time // of the run
	target     *url.URL
	server     http.Server

	mu        sync.Mutex
	busyUntil time.Duration   // since start, when the work accepted so far is done
	arrivals  []time.Duration // since start, of all requests
}

// startSet starts one set of instances, each on a listener of its own.
func startSet(listen func() (net.Listener, error), c conditions, seed uint64, start time.Time) ([]*instance, error) {
	var set []*instance
	for i := range len(instances) {
		ln, err := listen()
		if err != nil {
			stopSet(set)
			return nil, fmt.Errorf("starting server %c: %w", instances[i], err)
		}
		in := &instance{name: instances[i], conditions: c, seed: seed, start: start,
			target: &url.URL{Scheme: "http", Host: ln.Addr().String(), Path: "/"}}
		in.server.Handler = in
		in.server.ErrorLog = log.New(io.Discard, "", 0)
		set = append(set, in)
		go in.server.Serve(ln) // ends with stopSet
	}
	return set, nil
}

func stopSet(set []*instance) {
	for _, in := range set {
		in.server.Close()
	}
}

func (in *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := in.arrive()
	f, since := in.conditions.fault(in.name, now)
	if f == unavailable {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if f == busy && (now-since)%burstEvery < burstFor {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch f {
	case hung, down:
		<-r.Context().Done()
		return
	case refused:
		panic(http.ErrAbortHandler) // closes the connection
	}
	wait, ok := in.admit(now)
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if f == slow {
		wait += slowFor
	}
	id, _ := strconv.Atoi(r.Header.Get(idHeader))
	work := rand.New(rand.NewPCG(in.seed, uint64(id)))
	time.Sleep(wait + 5*time.Millisecond + time.Duration(work.Int64N(int64(10*time.Millisecond))))

	body := payload(id)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f != cut {
		w.Write(body)
		return
	}
	w.Write(body[:len(body)/2])
	reset(w)
}

// arrive takes down that a request arrives now.
func (in *instance) arrive() (now time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	now = time.Since(in.start)
	in.arrivals = append(in.arrivals, now)
	return now
}

// reach is the way of a new connection to the instance. A request that cannot have one counts as if it had arrived.
func (in *instance) reach(ctx context.Context) error {
	for try := range patience {
		f, _ := in.conditions.fault(in.name, time.Since(in.start))
		if f != refused && f != down {
			return nil
		}
		if try == 0 {
			in.arrive()
		}
		if f == refused {
			return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		select {
		case <-time.After(time.Second): // then TCP asks again
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ETIMEDOUT}
}

// patience is how often a new connection is asked for.
const patience = 3

// dial connects to the instances of the set by n.
func dial(n network, set []*instance) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		for _, in := range set {
			if in.target.Host == address {
				if err := in.reach(ctx); err != nil {
					return nil, err
				}
			}
		}
		return n.DialContext(ctx, network, address)
	}
}

// admit queues a request that arrives at now and returns how long it waits for its turn. It refuses one that would wait
// for too long; that takes some of the server's time too.
func (in *instance) admit(now time.Duration) (wait time.Duration, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	service := time.Duration(float64(time.Second) / in.conditions.capacity(in.name, now))
	wait = max(0, in.busyUntil-now)
	if wait >= maxWait {
		in.busyUntil = min(in.busyUntil+time.Duration(refusalCost*float64(service)), now+maxWait+maxDebt)
		return 0, false
	}
	in.busyUntil = now + wait + service
	return wait, true
}

// received returns when requests arrived, in order.
func (in *instance) received() []time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.arrivals[:len(in.arrivals):len(in.arrivals)]
}

// take returns how many requests arrived since it was called last, and forgets them.
func (in *instance) take() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := len(in.arrivals)
	in.arrivals = nil
	return n
}

// reset delivers what was written so far and resets the connection.
func reset(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	if rc.Flush() != nil {
		return
	}
	time.Sleep(5 * time.Millisecond) // let the client read the half: a reset throws away what it has not read
	conn, _, err := rc.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) // Close sends RST, not FIN
	}
	conn.Close()
}

// payload returns the one right answer to the call with the id.
func payload(id int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%015d\n", id), 128)
}
