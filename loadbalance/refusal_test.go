package loadbalance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// A quota that a caller has used up says nothing of the servers: 429 takes out none, and
// asks none to cool down.
func TestQuotaIsTheCallers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, transport := ten(t, 429)
		for range 100 {
			resp, err := transport.RoundTrip(get(t, "http://x"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		for _, e := range b.Stats().Endpoints {
			if e.State != loadbalance.Healthy || e.FailureRate > 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Servers that ask to be left alone are, but for those that must be there.
func TestCoolingIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, transport := ten(t, 503)
		for range 100 {
			resp, err := transport.RoundTrip(get(t, "http://x"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		states := map[loadbalance.State]int{}
		for _, e := range b.Stats().Endpoints {
			states[e.State]++
		}
		if states[loadbalance.Cooling] != 3 || states[loadbalance.Healthy] != 7 || b.Stats().Panic {
			t.Errorf("%v", states)
		}
	})
}

// One that must not cool down, as too many are out, has far fewer calls all the same.
func TestOverloadedWithoutCooling(t *testing.T) {
	for _, policy := range []loadbalance.Policy{loadbalance.PeakEWMA, loadbalance.P2C, loadbalance.LeastLoaded} {
		inBubble(t, func(t *testing.T) {
			b := fixed(10, loadbalance.Config{Policy: policy, EjectAfter: 1})
			for _, key := range []string{"0", "1", "2"} {
				at(t, b, key, failed)
			}
			for i := range 3 * 6 { // the others have three calls each
				if _, err := b.PickWith(t.Context(), loadbalance.Hint{Prefer: []string{strconv.Itoa(4 + i%6)}}); err != nil {
					t.Fatal(err)
				}
			}
			at(t, b, "3", result{Outcome: loadbalance.Overload, RetryAfter: time.Second})
			inState(t, b, "3", loadbalance.Healthy, "")
			if count := counts(t, b, 10, 700); count[3] > 30 {
				t.Errorf("%v: it has %d of 700 calls", policy, count[3])
			}
		})
	}
}

// A refusal from below one endpoint can be tried again while there are others.
func TestRefusedBelow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		refusal := &loadbalance.Error{Err: loadbalance.ErrOverloaded, Cause: errors.New("the limit of this endpoint")}
		retryable := func(err error) bool {
			t.Helper()
			if !errors.Is(err, loadbalance.ErrOverloaded) || err.Error() != refusal.Error() {
				t.Errorf("%v", err)
			}
			rejected, ok := errors.AsType[interface {
				error
				Rejected() bool
			}](err)
			if !ok || !rejected.Rejected() {
				t.Errorf("%v is no refusal", err)
			}
			again, ok := errors.AsType[interface {
				error
				Retryable() bool
			}](err)
			return ok && again.Retryable()
		}
		b := fixed(3, loadbalance.Config{EjectAfter: 1})
		refused := func() error {
			return loadbalance.Run(loadbalance.WithSpread(t.Context()), b, func(context.Context, int) error { return refusal })
		}
		if !retryable(refused()) {
			t.Error("others are left")
		}
		ctx := loadbalance.WithSpread(t.Context())
		for attempt, want := range []bool{true, true, false} {
			err := loadbalance.Run(ctx, b, func(context.Context, int) error { return refusal })
			if got := retryable(err); got != want {
				t.Errorf("attempt %d of a call can be tried again: %v, want %v", attempt, got, want)
			}
		}
		if retryable(loadbalance.Run(t.Context(), fixed(1, loadbalance.Config{}), func(context.Context, int) error { return refusal })) {
			t.Error("there is no other")
		}
		b = fixed(2, loadbalance.Config{EjectAfter: 1})
		at(t, b, "0", failed)
		if retryable(loadbalance.Run(t.Context(), b, func(context.Context, int) error { return refusal })) {
			t.Error("the other is ejected")
		}

		h := hosts(t, "http://a", "http://b")
		transport := &loadbalance.Transport{Balancer: h, Base: roundTripper(func(*http.Request) (*http.Response, error) { return nil, refusal })}
		if _, err := transport.RoundTrip(get(t, "http://x")); !retryable(err) {
			t.Error("another server is left")
		}
		transport.Hint = func(*http.Request) loadbalance.Hint { return loadbalance.Hint{Exclude: []string{"http://a"}} }
		if _, err := transport.RoundTrip(get(t, "http://x")); retryable(err) {
			t.Error("the other server is excluded")
		}
		broken := errors.New("broken")
		if err := loadbalance.Run(t.Context(), fixed(3, loadbalance.Config{}), func(context.Context, int) error { return broken }); err != broken {
			t.Errorf("%v is not what the operation returned", err)
		}
	})
}

// ten is ten servers that answer with a status, and Retry-After.
func ten(t *testing.T, status int) (*loadbalance.Balancer[*url.URL], *loadbalance.Transport) {
	var list []string
	for i := range 10 {
		list = append(list, fmt.Sprintf("http://server-%d", i))
	}
	b := hosts(t, list...)
	return b, &loadbalance.Transport{Balancer: b, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"60"}}, Body: http.NoBody, Request: r}, nil
	})}
}
