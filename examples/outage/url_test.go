package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlanKeepsItsPromise(t *testing.T) {
	for _, c := range []struct {
		duration        time.Duration
		rate            float64
		calls, requests int
	}{
		{time.Minute, 5, 27 * 4, 27*11 + 2},
		{time.Second, 0.1, 4, 11 + 2}, // one call for each column in any case
		{time.Minute, 100, 545 * 4, 545*11 + 2},
	} {
		p := newPlan(options{duration: c.duration, rate: c.rate, urls: targets(t, "http://a.example/", "http://b.example/")})
		if p.calls != c.calls || p.requests != c.requests {
			t.Errorf("%v at %v: %+v, want %d calls, %d requests", c.duration, c.rate, p, c.calls, c.requests)
		}
		m := p.moments()
		if len(m) != c.calls || m[0] != 0 || m[len(m)-1] >= c.duration {
			t.Errorf("%v at %v: %d moments until %v", c.duration, c.rate, len(m), m[len(m)-1])
		}
	}
}

// driven runs drive in virtual time against an endpoint that answers with status after 10 ms.
func driven(t *testing.T, o options, status int) (e *experiment, sent []time.Duration, out string) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var n atomic.Int64
		sent = make([]time.Duration, 10000)
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			sent[n.Add(1)-1] = time.Since(start)
			if r.Method != http.MethodGet {
				t.Errorf("method %s", r.Method)
			}
			time.Sleep(10 * time.Millisecond)
			return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r, Header: http.Header{"Location": {"/next"}}}, nil
		})
		var b strings.Builder
		var err error
		e, err = drive(t.Context(), base, o, &b)
		if err != nil {
			t.Fatal(err)
		}
		sent, out = sent[:n.Load()], b.String()
	})
	return e, sent, out
}

func TestDriveHealthyURLs(t *testing.T) {
	o := options{duration: time.Minute, rate: 5, urls: targets(t, "http://a.example/x", "https://b.example/y")}
	e, sent, out := driven(t, o, 204)
	if !strings.HasPrefix(out, "299 GET requests at most, in 1m0s, to 2 URLs: 108 calls, 27 through each") {
		t.Errorf("first words: %.200s", out)
	}
	if want := 108 + 2; len(sent) != want || !strings.Contains(out, "110 requests were sent in all") {
		t.Errorf("%d requests, want %d:\n%s", len(sent), want, out)
	}
	for i, r := range e.results() {
		if r.calls != 27 || r.answered != (share{27, 27}) || len(e.columns[i].received()[0]) != 27 {
			t.Errorf("%+v", r)
		}
	}
	page := render(t, o, e)
	wellFormed(t, page)
}

// Whatever the endpoints answer, there are no more requests than promised, and in no second more than the rate and a burst.
func TestDriveFailingURLs(t *testing.T) {
	for _, status := range []int{500, 503, 429, 301} {
		o := options{duration: time.Minute, rate: 5, urls: targets(t, "http://a.example/x")}
		e, sent, _ := driven(t, o, status)
		if len(sent) > newPlan(o).requests {
			t.Errorf("%d: %d requests, %d promised", status, len(sent), newPlan(o).requests)
		}
		for i, at := range sent {
			if n := within(sent, at, at+time.Second); n > 5+tries {
				t.Errorf("%d: %d requests in the second after request %d at %v", status, n, i, at)
				break
			}
		}
		if status == 301 && len(sent) != 108+1 {
			t.Errorf("%d requests: redirects are followed", len(sent))
		}
		for _, r := range e.results() {
			if ok := r.answered.part > 0; ok != (status < 400) {
				t.Errorf("%d: %s has %d of %d calls answered", status, r.name, r.answered.part, r.answered.of)
			}
		}
	}
}

func TestGateRefusesMoreThanWasPromised(t *testing.T) {
	var left atomic.Int64
	left.Store(1)
	sent := 0
	g := &gate{Base: roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		return nil, errors.New("sent")
	}), limiter: newLimiter(1000), left: &left}
	req, _ := http.NewRequest(http.MethodGet, "http://a.example/", nil)
	g.RoundTrip(req)
	_, err := g.RoundTrip(req)
	if sent != 1 || err == nil || !strings.Contains(err.Error(), "promised") {
		t.Errorf("%d sent, error %v", sent, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	left.Store(1)
	if _, err := g.RoundTrip(req.WithContext(ctx)); !errors.Is(err, context.Canceled) || left.Load() != 1 {
		t.Errorf("error %v, %d left", err, left.Load())
	}
}

func TestUnreachableURLs(t *testing.T) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Host, "bad") {
			return nil, errors.New("no route")
		}
		return &http.Response{StatusCode: 404, Status: "404 Not Found", Body: http.NoBody}, nil
	})
	var out strings.Builder
	_, err := drive(t.Context(), base, options{duration: time.Second, rate: 100,
		urls: targets(t, "http://good.example/?key=secret", "http://bad1.example/", "http://bad2.example/")}, &out)
	if err == nil || !strings.Contains(err.Error(), "bad1.example") || !strings.Contains(err.Error(), "bad2.example") || !strings.Contains(err.Error(), "no route") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(out.String(), "good.example") || !strings.Contains(out.String(), "404 Not Found") {
		t.Errorf("no word about the URL that answers:\n%s", out.String())
	}
}
