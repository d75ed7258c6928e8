package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/internal/identity"
	"github.com/belay-go/belay/internal/sim"
)

// A scheme is how the users of a world say who they are.
type scheme struct {
	name      string
	partition func(*http.Request) string
	sign      func(w *users, user string, r *http.Request) *http.Request
	// below adds the user below the cache, and returns what a response shows of it.
	below func(user string, r *http.Request) *http.Request
	open  bool // so that what is public is for all
	shut  bool // so that nothing is
	// blind: the cache cannot know the user. What is the user's has to be private, or to
	// set a cookie.
	blind bool
}

// cloned returns a layer that does this to a clone.
func cloned(add func(user string, r *http.Request)) func(string, *http.Request) *http.Request {
	return func(user string, r *http.Request) *http.Request {
		r = r.Clone(r.Context())
		add(user, r)
		return r
	}
}

type userKey struct{}

var schemes = []scheme{
	{name: "fields", sign: func(w *users, user string, r *http.Request) *http.Request {
		name := map[string]string{"alice": "Authorization", "bob": "Cookie", "carol": "Private-Token", "dave": "X-Api-Key"}[user]
		r.Header[w.oneOf(name, strings.ToLower(name), strings.ToUpper(name))] = []string{user}
		return r
	}},
	{name: "fields below others'", sign: func(w *users, user string, r *http.Request) *http.Request {
		r.Header["Authorization"] = []string{"the service's"}
		r.Header[w.oneOf("X-Forwarded-User", "x-user-id", "X-Account")] = []string{user}
		return r
	}},
	{name: "userinfo", sign: func(w *users, user string, r *http.Request) *http.Request {
		r.URL.User = nil
		r.URL, _ = r.URL.Parse("http://" + user + "@" + r.URL.Host + r.URL.RequestURI())
		return r
	}},
	{name: "a gateway's identity, with tokens that change", sign: func(w *users, user string, r *http.Request) *http.Request {
		token := fmt.Sprint(user, "-", w.intN(3))
		r.Header["Authorization"] = []string{token}
		return r.WithContext(context.WithValue(r.Context(), identity.Key{}, &identity.Identity{Name: user, Granted: token}))
	}},
	{name: "the session among other cookies", partition: httpcache.By("Cookie:session"), sign: func(w *users, user string, r *http.Request) *http.Request {
		r.Header[w.oneOf("Cookie", "cookie")] = []string{fmt.Sprintf("bot=%d; session=%s", w.intN(99), user)}
		return r
	}},
	{name: "the context", partition: func(r *http.Request) string { return r.Context().Value(userKey{}).(string) }},
	{name: "the context, with what is added below", partition: func(r *http.Request) string { return r.Context().Value(userKey{}).(string) },
		below: cloned(func(user string, r *http.Request) { r.Header.Set("Authorization", user) })},
	{name: "below, to be seen", open: true, below: cloned(func(user string, r *http.Request) { r.Header.Set("Authorization", user) })},
	{name: "below, by a field that nobody has heard of", open: true, below: cloned(func(user string, r *http.Request) { r.Header.Set("Whoami", user) })},
	{name: "below, beside a key for all", open: true, sign: func(w *users, user string, r *http.Request) *http.Request {
		r.Header["X-Api-Key"] = []string{"the service's"}
		return r
	}, below: cloned(func(user string, r *http.Request) { r.Header.Set("Authorization", user) })},
	{name: "below, in place of another", open: true, sign: func(w *users, user string, r *http.Request) *http.Request {
		r.Header["Authorization"] = []string{"the service's"}
		return r
	}, below: cloned(func(user string, r *http.Request) { r.Header.Set("Authorization", user) })},
	{name: "below, in the caller's own header", open: true, below: func(user string, r *http.Request) *http.Request {
		r.Header.Set("Authorization", user)
		return r
	}},
	{name: "below, in the query", shut: true, below: cloned(func(user string, r *http.Request) { r.URL.RawQuery = "api_key=" + user })},
	{name: "below, in the path", shut: true, below: cloned(func(user string, r *http.Request) { r.URL.Path = "/" + user + r.URL.Path })},
	{name: "below, in the host", shut: true, below: cloned(func(user string, r *http.Request) { r.Host, r.URL.Host = user+".test", user+".test" })},
	{name: "below, in the host's field", shut: true, below: cloned(func(user string, r *http.Request) { r.Host = user + ".test" })},
	{name: "below, in the name of the server", open: true, below: cloned(func(user string, r *http.Request) { r.URL.Host = user + ".test" })},
	{name: "below, in userinfo", shut: true, below: cloned(func(user string, r *http.Request) { r.URL.User = url.User(user) })},
	{name: "below, by a redirect", shut: true, below: cloned(func(user string, r *http.Request) {
		r.Response = &http.Response{StatusCode: 302, Request: r.Clone(r.Context())}
	})},
	{name: "below, Request left out", open: true, below: func(string, *http.Request) *http.Request { return nil }},
	{name: "below, not to be seen", blind: true},
	{name: "a field that nobody has heard of", blind: true, sign: func(w *users, user string, r *http.Request) *http.Request {
		r.Header["Whoami"] = []string{user}
		return r
	}},
}

