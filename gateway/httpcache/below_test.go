package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

type whoKey struct{}

// whoAsks returns the user in a context, of whom only layers below know.
func whoAsks(r *http.Request) string {
	who, _ := r.Context().Value(whoKey{}).(string)
	return who
}

// What layers below make of a request decides whether its answer is for others: four
// requests by two users come to one, or to two, or each is answered by the origin.
func TestAnswersOfChangedRequestsAreNobodyElses(t *testing.T) {
	header := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, whoAsks(r)) }
	}
	here := func(r *http.Request) { r.URL.Host = "10.0.0.7:8080" }
	known := func(r *http.Request) string { return whoAsks(r) }
	for name, tt := range map[string]struct {
		below     func(*http.Request)
		fields    string // of the response, besides a max-age
		above     string // a field of the request
		partition func(*http.Request) string
		shared    bool // the cache
		calls     int64
	}{
		"nothing":                            {below: func(*http.Request) {}, calls: 1},
		"a credential":                       {below: header("Authorization"), calls: 4},
		"a name":                             {below: header("X-Forwarded-User"), calls: 4},
		"an unheard-of field":                {below: header("Whoami"), calls: 4},
		"an unheard-of field, small letters": {below: func(r *http.Request) { r.Header["whoami"] = []string{"x"} }, calls: 4},
		"another value":                      {below: header("X-Api-Key"), above: "X-Api-Key: service", calls: 4},
		"one more value":                     {below: func(r *http.Request) { r.Header.Add("X-Api-Key", "x") }, above: "X-Api-Key: service", calls: 4},
		"a credential beside a key for all":  {below: header("Authorization"), above: "X-Api-Key: service", calls: 4},
		"a trace":                            {below: header("Traceparent"), calls: 1},
		"another kind of trace":              {below: header("X-B3-Traceid"), calls: 1},
		"the program":                        {below: header("User-Agent"), calls: 1},
		"the query":                          {below: func(r *http.Request) { r.URL.RawQuery = "key=" + whoAsks(r) }, calls: 4},
		"the path":                           {below: func(r *http.Request) { r.URL.Path = "/" + whoAsks(r) }, calls: 4},
		"the host":                           {below: func(r *http.Request) { r.URL.Host, r.Host = whoAsks(r)+".test", whoAsks(r)+".test" }, calls: 4},
		"the host, its field cleared":        {below: func(r *http.Request) { r.URL.Host, r.Host = whoAsks(r)+".test", "" }, calls: 4},
		"the name of an instance":            {below: func(r *http.Request) { r.URL.Host = "instance-7:8080" }, calls: 4},
		"the address of an instance":         {below: here, calls: 1},
		"an address of IPv6":                 {below: func(r *http.Request) { r.URL.Host = "[2001:db8::7]" }, calls: 1},
		"an address and a credential":        {below: func(r *http.Request) { here(r); header("Authorization")(r) }, calls: 4},
		"an address and another host":        {below: func(r *http.Request) { here(r); r.Host = "10.0.0.7" }, calls: 4},
		"the method":                         {below: func(r *http.Request) { r.Method = "REPORT" }, calls: 4},
		"userinfo":                           {below: func(r *http.Request) { r.URL.User = nil; r.URL.Opaque = "//" + whoAsks(r) }, calls: 4},

		"public: a credential":            {below: header("Authorization"), fields: "Cache-Control: public", calls: 1},
		"public: an instance":             {below: func(r *http.Request) { r.URL.Host = "instance-7:8080" }, fields: "Cache-Control: public", calls: 1},
		"public: the query":               {below: func(r *http.Request) { r.URL.RawQuery = "key=" + whoAsks(r) }, fields: "Cache-Control: public", calls: 4},
		"public: the host":                {below: func(r *http.Request) { r.URL.Host, r.Host = whoAsks(r)+".test", "" }, fields: "Cache-Control: public", calls: 4},
		"public, and private":             {below: header("Authorization"), fields: "Cache-Control: public, private", calls: 4},
		"public, and a cookie":            {below: header("Authorization"), fields: "Cache-Control: public|Set-Cookie: a=b", above: "X-Api-Key: service", calls: 4},
		"public, and selected by it":      {below: header("Whoami"), fields: "Cache-Control: public|Vary: whoami", calls: 4},
		"public, and selected by another": {below: header("Whoami"), fields: "Cache-Control: public|Vary: Accept", above: "Accept: text/html", calls: 1},

		"a Partition: a credential": {below: header("Authorization"), partition: known, calls: 2},
		"a Partition: the host":     {below: func(r *http.Request) { r.URL.Host, r.Host = whoAsks(r)+".test", "" }, partition: known, calls: 2},
		"a Partition for nobody":    {below: header("Whoami"), partition: func(*http.Request) string { return "" }, calls: 4},
		"a Partition that vouches": {below: func(r *http.Request) { r.URL.Host = "instance-7:8080" },
			partition: httpcache.Credentials, above: "Authorization: service", calls: 1},

		"a shared cache: a credential":         {below: header("Authorization"), shared: true, calls: 4},
		"a shared cache: for all":              {below: header("Authorization"), shared: true, fields: "Cache-Control: s-maxage=60", calls: 1},
		"a shared cache: for all, elsewhere":   {below: func(r *http.Request) { r.URL.RawQuery = "key" }, shared: true, fields: "Cache-Control: s-maxage=60", calls: 4},
		"a shared cache: an unheard-of field":  {below: header("Whoami"), shared: true, calls: 4},
		"a shared cache: the address of an IP": {below: here, shared: true, calls: 1},
	} {
		for how, send := range map[string]func(*http.Request) *http.Request{
			"a clone": func(r *http.Request) *http.Request { r = r.Clone(r.Context()); tt.below(r); return r },
			"itself":  func(r *http.Request) *http.Request { tt.below(r); return r },
		} {
			c := httpcache.New(httpcache.Config{Shared: tt.shared})
			o := &origin{answer: func(_ int64, r *http.Request) (*http.Response, error) {
				fields := []string{"Cache-Control: max-age=60"}
				if tt.fields != "" {
					fields = append(fields, strings.Split(tt.fields, "|")...)
				}
				return answer(send(r), whoAsks(r), fields...), nil
			}}
			client := &http.Client{Transport: &httpcache.Transport{Base: o, Cache: c, Partition: tt.partition}}
			var fields []string
			if tt.above != "" {
				fields = []string{tt.above}
			}
			var resp *http.Response
			for _, who := range []string{"alice", "bob", "alice", "bob"} {
				_, resp = get(t, context.WithValue(t.Context(), whoKey{}, who), client, pageURL, fields...)
			}
			if n := o.calls.Load(); n != tt.calls {
				t.Errorf("%s, in %s: %d requests, want %d", name, how, n, tt.calls)
			}
			s, _ := httpcache.StatusOf(resp.Header)
			if needs := s.Detail == "needs-partition"; needs != (tt.calls == 4) && s.Forward != "vary-miss" {
				t.Errorf("%s, in %s: %v", name, how, s)
			}
			c.Close()
		}
	}
}

