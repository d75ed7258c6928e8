package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// tokens is a token server: it counts, takes its time, and takes back.
type tokens struct {
	delay  time.Duration
	life   time.Duration // 0: for ever
	fail   atomic.Pointer[error]
	mu     sync.Mutex
	issued map[string]int // by user
	now    atomic.Int32   // calls under way
	most   atomic.Int32
}

type userKey struct{}

func userOf(ctx context.Context) string { u, _ := ctx.Value(userKey{}).(string); return u }

func as(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, userKey{}, user)
}

func (s *tokens) token(ctx context.Context, user string) (string, time.Time, error) {
	if n := s.now.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.now.Add(-1)
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	}
	if err := s.fail.Load(); err != nil {
		return "", time.Time{}, *err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issued == nil {
		s.issued = map[string]int{}
	}
	s.issued[user]++
	var expires time.Time
	if s.life > 0 {
		expires = time.Now().Add(s.life)
	}
	return fmt.Sprintf("%s-%d", user, s.issued[user]), expires, nil
}

func (s *tokens) count(user string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued[user]
}

// guarded answers with the token it has got, or with 401 if valid says so.
func guarded(delay time.Duration, valid func(token string) bool) roundTripper {
	return func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			io.Copy(io.Discard, req.Body)
			req.Body.Close()
		}
		time.Sleep(delay)
		token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !valid(token) {
			return reply(401, "who?")(req)
		}
		return reply(200, token, "Content-Type: text/plain")(req)
	}
}

func always(string) bool { return true }

func me(t *testing.T, transport http.RoundTripper, cfg gateway.BearerConfig) func(context.Context, gateway.None) (string, error) {
	g := mustNew(t, gateway.Config{Transport: transport, Auth: gateway.Bearer(cfg)})
	return gateway.NewEndpoint[gateway.None, string](g, "GET /me", gateway.EndpointConfig{}).Call
}

var none gateway.None

// Many callers at once, one refresh; the tokens of others are not theirs.
func TestBearerSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{delay: time.Second, life: time.Hour}
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: s.token, Identity: userOf})
		var callers sync.WaitGroup
		for i := range 100 {
			user := []string{"alice", "bob"}[i%2]
			callers.Go(func() {
				if token, err := call(as(t.Context(), user), none); err != nil || token != user+"-1" {
					t.Errorf("%s has the token %q, %v", user, token, err)
				}
			})
		}
		callers.Wait()
		if s.count("alice") != 1 || s.count("bob") != 1 || s.most.Load() != 2 {
			t.Errorf("issued %v, %d at once", s.issued, s.most.Load())
		}
	})
}

// The server has taken back a token while many calls use it: one refresh, each call
// sent again once.
func TestBearerRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{delay: time.Second}
		var revoked, sent atomic.Int32
		call := me(t, guarded(time.Millisecond, func(token string) bool {
			sent.Add(1)
			return token != fmt.Sprint("-", revoked.Load())
		}), gateway.BearerConfig{Token: s.token})
		if _, err := call(t.Context(), none); err != nil {
			t.Fatal(err)
		}
		revoked.Store(1)
		sent.Store(0)
		var callers sync.WaitGroup
		for i := range 50 {
			callers.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond) // so that some learn of it late
				if token, err := call(t.Context(), none); err != nil || token != "-2" {
					t.Errorf("the token %q, %v", token, err)
				}
			})
		}
		callers.Wait()
		if s.count("") != 2 {
			t.Errorf("issued %d tokens, want 2", s.count(""))
		}
		if n := sent.Load(); n > 100 {
			t.Errorf("sent %d requests for 50 calls", n)
		}
	})
}

