package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"golang.org/x/time/rate"
)

func ExampleLimiter_Wait() {
	limiter := ratelimit.New(ratelimit.Config{Rate: 1000, Burst: 10})

	for i := range 3 {
		if err := limiter.Wait(context.Background()); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("call", i)
	}
	// Output:
	// call 0
	// call 1
	// call 2
}

func ExampleLimiter_Allow() {
	limiter := ratelimit.New(ratelimit.Config{Rate: rate.Every(time.Hour), Burst: 2})
	fmt.Println(limiter.Allow(), limiter.Allow(), limiter.Allow())
	// Output: true true false
}

// A wait that cannot end in time fails at once.
func ExampleError() {
	limiter := ratelimit.New(ratelimit.Config{Rate: rate.Every(time.Hour)})
	limiter.Allow()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := limiter.Wait(ctx)
	fmt.Println(errors.Is(err, ratelimit.ErrLimited), errors.Is(err, ratelimit.ErrDeadline))
	// Output: true true
}

func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()

	client := &http.Client{Transport: &ratelimit.Transport{
		Limiter: ratelimit.New(ratelimit.Config{Rate: 100, Burst: 5}),
	}}
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

func ExampleLimiter_AllowN() {
	limiter := ratelimit.New(ratelimit.Config{Rate: rate.Every(time.Hour), Burst: 10})
	fmt.Println(limiter.AllowN(time.Now(), 8), limiter.AllowN(time.Now(), 8))
	// Output: true false
}

// A call that takes more than one token waits for all of them, and is refused at once
// if there can never be as many.
func ExampleLimiter_WaitN() {
	limiter := ratelimit.New(ratelimit.Config{Rate: 1000, Burst: 100})
	fmt.Println(limiter.WaitN(context.Background(), 50))
	fmt.Println(limiter.WaitN(context.Background(), 500))
	// Output:
	// <nil>
	// ratelimit: more than the limit holds
}

func ExampleLimiter_Take() {
	limiter := ratelimit.New(ratelimit.Config{Rate: rate.Every(time.Hour), Burst: 3})
	d := limiter.Take(2)
	fmt.Println(d.OK, d.Remaining)
	d = limiter.Take(2)
	fmt.Println(d.OK, d.Remaining, d.RetryAfter.Round(time.Minute))
	// Output:
	// true 1
	// false 1 1h0m0s
}

// An API that is billed by tokens says what a call has cost when it answers. An
// estimate is paid first, and corrected then.
func ExampleLimiter_Charge() {
	perMinute := ratelimit.New(ratelimit.Config{Rate: 90_000. / 60, Burst: 90_000})
	complete := func(ctx context.Context, prompt string) (billed int, err error) {
		charge, err := perMinute.Charge(ctx, 20+len(prompt)/4)
		if err != nil {
			return 0, err
		}
		billed = 700 // as the response says
		charge.Settle(billed)
		return billed, nil
	}
	fmt.Println(complete(context.Background(), "Say something."))
	fmt.Println(perMinute.Tokens() < 90_000-650)
	// Output:
	// 700 <nil>
	// true
}

// Calls for which nobody waits let the others go first.
func ExampleLowPriority() {
	limiter := ratelimit.New(ratelimit.Config{Rate: 1000, Burst: 10})
	reindex := func(ctx context.Context) error {
		return limiter.Wait(ratelimit.LowPriority(ctx))
	}
	fmt.Println(reindex(context.Background()))
	// Output: <nil>
}

// Ten per second and a hundred per minute, and neither is spent in vain.
func ExampleAll() {
	limits := ratelimit.All(
		ratelimit.New(ratelimit.Config{Rate: 10, Burst: 10}),
		ratelimit.New(ratelimit.Config{Rate: 100. / 60, Burst: 100}),
	)
	client := &http.Client{Transport: &ratelimit.Transport{Limiter: limits}}
	_ = client
	fmt.Println(limits.Wait(context.Background()))
	// Output: <nil>
}

// Each tenant has a limit of its own, the big ones a higher one.
func ExampleKeyed_Allow() {
	tenants := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{
		For: func(tenant string) (rate.Limit, int) {
			if tenant == "acme" {
				return 100, 200
			}
			return 1, 1
		},
	})
	fmt.Println(tenants.Allow("acme"), tenants.Allow("acme"))
	fmt.Println(tenants.Allow("initech"), tenants.Allow("initech"))
	// Output:
	// true true
	// true false
}

