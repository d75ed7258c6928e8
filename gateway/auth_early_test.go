package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// Tokens are refreshed before they expire, beside the calls, which do not wait.
func TestBearerEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{life: 10 * time.Minute}
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: s.token})
		if _, err := call(t.Context(), none); err != nil {
			t.Fatal(err)
		}
		s.delay = 2 * time.Second
		first := time.Duration(0)
		begin := time.Now()
		for time.Since(begin) < time.Hour {
			before := time.Now()
			if _, err := call(t.Context(), none); err != nil {
				t.Fatal(err)
			}
			if wait := time.Since(before); wait != 0 {
				t.Fatalf("after %v a call waited %v", time.Since(begin), wait)
			}
			time.Sleep(3 * time.Second)
			if first == 0 && s.count("") == 2 {
				first = time.Since(begin)
			}
		}
		// From twice Early before the end to Early before.
		if first < 8*time.Minute || first > 9*time.Minute+10*time.Second {
			t.Errorf("the first refresh was after %v", first)
		}
		if n := s.count(""); n < 6 || n > 9 {
			t.Errorf("%d tokens of 10 minutes in an hour", n)
		}
	})
}

// While the token server is down the old token serves until it expires; the server
// is not asked by every call.
func TestBearerEarlyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		var broken atomic.Bool
		token := func(context.Context, string) (string, time.Time, error) {
			if asked.Add(1); broken.Load() {
				return "", time.Time{}, errors.New("down")
			}
			return "t", time.Now().Add(10 * time.Minute), nil
		}
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: token})
		call(t.Context(), none)
		broken.Store(true)
		begin := time.Now()
		for time.Since(begin) < 10*time.Minute {
			if _, err := call(t.Context(), none); err != nil {
				t.Fatalf("after %v: %v", time.Since(begin), err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := asked.Load(); n < 3 || n > 60 {
			t.Errorf("the token server was asked %d times", n)
		}
		synctest.Wait()
		_, err := call(t.Context(), none)
		if asError(t, err, gateway.NoCredentials); err.Error() != "gateway: GET /me: no credentials: down" {
			t.Errorf("when it has expired: %v", err)
		}
	})
}

// A fleet does not refresh in step.
func TestBearerJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fleet []func(context.Context, gateway.None) (string, error)
		refreshed := make([]time.Duration, 20)
		begin := time.Now()
		for i := range refreshed {
			fleet = append(fleet, me(t, guarded(0, always), gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
				refreshed[i] = time.Since(begin)
				return "t", time.Now().Add(10 * time.Minute), nil
			}}))
		}
		for time.Since(begin) < 9*time.Minute+30*time.Second {
			for _, call := range fleet {
				call(t.Context(), none)
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}
		slices.Sort(refreshed)
		first, last := refreshed[0], refreshed[len(refreshed)-1]
		if first < 8*time.Minute || last > 9*time.Minute+time.Second || last-first < 10*time.Second {
			t.Errorf("refreshed from %v to %v", first, last)
		}
	})
}

// Early is no more than a quarter of a token's life, and so never more than half.
func TestBearerEarlyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{life: 10 * time.Minute}
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: s.token, Early: time.Hour})
		for range 299 {
			call(t.Context(), none)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := s.count(""); n != 1 {
			t.Errorf("%d tokens in the first half of a life", n)
		}
	})
}

// A call that learns late that its token is stale takes the one that has come meanwhile.
func TestBearerLearnsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{}
		var revoked atomic.Bool
		slow := atomic.Bool{}
		call := me(t, roundTripper(func(req *http.Request) (*http.Response, error) {
			late := slow.Swap(false)
			resp, err := guarded(0, func(token string) bool { return !revoked.Load() || token != "-1" })(req)
			if late {
				time.Sleep(10 * time.Second)
			}
			return resp, err
		}), gateway.BearerConfig{Token: s.token})
		call(t.Context(), none)
		revoked.Store(true)
		slow.Store(true)
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				if token, err := call(t.Context(), none); err != nil || token != "-2" {
					t.Errorf("%q, %v", token, err)
				}
			})
			synctest.Wait()
		}
		callers.Wait()
		if n := s.count(""); n != 2 {
			t.Errorf("%d tokens, want 2", n)
		}
	})
}