// A Base that does not say what it has asked, and one that has followed a redirect, have
// shown nothing: what comes of it is nobody's.
func TestAnswersToUnseenRequestsAreNobodys(t *testing.T) {
	for name, tt := range map[string]struct {
		fields string
		shown  func(*http.Request) *http.Request
		calls  int64
	}{
		"no Request":           {"A: b", func(*http.Request) *http.Request { return nil }, 2},
		"no Request, public":   {"Cache-Control: public", func(*http.Request) *http.Request { return nil }, 1},
		"no URL":               {"A: b", func(*http.Request) *http.Request { return &http.Request{} }, 2},
		"a redirect":           {"Cache-Control: public", redirected("http://service.test/other"), 2},
		"a redirect to itself": {"Cache-Control: public", redirected(pageURL), 2},
	} {
		client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
			resp := answer(r, "ok", "Cache-Control: max-age=60", tt.fields)
			resp.Request = tt.shown(r)
			return resp, nil
		})
		for range 2 {
			get(t, t.Context(), client, pageURL)
		}
		if n := o.calls.Load(); n != tt.calls {
			t.Errorf("%s: %d requests, want %d", name, n, tt.calls)
		}
	}
}

// redirected is what an http.Client inside Base has made of a request.
func redirected(url string) func(*http.Request) *http.Request {
	return func(r *http.Request) *http.Request {
		next, _ := http.NewRequestWithContext(r.Context(), "GET", url, nil)
		next.Response = &http.Response{StatusCode: 302, Request: r}
		return next
	}
}

// What the origin says to one who is known only below it, be it an error, is not said to
// those who wait.
func TestErrorsAreNotGivenToOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		above  []string
		answer func(*http.Request) (*http.Response, error)
	}{
		"an error": {nil, func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("no token for %s", whoAsks(r))
		}},
		"an error, beside a key for all": {[]string{"X-Api-Key: service"}, func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("no token for %s", whoAsks(r))
		}},
		"a refusal": {nil, func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s: %w", whoAsks(r), refusal{})
		}},
		"a status": {nil, func(r *http.Request) (*http.Response, error) {
			out := r.Clone(r.Context())
			out.Header.Set("Authorization", whoAsks(r))
			return status(out, 404, "Cache-Control: max-age=60", "X-Who: "+whoAsks(r)), nil
		}},
		"an error of the server": {nil, func(r *http.Request) (*http.Response, error) {
			out := r.Clone(r.Context())
			out.Header.Set("Authorization", whoAsks(r))
			return status(out, 503, "Cache-Control: max-age=60", "X-Who: "+whoAsks(r)), nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					return tt.answer(r)
				})
				var wg sync.WaitGroup
				for _, who := range []string{"alice", "bob", "carol"} {
					wg.Go(func() {
						text, resp := get(t, context.WithValue(t.Context(), whoKey{}, who), client, pageURL, tt.above...)
						if resp != nil {
							text = resp.Header.Get("X-Who")
						}
						if !strings.Contains(text, who) {
							t.Errorf("%s got %q", who, text)
						}
					})
				}
				wg.Wait()
				if n := o.calls.Load(); n != 3 {
					t.Errorf("%d requests, want 3", n)
				}
			})
		})
	}
}

// A validation by one who is known only below does not put that one's fields into what
// all are given.
func TestValidationsBelowKeepTheirFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
			out := r.Clone(r.Context())
			out.Header.Set("Authorization", whoAsks(r))
			resp := answer(out, "ok", `Etag: "1"`)
			if r.Header.Get("If-None-Match") != "" {
				resp.StatusCode, resp.Body = 304, http.NoBody
				resp.Header.Set("X-Who", whoAsks(r))
			} else {
				resp.Header.Set("Cache-Control", "public, max-age=10")
			}
			return resp, nil
		})
		untilStale(t, client)
		_, alice := get(t, context.WithValue(t.Context(), whoKey{}, "alice"), client, pageURL)
		_, bob := get(t, context.WithValue(t.Context(), whoKey{}, "bob"), client, pageURL)
		if a, b := alice.Header.Get("X-Who"), bob.Header.Get("X-Who"); a != "alice" || b != "" {
			t.Errorf("alice got %q, bob %q", a, b)
		}
	})
}
