package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/identity"
)

func TestBearerConfig(t *testing.T) {
	text := panicOf(func() { gateway.Bearer(gateway.BearerConfig{MaxKeys: -1}) })
	if !strings.Contains(text, "gateway: BearerConfig.Token") || !strings.Contains(text, "MaxKeys") {
		t.Errorf("it panics with %q", text)
	}
}

// A panic of the token function reaches the caller, the next call goes on.
func TestBearerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
			if broken {
				panic("boom")
			}
			return "t", time.Time{}, nil
		}})
		if text := panicOf(func() { call(t.Context(), none) }); text != "boom" {
			t.Errorf("it panics with %q", text)
		}
		broken = false
		if _, err := call(t.Context(), none); err != nil {
			t.Error(err)
		}
	})
}

func TestBearerRefusesBadTokens(t *testing.T) {
	for _, token := range []string{"", "a\nb", "a\r\nX: y"} {
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) { return token, time.Time{}, nil }})
		_, err := call(t.Context(), none)
		asError(t, err, gateway.NoCredentials)
	}
}

// An expired token is not used; one that comes expired is used for the calls that
// waited for it.
func TestBearerExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokens{life: time.Second}
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: s.token, Early: -1})
		for i, want := range []string{"-1", "-2", "-3"} {
			if token, err := call(t.Context(), none); err != nil || token != want {
				t.Errorf("%d: %q, %v", i, token, err)
			}
			time.Sleep(time.Second)
		}
		s.life = time.Nanosecond
		if token, err := call(t.Context(), none); err != nil || token != "-4" {
			t.Errorf("%q, %v", token, err)
		}
	})
}

// An identity names the credentials, without showing them, and differs where they do.
func TestIdentities(t *testing.T) {
	ctx := t.Context()
	token := func(context.Context, string) (string, time.Time, error) { return "t", time.Time{}, nil }
	all := map[string]string{}
	for name, auth := range map[string]gateway.Auth{
		"key":         gateway.APIKey("X-Api-Key", "s3cr3t"),
		"other key":   gateway.APIKey("X-Api-Key", "s3cr3t2"),
		"other field": gateway.APIKey("X-Other", "s3cr3t"),
		"basic":       gateway.Basic("ada", "s3cr3t"),
		"other word":  gateway.Basic("ada", "s3cr3t2"),
		"shifted":     gateway.Basic("adas", "3cr3t"),
		"bearer":      gateway.Bearer(gateway.BearerConfig{Token: token}),
		"another":     gateway.Bearer(gateway.BearerConfig{Token: token}),
	} {
		id := auth.Identity(ctx)
		if other, ok := all[id]; ok || len(id) < 16 || strings.Contains(id, "cr3t") {
			t.Errorf("the identity of %s is %q, as that of %q", name, id, other)
		}
		all[id] = name
	}
	if a, b := gateway.APIKey("X-Api-Key", "k"), gateway.APIKey("X-Api-Key", "k"); a.Identity(ctx) != b.Identity(ctx) {
		t.Error("the same key has two identities")
	}
}

// Two Bearers with other rights may speak of the same user, and are told apart all the
// same; one that has a name is told from others by that, in all processes alike.
func TestIdentityOfABearer(t *testing.T) {
	token := func(context.Context, string) (string, time.Time, error) { return "t", time.Time{}, nil }
	identity := func(name, user string) string {
		b := gateway.Bearer(gateway.BearerConfig{Name: name, Token: token, Identity: userOf})
		return b.Identity(as(t.Context(), user))
	}
	for _, tt := range []struct {
		one, other string
		same       bool
	}{
		{identity("", "alice"), identity("", "alice"), false},
		{identity("admin", "alice"), identity("readonly", "alice"), false},
		{identity("admin", "alice"), identity("admin", "bob"), false},
		{identity("a", "lice"), identity("al", "ice"), false},
		{identity("admin", "alice"), identity("admin", "alice"), true},
	} {
		if (tt.one == tt.other) != tt.same {
			t.Errorf("%q and %q, want the same: %t", tt.one, tt.other, tt.same)
		}
	}
}

