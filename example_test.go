package belay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

func Example() {
	good, flaky := goodBackend(), flakyBackend()
	defer good.Close()
	defer flaky.Close()

	instances, err := loadbalance.Hosts(good.URL, flaky.URL)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{
		Timeout: 2 * time.Second,
		Transport: &loadbalance.Spread{Base: &retry.Transport{ // try again, elsewhere, when that can help
			Base: &breaker.Transport{ // but not what is down
				Base: &ratelimit.Transport{ // nor faster than agreed
					Limiter: ratelimit.New(ratelimit.Config{Rate: 100, Burst: 20}),
					Base:    &loadbalance.Transport{Balancer: instances}, // where it goes best
				},
			},
		}},
	}
	resp, err := client.Get("http://shop.example/")
	switch {
	case errors.Is(err, breaker.ErrOpen):
		fmt.Println("the backend is down, and we have not made it worse")
	case err != nil:
		fmt.Println(err)
	default:
		defer resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output: 200 OK
}

// One page from two calls of one system: the product has to be there, the reviews
// would be nice.
func Example_page() {
	shop := shopBackend()
	defer shop.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()

	api, err := gateway.New(gateway.Config{
		BaseURL:   shop.URL,
		Transport: &httpcache.Transport{Cache: cache, Base: &retry.Transport{Base: &breaker.Transport{}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	product := gateway.NewEndpoint[string, Product](api, "GET /products/{id}", gateway.EndpointConfig{})
	reviews := gateway.NewEndpoint[string, []Review](api, "GET /products/{id}/reviews", gateway.EndpointConfig{})

	plan := facade.New[string](facade.Config{Name: "product page"})
	p := facade.Step(plan, "product", product.Call)
	r := facade.Step(plan, "reviews", reviews.Call).Timeout(time.Second).Optional()
	page, err := facade.Build(plan, func(v *facade.Values) (string, error) {
		missing := "nothing"
		for _, m := range v.Missing() {
			missing = m.Part
		}
		return fmt.Sprintf("%s, %d reviews, %s missing", p.Value(v).Name, len(r.Value(v)), missing), nil
	})
	if err != nil {
		log.Fatal(err)
	}

	text, err := page.Call(context.Background(), "tea")
	fmt.Println(text, err)
	// Output: Green tea, 0 reviews, reviews missing <nil>
}

// Below a Gateway the cache knows whose credentials its Auth adds: each of two users
// has pages of their own, and one origin request each.
func Example_cache() {
	origin, requests := articles()
	defer origin.Close()
	cache := httpcache.New(httpcache.Config{})
	defer cache.Close()

	type user struct{}
	api, err := gateway.New(gateway.Config{
		BaseURL:   origin.URL,
		Transport: &httpcache.Transport{Cache: cache},
		Auth: gateway.Bearer(gateway.BearerConfig{
			Identity: func(ctx context.Context) string { return ctx.Value(user{}).(string) },
			Token: func(_ context.Context, name string) (string, time.Time, error) {
				return "token-of-" + name, time.Time{}, nil
			},
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	article := gateway.NewEndpoint[string, []byte](api, "GET /{id}", gateway.EndpointConfig{})
	for _, name := range []string{"ada", "bob", "ada", "bob"} {
		ctx := context.WithValue(context.Background(), user{}, name)
		body, err := article.Call(ctx, "1")
		fmt.Println(name, string(body), err)
	}
	fmt.Println(*requests, "requests")
	// Output:
	// ada /1, as of request 1 <nil>
	// bob /1, as of request 2 <nil>
	// ada /1, as of request 1 <nil>
	// bob /1, as of request 2 <nil>
	// 2 requests
}

type Product struct{ Name string }

type Review struct{ Stars int }

// shopBackend has no reviews.
func shopBackend() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/tea", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"Name": "Green tea"}`)
	})
	return httptest.NewServer(mux)
}

func goodBackend() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// articles is an origin that counts the requests it gets.
func articles() (*httptest.Server, *int) {
	requests := new(int)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests++
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "%s, as of request %d", r.URL.Path, *requests)
	})), requests
}

// flakyBackend answers every other request with 503.
func flakyBackend() *httptest.Server {
	requests := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
}