// users is an origin, and those who use it through one cache.
type users struct {
	*testing.T
	scheme scheme

	mu      sync.Mutex
	rand    *rand.Rand
	n       int
	revoked map[string]int // by user and path: the last answer before it was taken back
	when    map[string]time.Time
}

func (w *users) intN(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(n)
}

func (w *users) oneOf(values ...string) string { return values[w.intN(len(values))] }

func (w *users) chance(one int) bool { return w.intN(one) == 0 }

// takes reports whether ctx lasts for so many seconds. A time.After(0) in a select of a
// bubble can crash the race detector.
func takes(ctx context.Context, seconds int) bool {
	if seconds == 0 {
		return true
	}
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
		return true
	case <-ctx.Done():
		return false
	}
}

// RoundTrip is the origin. Whatever is a user's has <user> in it.
func (w *users) RoundTrip(r *http.Request) (*http.Response, error) {
	user := r.Context().Value(userKey{}).(string)
	whose, path, out := w.whose(r), r.URL.Path, r
	if w.scheme.below != nil {
		out = w.scheme.below(user, r)
	}
	if !takes(r.Context(), w.intN(3)) {
		return nil, r.Context().Err()
	}
	w.mu.Lock()
	w.n++
	n := w.n
	w.mu.Unlock()
	if w.chance(8) {
		return nil, fmt.Errorf("down for <%s>", user)
	}
	control := w.oneOf("max-age=2", "max-age=10", "private, max-age=10", "public, max-age=10", "no-cache", "no-store", "max-age=1, stale-while-revalidate=20",
		"private, max-age=1, stale-while-revalidate=20", "max-age=1, stale-if-error=60", `private="X-Who", max-age=20`, "max-age=20, must-revalidate", "")
	var fields []string
	if control != "" {
		fields = []string{"Cache-Control: " + control}
	}
	if w.chance(3) {
		fields = append(fields, "Vary: "+w.oneOf("A", "a", "Cookie", "Authorization", "*", "A, Accept-Language"))
	}
	mine := !w.scheme.blind && !(w.scheme.open && strings.Contains(control, "public")) || strings.Contains(control, "private")
	if w.chance(6) {
		fields, mine = append(fields, "Set-Cookie: sid=<"+user+">"), true
	}
	if w.chance(2) {
		fields = append(fields, `Etag: "`+w.oneOf("1", "2")+`"`)
	}
	mark := ""
	if mine {
		mark = "<" + user + ">"
		fields = append(fields, "X-Who: "+mark)
	}
	resp := answer(out, fmt.Sprintf("#%d %s %s", n, path, mark), fields...)
	if tag := r.Header["If-None-Match"]; len(tag) > 0 && w.chance(2) {
		resp.StatusCode, resp.Body, resp.ContentLength = 304, http.NoBody, 0
		if w.chance(2) {
			resp.Header["Etag"] = tag
		}
		return resp, nil
	}
	switch {
	case w.chance(12):
		resp.StatusCode = []int{401, 403, 404, 410, 451}[n%5]
		if r.Method == "GET" || r.Method == "HEAD" {
			w.mu.Lock()
			key := whose + path
			w.revoked[key], w.when[key] = n, time.Now()
			w.mu.Unlock()
		}
	case w.chance(12):
		resp.StatusCode = []int{500, 503, 429, 400, 302}[n%5]
	}
	if r.Method == "HEAD" {
		resp.Body = http.NoBody
	} else if w.chance(3) {
		body := resp.Body
		resp.ContentLength = -1
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(&pause{time.Second, "slow "}, body), body}
		if w.chance(2) {
			resp.Trailer = http.Header{"X-Late": {mark}}
		}
	}
	return resp, nil
}

// whose names who shares what is sent to a request.
func (w *users) whose(r *http.Request) string {
	if w.scheme.partition != nil {
		return w.scheme.partition(r)
	}
	return httpcache.Credentials(r)
}

