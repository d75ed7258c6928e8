package main

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/retry"
)

// deadline is the time that every call has, from its first byte sent to its last byte read.
const deadline = time.Second

// A stack is one way to build an HTTP client. Each stands on a base of its own and spreads its requests over targets.
type stack struct {
	name, layers string
	transport    http.RoundTripper
	breakers     func() []string // the state of the breaker of each of the targets' origins; nil where there are none
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

// belayStack has nothing configured: every value of Belay's in it is a zero value.
func belayStack(base http.RoundTripper, targets []*url.URL) stack {
	breakers := &breaker.Transport{Base: base}              // one default breaker for each host
	spread := &roundRobin{Base: breakers, Targets: targets} // only this knows the instances
	return stack{
		name:      "belay",
		layers:    "http.Client -> retry.Transport -> round robin -> breaker.Transport (one per instance) -> http.Transport",
		transport: &retry.Transport{Base: spread}, // a default policy, and one budget for all instances
		breakers: func() []string {
			states := map[string]string{}
			for origin, b := range breakers.All() {
				states[origin] = b.State().String()
			}
			var list []string
			for _, o := range origins(targets) {
				list = append(list, states[o]) // empty before the first request
			}
			return list
		},
	}
}

// origins lists what has a breaker of its own.
func origins(targets []*url.URL) []string {
	var list []string
	for _, t := range targets {
		if o := t.Scheme + "://" + t.Host; !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	return list
}

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
