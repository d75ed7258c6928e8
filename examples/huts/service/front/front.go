// Load balancing of what comes in: a reverse proxy in front of instances that come and
// go. Not worth it where the platform has a load balancer: then that one asks /readyz.

// Package front passes requests on to the instances of a service.
package front

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
)

// A Front is an http.Handler in front of instances. Close it in the end.
type Front struct {
	// The layers, for those who watch them.
	Retry    *retry.Policy
	Balancer *loadbalance.Balancer[*url.URL]

	proxy *httputil.ReverseProxy
}

// New returns a Front for the instances at urls. What may be repeated and gets no answer
// from one of them is asked of another. An instance that says at /readyz that it is not
// ready gets nothing.
//
// An answer that breaks off after its header has been passed on cannot be repeated. Those
// of our services fit into one write, so that they come whole or not at all.
func New(name string, base http.RoundTripper, urls ...string) (*Front, error) {
	instances, err := loadbalance.URLs(urls...)
	if err != nil {
		return nil, fmt.Errorf("front: %s: %w", name, err)
	}
	f := &Front{
		Retry: retry.New(retry.Config{Name: name, AttemptTimeout: 5 * time.Second, Schedule: retry.Constant(10 * time.Millisecond)}),
		Balancer: loadbalance.New(instances, loadbalance.Config{
			Name: name, EjectAfter: 2, EjectFor: time.Second, SlowStart: time.Second,
			CheckEvery: 200 * time.Millisecond, CheckFailures: 1, CheckPasses: 1,
		}),
	}
	f.Balancer.Check(ready(base))
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host // the balancer says where to
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport: &loadbalance.Spread{Base: &retry.Transport{
			Policy: f.Retry, Balanced: true, MaxBody: 64 << 10,
			Base: &loadbalance.Transport{Balancer: f.Balancer, Base: base},
		}},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			slog.WarnContext(r.Context(), "front: no instance answered", "name", name, "err", err)
			platform.Refuse(w, platform.Problem{Status: http.StatusBadGateway})
		},
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	return f, nil
}

// ServeHTTP passes a request on.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.proxy.ServeHTTP(w, r) }

// Close ends the checks.
func (f *Front) Close() error { return f.Balancer.Close() }

// ready asks an instance whether it takes requests.
func ready(base http.RoundTripper) func(context.Context, *url.URL) error {
	return func(ctx context.Context, instance *url.URL) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, instance.JoinPath("/readyz").String(), nil)
		if err != nil {
			return err
		}
		resp, err := base.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("front: %s is not ready: %s", instance.Host, resp.Status)
		}
		return nil
	}
}
