package loadbalance_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// Three instances of a service, by their addresses.
func ExampleHosts() {
	hosts, err := loadbalance.Hosts("http://10.0.0.1:8080", "http://10.0.0.2:8080", "http://10.0.0.3:8080")
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{
		Transport: &loadbalance.Transport{Balancer: hosts, Host: "orders"},
		Timeout:   5 * time.Second,
	}
	resp, err := client.Get("http://orders/open") // to any of them, with "Host: orders"
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
}

// The same servers with a Config: checks, a policy, a name for logs.
func ExampleURLs() {
	servers, err := loadbalance.URLs("http://10.0.0.1:8080", "http://10.0.0.2:8080")
	if err != nil {
		log.Fatal(err)
	}
	orders := loadbalance.New(servers, loadbalance.Config{
		Name: "orders",
		Observe: func(ctx context.Context, e loadbalance.Event) {
			slog.InfoContext(ctx, "balancer", "event", e)
		},
	})
	client := &http.Client{Transport: &loadbalance.Transport{Balancer: orders}}
	_ = client
}

// The instances are what DNS says, now and later. They are told apart by their
// addresses, and all have the certificate of the service.
func ExampleDNS() {
	orders := loadbalance.New(&loadbalance.DNS{URL: "https://orders.internal:8443"}, loadbalance.Config{})
	defer orders.Close()
	client := &http.Client{Transport: &loadbalance.Transport{Balancer: orders, Host: "orders.internal:8443"}}
	resp, err := client.Get("https://orders.internal:8443/open")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
}

// A reverse proxy in front of a service: its Transport sends each request to an
// instance, WebSockets too.
func ExampleTransport_reverseProxy() {
	instance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s", r.URL.Path, r.Host)
	}))
	defer instance.Close()

	hosts, err := loadbalance.Hosts(instance.URL + "/v1")
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "orders"})
			r.SetXForwarded()
		},
		Transport: &loadbalance.Transport{Balancer: hosts},
	}

	w := httptest.NewRecorder()
	proxy.ServeHTTP(w, httptest.NewRequest("GET", "http://shop.example/open", nil))
	fmt.Println(w.Body)
	// Output: /v1/open for orders
}

// Endpoints can be anything, such as the replicas of a database.
func ExampleDo() {
	type replica struct{ name string } // in life a *sql.DB, or a *grpc.ClientConn
	replicas := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[*replica]{Key: "eu-1", Value: &replica{"eu-1"}},
		loadbalance.Endpoint[*replica]{Key: "eu-2", Value: &replica{"eu-2"}, Weight: 2},
	), loadbalance.Config{})

	user, err := loadbalance.Do(context.Background(), replicas, func(ctx context.Context, db *replica) (string, error) {
		return "gopher", nil // db.QueryRowContext(ctx, ...)
	})
	fmt.Println(user, err)
	// Output: gopher <nil>
}

func ExampleRun() {
	queues := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "q1", Value: "amqp://q1"},
	), loadbalance.Config{Policy: loadbalance.P2C, MaxInFlight: 100})

	err := loadbalance.Run(context.Background(), queues, func(ctx context.Context, queue string) error {
		fmt.Println("to", queue)
		return nil
	})
	fmt.Println(err)
	// Output:
	// to amqp://q1
	// <nil>
}

// Wrap makes a function whose endpoint is chosen for each call.
func ExampleWrap() {
	shards := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[int]{Key: "a", Value: 1},
	), loadbalance.Config{})
	lookup := loadbalance.Wrap(shards, func(ctx context.Context, shard int, key string) (string, error) {
		return fmt.Sprintf("%s of shard %d", key, shard), nil
	})
	fmt.Println(lookup(context.Background(), "color"))
	// Output: color of shard 1 <nil>
}

// Pick and Done are for what has no single end, such as a stream: its latency is that
// of the first message, and it is in flight until its end.
func ExampleBalancer_Pick() {
	feeds := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "feed", Value: "tcp://10.0.0.1:7000"},
	), loadbalance.Config{})

	pick, err := feeds.Pick(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("connecting to", pick.Value())
	pick.Answered(loadbalance.Result{})
	// ... much later
	pick.Done(loadbalance.Result{Err: errors.New("the connection was reset")})
	fmt.Println(feeds.Stats().Endpoints[0].FailureRate > 0)
	// Output:
	// connecting to tcp://10.0.0.1:7000
	// true
}