func ExampleKeyed_Take() {
	clients := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Rate: rate.Every(time.Hour), Burst: 100})
	fmt.Println(clients.Take("a", 30).Remaining, clients.Take("b", 1).Remaining, clients.Stats().Keys)
	clients.Delete("a")
	fmt.Println(clients.Take("a", 1).Remaining)
	// Output:
	// 70 99 2
	// 99
}

// A client of many hosts is polite to each of them.
func ExampleKeyed_Wait() {
	hosts := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Rate: 5, Burst: 5})
	client := &http.Client{Transport: &ratelimit.Transport{
		Wait: func(r *http.Request) error { return hosts.Wait(r.Context(), r.URL.Host) },
	}}
	_ = client
	fmt.Println(hosts.Wait(context.Background(), "a.example"), hosts.WaitN(context.Background(), "b.example", 2))
	// Output: <nil> <nil>
}

// Four reports may be made at once, and four more may wait.
func ExampleBulkhead() {
	reports := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 4})
	text, err := ratelimit.Do(context.Background(), reports, func(ctx context.Context) (string, error) {
		return "a report", nil
	})
	fmt.Println(text, err)

	err = ratelimit.Run(context.Background(), reports, func(ctx context.Context) error {
		fmt.Println(reports.Stats().InUse, "under way")
		return nil
	})
	fmt.Println(err)
	// Output:
	// a report <nil>
	// 1 under way
	// <nil>
}

// The counts are for a metrics page.
func ExampleLimiter_Stats() {
	limiter := ratelimit.New(ratelimit.Config{Name: "github", Rate: rate.Every(time.Hour), Burst: 2})
	for range 5 {
		limiter.Allow()
	}
	s := limiter.Stats()
	fmt.Println(s.Name, s.Calls, "calls,", s.Refused, "refused,", s.Waiting, "waiting")
	// Output: github 2 calls, 3 refused, 0 waiting
}

func ExampleBulkhead_Acquire() {
	uploads := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 2})
	permit, err := uploads.Acquire(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer permit.Done()
	fmt.Println("uploading")
	// Output: uploading
}

func ExampleBulkhead_Allow() {
	one := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1})
	first, err := one.Allow()
	fmt.Println(err)
	_, err = one.Allow()
	fmt.Println(errors.Is(err, ratelimit.ErrFull))
	first.Done()
	// Output:
	// <nil>
	// true
}

// A tally counts calls that are under way, and those that failed.
type tally struct{ underWay, failed atomic.Int64 }

func (t *tally) Answered(_ uint64, o ratelimit.Outcome) {
	if o == ratelimit.Failure {
		t.failed.Add(1)
	}
}

func (t *tally) Done(uint64) { t.underWay.Add(-1) }

type acquirer func(context.Context) (ratelimit.Permit, error)

func (f acquirer) Acquire(ctx context.Context) (ratelimit.Permit, error) { return f(ctx) }

// A limit of one's own. This one lets important calls through at any time, and the
// others only while few are under way.
func ExampleNewPermit() {
	calls := &tally{}
	limit := acquirer(func(ctx context.Context) (ratelimit.Permit, error) {
		if calls.underWay.Load() >= 10 && ratelimit.IsLowPriority(ctx) {
			return ratelimit.Permit{}, ratelimit.ErrFull
		}
		calls.underWay.Add(1)
		return ratelimit.NewPermit(calls, 0), nil
	})
	err := ratelimit.Run(context.Background(), limit, func(context.Context) error {
		return errors.New("connection refused")
	})
	fmt.Println(err)

	// What Run does, step by step:
	call := func(ctx context.Context) error {
		permit, err := limit.Acquire(ctx)
		if err != nil {
			return err
		}
		defer permit.Done()
		err = errors.New("no route to host")
		permit.Answered(permit.Outcome(ctx, err))
		return err
	}
	fmt.Println(call(context.Background()))
	fmt.Println(calls.underWay.Load(), "under way,", calls.failed.Load(), "failed")
	// Output:
	// connection refused
	// no route to host
	// 0 under way, 2 failed
}

