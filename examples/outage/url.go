package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"golang.org/x/time/rate"
)

// mostTries is how many requests a call of each of the stacks sends at worst: one, those of eager, those of careful, and
// those of a default retry.Policy. On it rests the promise to the owner of the endpoints, which a gate keeps in any case.
var mostTries = []int{1, tries, attempts, 3}

// A plan is what drive promises before the first request leaves.
type plan struct {
	calls    int // in turns of one for each column
	requests int // at most, with the first one to each URL
	interval time.Duration
}

// newPlan issues so few calls that their requests stay below the rate even if every call fails in every way.
func newPlan(o options) plan {
	worst := 0
	for _, n := range mostTries {
		worst += n
	}
	turns := max(1, int(o.rate*o.duration.Seconds()/float64(worst)))
	return plan{
		calls:    turns * len(mostTries),
		requests: turns*worst + len(o.urls),
		interval: o.duration / time.Duration(turns*len(mostTries)),
	}
}

func (p plan) moments() []time.Duration {
	var list []time.Duration
	for i := range p.calls {
		list = append(list, time.Duration(i)*p.interval)
	}
	return list
}

// drive sends the columns' calls, one column after the other, by base to the user's own endpoints.
func drive(ctx context.Context, base http.RoundTripper, o options, out io.Writer) (*experiment, error) {
	p := newPlan(o)
	fmt.Fprintf(out, "%d GET requests at most, in %v, to %s: %d calls, %d through each of four clients.\n"+
		"Never more than %v requests a second, in bursts of no more than %d. Ctrl-C stops.\n\n",
		p.requests, o.duration, plural(len(o.urls), "URL"), p.calls, p.calls/len(mostTries), o.rate, tries)

	limiter := newLimiter(o.rate)
	var left atomic.Int64
	left.Store(int64(p.requests))
	if err := reach(ctx, out, &gate{Base: base, limiter: limiter, left: &left}, o.urls); err != nil {
		return nil, err
	}

	e := &experiment{turns: true, start: time.Now(), targets: names(o.urls)}
	for _, build := range stacks {
		g := &gate{Base: base, limiter: limiter, left: &left, start: e.start}
		c := newColumn(build(g, o.urls), verifyStatus)
		c.received = g.received
		e.columns = append(e.columns, c)
	}
	e.show(ctx, p.moments(), out)
	printStacks(out, e)
	fmt.Fprintf(out, "%-7s %9s %9s %9s %9s   %8s   %13s\n", "", "answered", "p50", "p99", "p99.9", "requests", "failed fast")
	for i, r := range e.results() {
		sent := len(e.columns[i].received()[0])
		fmt.Fprintf(out, "%-7s %9s %6s ms %6s ms %6s ms   %8d   %13s\n", r.name, percent(r.answered, 1),
			millis(r.p50), millis(r.p99), millis(r.p999), sent, count(r.failedFast))
	}
	fmt.Fprintf(out, "\nanswered: calls with a status below 400 and a whole body within %v; %d requests were sent in all\n",
		deadline, int64(p.requests)-max(0, left.Load()))
	return e, nil
}

// plural is n things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprint(n, " ", thing)
}

// reach sends one request to each URL and says which do not answer.
func reach(ctx context.Context, out io.Writer, via http.RoundTripper, urls []*url.URL) error {
	var errs []error
	for _, u := range urls {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err == nil {
			var resp *http.Response
			if resp, err = via.RoundTrip(req); err == nil {
				resp.Body.Close()
				fmt.Fprintf(out, "  %s answers %s\n", u.Redacted(), resp.Status)
			}
		}
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("-url %s cannot be reached: %w", u.Redacted(), err))
		}
	}
	fmt.Fprintln(out)
	return errors.Join(errs...)
}

// verifyStatus is all that can be asked of an unknown endpoint.
func verifyStatus(_ int, resp *http.Response) error {
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// newLimiter lets the requests of one naive call pass at once: that is what it would do.
func newLimiter(requests float64) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Config{Rate: rate.Limit(requests), Burst: tries})
}

// A gate keeps what was promised about number and rate of requests, and takes down when they were sent.
type gate struct {
	Base    http.RoundTripper
	limiter *ratelimit.Limiter
	left    *atomic.Int64 // shared by all gates
	start   time.Time

	mu   sync.Mutex
	sent []time.Duration
}

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.limiter.Wait(req.Context()); err != nil {
		return nil, err
	}
	if g.left.Add(-1) < 0 {
		return nil, errors.New("all requests that were promised have been sent")
	}
	g.mu.Lock()
	g.sent = append(g.sent, time.Since(g.start))
	g.mu.Unlock()
	return g.Base.RoundTrip(req)
}

func (g *gate) received() [][]time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return [][]time.Duration{g.sent[:len(g.sent):len(g.sent)]}
}
