package main

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

// deadline is the time that every call has, from its first byte sent to its last byte read.
const deadline = time.Second

// A stack is one way to build an HTTP client. Each stands on a base of its own and spreads its requests over targets.
type stack struct {
	name, layers string
	transport    http.RoundTripper
	states       func() []string // of what names lists; nil where there are none
}

func plainStack(base http.RoundTripper, targets []*url.URL) stack {
	return stack{
		name:      "plain",
		layers:    "http.Client -> round robin -> http.Transport",
		transport: &roundRobin{Base: base, Targets: targets},
	}
}

func naiveStack(base http.RoundTripper, targets []*url.URL) stack {
	return stack{
		name:      "naive",
		layers:    "http.Client -> three retries at once -> round robin -> http.Transport",
		transport: &eager{Base: &roundRobin{Base: base, Targets: targets}},
	}
}

func belayStack(base http.RoundTripper, targets []*url.URL) stack {
	return newBelay(base, targets, nil).stack
}

// A belay is a stack of Belay's layers, and what can be asked how it is.
type belay struct {
	stack
	budget   *retry.Budget
	breaker  *breaker.Breaker
	limiter  *ratelimit.Limiter
	balancer *loadbalance.Balancer[*url.URL]
}

// newBelay has nothing configured: every Config of Belay's in it is a zero value. What is said is where the instances are,
// that each is a host of its own, that attempts go to different ones, and how many requests a second are agreed; a nil
// limiter has no limit.
func newBelay(base http.RoundTripper, targets []*url.URL, limiter *ratelimit.Limiter) *belay {
	var instances []loadbalance.Endpoint[*url.URL]
	for i, t := range targets {
		instances = append(instances, loadbalance.Endpoint[*url.URL]{
			Key: strconv.Itoa(i), Value: &url.URL{Scheme: t.Scheme, Host: t.Host, Path: "/" + strconv.Itoa(i)}})
	}
	b := &belay{
		budget:   retry.NewBudget(retry.BudgetConfig{}),
		breaker:  breaker.New(breaker.Config{}),
		limiter:  limiter,
		balancer: loadbalance.New(loadbalance.Static(instances...), loadbalance.Config{}),
	}
	var below http.RoundTripper = &loadbalance.Transport{Base: &numbered{base, targets}, Balancer: b.balancer, RewriteHost: true}
	layers := "loadbalance.Transport -> http.Transport"
	if limiter != nil {
		below, layers = &ratelimit.Transport{Limiter: limiter, Base: below}, "ratelimit.Transport -> "+layers
	}
	b.stack = stack{
		name:   "belay",
		layers: "http.Client -> loadbalance.Spread -> retry.Transport -> breaker.Transport -> " + layers,
		// Each attempt goes to another instance, so the Retry-After of one is no reason to wait.
		transport: &loadbalance.Spread{Base: &retry.Transport{Policy: retry.New(retry.Config{Budget: b.budget}), Balanced: true,
			Base: &breaker.Transport{Breaker: b.breaker, Base: below}}},
		states: func() []string { return append(instanceStates(b.balancer), breakerState(b.breaker)) },
	}
	return b
}

// numbered sends a request to the target whose number is its path: those of -url have paths and queries of their own.
type numbered struct {
	Base    http.RoundTripper
	Targets []*url.URL
}

func (n *numbered) RoundTrip(req *http.Request) (*http.Response, error) {
	i, err := strconv.Atoi(strings.Trim(req.URL.Path, "/"))
	if err != nil {
		return nil, err
	}
	sent := req.WithContext(req.Context()) // a copy: a RoundTripper must not change its request
	sent.URL = n.Targets[i]
	return n.Base.RoundTrip(sent)
}

// What Belay does with calls, to an instance or to all: they run, a few try whether they would, or they are kept away.
const (
	used  = "used"
	tried = "tried"
	out   = "out"
)

func instanceStates(b *loadbalance.Balancer[*url.URL]) []string {
	var list []string
	for _, e := range b.Stats().Endpoints {
		switch e.State {
		case loadbalance.Healthy, loadbalance.SlowStart:
			list = append(list, used)
		case loadbalance.HalfOpen:
			list = append(list, tried)
		default:
			list = append(list, out)
		}
	}
	return list
}

func breakerState(b *breaker.Breaker) string {
	switch b.State() {
	case breaker.Open:
		return out
	case breaker.HalfOpen:
		return tried
	}
	return used
}

// names lists what belayStack has states of: each target, and the service.
func names(targets []*url.URL) []string {
	var list []string
	for _, t := range targets {
		list = append(list, t.Scheme+"://"+t.Host+t.EscapedPath()) // a query may have secrets
	}
	return append(list, service)
}

// service is the name of all instances together.
const service = "all"

// newTransport returns a transport that keeps every connection that it opens, so that the columns do not differ by luck.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = 4096
	t.DisableCompression = true
	return t
}

// roundRobin sends each request to the next of its targets.
type roundRobin struct {
	Base    http.RoundTripper
	Targets []*url.URL
	next    atomic.Uint64
}

func (rr *roundRobin) RoundTrip(req *http.Request) (*http.Response, error) {
	target := rr.Targets[(rr.next.Add(1)-1)%uint64(len(rr.Targets))]
	sent := req.WithContext(req.Context()) // a copy: a RoundTripper must not change its request
	sent.URL, sent.Host = target, ""
	resp, err := rr.Base.RoundTrip(sent)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// eager is the retry that many services have: it tries again, up to three times and at once, whatever went wrong.
type eager struct {
	Base http.RoundTripper
}

// tries is how often eager sends a request at most.
const tries = 4

func (e *eager) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := e.Base.RoundTrip(req) // only GET comes here, so there is no body to send again
		if try == tries || req.Context().Err() != nil || err == nil && resp.StatusCode < 500 {
			return resp, err
		}
		if err == nil {
			io.Copy(io.Discard, resp.Body) // so that the connection can be used again
			resp.Body.Close()
		}
	}
}