// A hint says where a call should go, and where it must not.
func ExampleBalancer_PickWith() {
	replicas := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "primary", Value: "db-0"},
		loadbalance.Endpoint[string]{Key: "zone-a", Value: "db-1"},
		loadbalance.Endpoint[string]{Key: "zone-b", Value: "db-2"},
	), loadbalance.Config{})

	pick, err := replicas.PickWith(context.Background(), loadbalance.Hint{Prefer: []string{"zone-a"}, Exclude: []string{"primary"}})
	if err != nil {
		log.Fatal(err)
	}
	defer pick.Done(loadbalance.Result{})
	fmt.Println(pick.Value())
	// Output: db-1
}

// With WithSpread, whatever repeats a call does so elsewhere.
func ExampleWithSpread() {
	hosts := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "a"}, loadbalance.Endpoint[string]{Key: "b"}, loadbalance.Endpoint[string]{Key: "c"},
	), loadbalance.Config{})

	ctx := loadbalance.WithSpread(context.Background()) // for all attempts of one call
	been := map[string]bool{}
	for range 3 {
		pick, err := hosts.Pick(ctx)
		if err != nil {
			log.Fatal(err)
		}
		been[pick.Endpoint().Key] = true
		pick.Done(loadbalance.Result{Err: errors.New("down")})
	}
	fmt.Println(been)
	// Output: map[a:true b:true c:true]
}

// again stands for any http.RoundTripper that retries.
type again struct{ Base http.RoundTripper }

func (a again) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.Base.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusServiceUnavailable {
		resp.Body.Close()
		return a.Base.RoundTrip(r)
	}
	return resp, err
}

// Spread does the same for HTTP requests, around whatever retries or hedges.
func ExampleSpread() {
	var urls []string
	for _, status := range []int{503, 200} {
		instance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer instance.Close()
		urls = append(urls, instance.URL)
	}
	hosts, err := loadbalance.Hosts(urls...)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &loadbalance.Spread{Base: again{Base: &loadbalance.Transport{Balancer: hosts}}}}
	for range 3 {
		resp, err := client.Get("http://orders/")
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 200
	// 200
	// 200
}

// Classify knows the errors of a driver. Outcome says what a call with an error would
// come to, for tests and for calls that Pick has begun.
func ExampleBalancer_Outcome() {
	replicas := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "eu-1", Value: "db1"}, loadbalance.Endpoint[string]{Key: "eu-2", Value: "db2"},
	), loadbalance.Config{Classify: func(_ context.Context, err error) loadbalance.Outcome {
		if errors.Is(err, sql.ErrNoRows) {
			return loadbalance.Success // the replica has answered
		}
		return loadbalance.Default
	}})
	ctx := context.Background()
	fmt.Println(replicas.Outcome(ctx, sql.ErrNoRows))
	fmt.Println(replicas.Outcome(ctx, sql.ErrConnDone))
	fmt.Println(replicas.Outcome(ctx, context.Canceled))
	// Output:
	// success
	// failure
	// ignored
}

// A page for those who want to know why an instance gets no calls, and which took what.
func ExampleBalancer_Stats() {
	set := loadbalance.Static(loadbalance.Endpoint[string]{Key: "a", Value: "10.0.0.1"}, loadbalance.Endpoint[string]{Key: "b", Value: "10.0.0.2"})
	orders := loadbalance.New(set, loadbalance.Config{Policy: loadbalance.RoundRobin, EjectAfter: 3})
	for range 20 {
		loadbalance.Run(context.Background(), orders, func(_ context.Context, address string) error {
			if address == "10.0.0.2" {
				return errors.New("connection refused")
			}
			return nil
		})
	}
	s := orders.Stats()
	fmt.Printf("%d calls, %d failed, %d refused, %d ejections\n", s.Calls, s.Failed, s.Refused, s.Ejected)
	for _, e := range s.Endpoints {
		fmt.Printf("%s: %v, %d calls, %d failed, %q\n", e.Key, e.State, e.Calls, e.Failed, e.Reason)
	}
	// Output:
	// 20 calls, 3 failed, 0 refused, 1 ejections
	// a: healthy, 17 calls, 0 failed, ""
	// b: ejected, 3 calls, 3 failed, "3 calls in a row have failed; the last error: connection refused"
}

// Checks of the health of instances, beside what calls say.
func ExampleBalancer_Check() {
	hosts, err := loadbalance.Hosts("http://10.0.0.1:8080", "http://10.0.0.2:8080")
	if err != nil {
		log.Fatal(err)
	}
	defer hosts.Close()
	hosts.Check(func(ctx context.Context, u *url.URL) error {
		req, err := http.NewRequestWithContext(ctx, "GET", u.JoinPath("healthz").String(), nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}