// A server that takes no token at all is asked twice for a call, not for ever, and the
// caller gets its answer.
func TestBearerReplaysOnce(t *testing.T) {
	s := &tokens{}
	sent := 0
	var events []gateway.Event
	g := mustNew(t, gateway.Config{Auth: gateway.Bearer(gateway.BearerConfig{Token: s.token}),
		Transport: guarded(0, func(string) bool { sent++; return false }),
		Observe:   func(_ context.Context, e gateway.Event) { events = append(events, e) }})
	e := gateway.NewEndpoint[string, string](g, "POST /me", gateway.EndpointConfig{})
	_, err := e.Call(t.Context(), "body")
	if e := asError(t, err, gateway.BadStatus); e.Status != 401 || sent != 2 || string(e.Body) != "who?" {
		t.Errorf("%v after %d requests", err, sent)
	}
	if len(events) != 2 || events[0].Kind != gateway.Replayed || events[0].Endpoint != "POST /me" || events[0].Status != 401 || events[1].Kind != gateway.Ended {
		t.Errorf("events %+v", events)
	}
	// A body that cannot be had again is not sent again.
	sent = 0
	stream := gateway.NewEndpoint[io.Reader, string](g, "POST /me", gateway.EndpointConfig{})
	_, err = stream.Call(t.Context(), newBody("x"))
	if asError(t, err, gateway.BadStatus); sent != 1 {
		t.Errorf("a stream was sent %d times", sent)
	}
}

// The body of a request that is sent again is whole.
func TestBearerReplaysBody(t *testing.T) {
	s := &tokens{}
	r := &record{base: guarded(0, func(token string) bool { return token == "-2" })}
	g := mustNew(t, gateway.Config{Auth: gateway.Bearer(gateway.BearerConfig{Token: s.token}), Transport: r})
	e := gateway.NewEndpoint[map[string]int, string](g, "POST /me", gateway.EndpointConfig{IdempotencyKey: true})
	token, err := e.Call(t.Context(), map[string]int{"a": 1})
	if err != nil || token != "-2" || len(r.bodies) != 2 || r.bodies[0] != `{"a":1}` || r.bodies[1] != r.bodies[0] {
		t.Errorf("%q, %v, bodies %q", token, err, r.bodies)
	}
	one, two := r.requests[0].Header, r.requests[1].Header
	if one.Get("Authorization") != "Bearer -1" || two.Get("Authorization") != "Bearer -2" {
		t.Errorf("the first request was changed: %v, %v", one, two)
	}
	if one.Get("Idempotency-Key") == "" || one.Get("Idempotency-Key") != two.Get("Idempotency-Key") {
		t.Errorf("the keys are %q and %q", one.Get("Idempotency-Key"), two.Get("Idempotency-Key"))
	}
}

// The caller that began a refresh may leave: it goes on, for the others and the next.
// A refresh token that can be used only once is not lost.
func TestBearerRefreshIsDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{delay: 10 * time.Second}
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: s.token})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := call(ctx, none)
		if e := asError(t, err, gateway.NoCredentials); !errors.Is(err, context.DeadlineExceeded) || !e.Timeout() || e.Sent || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		time.Sleep(4 * time.Second) // nobody waits
		if token, err := call(t.Context(), none); err != nil || token != "-1" || time.Since(begin) != 10*time.Second {
			t.Errorf("after %v: %q, %v", time.Since(begin), token, err)
		}
		if s.most.Load() != 1 || s.count("") != 1 {
			t.Errorf("%d at once, %d issued", s.most.Load(), s.count(""))
		}
	})
}

// It does end, though: with its own time limit.
func TestBearerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{delay: time.Hour}
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: s.token, Timeout: 5 * time.Second})
		begin := time.Now()
		_, err := call(t.Context(), none)
		if asError(t, err, gateway.NoCredentials); time.Since(begin) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		s.delay = 0
		if _, err := call(t.Context(), none); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}

// Memory is bounded, however many users there are.
func TestBearerIsBounded(t *testing.T) {
	s := &tokens{}
	call := me(t, guarded(0, always), gateway.BearerConfig{Token: s.token, Identity: userOf, MaxKeys: 10})
	for i := range 1000 {
		if _, err := call(as(t.Context(), fmt.Sprint(i)), none); err != nil {
			t.Fatal(err)
		}
	}
	call(as(t.Context(), "999"), none)
	call(as(t.Context(), "0"), none)
	if s.count("999") != 1 || s.count("0") != 2 {
		t.Errorf("issued %d and %d", s.count("999"), s.count("0"))
	}
}
