package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// idHeader carries the number of the call, which decides what its answer holds and how long the work for it takes.
const idHeader = "Call-Id"

// An instance is one HTTP server with the faults of a schedule. Its capacity is a queue in fluid form: each answer takes
// 1/capacity of the server's time, in order of arrival, and a client that gives up does not take its request out of the
// queue, so too much load makes every answer too late, as it does in life.
type instance struct {
	name     byte
	schedule schedule
	seed     uint64
	start    time.Time // of the run
	target   *url.URL
	server   http.Server

	mu        sync.Mutex
	busyUntil time.Duration   // since start, when the work accepted so far is done
	arrivals  []time.Duration // since start, of all requests
}

// startSet starts one set of instances, each on a listener of its own.
func startSet(listen func() (net.Listener, error), s schedule, seed uint64, start time.Time) ([]*instance, error) {
	var set []*instance
	for i := range len(instances) {
		ln, err := listen()
		if err != nil {
			stopSet(set)
			return nil, fmt.Errorf("starting server %c: %w", instances[i], err)
		}
		in := &instance{name: instances[i], schedule: s, seed: seed, start: start,
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
	in.mu.Lock()
	now := time.Since(in.start)
	in.arrivals = append(in.arrivals, now)
	in.mu.Unlock()

	f, since := in.schedule.fault(in.name, now)
	if f == down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if f == busy && (now-since)%burstEvery < burstFor {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
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

// admit queues a request that arrives at now and returns how long it waits for its turn. It refuses one that would wait
// for too long; that takes some of the server's time too.
func (in *instance) admit(now time.Duration) (wait time.Duration, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	service := time.Duration(float64(time.Second) / in.schedule.capacity(in.name, now))
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
