package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// A write whose answer was lost may have been done: what is stored is not used any
// more, unless it is certain that nothing was sent.
func TestLostWriteInvalidates(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		ends bool
	}{
		"reset":         {&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, true},
		"timeout":       {context.DeadlineExceeded, true},
		"cancelled":     {context.Canceled, true},
		"not dialled":   {fmt.Errorf("through a proxy: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), false},
		"refused below": {fmt.Errorf("wrapped: %w", refusal{}), false},
	} {
		for _, method := range []string{"PUT", "POST", "DELETE", "PATCH", "LOCK"} {
			client, _, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
				if r.Method != "GET" {
					return nil, tt.err
				}
				return answer(r, fmt.Sprint(n), "Cache-Control: max-age=60"), nil
			})
			get(t, t.Context(), client, pageURL)
			req, _ := http.NewRequestWithContext(t.Context(), method, pageURL, nil)
			if _, err := client.Do(req); !errors.Is(err, tt.err) {
				t.Fatalf("%s: %v", name, err)
			}
			if got, _ := get(t, t.Context(), client, pageURL); (got != "1") != tt.ends {
				t.Errorf("%s, %s: afterwards %q", name, method, got)
			}
		}
	}
}

// Methods that are registered as safe change nothing.
func TestSafeMethodsInvalidateNothing(t *testing.T) {
	for method, safe := range map[string]bool{
		"QUERY": true, "PROPFIND": true, "SEARCH": true, "REPORT": true, "OPTIONS": true, "TRACE": true, "PRI": true, "HEAD": true,
		"MKCOL": false, "query": false, "ACL": false,
	} {
		client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
			return answer(r, "ok", "Cache-Control: max-age=60"), nil
		})
		get(t, t.Context(), client, pageURL)
		req, _ := http.NewRequestWithContext(t.Context(), method, pageURL, nil)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		before := o.calls.Load()
		if get(t, t.Context(), client, pageURL); (o.calls.Load() == before) != safe {
			t.Errorf("%s: kept %v, want %v", method, !safe, safe)
		}
	}
}

// What a validation says of Vary holds from then on.
func TestValidationChangesVary(t *testing.T) {
	for _, vary := range []string{"Accept-Language", "accept-language", "Authorization, Accept-Language", "*"} {
		for _, method := range []string{"GET", "HEAD"} {
			synctest.Test(t, func(t *testing.T) {
				client, _, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
					language := r.Header.Get("Accept-Language")
					if n == 1 {
						return answer(r, language, "Cache-Control: max-age=10", `Etag: "a"`), nil
					}
					resp := answer(r, language, "Cache-Control: max-age=60", `Etag: "a"`, "Vary: "+vary)
					if language == "de" && r.Method == "GET" {
						resp.StatusCode, resp.Body = 304, http.NoBody
					}
					return resp, nil
				})
				get(t, t.Context(), client, pageURL, "Accept-Language: de")
				time.Sleep(time.Minute)
				req, _ := http.NewRequestWithContext(t.Context(), method, pageURL, nil)
				req.Header.Set("Accept-Language", "de")
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got, _ := get(t, t.Context(), client, pageURL, "Accept-Language: fr"); got != "fr" {
					t.Errorf("Vary: %s, by %s: fr got %q", vary, method, got)
				}
			})
		}
	}
}

// Fields select, constrain and condition however their names are spelled.
func TestOddSpellings(t *testing.T) {
	client, o, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
		//lint:ignore SA1008 the spelling is what matters
		language := strings.Join(append(r.Header["accept-language"], r.Header["Accept-Language"]...), "")
		resp := answer(r, language)
		resp.Header["cache-control"], resp.Header["vary"], resp.Header["ETAG"] = []string{"max-age=60"}, []string{"accept-language"}, []string{`"a"`}
		return resp, nil
	})
	for _, tt := range []struct {
		h     http.Header
		body  string
		calls int64
	}{
		{http.Header{"accept-language": {"de"}}, "de", 1},
		{http.Header{"accept-language": {"fr"}}, "fr", 2},
		{http.Header{"Accept-Language": {"de"}}, "de", 2},
		{http.Header{"ACCEPT-LANGUAGE": {"fr"}}, "fr", 2},
		{http.Header{"accept-language": {"de"}, "cache-control": {"no-cache"}}, "de", 3},
		{http.Header{"accept-language": {"de"}, "range": {"bytes=0-0"}}, "d", 3},
		{http.Header{"accept-language": {"de"}, "if-none-match": {`"a"`}}, "", 3},
	} {
		if got, _ := with(t, client, tt.h); got != tt.body || o.calls.Load() != tt.calls {
			t.Errorf("%v: %q after %d requests, want %q after %d", tt.h, got, o.calls.Load(), tt.body, tt.calls)
		}
	}
	// What is sent is what the caller has written.
	o.answer = func(_ int64, r *http.Request) (*http.Response, error) {
		//lint:ignore SA1008 the spelling is what matters
		if r.Header["x-odd"] == nil || r.Header["X-Odd"] != nil {
			t.Errorf("the origin was sent %v", r.Header)
		}
		return answer(r, ""), nil
	}
	with(t, client, http.Header{"x-odd": {"1"}})
}

// A Vary of very many names costs next to nothing.
func TestVaryOfManyNames(t *testing.T) {
	var names strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&names, "X-%d,", i)
	}
	vary := names.String()
	client, _, c := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", "Cache-Control: max-age=60", "Vary: "+vary), nil
	})
	req, _ := http.NewRequest("GET", pageURL, nil)
	n := testing.AllocsPerRun(10, func() {
		resp, err := client.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	})
	if n > 500 || c.Stats().Bytes != 0 {
		t.Errorf("%v allocations, %+v", n, c.Stats())
	}
}
