package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/world"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

// simulated returns a console over a silent world, in which one booking has a state ("": it cannot be read).
func simulated(t *testing.T, state *atomic.Value) *Console {
	t.Helper()
	w := world.Silent()
	balancer, err := loadbalance.Hosts("http://one", "http://two")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { balancer.Close() })
	cache := httpcache.New(httpcache.Config{})
	t.Cleanup(func() { cache.Close() })
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	return &Console{
		Systems: w.Systems(), Done: done,
		Layers: []Layer{
			Breaker("payment", breaker.New(breaker.Config{})), Retry("payment", retry.New(retry.Config{})), Cache("weather", cache),
			Bulkhead("payment", ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 2})), Limiter("mail", ratelimit.New(ratelimit.Config{Rate: 50})),
			Balancer("bulletin", balancer),
		},
		Bookings: func(context.Context, int) ([]domain.Booking, error) {
			s := state.Load().(domain.State)
			if s == "" {
				return nil, errors.New("disk full")
			}
			return []domain.Booking{{ID: "a1", Hut: "planura", Date: "2027-07-31", Guest: `<script>alert(1)</script>`, Beds: 2, State: s}}, nil
		},
	}
}

func holding(s domain.State) *atomic.Value {
	v := &atomic.Value{}
	v.Store(s)
	return v
}

func post(h http.Handler, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestWorldPage holds the page against a golden file: it shows all without a script.
func TestWorldPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := holding(domain.AwaitingPayment)
		h := simulated(t, state).Handler()
		post(h, "/world/payment", url.Values{"fault": {"hanging"}})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/world", nil))
		policy := w.Header().Get("Content-Security-Policy")
		if w.Code != 200 || !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") || strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%d %s", w.Code, policy)
		}
		if *update {
			if err := os.WriteFile("testdata/world.html", w.Body.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile("testdata/world.html")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), w.Body.String()); diff != "" {
			t.Errorf("-update writes it anew (-want +got):\n%s", diff)
		}
		state.Store(domain.State(""))
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/world", nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), "The bookings cannot be read.") || strings.Contains(w.Body.String(), "disk") {
			t.Errorf("without bookings: %d\n%s", w.Code, w.Body)
		}
	})
}

// TestBreakAndMend: a system is broken by a form, and nothing else is.
func TestBreakAndMend(t *testing.T) {
	state := holding(domain.Paid)
	c := simulated(t, state)
	h := c.Handler()
	for _, s := range []struct {
		system string
		form   url.Values
		status int
		fault  world.Fault // of payment, afterwards
	}{
		{"payment", url.Values{"fault": {"hanging"}}, 303, world.Hanging},
		{"weather", url.Values{"fault": {"slow"}}, 303, world.Hanging},
		{"payment", url.Values{"fault": {"dancing"}}, 400, world.Hanging},
		{"payment", url.Values{}, 400, world.Hanging},
		{"bank", url.Values{"fault": {"well"}}, 404, world.Hanging},
		{"payment", url.Values{"fault": {"well"}}, 303, world.Well},
	} {
		w := post(h, "/world/"+s.system, s.form)
		if w.Code != s.status || c.Systems[0].Fault() != s.fault {
			t.Errorf("%s %v: %d, payment is %q, want %d, %q", s.system, s.form, w.Code, c.Systems[0].Fault(), s.status, s.fault)
		}
		if s.status == 303 && w.Header().Get("Location") != "/world#"+s.system {
			t.Errorf("%s: %v", s.system, w.Header())
		}
	}
}

// TestStream: the first event has everything, the next only what has changed; nothing
// happens, and the line is kept alive; the end of the program ends it.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := holding(domain.AwaitingPayment)
		c := simulated(t, state)
		done := make(chan struct{})
		c.Done = done
		base := memhttp.NewServer(t, c.Handler()).Transport()
		defer base.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://huts/world/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := base.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Error(resp.Header)
		}
		lines := bufio.NewScanner(resp.Body)
		next := func() map[string]string {
			t.Helper()
			for lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					var event map[string]string
					if err := json.Unmarshal([]byte(data), &event); err != nil {
						t.Fatal(err)
					}
					return event
				}
			}
			return nil
		}
		first := next()
		page := httptest.NewRecorder()
		c.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/world", nil))
		for id, html := range first { // what comes is what the page has in that place
			if !strings.Contains(page.Body.String(), `id="`+id+`"`) || !strings.Contains(page.Body.String(), html) {
				t.Errorf("the page has nothing like %s: %s", id, html)
			}
		}
		if len(first) != 2+2*len(c.Systems) {
			t.Errorf("the first event: %v", first)
		}
		state.Store(domain.Paid)
		if e := next(); len(e) != 1 || !strings.Contains(e["bookings"], "paid") {
			t.Errorf("a booking is paid: %v", e)
		}
		c.Systems[1].Break(world.Failing)
		if e := next(); len(e) != 1 || !strings.Contains(e["fault-weather"], "failing") {
			t.Errorf("the weather service fails: %v", e)
		}
		begin := time.Now()
		for lines.Scan() && lines.Text() != ":" {
		}
		if d := time.Since(begin); d > 20*time.Second {
			t.Errorf("no sign of life for %v", d)
		}
		close(done)
		if e := next(); e != nil || lines.Err() != nil {
			t.Errorf("after the end: %v, %v", e, lines.Err())
		}
	})
}

// TestFewStreams: who opens more and more streams is refused.
func TestFewStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := holding(domain.Paid)
		base := memhttp.NewServer(t, simulated(t, state).Handler()).Transport()
		defer base.CloseIdleConnections()
		var open int
		for range 30 {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://huts/world/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := base.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode == 200 {
				open++
			} else if resp.StatusCode != http.StatusServiceUnavailable {
				t.Error(resp.Status)
			}
		}
		if open != 20 {
			t.Errorf("%d streams, want 20", open)
		}
	})
}

// TestLayersSayHowTheyAre walks a breaker and a bulkhead through their states.
func TestLayersSayHowTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{Name: "payment"})
		layer := Breaker("payment", b)
		is := func(state, tone, detail string) {
			t.Helper()
			if diff := cmp.Diff(reading{state, tone, detail}, layer.read()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		is("closed", "good", "0 calls in the window, 0 of them failed")
		b.Trip(time.Second, errors.New("by hand"))
		if r := layer.read(); r.State != "open" || r.Tone != "bad" || !strings.Contains(r.Detail, "by hand") {
			t.Errorf("%+v", r)
		}
		time.Sleep(2 * time.Second)
		is("half-open", "wait", "0 trials, 0 of them failed")

		places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1})
		layer = Bulkhead("payment", places)
		p, err := places.Allow()
		if err != nil {
			t.Fatal(err)
		}
		is("full", "wait", "1 of 1 places taken, 0 calls wait, 0 were refused")
		p.Done()
		is("", "good", "0 of 1 places taken, 0 calls wait, 0 were refused")
	})
}
