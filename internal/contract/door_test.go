package contract_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/google/go-cmp/cmp"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answering makes a response of text that may be kept as cacheControl says.
func answering(req *http.Request, status int, text, cacheControl string) (*http.Response, error) {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"text/plain"}, "Cache-Control": {cacheControl}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: req,
	}, nil
}

// cached returns an endpoint whose requests pass a cache before they come to origin.
func cached(t *testing.T, cache *httpcache.Cache, auth gateway.Auth, origin roundTripper, events *[]gateway.Event) *gateway.Endpoint[gateway.None, string] {
	t.Helper()
	g, err := gateway.New(gateway.Config{
		BaseURL: "http://origin.test", Auth: auth, Transport: &httpcache.Transport{Base: origin, Cache: cache},
		Observe: func(_ context.Context, e gateway.Event) {
			if events != nil {
				*events = append(*events, e)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return gateway.NewEndpoint[gateway.None, string](g, "GET /page", gateway.EndpointConfig{})
}

// A 401 that may be kept locks nobody out, and does not empty the server of tokens.
func TestA401ThatMayBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := httpcache.New(httpcache.Config{})
		defer cache.Close()
		asked, issued := 0, 0
		auth := gateway.Bearer(gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
			issued++
			return fmt.Sprint("t", issued), time.Time{}, nil
		}})
		e := cached(t, cache, auth, func(req *http.Request) (*http.Response, error) {
			if asked++; req.Header.Get("Authorization") == "Bearer t1" { // revoked
				return answering(req, 401, "who?", "private, max-age=60")
			}
			return answering(req, 200, "page", "private, max-age=60")
		}, nil)
		for range 5 {
			if page, err := e.Call(t.Context(), gateway.None{}); page != "page" || err != nil {
				t.Errorf("%q, %v", page, err)
			}
		}
		if asked != 2 || issued != 2 {
			t.Errorf("the origin was asked %d times, %d tokens were issued", asked, issued)
		}
	})
}

// Two Bearers with other rights and the same users over one cache: nobody gets what
// was answered to the other rights.
func TestBearersOfTheSameUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := httpcache.New(httpcache.Config{})
		defer cache.Close()
		bearer := func(scope string) gateway.Auth {
			return gateway.Bearer(gateway.BearerConfig{
				Identity: func(context.Context) string { return "user-42" },
				Token:    func(context.Context, string) (string, time.Time, error) { return scope, time.Time{}, nil },
			})
		}
		origin := func(req *http.Request) (*http.Response, error) {
			return answering(req, 200, "for "+req.Header.Get("Authorization"), "private, max-age=60")
		}
		admin, readonly := cached(t, cache, bearer("admin"), origin, nil), cached(t, cache, bearer("readonly"), origin, nil)
		for range 2 {
			for want, e := range map[string]*gateway.Endpoint[gateway.None, string]{"for Bearer admin": admin, "for Bearer readonly": readonly} {
				if got, err := e.Call(t.Context(), gateway.None{}); got != want || err != nil {
					t.Errorf("%q, %v; want %q", got, err, want)
				}
			}
		}
	})
}

// The caller of an endpoint, and who observes it, see what the cache did. A stale
// response does not look like a success as any other.
func TestACacheIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := httpcache.New(httpcache.Config{})
		defer cache.Close()
		var events []gateway.Event
		down := false
		e := cached(t, cache, nil, func(req *http.Request) (*http.Response, error) {
			if down {
				return nil, errors.New("down")
			}
			resp, err := answering(req, 200, "page", "max-age=60, stale-if-error=600")
			resp.Header.Set("Etag", `"1"`)
			if req.Header.Get("If-None-Match") == `"1"` {
				resp.StatusCode, resp.Body, resp.ContentLength = 304, http.NoBody, 0
			}
			return resp, err
		}, &events)
		only := httpcache.WithCacheControl(t.Context(), "only-if-cached")
		call := func(ctx context.Context) error {
			r, err := e.CallResponse(ctx, gateway.None{})
			if seen := events[len(events)-1].Cache; err == nil && seen != r.Cache() {
				t.Errorf("seen as %v, and the response says %v", seen, r.Cache())
			}
			return err
		}
		err := call(only)
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Kind != gateway.Refused || e.Sent || !e.Rejected() || e.Retryable() {
			t.Errorf("nothing is cached: %v", err)
		}
		for _, ctx := range []context.Context{t.Context(), t.Context(), only, httpcache.WithCacheControl(t.Context(), "no-cache")} {
			if err := call(ctx); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(2 * time.Minute)
		if down = true; call(t.Context()) != nil {
			t.Error("no stale response for an origin that is down")
		}
		var got []gateway.CacheStatus
		for _, e := range events {
			got = append(got, e.Cache)
		}
		want := []gateway.CacheStatus{gateway.Uncached, gateway.Miss, gateway.Hit, gateway.Hit, gateway.Validated, gateway.Stale}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}