// An Auth of one's own, that can be replayed too.
type rotating struct{ keys []string }

func (r *rotating) Apply(_ context.Context, req *http.Request) error {
	if len(r.keys) == 0 {
		return errors.New("no key is left")
	}
	req.Header.Set("X-Key", r.keys[0])
	return nil
}

func (r *rotating) Identity(context.Context) string { return "rotating" }

func (r *rotating) Stale(_ context.Context, sent *http.Request) bool {
	if sent.Header.Get("X-Key") == r.keys[0] {
		r.keys = r.keys[1:]
	}
	return true
}

func TestOwnAuth(t *testing.T) {
	var got []string
	transport := roundTripper(func(req *http.Request) (*http.Response, error) {
		got = append(got, req.Header.Get("X-Key"))
		if req.Header.Get("X-Key") == "new" {
			return reply(204, "")(req)
		}
		return reply(401, "")(req)
	})
	_, err := get[gateway.None](t, gateway.Config{Transport: transport, Auth: &rotating{[]string{"old", "new"}}}, gateway.EndpointConfig{})
	if err != nil || strings.Join(got, " ") != "old new" {
		t.Errorf("%v, sent with %v", err, got)
	}
	_, err = get[gateway.None](t, gateway.Config{Transport: transport, Auth: &rotating{[]string{"old"}}}, gateway.EndpointConfig{})
	if e := asError(t, err, gateway.NoCredentials); e.Err.Error() != "no key is left" {
		t.Errorf("%v", err)
	}
	// An Auth that cannot be asked: the answer stands.
	_, err = get[gateway.None](t, gateway.Config{Transport: reply(401, ""), Auth: gateway.APIKey("X-Key", "k")}, gateway.EndpointConfig{})
	asError(t, err, gateway.BadStatus)
}

// The key is made once for a call, whatever the layers below do, and new for the next.
func TestIdempotencyKey(t *testing.T) {
	var keys []string
	repeating := roundTripper(func(req *http.Request) (*http.Response, error) {
		for range 3 {
			keys = append(keys, req.Header.Get("Idempotency-Key"))
		}
		return reply(503, "")(req)
	})
	g := mustNew(t, gateway.Config{Transport: repeating})
	with := gateway.NewEndpoint[gateway.None, gateway.None](g, "POST /x", gateway.EndpointConfig{IdempotencyKey: true})
	without := gateway.NewEndpoint[gateway.None, gateway.None](g, "POST /x", gateway.EndpointConfig{})

	_, err := with.Call(t.Context(), none)
	if e := asError(t, err, gateway.BadStatus); e.Retryable() {
		t.Error("another call would have another key, and yet the error is retryable")
	}
	with.Call(t.Context(), none)
	if keys[0] == "" || keys[0] != keys[2] || keys[0] == keys[3] || keys[3] != keys[5] {
		t.Errorf("the keys are %q", keys)
	}
	keys = nil
	mine := gateway.WithIdempotencyKey(t.Context(), "job-17")
	_, err = with.Call(mine, none)
	if e := asError(t, err, gateway.BadStatus); keys[0] != "job-17" || !e.Retryable() {
		t.Errorf("the keys are %q, %v", keys, err)
	}
	keys = nil
	_, err = without.Call(mine, none)
	if e := asError(t, err, gateway.BadStatus); keys[0] != "" || e.Retryable() {
		t.Errorf("an endpoint that sends none sends %q, %v", keys, err)
	}
}

