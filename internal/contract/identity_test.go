package contract_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/memhttp"
)

type visitorKey struct{}

func visiting(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, visitorKey{}, user)
}

func visitor(ctx context.Context) string { user, _ := ctx.Value(visitorKey{}).(string); return user }

// ownAuth has credentials in a field that no cache has ever heard of.
type ownAuth struct{}

func (ownAuth) Identity(ctx context.Context) string { return visitor(ctx) }

func (ownAuth) Apply(ctx context.Context, req *http.Request) error {
	req.Header.Set("X-Shop-Pass", visitor(ctx))
	return nil
}

// The cache below a Gateway knows whose credentials the Gateway adds: nobody gets
// what is another's, and everybody keeps their own when their token is a new one.
func TestCacheBelowAGateway(t *testing.T) {
	bearer := func() gateway.Auth {
		issued := 0
		return gateway.Bearer(gateway.BearerConfig{Identity: visitor, Token: func(_ context.Context, name string) (string, time.Time, error) {
			issued++
			return fmt.Sprintf("%s-%d", name, issued), time.Now().Add(time.Minute), nil
		}})
	}
	for name, tt := range map[string]struct {
		auth   gateway.Auth
		cfg    httpcache.Config
		one    bool // key for everybody
		own    bool // credentials in the calls, besides
		origin int  // requests that reach it, of two rounds of two users
	}{
		"a field of its own":          {auth: ownAuth{}, origin: 2},
		"tokens that change":          {auth: bearer(), origin: 2},
		"shared, a field of its own":  {auth: ownAuth{}, cfg: httpcache.Config{Shared: true}, origin: 4},
		"shared, tokens that change":  {auth: bearer(), cfg: httpcache.Config{Shared: true}, origin: 4},
		"the same key for everybody":  {auth: gateway.APIKey("X-Shop-Pass", "all"), one: true, origin: 1},
		"credentials of the caller's": {auth: gateway.APIKey("X-Shop-Pass", "all"), one: true, own: true, origin: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests++
					w.Header().Set("Cache-Control", "max-age=3600")
					w.Header().Set("Content-Type", "text/plain")
					user, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "-")
					fmt.Fprint(w, "for ", r.Header.Get("X-Shop-Pass"), user)
				}))
				base := srv.Transport()
				defer base.CloseIdleConnections()
				cache := httpcache.New(tt.cfg)
				defer cache.Close()
				g, err := gateway.New(gateway.Config{BaseURL: srv.URL(), Auth: tt.auth, Transport: &httpcache.Transport{Base: base, Cache: cache}})
				if err != nil {
					t.Fatal(err)
				}
				type request struct {
					Pass string `header:"X-Auth-Token,omitempty"`
				}
				get := gateway.NewEndpoint[request, string](g, "GET /page", gateway.EndpointConfig{})
				for range 2 {
					for _, user := range []string{"ada", "bob"} {
						req, want := request{}, "for "+user
						if tt.one {
							want = "for all"
						}
						if tt.own {
							req.Pass = user
						}
						got, err := get.Call(visiting(t.Context(), user), req)
						if got != want || err != nil {
							t.Errorf("%s got %q, %v; want %q", user, got, err, want)
						}
					}
					time.Sleep(10 * time.Minute) // all tokens expire
				}
				if requests != tt.origin {
					t.Errorf("%d requests to the origin, want %d", requests, tt.origin)
				}
			})
		})
	}
}
