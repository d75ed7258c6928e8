// Health model: what each layer says of itself, in words. Not worth reading by people all
// day: metrics and alerts do that.

package console

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

// A Layer stands before a system.
type Layer struct {
	System string // that it protects, or that is protected from us
	Kind   string
	read   func() reading
}

// A reading is what a layer says now.
type reading struct {
	State  string
	Tone   string // good, wait or bad
	Detail string
}

// Breaker is the layer b.
func Breaker(system string, b *breaker.Breaker) Layer {
	return Layer{system, "breaker", func() reading {
		s := b.Stats()
		r := reading{s.State.String(), "good", fmt.Sprintf("%d calls in the window, %d of them failed", s.Window.Calls, s.Window.Failed)}
		switch s.State {
		case breaker.Open:
			r.Tone, r.Detail = "bad", s.Reason
		case breaker.HalfOpen:
			r.Tone, r.Detail = "wait", fmt.Sprintf("%d trials, %d of them failed", s.Window.Calls, s.Window.Failed)
		}
		return r
	}}
}

// Retry is the layer p.
func Retry(system string, p *retry.Policy) Layer {
	return Layer{system, "retry", func() reading {
		s := p.Stats()
		return reading{"", "good", fmt.Sprintf("%d calls tried again, %d of them came through; %d attempts refused by the budget", s.Retried, s.Recovered, s.Refused)}
	}}
}

// Bulkhead is the layer b.
func Bulkhead(system string, b *ratelimit.Bulkhead) Layer {
	return Layer{system, "bulkhead", func() reading {
		s := b.Stats()
		r := reading{"", "good", fmt.Sprintf("%d of %d places taken, %d calls wait, %d were refused", s.InUse, s.Limit, s.Waiting, s.Refused)}
		if s.InUse >= s.Limit {
			r.State, r.Tone = "full", "wait"
		}
		return r
	}}
}

// Limiter is the layer l.
func Limiter(system string, l *ratelimit.Limiter) Layer {
	return Layer{system, "rate limit", func() reading {
		s := l.Stats()
		return reading{"", "good", fmt.Sprintf("%g calls a second; %d calls wait, %d have waited", float64(s.Limit), s.Waiting, s.Waited)}
	}}
}

// Cache is the layer c.
func Cache(system string, c *httpcache.Cache) Layer {
	return Layer{system, "cache", func() reading {
		s := c.Stats()
		return reading{"", "good", fmt.Sprintf("%d calls: %d fresh, %d stale, %d passed on", s.Calls, s.Hits, s.Stale, s.Misses+s.Validated)}
	}}
}

// Balancer is the layer b.
func Balancer[T any](system string, b *loadbalance.Balancer[T]) Layer {
	return Layer{system, "load balancing", func() reading {
		s := b.Stats()
		r := reading{Tone: "good"}
		var healthy int
		var details []string
		for i, e := range s.Endpoints {
			if e.State == loadbalance.Healthy {
				healthy++
			}
			details = append(details, strings.TrimSpace(fmt.Sprintf("%d %s", i+1, e.State)))
		}
		r.State = fmt.Sprintf("%d of %d healthy", healthy, len(s.Endpoints))
		if healthy < len(s.Endpoints) {
			r.Tone = "wait"
		}
		r.Detail = strings.Join(details, ", ")
		return r
	}}
}

// row is a layer as the page shows it.
type row struct {
	System, Kind string
	reading
}

func rows(layers []Layer) []row {
	var all []row
	for _, l := range layers {
		r := row{l.System, l.Kind, l.read()}
		r.State = cmp.Or(r.State, "at work")
		all = append(all, r)
	}
	return all
}