// A Token that never returns is left to itself: whoever waits gets an error, and the
// next call gets a token.
func TestBearerWithAHungToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		call := me(t, guarded(0, always), gateway.BearerConfig{Timeout: 5 * time.Second, Token: func(context.Context, string) (string, time.Time, error) {
			if n := calls.Add(1); n > 1 {
				return fmt.Sprint("t", n), time.Time{}, nil
			}
			<-release // not the context
			return "late", time.Time{}, nil
		}})
		begin := time.Now()
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				_, err := call(t.Context(), none)
				if e := asError(t, err, gateway.NoCredentials); !e.Timeout() || time.Since(begin) != 6*time.Second {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
			})
		}
		callers.Wait()
		if token, err := call(t.Context(), none); err != nil || token != "t2" {
			t.Errorf("the next call: %q, %v", token, err)
		}
		close(release)
		synctest.Wait()
		if token, err := call(t.Context(), none); err != nil || token != "t2" || calls.Load() != 2 {
			t.Errorf("after the late token: %q, %v, %d calls of Token", token, err, calls.Load())
		}
	})
}

// One that comes late, when nothing has taken its place, is kept: it may be the last.
func TestBearerKeepsALateToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		calls := 0
		call := me(t, guarded(0, always), gateway.BearerConfig{Timeout: 5 * time.Second, Token: func(context.Context, string) (string, time.Time, error) {
			calls++
			<-release
			return "late", time.Time{}, nil
		}})
		_, err := call(t.Context(), none)
		asError(t, err, gateway.NoCredentials)
		close(release)
		synctest.Wait()
		if token, err := call(t.Context(), none); err != nil || token != "late" || calls != 1 {
			t.Errorf("%q, %v, %d calls of Token", token, err, calls)
		}
	})
}

// Nobody's token becomes everybody's: without Identity there is nothing of a user's in
// the context of Token, and with it there is the user of the call.
func TestBearerTokenKnowsNobody(t *testing.T) {
	token := func(ctx context.Context, identity string) (string, time.Time, error) {
		user := userOf(ctx)
		if user == "" {
			return "", time.Time{}, errors.New("no user in the context")
		}
		return "of-" + user + "-as-" + identity, time.Time{}, nil
	}
	call := me(t, guarded(0, always), gateway.BearerConfig{Token: token})
	for _, user := range []string{"alice", "bob"} {
		_, err := call(as(t.Context(), user), none)
		if e := asError(t, err, gateway.NoCredentials); e.Err.Error() != "no user in the context" {
			t.Errorf("%s: %v", user, err)
		}
	}
	call = me(t, guarded(0, always), gateway.BearerConfig{Token: token, Identity: userOf})
	for _, user := range []string{"alice", "bob", "alice"} {
		if got, err := call(as(t.Context(), user), none); got != "of-"+user+"-as-"+user || err != nil {
			t.Errorf("%s has %q, %v", user, got, err)
		}
	}
}

// A Token that asks the system whose token it gets would wait for itself.
func TestBearerThatNeedsItself(t *testing.T) {
	for name, identity := range map[string]func(context.Context) string{"one for all": nil, "by user": userOf} {
		synctest.Test(t, func(t *testing.T) {
			var call func(context.Context, gateway.None) (string, error)
			call = me(t, guarded(0, always), gateway.BearerConfig{Timeout: -1, Identity: identity, Token: func(ctx context.Context, _ string) (string, time.Time, error) {
				token, err := call(ctx, none)
				return token, time.Time{}, err
			}})
			begin := time.Now()
			if _, err := call(t.Context(), none); !errors.Is(err, gateway.ErrAborted) || time.Since(begin) != 0 {
				t.Errorf("%s: after %v: %v", name, time.Since(begin), err)
			}
		})
	}
}

