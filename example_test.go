package belay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"strconv"
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
		Transport: &loadbalance.Spread{ // each attempt goes to another instance
			Base: &retry.Transport{ // try again when that can help
				Balanced: true,
				Base: &breaker.Transport{ // but do not call what is down
					Base: &ratelimit.Transport{ // nor faster than agreed
						Limiter: ratelimit.New(ratelimit.Config{Rate: 100, Burst: 20}),
						Base:    &loadbalance.Transport{Balancer: instances}, // the one that answers best
					},
				},
			},
		},
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

// The same for a database. A row that is not there is an answer: the database is well,
// and asking again does not help. Everything else is left to the rules.
func Example_database() {
	db := sql.OpenDB(restarting{"tea": "Green tea"})
	defer db.Close()

	policy := retry.New(retry.Config{Classify: func(_ context.Context, err error) retry.Decision {
		if errors.Is(err, sql.ErrNoRows) {
			return retry.Stop
		}
		return retry.Default
	}})
	guard := breaker.New(breaker.Config{Classify: func(_ context.Context, err error) breaker.Outcome {
		if errors.Is(err, sql.ErrNoRows) {
			return breaker.Success
		}
		return breaker.Default
	}})
	name := retry.Wrap(policy, breaker.Wrap(guard, func(ctx context.Context, id string) (name string, err error) {
		err = db.QueryRowContext(ctx, "SELECT name FROM products WHERE id = ?", id).Scan(&name)
		return name, err
	}))

	fmt.Println(name(context.Background(), "tea")) // its first attempt fails
	for range 10 {
		_, err := name(context.Background(), "coffee")
		if !errors.Is(err, sql.ErrNoRows) {
			fmt.Println(err)
		}
	}
	fmt.Println(guard.State())
	// Output:
	// Green tea <nil>
	// closed
}

// Events go into a log as they are, and show what applies to them.
func Example_log() {
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: dropTime})))

	guard := breaker.New(breaker.Config{Name: "database", Observe: func(ctx context.Context, e breaker.Event) {
		slog.InfoContext(ctx, "breaker", "event", e)
	}})
	guard.Trip(time.Minute, errors.New("maintenance until noon"))
	// Output: level=INFO msg=breaker event.kind=changed event.name=database event.from=closed event.to=open event.reason="maintenance until noon"
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// A reverse proxy with the same stack in its Transport: requests that arrive without a
// host in their URL go to an instance too, and a failed one is tried on another.
func Example_reverseProxy() {
	good, down := goodBackend(), httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer good.Close()
	defer down.Close()

	instances, err := loadbalance.Hosts(good.URL, down.URL)
	if err != nil {
		log.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetXForwarded() },
		Transport: &loadbalance.Spread{Base: &retry.Transport{
			Balanced: true,
			Base:     &loadbalance.Transport{Balancer: instances},
		}},
	})
	defer proxy.Close()

	bad := 0
	for range 20 {
		resp, err := http.Get(proxy.URL)
		if err != nil {
			log.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			bad++
		}
	}
	fmt.Println(bad, "of 20 failed")
	// Output: 0 of 20 failed
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

// An API that says in a field of its own how long to wait. The Gateway and the retry
// below get the same function: what can be repeated is, and the error of what cannot says
// when to come again.
func Example_limits() {
	limits := func(resp *http.Response) time.Duration {
		if ms, _ := strconv.Atoi(resp.Header.Get("X-Wait-Ms")); ms > 0 {
			return time.Duration(ms) * time.Millisecond
		}
		return gateway.RateLimited(resp) // the usual ways
	}
	backend := limitedBackend()
	defer backend.Close()
	api, err := gateway.New(gateway.Config{
		BaseURL:    backend.URL,
		RetryAfter: limits,
		Transport:  &retry.Transport{RetryAfter: limits},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	count := gateway.NewEndpoint[gateway.None, int](api, "GET /count", gateway.EndpointConfig{})
	add := gateway.NewEndpoint[int, gateway.None](api, "POST /count", gateway.EndpointConfig{})

	fmt.Println(count.Call(context.Background(), gateway.None{}))
	_, err = add.Call(context.Background(), 1)
	if e, ok := errors.AsType[*gateway.Error](err); ok {
		fmt.Println(e)
		fmt.Println("after", e.RetryAfter())
	}
	// Output:
	// 2 <nil>
	// gateway: POST /count: status 403 Forbidden
	// after 20ms
}

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

// limitedBackend refuses the first request, and then every other one, and says for how
// long.
func limitedBackend() *httptest.Server {
	requests := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests%2 == 1 {
			w.Header().Set("X-Wait-Ms", "20")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, requests)
	}))
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

// restarting is a database of names by id. The first query on each connection fails.
type restarting map[string]string

func (r restarting) Connect(context.Context) (driver.Conn, error) { return &connection{names: r}, nil }
func (r restarting) Driver() driver.Driver                        { return nil }

type connection struct {
	names   restarting
	queries int
}

func (c *connection) QueryContext(_ context.Context, _ string, args []driver.NamedValue) (driver.Rows, error) {
	if c.queries++; c.queries == 1 {
		return nil, errors.New("the database is starting up")
	}
	rows := new(result)
	if name, ok := c.names[args[0].Value.(string)]; ok {
		*rows = append(*rows, name)
	}
	return rows, nil
}

func (c *connection) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c *connection) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (c *connection) Close() error                        { return nil }

// result is a list of names.
type result []string

func (r *result) Columns() []string { return []string{"name"} }
func (r *result) Close() error      { return nil }

func (r *result) Next(row []driver.Value) error {
	if len(*r) == 0 {
		return io.EOF
	}
	row[0], *r = (*r)[0], (*r)[1:]
	return nil
}
