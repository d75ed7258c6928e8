package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueue(t *testing.T) {
	in := &instance{name: 'A', conditions: schedule{total: 100 * time.Second, rate: 100}}
	const service = time.Second / 150
	admit := func(now, want time.Duration) {
		t.Helper()
		if wait, ok := in.admit(now); !ok || wait != want {
			t.Errorf("at %v: wait %v, %v; want %v, true", now, wait, ok, want)
		}
	}
	admit(0, 0)
	admit(0, service)
	admit(service, service)
	admit(time.Second, 0) // idle meanwhile: nothing is saved up

	// Fill it: it takes in what it can answer within maxWait, and no more.
	accepted := 1
	for {
		if _, ok := in.admit(time.Second); !ok {
			break
		}
		accepted++
	}
	if accepted < 224 || accepted > 226 {
		t.Errorf("accepted %d, want about 225: %v at 150 a second", accepted, maxWait)
	}
	// Refusals are work as well, up to maxDebt.
	full := in.busyUntil
	in.admit(time.Second)
	if got := in.busyUntil - full; got != service/2 {
		t.Errorf("a refusal took %v, want %v", got, service/2)
	}
	for range 10000 {
		in.admit(time.Second)
	}
	if got := in.busyUntil; got != time.Second+maxWait+maxDebt {
		t.Errorf("busy until %v after many refusals", got)
	}
	if _, ok := in.admit(time.Second + maxDebt - 1); ok {
		t.Error("accepted too early")
	}
	if _, ok := in.admit(time.Second + maxDebt + service); !ok {
		t.Error("refused although the queue has become shorter")
	}
}

// serve sends one request to an instance that has run for the time at.
func serve(t *testing.T, name byte, at time.Duration) (resp *http.Response, took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		in := &instance{name: name, conditions: schedule{total: 100 * time.Second, rate: 100}, start: time.Now()}
		time.Sleep(at)
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(idHeader, "17")
		began := time.Now()
		in.ServeHTTP(w, r)
		took = time.Since(began)
		resp = w.Result()
		if got := in.received(); len(got) != 1 || got[0] != at {
			t.Errorf("received %v, want one request at %v", got, at)
		}
	})
	return resp, took
}

func TestFaults(t *testing.T) {
	s := schedule{total: 100 * time.Second}
	ill, _ := s.span(slow)
	burst, _ := s.span(busy)
	outage, _ := s.span(unavailable)
	for _, c := range []struct {
		what          string
		name          byte
		at            time.Duration
		status        int
		least, most   time.Duration
		retryAfter    string
		wantTheAnswer bool
	}{
		{"good", 'A', 0, 200, 5 * time.Millisecond, 15 * time.Millisecond, "", true},
		{"slow", 'A', ill, 200, slowFor, slowFor + 15*time.Millisecond, "", true},
		{"in a burst", 'B', burst, 503, 0, 0, "1", false},
		{"after a burst", 'B', burst + burstFor, 200, 5 * time.Millisecond, 15 * time.Millisecond, "", true},
		{"in the next burst", 'B', burst + burstEvery, 503, 0, 0, "1", false},
		{"503", 'D', outage, 503, 0, 0, "", false},
	} {
		resp, took := serve(t, c.name, c.at)
		if resp.StatusCode != c.status || took < c.least || took > c.most || resp.Header.Get("Retry-After") != c.retryAfter {
			t.Errorf("%s: status %d after %v, Retry-After %q", c.what, resp.StatusCode, took, resp.Header.Get("Retry-After"))
		}
		if err := verifyPayload(17, resp); (err == nil) != c.wantTheAnswer {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestVerifyPayload(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{200, string(payload(5)), ""},
		{200, string(payload(6)), "wrong answer"},
		{200, string(payload(5)[1:]), "wrong answer"},
		{203, string(payload(5)), "status 203"},
	} {
		err := verifyPayload(5, &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(c.body))})
		if got := ""; err != nil && err.Error() != c.want || err == nil && c.want != got {
			t.Errorf("status %d, %d bytes: %v, want %q", c.status, len(c.body), err, c.want)
		}
	}
}

// A real connection: the headers arrive, then half of the body, then a reset.
func TestReset(t *testing.T) {
	s := schedule{total: 1000 * time.Hour, rate: 100}
	at, _ := s.span(cut)
	set, err := startSet(loopback{}.listen, s, 1, time.Now().Add(-at-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer stopSet(set)
	base := newTransport()
	defer base.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, set[2].target.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := base.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if want := int64(len(payload(0))); resp.StatusCode != 200 || resp.ContentLength != want {
		t.Errorf("status %d, %d bytes announced, want 200, %d", resp.StatusCode, resp.ContentLength, want)
	}
	body, err := io.ReadAll(resp.Body)
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) || len(body) >= len(payload(0)) {
		t.Errorf("%d bytes read, error %v", len(body), err)
	}
}

// A new connection is refused at once, or asked for three times, until the server is there.
func TestReach(t *testing.T) {
	for _, c := range []struct {
		press    string
		mended   time.Duration // after which the server is well
		end      time.Duration // after which the caller has gone
		took     time.Duration
		want     error
		arrivals int
	}{
		{press: "mend"},
		{press: "hung"},
		{press: "refused", want: syscall.ECONNREFUSED, arrivals: 1},
		{press: "down", took: 3 * time.Second, want: syscall.ETIMEDOUT, arrivals: 1},
		{press: "down", mended: 1500 * time.Millisecond, took: 2 * time.Second, arrivals: 1},
		{press: "down", end: 1200 * time.Millisecond, took: 1200 * time.Millisecond, want: context.Canceled, arrivals: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &board{rate: 100, start: time.Now()}
			in := &instance{name: 'B', conditions: b, start: b.start}
			b.press("B", c.press)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.mended > 0 {
				time.AfterFunc(c.mended, func() { b.press("all", "mend") })
			}
			if c.end > 0 {
				time.AfterFunc(c.end, cancel)
			}
			err := in.reach(ctx)
			if took := time.Since(b.start); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || took != c.took {
				t.Errorf("%+v: %v after %v", c, err, took)
			}
			if n := in.take(); n != c.arrivals || in.take() != 0 {
				t.Errorf("%+v: %d arrivals", c, n)
			}
		})
	}
}