// Token may call runtime.Goexit too, in the background or not.
func TestBearerGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		call := me(t, guarded(0, always), gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
			if n := calls.Add(1); n == 1 || n == 3 {
				time.Sleep(time.Second)
				runtime.Goexit()
			}
			return "t", time.Now().Add(time.Hour), nil
		}})
		returned := atomic.Bool{}
		var callers sync.WaitGroup
		callers.Go(func() {
			call(t.Context(), none)
			returned.Store(true)
		})
		synctest.Wait()
		callers.Go(func() {
			if _, err := call(t.Context(), none); !errors.Is(err, gateway.ErrAborted) {
				t.Errorf("another: %v", err)
			}
		})
		callers.Wait()
		if returned.Load() {
			t.Error("the first caller goes on after Goexit")
		}
		for range 2 { // the second time with a refresh in the background
			if _, err := call(t.Context(), none); err != nil {
				t.Error(err)
			}
			time.Sleep(59 * time.Minute)
		}
		if _, err := call(t.Context(), none); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if _, err := call(t.Context(), none); err != nil || calls.Load() < 4 {
			t.Errorf("%v, %d calls of Token", err, calls.Load())
		}
	})
}

// A 401 that a cache has kept does not answer the request that is sent again: the
// system itself is asked, and its caches hear why.
func TestReplayPassesCaches(t *testing.T) {
	type in struct {
		CacheControl string `header:"Cache-Control,omitempty"`
	}
	for _, own := range []string{"", "max-stale=5"} {
		s := &tokens{}
		r := &record{base: guarded(0, func(token string) bool { return token == "-2" })}
		g := mustNew(t, gateway.Config{Auth: gateway.Bearer(gateway.BearerConfig{Token: s.token}), Transport: r})
		e := gateway.NewEndpoint[in, string](g, "GET /me", gateway.EndpointConfig{})
		for range 2 { // the second time with a good token
			if _, err := e.Call(t.Context(), in{own}); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, req := range r.requests {
			got = append(got, strings.Join(req.Header["Cache-Control"], ", "))
		}
		if want := []string{own, strings.TrimPrefix(own+", no-cache", ", "), own}; !slices.Equal(got, want) {
			t.Errorf("Cache-Control is %q, want %q", got, want)
		}
	}
}

// A request is sent again with other credentials only: a source of tokens that gives the
// same one again cannot help.
func TestNoReplayWithTheSameToken(t *testing.T) {
	sent, asked := 0, 0
	call := me(t, guarded(0, func(string) bool { sent++; return false }), gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
		asked++
		return "always", time.Time{}, nil
	}})
	_, err := call(t.Context(), none)
	if e := asError(t, err, gateway.BadStatus); e.Status != 401 || string(e.Body) != "who?" || sent != 1 || asked != 2 {
		t.Errorf("%v after %d requests and %d calls of Token", err, sent, asked)
	}
}

// nameless is an Auth that does not say whose its credentials are.
type nameless struct{}

func (nameless) Identity(context.Context) string { return "" }

func (nameless) Apply(_ context.Context, req *http.Request) error {
	req.Header.Set("Authorization", "Digest 1")
	return nil
}

// An Auth without a name for its credentials has a partition of its own, as every
// Gateway has, and its Authorization still tells one from another. Without an Auth there
// is no name.
func TestIdentityWithoutAName(t *testing.T) {
	seen := func(auth gateway.Auth) identity.Identity {
		var id identity.Identity
		transport := roundTripper(func(req *http.Request) (*http.Response, error) {
			id = identity.From(req.Context())
			return reply(204, "")(req)
		})
		if _, err := get[gateway.None](t, gateway.Config{Auth: auth, Transport: transport}, gateway.EndpointConfig{}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	one, other, key := seen(nameless{}), seen(nameless{}), seen(gateway.APIKey("Authorization", "Digest 1"))
	if one.Name == "" || one.Name == other.Name || one.Granted != "" {
		t.Errorf("%+v and %+v", one, other)
	}
	if key.Name == "" || key.Granted != "Digest 1" {
		t.Errorf("an Auth with a name: %+v", key)
	}
	if id := seen(nil); id != (identity.Identity{}) {
		t.Errorf("no Auth: %+v", id)
	}
}