// Large jobs take more places than small ones.
func ExampleBulkhead_AllowN() {
	memory := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 8})
	large, err := memory.AllowN(6)
	fmt.Println(err)
	_, err = memory.AllowN(3)
	fmt.Println(err)
	large.Done()
	// Output:
	// <nil>
	// ratelimit: no place is free
}

// Wrap makes a function that fits wherever the unlimited one did.
func ExampleWrap() {
	thumbnails := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 2})
	resize := ratelimit.Wrap(thumbnails, func(ctx context.Context, name string) (string, error) {
		return "small " + name, nil
	})
	fmt.Println(resize(context.Background(), "cat.png"))
	// Output: small cat.png <nil>
}

// A server that limits each client's address, behind one proxy.
func ExampleMiddleware() {
	clientIP := ratelimit.ClientIP(netip.MustParsePrefix("10.0.0.0/8"))
	clients := ratelimit.NewKeyed(ratelimit.KeyedConfig[netip.Addr]{Rate: rate.Every(time.Minute), Burst: 2})
	limit := ratelimit.Middleware(func(r *http.Request) ratelimit.Decision {
		return clients.Take(clientIP(r), 1)
	})
	handler := limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	}))

	for range 3 {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.1.2.3:4567"
		r.Header.Set("X-Forwarded-For", "2001:db8::1")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Printf("%d %s %q\n", w.Code, w.Header().Get("RateLimit"), w.Header().Get("Retry-After"))
	}
	// Output:
	// 200 "default";r=1;t=60 ""
	// 200 "default";r=0;t=60 ""
	// 429 "default";r=0;t=60 "60"
}

// A 429 of one's own, for an API that speaks JSON.
func ExampleDecision_WriteHeader() {
	clients := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Name: "client", Rate: rate.Every(time.Minute), Burst: 1})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := clients.Take(r.Header.Get("Api-Key"), 1)
		d.WriteHeader(w.Header())
		if !d.OK {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprintf(w, `{"title":"Too many requests","limit":%q}`, d.Name)
			return
		}
		fmt.Fprint(w, `{"hello":"world"}`)
	})

	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code, w.Body, w.Header().Get("RateLimit"))
	}
	// Output:
	// 200 {"hello":"world"} "client";r=0;t=60
	// 429 {"title":"Too many requests","limit":"client"} "client";r=0;t=60
}

// Two limits on one route: a client sees both.
func ExampleMiddleware_two() {
	all := ratelimit.New(ratelimit.Config{Name: "all", Rate: rate.Every(time.Second), Burst: 100})
	search := ratelimit.New(ratelimit.Config{Name: "search", Rate: rate.Every(time.Minute), Burst: 2})
	both := func(next http.Handler) http.Handler {
		next = ratelimit.Middleware(func(*http.Request) ratelimit.Decision { return search.Take(1) })(next)
		return ratelimit.Middleware(func(*http.Request) ratelimit.Decision { return all.Take(1) })(next)
	}
	handler := both(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/search", nil))
	fmt.Println(w.Header().Get("RateLimit-Policy"))
	fmt.Println(w.Header().Get("RateLimit"))
	// Output:
	// "all";q=100;w=100, "search";q=2;w=120
	// "all";r=99;t=99, "search";r=1;t=60
}

// A server that answers at most two requests at once, and lets none wait.
func ExampleConcurrencyMiddleware() {
	two := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 2, Queue: -1})
	limit := ratelimit.ConcurrencyMiddleware(two)

	// Each request makes another one.
	var handler http.Handler
	handler = limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := httptest.NewRecorder()
		handler.ServeHTTP(inner, r)
		fmt.Println(inner.Code, inner.Header().Get("Retry-After"))
	}))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	// Output:
	// 503 1
	// 200
}

// A limit that is tried out before it is enforced.
func ExampleMiddleware_dryRun() {
	limiter := ratelimit.New(ratelimit.Config{Rate: rate.Every(time.Hour)})
	tried := ratelimit.Middleware(func(r *http.Request) ratelimit.Decision {
		if d := limiter.Take(1); !d.OK {
			fmt.Println("would refuse", r.URL)
		}
		return ratelimit.Decision{OK: true}
	})
	handler := tried(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 2 {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/a", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// would refuse /a
	// 200
}
