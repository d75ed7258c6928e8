package httpcache_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/google/go-cmp/cmp"
)

// The directives of a context count as if they were in the header, in addition to
// those that are, and the origin sees them. The caller's request stays as it is.
func TestWithCacheControl(t *testing.T) {
	var sent []string
	client, o, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
		sent = r.Header["Cache-Control"]
		return answer(r, fmt.Sprint(n), "Cache-Control: max-age=60"), nil
	})
	for _, tt := range []struct {
		directives, field, body string
		calls                   int64
		sent                    []string
	}{
		{"only-if-cached", "", "", 0, nil},
		{"", "", "1", 1, nil},
		{"max-age=100", "", "1", 1, nil},
		{"no-cache", "", "2", 2, []string{"no-cache"}},
		{"only-if-cached", "", "2", 2, nil},
		{"no-cache", "x=1", "3", 3, []string{"x=1", "no-cache"}},
		{"no-store", "", "4", 4, []string{"no-store"}},
		{"", "", "3", 4, nil},
	} {
		sent = nil
		ctx := t.Context()
		if tt.directives != "" {
			ctx = httpcache.WithCacheControl(ctx, tt.directives)
		}
		req, _ := http.NewRequestWithContext(ctx, "GET", pageURL, nil)
		if tt.field != "" {
			req.Header.Set("Cache-Control", tt.field)
		}
		before := req.Header.Clone()
		resp, err := client.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		body.ReadFrom(resp.Body)
		resp.Body.Close()
		if body.String() != tt.body || o.calls.Load() != tt.calls || !cmp.Equal(sent, tt.sent) {
			t.Errorf("%q: %q after %d requests, sent %q; want %q after %d, sent %q", tt.directives, body.String(), o.calls.Load(), sent, tt.body, tt.calls, tt.sent)
		}
		if resp.Request != req || cmp.Diff(before, req.Header) != "" {
			t.Errorf("%q: the request is another: %v", tt.directives, req.Header)
		}
	}
	if s := c.Stats(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// The 504 for only-if-cached was made here, and says so: nobody was asked.
func TestOnlyIfCachedAsksNobody(t *testing.T) {
	client, o, c := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) { return answer(r, ""), nil })
	_, resp := get(t, t.Context(), client, pageURL, "Cache-Control: only-if-cached")
	want := httpcache.Status{Cache: "belay", Detail: "only-if-cached"}
	if s, ok := httpcache.StatusOf(resp.Header); resp.StatusCode != 504 || !ok || s != want || o.calls.Load() != 0 || c.Stats().Refused != 1 {
		t.Errorf("%d, %+v, %d requests, %+v", resp.StatusCode, s, o.calls.Load(), c.Stats())
	}
}

// An origin that says nothing is told what it might have said.
func TestOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := httpcache.Config{Override: func(req *http.Request, resp *http.Response) string {
			if req.URL.Path == "/never" {
				return "no-store"
			}
			if resp.StatusCode == 200 && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/") {
				return "max-age=10"
			}
			return ""
		}}
		client, o, _ := newClient(t, cfg, func(n int64, r *http.Request) (*http.Response, error) {
			kind := map[string]string{"/text": "text/plain", "/never": "text/plain"}[r.URL.Path]
			fields := []string{"Content-Type: " + kind, `Etag: "a"`}
			if r.URL.Path == "/never" {
				fields = append(fields, "Cache-Control: max-age=1000")
			}
			if r.Header.Get("If-None-Match") != "" {
				resp := answer(r, "", fields...)
				resp.StatusCode, resp.Body = 304, http.NoBody
				return resp, nil
			}
			return answer(r, fmt.Sprint(n), fields...), nil
		})
		for _, tt := range []struct {
			path  string
			after time.Duration
			body  string
			calls int64
		}{
			{"text", 0, "1", 1}, {"text", 5 * time.Second, "1", 1},
			{"text", 10 * time.Second, "1", 2}, // validated
			{"text", 5 * time.Second, "1", 2},  // and fresh again, by the same rule
			{"never", 0, "3", 3}, {"never", 0, "4", 4},
			{"other", 0, "5", 5}, {"other", 0, "5", 6},
		} {
			time.Sleep(tt.after)
			got, resp := get(t, t.Context(), client, pageURL+tt.path)
			if got != tt.body || o.calls.Load() != tt.calls {
				t.Errorf("/%s: %q after %d requests, want %q after %d", tt.path, got, o.calls.Load(), tt.body, tt.calls)
			}
			if control := resp.Header.Get("Cache-Control"); tt.path == "text" && control != "" {
				t.Errorf("the caller sees %q, which the origin has not said", control)
			}
		}
	})
}

// It is asked about a response without any header, too.
func TestOverrideOfNothing(t *testing.T) {
	client, o, _ := newClient(t, httpcache.Config{Override: func(*http.Request, *http.Response) string { return "max-age=60" }},
		func(_ int64, r *http.Request) (*http.Response, error) {
			resp := answer(r, "ok")
			resp.Header = nil
			return resp, nil
		})
	for range 2 {
		if got, resp := get(t, t.Context(), client, pageURL); got != "ok" || resp.Header.Get("Cache-Status") == "" {
			t.Errorf("%q, %v", got, resp.Header)
		}
	}
	if n := o.calls.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// Logs show what applies, and no more.
func TestLogValues(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want map[string]any
	}{
		{httpcache.Event{Kind: httpcache.Hit, Name: "belay", Status: httpcache.Status{Cache: "belay", Hit: true}},
			map[string]any{"kind": "hit", "name": "belay", "status": "belay; hit"}},
		{httpcache.Event{Kind: httpcache.Evicted, Name: "belay", Entries: 3}, map[string]any{"kind": "evicted", "name": "belay", "entries": 3.0}},
		{httpcache.Event{Kind: httpcache.Invalidated, Name: "a", Entries: 1, Status: httpcache.Status{ForwardStatus: 403}},
			map[string]any{"kind": "invalidated", "name": "a", "entries": 1.0, "origin": 403.0}},
		{httpcache.Event{Kind: httpcache.Refreshed, Name: "a", Err: errors.New("down")}, map[string]any{"kind": "refreshed", "name": "a", "err": "down"}},
		{httpcache.Event{Kind: httpcache.Miss, Name: "a", Status: httpcache.Status{Cache: "a", Forward: "stale"}, Err: errors.New("down")},
			map[string]any{"kind": "miss", "name": "a", "status": "a; fwd=stale", "err": "down"}},
		{httpcache.Event{Kind: httpcache.Refused, Name: "a", Err: context.Canceled}, map[string]any{"kind": "refused", "name": "a", "err": "context canceled"}},
		{httpcache.Stats{Name: "a", Calls: 3, Hits: 2, Misses: 1}, map[string]any{"name": "a", "calls": 3.0, "hits": 2.0, "misses": 1.0}},
	} {
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).Info("", "v", tt.v)
		var got struct{ V map[string]any }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.V); diff != "" {
			t.Errorf("%+v: %s", tt.v, diff)
		}
	}
	if text, err := httpcache.Refused.MarshalText(); string(text) != "refused" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
