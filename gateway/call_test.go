package gateway

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/identity"
)

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A layer below sees whose credentials a request has, for typed calls and others, and
// nobody's where it has none.
func TestIdentityGoesDown(t *testing.T) {
	var seen []string
	cfg := Config{BaseURL: "https://api.example", Auth: Basic("ada", "word"), Transport: transportFunc(func(req *http.Request) (*http.Response, error) {
		id := identity.From(req.Context())
		if id.Name != "" && id.Granted != req.Header.Get("Authorization") {
			t.Errorf("granted %q", id.Granted)
		}
		seen = append(seen, id.Name)
		resp := &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody, Request: req}
		if req.URL.Path == "/x" {
			resp.StatusCode = 302
			resp.Header.Set("Location", "https://other.example/")
		}
		return resp, nil
	}), CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewEndpoint[None, None](g, "GET /x", EndpointConfig{}).Call(t.Context(), None{}); err != nil {
		t.Fatal(err)
	}
	resp, err := g.Client().Get("https://api.example/y")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := cfg.Auth.Identity(t.Context())
	if len(seen) != 3 || seen[0] != want || seen[1] != "" || seen[2] != want {
		t.Errorf("seen %q, want %q at home and none elsewhere", seen, want)
	}
}

// A refresh that finds that another has been faster takes its token.
func TestBearerFetchLooksAgain(t *testing.T) {
	calls := 0
	b := Bearer(BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
		calls++
		return "new", time.Time{}, nil
	}}).(*bearer)
	for _, old := range []string{"", "old", "new"} {
		if got, err := b.fetch(t.Context(), "", old); err != nil || got.value != "new" {
			t.Errorf("%q, %v", got.value, err)
		}
	}
	if calls != 2 { // the first, and the one in place of itself
		t.Errorf("%d calls", calls)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	n, c := &counts{}, &call{}
	for _, err := range []*Error{nil, {Kind: Refused}, {Kind: BadStatus, Status: 429}} {
		if got := testing.AllocsPerRun(100, func() {
			n.inFlight.Add(1)
			n.ended(c, err)
		}); got != 0 {
			t.Errorf("%v: %v allocations", err, got)
		}
	}
}
