package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// with gets a page with a header as it is, in whatever spelling.
func with(t testing.TB, client *http.Client, h http.Header) (string, *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), "GET", pageURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp
}

// echo answers with what it was sent in a field, whatever its spelling, privately.
func echo(field string, fields ...string) func(int64, *http.Request) (*http.Response, error) {
	return func(_ int64, r *http.Request) (*http.Response, error) {
		var text strings.Builder
		text.WriteString("hello")
		for name, values := range r.Header {
			if strings.EqualFold(name, field) {
				text.WriteString(" " + strings.Join(values, ","))
			}
		}
		return answer(r, text.String(), append(fields, "Cache-Control: max-age=60")...), nil
	}
}

// Whatever a credential is called, and however that is spelled, its holder's responses
// are nobody else's; and the holder gets them from the store.
func TestEachCredentialHasResponsesOfItsOwn(t *testing.T) {
	for _, name := range []string{
		"Authorization", "authorization", "AUTHORIZATION", "Cookie", "cookie", "Proxy-Authorization", "X-Api-Key", "x-api-key", "X-API-KEY",
		"X-Auth-Token", "Private-Token", "private-token", "X-Goog-Api-Key", "Api-Key", "Ocp-Apim-Subscription-Key", "X-Vault-Token",
		"X-Access-Token", "X-Shopify-Access-Token", "Dd-Api-Key", "X-Session-Id", "X-Auth-Key", "X-Client-Secret", "X-Amz-Security-Token",
		"X-Forwarded-User", "Remote-User", "Stripe-Account", "x-tenant-id", "X-Org-Id",
	} {
		client, o, _ := newClient(t, httpcache.Config{}, echo(name, "Cache-Control: private"))
		for range 2 {
			for _, user := range []string{"alice", "bob"} {
				if got, _ := with(t, client, http.Header{name: {user}}); got != "hello "+user {
					t.Errorf("%s: %s got %q", name, user, got)
				}
			}
			if got, _ := with(t, client, http.Header{}); got != "hello" {
				t.Errorf("%s: nobody got %q", name, got)
			}
		}
		if n := o.calls.Load(); n != 4 { // nobody's are private, and not stored
			t.Errorf("%s: %d requests, want 4", name, n)
		}
	}
}

// Fields that change with each request and say nothing of who makes it do not keep
// responses apart.
func TestFieldsThatAreNoCredentials(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "Sec-WebSocket-Key", "X-Csrf-Token", "X-CSRF-TOKEN", "User-Agent", "X-Request-Id", "Traceparent"} {
		client, o, c := newClient(t, httpcache.Config{}, echo(""))
		for i := range 3 {
			with(t, client, http.Header{name: {fmt.Sprint(i)}})
		}
		if n := o.calls.Load(); n != 1 || c.Stats().Partitions != 1 {
			t.Errorf("%s: %d requests, %d partitions", name, n, c.Stats().Partitions)
		}
	}
}

// A credential that changes with each request is seen in Stats.
func TestStatsCountPartitions(t *testing.T) {
	client, _, c := newClient(t, httpcache.Config{}, echo(""))
	for i := range 100 {
		with(t, client, http.Header{"X-Request-Signature": {fmt.Sprint(i)}})
	}
	if n := c.Stats().Partitions; n != 100 {
		t.Errorf("%d partitions", n)
	}
	c.PurgePrefix(pageURL)
	if s := c.Stats(); s.Partitions != 0 || s.Bytes != 0 {
		t.Errorf("after a purge: %+v", s)
	}
}

// A scheme that nobody has heard of costs a miss, and never shows one user another's.
func TestUnknownSchemesMiss(t *testing.T) {
	for _, field := range []string{"Cache-Control: private", `Cache-Control: private="X"`, "Set-Cookie: sid=1", "Set-Cookie2: sid=1"} {
		for _, together := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				client, o, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					return echo("Whoami", field)(n, r)
				})
				var wg sync.WaitGroup
				for range 2 {
					for _, user := range []string{"alice", "bob"} {
						wg.Go(func() {
							if got, _ := with(t, client, http.Header{"Whoami": {user}}); got != "hello "+user {
								t.Errorf("%s: %s got %q", field, user, got)
							}
						})
						if !together {
							wg.Wait()
						}
					}
				}
				wg.Wait()
				if n := o.calls.Load(); n != 4 {
					t.Errorf("%s: %d requests, want 4", field, n)
				}
			})
		}
	}
}

