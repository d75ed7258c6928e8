package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type closer struct {
	io.Reader
	closed *int
}

func (c closer) Close() error {
	*c.closed++
	return nil
}

func targets(t *testing.T, list ...string) (urls []*url.URL) {
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, u)
	}
	return urls
}

func TestRoundRobin(t *testing.T) {
	var sent []string
	rr := &roundRobin{
		Targets: targets(t, "http://a.example/x", "https://b.example:1/y?z=1"),
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.URL.String())
			if r.Host != "" || r.Header.Get("K") != "v" {
				t.Errorf("Host %q, header %v", r.Host, r.Header)
			}
			return &http.Response{Request: r}, nil
		}),
	}
	req, _ := http.NewRequest(http.MethodGet, "http://service.example/", nil)
	req.Header.Set("K", "v")
	for range 3 {
		resp, err := rr.RoundTrip(req)
		if err != nil || resp.Request != req {
			t.Errorf("error %v, Request %v", err, resp.Request)
		}
	}
	if want := []string{"http://a.example/x", "https://b.example:1/y?z=1", "http://a.example/x"}; !slices.Equal(sent, want) {
		t.Errorf("sent to %v, want %v", sent, want)
	}
	if req.URL.String() != "http://service.example/" || req.Host != "service.example" {
		t.Error("the request was changed")
	}
}

func TestEager(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		what    string
		answers []any // statuses and errors, the last one repeated
		sent    int
		status  int
	}{
		{"success", []any{200}, 1, 200},
		{"the client's mistake", []any{404}, 1, 404},
		{"503, then success", []any{503, 200}, 2, 200},
		{"error, 500, then success", []any{broken, 500, 200}, 3, 200},
		{"503 for good", []any{503}, 4, 503},
		{"error for good", []any{503, broken}, 4, 0},
	} {
		sent, opened, closed := 0, 0, 0
		e := &eager{Base: roundTripper(func(*http.Request) (*http.Response, error) {
			answer := c.answers[min(sent, len(c.answers)-1)]
			sent++
			if err, ok := answer.(error); ok {
				return nil, err
			}
			opened++
			return &http.Response{StatusCode: answer.(int), Body: closer{strings.NewReader("x"), &closed}}, nil
		})}
		req, _ := http.NewRequest(http.MethodGet, "http://service.example/", nil)
		resp, err := e.RoundTrip(req)
		status := 0
		if err == nil {
			status = resp.StatusCode
			opened-- // the caller closes this one
		}
		if sent != c.sent || status != c.status || opened != closed || (status == 0) != errors.Is(err, broken) {
			t.Errorf("%s: %d sent, status %d, error %v, %d of %d bodies closed", c.what, sent, status, err, closed, opened)
		}
	}
}

func TestEagerEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	sent := 0
	e := &eager{Base: roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		cancel()
		return nil, ctx.Err()
	})}
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://service.example/", nil)
	if _, err := e.RoundTrip(req); sent != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d sent, error %v", sent, err)
	}
}

func TestBelayStackTellsWhatItDoes(t *testing.T) {
	var mu sync.Mutex
	sent := map[string]int{}
	down := roundTripper(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		if sent[r.URL.String()]++; r.URL.Host == "b.example" {
			return nil, errors.New("broken")
		}
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})
	urls := targets(t, "http://a.example/?key=1", "http://b.example/", "http://c.example/2", "http://c.example/3")
	s := belayStack(down, urls)
	if got := s.states(); !slices.Equal(got, []string{"used", "used", "used", "used", "used"}) {
		t.Errorf("before the first request: %q", got)
	}
	for range 200 {
		req, _ := http.NewRequest(http.MethodGet, "http://service.example/", nil)
		resp, err := s.transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for _, u := range urls {
		if sent[u.String()] == 0 {
			t.Errorf("nothing was sent to %s: %v", u, sent)
		}
	}
	if sent[urls[1].String()] > 10 {
		t.Errorf("%d of 200 calls were sent to what is broken", sent[urls[1].String()])
	}
	if want := []string{"http://a.example/", "http://b.example/", "http://c.example/2", "http://c.example/3", "all"}; !slices.Equal(names(urls), want) {
		t.Errorf("names %q, want %q", names(urls), want)
	}
}
