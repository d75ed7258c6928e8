package contract_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

// Who refuses a request says whether another attempt would differ: a limit that knows
// when, a balancer that has another endpoint. An open breaker does not say so.
func TestRefusalsBelowARetry(t *testing.T) {
	ok := roundTrip(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Host": {req.URL.Host}}, Body: http.NoBody, Request: req}, nil
	})
	// get sends a request, and says what it came to and how many attempts it took.
	get := func(t *testing.T, base http.RoundTripper) (resp *http.Response, attempts int, err error) {
		budget := retry.NewBudget(retry.BudgetConfig{Credit: -1, Floor: -1}) // refusals are free
		rt := &retry.Transport{Base: base, Policy: retry.New(retry.Config{
			Budget: budget, Schedule: retry.Constant(0),
			Observe: func(context.Context, retry.Event) { attempts++ },
		})}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://a.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err = (&loadbalance.Spread{Base: rt}).RoundTrip(req)
		return resp, attempts, err
	}
	t.Run("a rate limit is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			limited := &ratelimit.Transport{Limiter: ratelimit.New(ratelimit.Config{Rate: 1, Burst: 1, Queue: -1}), Base: ok}
			if _, n, err := get(t, limited); n != 1 || err != nil {
				t.Fatalf("%d attempts, %v", n, err)
			}
			start := time.Now()
			resp, n, err := get(t, limited)
			if err != nil || resp.StatusCode != 200 || n != 2 || time.Since(start) < time.Second {
				t.Errorf("got %v, %v after %d attempts and %v", resp, err, n, time.Since(start))
			}
		})
	})
	t.Run("an open breaker is final", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := breaker.New(breaker.Config{})
			b.Trip(time.Second, errors.New("down"))
			start := time.Now()
			_, n, err := get(t, &breaker.Transport{Breaker: b, Base: ok})
			if _, wrapped := errors.AsType[*retry.Error](err); !errors.Is(err, breaker.ErrOpen) || wrapped || n != 1 || time.Since(start) != 0 {
				t.Errorf("error %v after %d attempts and %v", err, n, time.Since(start))
			}
		})
	})
	t.Run("a balancer goes elsewhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			balancer, err := loadbalance.Hosts("http://one.test", "http://two.test")
			if err != nil {
				t.Fatal(err)
			}
			defer balancer.Close()
			one := breaker.New(breaker.Config{})
			one.Trip(time.Hour, errors.New("down"))
			two := breaker.New(breaker.Config{})
			stack := &loadbalance.Transport{Balancer: balancer, Base: &breaker.Transport{Base: ok, For: func(req *http.Request) *breaker.Breaker {
				if req.URL.Host == "one.test" {
					return one
				}
				return two
			}}}
			elsewhere := 0
			for range 50 {
				resp, n, err := get(t, stack)
				if err != nil || resp.Header.Get("Host") != "two.test" {
					t.Fatalf("got %v, %v after %d attempts", resp, err, n)
				}
				if n > 1 {
					elsewhere++
				}
			}
			if elsewhere == 0 {
				t.Error("no request met the breaker that is open")
			}
			// With both open there is nowhere to go.
			two.Trip(time.Hour, errors.New("down"))
			if _, n, err := get(t, stack); !errors.Is(err, breaker.ErrOpen) || n > 2 {
				t.Errorf("error %v after %d attempts", err, n)
			}
		})
	})
}