// Two browsers behind one cache have each a session of their own: stored, awaited, or
// stale, the cookie that was set for one does not reach the other.
func TestSetCookieReachesOneUserOnly(t *testing.T) {
	for name, control := range map[string]string{"private": "private, max-age=60", "public": "public, max-age=60", "stale": "max-age=0, stale-if-error=60"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sessions := 0
				o := &origin{answer: func(n int64, r *http.Request) (*http.Response, error) {
					sessions++
					mine := sessions
					time.Sleep(time.Second)
					if name == "stale" && n == 3 {
						return nil, context.DeadlineExceeded
					}
					return answer(r, "ok", fmt.Sprintf("Set-Cookie: sid=%d", mine), "Cache-Control: "+control), nil
				}}
				rt := &httpcache.Transport{Base: o, Cache: httpcache.New(httpcache.Config{})}
				var mu sync.Mutex
				got := map[string]int{}
				visit := func() {
					jar, _ := cookiejar.New(nil)
					resp, err := (&http.Client{Transport: rt, Jar: jar}).Get(pageURL)
					if err != nil {
						return
					}
					resp.Body.Close()
					for _, c := range jar.Cookies(resp.Request.URL) {
						mu.Lock()
						got[c.Value]++
						mu.Unlock()
					}
				}
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(visit)
				}
				wg.Wait()
				visit()
				visit()
				for sid, n := range got {
					if n > 1 {
						t.Errorf("session %s was given to %d", sid, n)
					}
				}
			})
		})
	}
}

// A validation of what is nobody's may make it somebody's.
func TestValidationMakesPrivate(t *testing.T) {
	for _, field := range []string{"Cache-Control: private, max-age=60", "Set-Cookie: sid=1"} {
		synctest.Test(t, func(t *testing.T) {
			client, _, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
				if n == 1 {
					return answer(r, "ok", "Cache-Control: max-age=10", `Etag: "a"`), nil
				}
				resp := answer(r, "", field, `Etag: "a"`)
				resp.StatusCode, resp.Body = 304, http.NoBody
				return resp, nil
			})
			untilStale(t, client)
			name, value, _ := strings.Cut(field, ": ")
			if body, resp := get(t, t.Context(), client, pageURL); body != "ok" || resp.Header.Get(name) != value {
				t.Errorf("%q, %v", body, resp.Header)
			}
			if s := c.Stats(); s.Keys != 0 {
				t.Errorf("%s: it is stored, %+v", field, s)
			}
		})
	}
}

// What has no name stays with the Transport that has asked for it, since others may add
// other credentials.
func TestNamelessPartitionIsTheTransports(t *testing.T) {
	c := httpcache.New(httpcache.Config{})
	defer c.Close()
	below := func(user string) http.RoundTripper {
		return &origin{answer: func(_ int64, r *http.Request) (*http.Response, error) {
			return answer(r, user, "Cache-Control: max-age=60"), nil
		}}
	}
	me := func(*http.Request) string { return "me" }
	for _, tt := range []struct {
		partition func(*http.Request) string
		second    string
	}{{nil, "bob"}, {me, "alice"}} {
		alice := &http.Client{Transport: &httpcache.Transport{Base: below("alice"), Cache: c, Partition: tt.partition}}
		bob := &http.Client{Transport: &httpcache.Transport{Base: below("bob"), Cache: c, Partition: tt.partition}}
		for range 2 {
			if got, _ := get(t, t.Context(), alice, pageURL); got != "alice" {
				t.Errorf("alice got %q", got)
			}
			if got, _ := get(t, t.Context(), bob, pageURL); got != tt.second {
				t.Errorf("bob got %q", got)
			}
		}
	}
	if n := c.PurgePartition(""); n != 2 {
		t.Errorf("nobody's: purged %d, want 2", n)
	}
	if n := c.PurgePartition("me"); n != 1 {
		t.Errorf("mine: purged %d, want 1", n)
	}
}

