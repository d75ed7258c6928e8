// Security at the door: limits and checks that hold for every request, before any
// handler sees it. Not worth leaving out: each line here answers an attack that needs no
// skill.

package platform

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/ratelimit"
	"golang.org/x/time/rate"
)

const (
	maxBody = 64 << 10
	maxTime = 20 * time.Second // of a request; no handler needs as much
)

// A Guard stands in front of a service's handlers.
type Guard struct {
	verifier *Verifier
	client   func(*http.Request) netip.Addr
	limits   *ratelimit.Keyed[client]
}

// Watched is what can be watched of it.
func (g *Guard) Watched() any { return g.limits }

// A client is a person or, while nobody knows who it is, an address.
type client struct {
	name string
	addr netip.Addr
}

// NewGuard returns a Guard that knows people by their tokens. Proxies in the prefixes
// are trusted to say where a request comes from.
func NewGuard(v *Verifier, proxies ...netip.Prefix) *Guard {
	return &Guard{v, ratelimit.ClientIP(proxies...), ratelimit.NewKeyed(ratelimit.KeyedConfig[client]{
		Name: "client",
		For: func(c client) (rate.Limit, int) {
			if c.name != "" {
				return 20, 100 // no person is faster
			}
			return 200, 500 // many may share an address
		},
	})}
}

// Handler returns h behind the guard. h finds in the context who asks ([Who]); nobody is
// no error here, since some things are for everybody. A token that proves nothing is.
func (g *Guard) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		person, token := app.Person{}, bearer(r)
		var err error
		if token != "" {
			person, err = g.verifier.Verify(token)
		}
		key := client{name: person.Name}
		if key.name == "" {
			key.addr = g.client(r)
		}
		allowed := g.limits.Take(key, 1)
		allowed.WriteHeader(w.Header())
		switch {
		case !allowed.OK:
			Refuse(w, Problem{Status: http.StatusTooManyRequests})
			return
		case err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			Refuse(w, Problem{Status: http.StatusUnauthorized, Detail: err.Error()})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), maxTime)
		defer cancel()
		if person.Name != "" {
			ctx = With(ctx, person, token)
		}
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.ServeHTTP(w, r)
	})
}

// secure sets what a browser is told about every answer. Pages set a policy of their own.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Strict-Transport-Security", "max-age=31536000") // means nothing until TLS stands in front
	h.Set("Cache-Control", "no-store")
}

// NewServer returns a server that no client can hold up: slow ones are cut off.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
}