var marks = regexp.MustCompile(`<[a-z]+>`)

// see looks for what is not the user's.
func (w *users) see(user, text string) {
	for _, mark := range marks.FindAllString(text, -1) {
		if mark != "<"+user+">" {
			w.Errorf("%s: %s got what is %s's: %s", w.scheme.name, user, mark, text)
		}
	}
}

// visit makes one request, and looks at what comes back.
func (w *users) visit(rt http.RoundTripper, user string) {
	path := w.oneOf("/a", "/b", "/c")
	ctx := context.WithValue(w.Context(), userKey{}, user)
	if w.chance(10) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
	}
	r, err := http.NewRequestWithContext(ctx, w.oneOf("GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "PUT"), "http://service.test"+path, nil)
	if err != nil {
		w.Error(err)
		return
	}
	r.Header[w.oneOf("A", "a")] = []string{w.oneOf("1", "2")}
	if w.chance(6) {
		r.Header[w.oneOf("Cache-Control", "cache-control")] = []string{w.oneOf("no-cache", "max-stale=30", "no-store", "only-if-cached", "max-age=0", "stale-if-error=60")}
	}
	if w.chance(10) {
		r.Header["If-None-Match"] = []string{`"1"`}
	}
	if w.chance(10) {
		r.Header["Range"] = []string{"bytes=0-200"}
	}
	if w.scheme.sign != nil {
		r = w.scheme.sign(w, user, r)
	}
	begin := time.Now()
	whose := w.whose(r)
	resp, err := rt.RoundTrip(r)
	if err != nil {
		w.see(user, err.Error())
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	text := fmt.Sprint(string(body), resp.Header, resp.Trailer)
	w.see(user, text)
	var n int
	if _, serr := fmt.Sscanf(strings.TrimPrefix(string(body), "slow "), "#%d", &n); err == nil && serr == nil && r.Method == "GET" {
		w.mu.Lock()
		key := whose + path
		if when, ok := w.when[key]; ok && when.Before(begin) && n < w.revoked[key] {
			w.Errorf("%s: %s got answer %d of %s at %v, taken back by %d at %v: %v", w.scheme.name, user, n, path, begin, w.revoked[key], when, resp.Header)
		}
		w.mu.Unlock()
	}
}

// run lets the users of a world do as they like for a while. It returns how many
// requests were answered from the store.
func runUsers(t *testing.T, seed uint64, s scheme) (hits uint64) {
	synctest.Test(t, func(t *testing.T) {
		w := &users{T: t, scheme: s, rand: rand.New(rand.NewPCG(seed, 2)), revoked: map[string]int{}, when: map[string]time.Time{}}
		c := httpcache.New(httpcache.Config{MaxBytes: 16 << 10, MaxWait: 2 * time.Second})
		defer c.Close()
		rt := &httpcache.Transport{Base: w, Cache: c, Partition: s.partition}
		var wg sync.WaitGroup
		for _, user := range []string{"alice", "bob", "carol", "dave"} {
			for range 2 {
				wg.Go(func() {
					for range 40 {
						w.visit(rt, user)
						time.Sleep(time.Duration(w.intN(4)) * time.Second)
					}
				})
			}
		}
		wg.Go(func() {
			for range 10 {
				time.Sleep(11 * time.Second)
				switch w.oneOf("url", "prefix", "partition") {
				case "url":
					c.Purge("http://service.test/a")
				case "prefix":
					c.PurgePrefix("http://service.test/b")
				case "partition":
					c.PurgePartition("alice")
				}
			}
		})
		wg.Wait()
		s := c.Stats()
		hits = s.Hits + s.Stale + s.Validated
	})
	return hits
}

// Whatever users, an origin and time do, no byte of one user's answer reaches another,
// and nothing is served that was taken back.
func TestNothingCrosses(t *testing.T) {
	seeds := uint64(8)
	if sim.Full() {
		seeds = 1000
	}
	for _, s := range schemes {
		t.Run(s.name, func(t *testing.T) {
			var hits uint64
			for seed := range seeds {
				hits += runUsers(t, seed, s)
			}
			if s.shut != (hits == 0) || !s.shut && hits < 5*seeds {
				t.Errorf("%d hits only, in %d worlds", hits, seeds)
			}
		})
	}
}

func FuzzNothingCrosses(f *testing.F) {
	for i := range schemes {
		f.Add(uint64(i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, i uint8) { runUsers(t, seed, schemes[int(i)%len(schemes)]) })
}