// Credentials that a layer below adds, as that of package oauth2 does, show in the
// request of the response: without a Partition nothing of it is kept.
func TestCredentialsBelowAreSeen(t *testing.T) {
	type user struct{}
	below := &origin{answer: func(_ int64, r *http.Request) (*http.Response, error) {
		name, _ := r.Context().Value(user{}).(string)
		out := r.Clone(r.Context())
		out.Header.Set("Authorization", name)
		return answer(out, name, "Cache-Control: max-age=60"), nil
	}}
	for name, tt := range map[string]struct {
		cfg       httpcache.Config
		partition func(*http.Request) string
		calls     int64
	}{
		"private":        {httpcache.Config{}, nil, 4},
		"shared":         {httpcache.Config{Shared: true}, nil, 4},
		"by the context": {httpcache.Config{}, func(r *http.Request) string { name, _ := r.Context().Value(user{}).(string); return name }, 2},
	} {
		below.calls.Store(0)
		c := httpcache.New(tt.cfg)
		client := &http.Client{Transport: &httpcache.Transport{Base: below, Cache: c, Partition: tt.partition}}
		for range 2 {
			for _, who := range []string{"alice", "bob"} {
				if got, _ := get(t, context.WithValue(t.Context(), user{}, who), client, pageURL); got != who {
					t.Errorf("%s: %s got %q", name, who, got)
				}
			}
		}
		if n := below.calls.Load(); n != tt.calls {
			t.Errorf("%s: %d requests, want %d", name, n, tt.calls)
		}
		c.Close()
	}
}

func TestBy(t *testing.T) {
	request := func(fields ...string) *http.Request {
		req, _ := http.NewRequest("GET", pageURL, nil)
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			req.Header[name] = append(req.Header[name], value)
		}
		return req
	}
	session := httpcache.By("Cookie:session")
	account := httpcache.By("authorization", "Stripe-Account")
	for _, tt := range []struct {
		by   func(*http.Request) string
		a, b *http.Request
		same bool
	}{
		{session, request("Cookie: session=1; bot=1"), request("Cookie: bot=2; session=1"), true},
		{session, request("Cookie: session=1"), request("cookie: session=1", "Authorization: x"), true},
		{session, request("Cookie: session=1"), request("Cookie: session=2"), false},
		{session, request("Cookie: session=1"), request("Cookie: sessions=1"), false},
		{session, request("Cookie: session=1"), request("Cookie: bot=1", "Cookie: session=1"), true},
		{account, request("Authorization: a", "Stripe-Account: 1"), request("AUTHORIZATION: a", "stripe-account: 1"), true},
		{account, request("Authorization: a", "Stripe-Account: 1"), request("Authorization: a", "Stripe-Account: 2"), false},
		{account, request("Authorization: a", "Stripe-Account: 1"), request("Authorization: aStripe-Account1"), false},
		{account, request("Authorization: a"), request("Authorization: a", "Cookie: x"), true},
		// Without any of them a request is its credentials', so that what By overlooks is a miss.
		{session, request("Cookie: sesion=1"), request("Cookie: sesion=2"), false},
		{account, request("X-Api-Key: 1"), request("X-Api-Key: 2"), false},
		{httpcache.By(), request("Authorization: a"), request(), false},
	} {
		if a, b := tt.by(tt.a), tt.by(tt.b); (a == b) != tt.same {
			t.Errorf("%v and %v: %q and %q", tt.a.Header, tt.b.Header, a, b)
		}
	}
	for _, req := range []*http.Request{request(), request("Accept: text/html")} {
		if got := session(req); got != "" {
			t.Errorf("%v: %q, want nobody in particular", req.Header, got)
		}
	}
	for _, name := range []string{"", "Cookie: session", "Cookie:session ", "Cookie:", "X Bad", "X-Token:a", ":a"} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "httpcache: By(") {
					t.Errorf("By(%q): %q", name, text)
				}
			}()
			httpcache.By(name)
		}()
	}
}

// No two different sets of credentials have the same name, however they are cut.
func TestCredentialsAreToldApart(t *testing.T) {
	names := map[string]http.Header{}
	for _, h := range []http.Header{
		{}, {"Authorization": {"a"}}, {"Authorization": {"a", "b"}}, {"Authorization": {"ab"}}, {"Cookie": {"a"}}, {"Authorization": {"a"}, "Cookie": {"b"}},
		{"Authorization": {"aCookieb"}}, {"Authorization": {"a\x06Cookie\x01b"}}, {"X-Api-Key": {"a"}}, {"X-Key": {"a"}}, {"Authorization": {""}},
	} {
		name := httpcache.Credentials((&http.Request{Header: h}).WithContext(t.Context()))
		if other, ok := names[name]; ok {
			t.Errorf("%q and %q have the name %q", h, other, name)
		}
		names[name] = h
	}
	a, _ := http.NewRequest("GET", pageURL, nil)
	a.Header["authorization"] = []string{"x"}
	b, _ := http.NewRequest("GET", pageURL, nil)
	b.Header.Set("Authorization", "x")
	if httpcache.Credentials(a) != httpcache.Credentials(b) {
		t.Error("the spelling of a field makes another of its holder")
	}
}
