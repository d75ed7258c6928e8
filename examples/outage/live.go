package main

import (
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

	"golang.org/x/time/rate"

	"github.com/belay-go/belay/ratelimit"
)

const (
	frameEvery = 250 * time.Millisecond // how often the live page is told what happens
	lastSecond = int(time.Second / frameEvery)
)

// A live run has no schedule and no end: who looks at its page decides what happens to the servers.
type live struct {
	start   time.Time
	seed    uint64
	board   *board
	columns []*recentColumn
	belay   *belay
	feed    feed
}

// A recentColumn knows only the last second of its column, and so runs for ever.
type recentColumn struct {
	*column
	ended [lastSecond][]call
	sent  [lastSecond][len(instances)]int
}

// newLive starts a set of servers for each client. stop ends them.
func newLive(n network, calls float64, seed uint64) (l *live, stop func(), err error) {
	l = &live{start: time.Now(), seed: seed}
	l.board = &board{rate: calls, start: l.start}
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	builds := slices.Clone(stacks)
	builds[len(builds)-1] = func(base http.RoundTripper, targets []*url.URL) stack {
		l.belay = newBelay(base, targets, agreed(calls))
		return l.belay.stack
	}
	for _, build := range builds {
		c, end, err := startColumn(n, build, l.board, seed, l.start)
		if err != nil {
			stop()
			return nil, nil, err
		}
		stops = append(stops, end)
		l.columns = append(l.columns, &recentColumn{column: c})
	}
	return l, stop, nil
}

// agreed is the limit that the owners of the servers have set: somewhat less than what all of them can answer. Few calls
// may wait for their turn, since each has to be answered in a second.
func agreed(calls float64) *ratelimit.Limiter {
	most := spare * calls * float64(len(instances))
	return ratelimit.New(ratelimit.Config{Rate: rate.Limit(0.8 * most), Burst: int(most / 10), Queue: int(most / 10)})
}

// run issues calls and tells the feed about them until ctx ends, and waits for all of them.
func (l *live) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() {
		issue(ctx, l.start, l.board.calls(l.seed), func(id int) {
			for _, c := range l.columns {
				running.Go(func() { c.call(ctx, l.start, id) })
			}
		})
	})
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.feed.end()
			running.Wait()
			return
		case <-tick.C:
			l.feed.send(event("frame", l.frame()))
		}
	}
}

// serve serves the page until ctx ends.
func (l *live) serve(ctx context.Context, ln net.Listener, listen string) error {
	server := http.Server{Handler: l.handler(listen), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(server.Serve(ln)) }() // ends with server
	l.run(ctx)                               // and ends all streams
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	ending, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer done()
	if server.Shutdown(ending) != nil {
		server.Close() // somebody does not read, or sends half a request
	}
	return err
}

// runLive is the whole of -live.
func runLive(ctx context.Context, o options, stdout io.Writer) error {
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	defer ln.Close()
	l, stop, err := newLive(&loopback{}, o.rate, o.seed)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(stdout, "The live page is at http://%s/\n", ln.Addr())
	if !ln.Addr().(*net.TCPAddr).IP.IsLoopback() {
		fmt.Fprintln(stdout, "It is not only for this machine: whoever reaches that address can look at it and press its buttons.")
	}
	fmt.Fprintln(stdout, "Ctrl-C ends it.")
	return l.serve(ctx, ln, o.listen)
}

func (l *live) stacks() []stack {
	var list []stack
	for _, c := range l.columns {
		list = append(list, c.stack)
	}
	return list
}
