package httpcache_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"

	"github.com/belay-go/belay/gateway/httpcache"
)

// articles is an origin that counts the requests it gets.
func articles(cacheControl string) (*httptest.Server, *int) {
	requests := new(int)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests++
		w.Header().Set("Cache-Control", cacheControl)
		fmt.Fprintf(w, "%s, as of request %d", r.URL.Path, *requests)
	})), requests
}

// show prints a response.
func show(resp *http.Response, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
}

// A cache in front of any client.
func ExampleTransport() {
	origin, _ := articles("max-age=60")
	defer origin.Close()

	cache := httpcache.New(httpcache.Config{MaxBytes: 256 << 20})
	defer cache.Close()
	client := &http.Client{Transport: &httpcache.Transport{Cache: cache}}

	show(client.Get(origin.URL + "/1"))
	show(client.Get(origin.URL + "/1"))
	show(client.Get(origin.URL + "/2"))
	fmt.Printf("%d hit, %d misses\n", cache.Stats().Hits, cache.Stats().Misses)
	// Output:
	// /1, as of request 1
	// /1, as of request 1
	// /2, as of request 2
	// 1 hit, 2 misses
}

// Credentials that are added below the cache are not seen by it. Partition says whose
// request it is, from the context by which the layer below knows.
func ExampleNew() {
	origin, _ := articles("private, max-age=60")
	defer origin.Close()

	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	type user struct{}
	client := &http.Client{Transport: &httpcache.Transport{
		Cache: cache,
		Partition: func(r *http.Request) string {
			name, _ := r.Context().Value(user{}).(string)
			return name
		},
	}}

	for _, name := range []string{"ada", "bob", "ada"} {
		ctx := context.WithValue(context.Background(), user{}, name)
		req, _ := http.NewRequestWithContext(ctx, "GET", origin.URL+"/1", nil)
		show(client.Do(req))
	}
	fmt.Println("forgotten of bob:", cache.PurgePartition("bob"))
	// Output:
	// /1, as of request 1
	// /1, as of request 2
	// /1, as of request 1
	// forgotten of bob: 1
}

// A bot manager sets a cookie of its own on each response. The session is what counts.
func ExampleBy() {
	origin, _ := articles("private, max-age=60")
	defer origin.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	client := &http.Client{Transport: &httpcache.Transport{Cache: cache, Partition: httpcache.By("Cookie:session")}}

	for i, session := range []string{"ada", "bob", "ada"} {
		req, _ := http.NewRequest("GET", origin.URL+"/1", nil)
		req.Header.Set("Cookie", fmt.Sprintf("bot=%d; session=%s", i, session))
		show(client.Do(req))
	}
	// Output:
	// /1, as of request 1
	// /1, as of request 2
	// /1, as of request 1
}

// A client certificate is a credential that no request shows. All that is sent with it
// is its holder's, and so is all that a command sends that has one user.
func ExampleTransport_clientCertificate() {
	origin, _ := articles("private, max-age=60")
	defer origin.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()

	certificate := tls.Certificate{} // from tls.LoadX509KeyPair
	client := &http.Client{Transport: &httpcache.Transport{
		Cache:     cache,
		Partition: func(*http.Request) string { return "certificate of billing" },
		Base:      &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}},
	}}

	show(client.Get(origin.URL + "/1"))
	show(client.Get(origin.URL + "/1"))
	// Output:
	// /1, as of request 1
	// /1, as of request 1
}

// Who logs out leaves nothing behind.
func ExampleCredentials() {
	origin, _ := articles("private, max-age=60")
	defer origin.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	client := &http.Client{Transport: &httpcache.Transport{Cache: cache}}

	req, _ := http.NewRequest("GET", origin.URL+"/1", nil)
	req.Header.Set("Private-Token", "ada's")
	show(client.Do(req))
	show(client.Do(req))
	fmt.Println("forgotten:", cache.PurgePartition(httpcache.Credentials(req)))
	show(client.Do(req))
	// Output:
	// /1, as of request 1
	// /1, as of request 1
	// forgotten: 1
	// /1, as of request 2
}

// For one call, what is stored will not do.
func ExampleWithCacheControl() {
	origin, _ := articles("max-age=60")
	defer origin.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	client := &http.Client{Transport: &httpcache.Transport{Cache: cache}}

	for _, directives := range []string{"", "no-cache", "only-if-cached"} {
		ctx := httpcache.WithCacheControl(context.Background(), directives)
		req, _ := http.NewRequestWithContext(ctx, "GET", origin.URL+"/1", nil)
		show(client.Do(req))
	}
	// Output:
	// /1, as of request 1
	// /1, as of request 2
	// /1, as of request 2
}

// The Cache-Status field of a response says how it came about.
func ExampleStatusOf() {
	origin, _ := articles("max-age=60")
	defer origin.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	client := &http.Client{Transport: &httpcache.Transport{Cache: cache}}

	for range 2 {
		resp, err := client.Get(origin.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		s, _ := httpcache.StatusOf(resp.Header)
		fmt.Printf("hit %t, forwarded because of %q\n", s.Hit, s.Forward)
	}
	// Output:
	// hit false, forwarded because of "uri-miss"
	// hit true, forwarded because of ""
}

// outage is what a stack looks like from above while its breaker is open: it refuses
// what it is given, and nothing is sent. With package breaker it would be
// &breaker.Transport{}.
type outage struct{ open bool }

func (o *outage) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.open {
		return nil, errors.New("breaker is open")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// While the breaker below is open, callers get what was good a moment ago. The origin
// allows it for a day here; where it says nothing, Config.StaleIfError counts.
func ExampleTransport_staleIfError() {
	origin, _ := articles("max-age=0, stale-if-error=86400")
	defer origin.Close()

	below := &outage{}
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	client := &http.Client{Transport: &httpcache.Transport{Base: below, Cache: cache}}

	show(client.Get(origin.URL + "/1"))
	below.open = true
	show(client.Get(origin.URL + "/1"))
	fmt.Println("stale responses:", cache.Stats().Stale)
	// Output:
	// /1, as of request 1
	// /1, as of request 1
	// stale responses: 1
}

// In a reverse proxy the cache is shared by all its users, and has to be told so.
func ExampleTransport_reverseProxy() {
	origin, requests := articles("max-age=0, s-maxage=60")
	defer origin.Close()
	target, _ := url.Parse(origin.URL)

	cache := httpcache.New(httpcache.Config{Shared: true, Targeted: []string{"CDN-Cache-Control"}})
	defer cache.Close()
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &httpcache.Transport{Cache: cache},
	})
	defer front.Close()

	show(http.Get(front.URL + "/1"))
	show(http.Get(front.URL + "/1"))
	fmt.Println("requests to the origin:", *requests)
	// Output:
	// /1, as of request 1
	// /1, as of request 1
	// requests to the origin: 1
}

// A content management system tells us what has changed.
func ExampleCache_Purge() {
	origin, _ := articles("max-age=86400")
	defer origin.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()
	client := &http.Client{Transport: &httpcache.Transport{Cache: cache}}

	webhook := func(w http.ResponseWriter, r *http.Request) {
		// After checking its signature:
		fmt.Fprintln(w, "purged", cache.Purge(origin.URL+r.FormValue("changed")))
	}

	show(client.Get(origin.URL + "/1"))
	w := httptest.NewRecorder()
	webhook(w, httptest.NewRequest("POST", "/hook?changed=/1", nil))
	fmt.Print(w.Body)
	show(client.Get(origin.URL + "/1"))
	// Output:
	// /1, as of request 1
	// purged 1
	// /1, as of request 2
}
