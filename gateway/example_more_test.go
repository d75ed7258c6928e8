package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"sync"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/gatewaytest"
)

func ExampleNew() {
	_, err := gateway.New(gateway.Config{BaseURL: "api.example/v2"})
	fmt.Println(err)
	// Output: gateway: Config.BaseURL has no scheme http or https
}

func ExampleNewEndpoint() {
	api, _ := gateway.New(gateway.Config{BaseURL: "https://api.example"})
	defer func() { fmt.Println(recover()) }()

	gateway.NewEndpoint[struct {
		Name string `path:"nmae"`
	}, gateway.None](api, "DELETE /users/{name}", gateway.EndpointConfig{})
	// Output:
	// gateway: NewEndpoint("DELETE /users/{name}"): field struct { Name string "path:\"nmae\"" }.Name is bound to {nmae}, which is not in the pattern
	// no part of struct { Name string "path:\"nmae\"" } is bound to {name}
}

func ExampleEndpoint_Call() {
	api := newAPI(nil, gatewaytest.Stub{"GET /greetings/{language}": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "Hallo, "+r.PathValue("language"))
	}})
	greet := gateway.NewEndpoint[string, string](api, "GET /greetings/{language}", gateway.EndpointConfig{})

	fmt.Println(greet.Call(context.Background(), "de/AT"))
	// Output: Hallo, de/AT <nil>
}

func ExampleEndpoint_CallResponse() {
	api := newAPI(nil, gatewaytest.Stub{"POST /jobs": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/jobs/17")
		w.WriteHeader(http.StatusAccepted)
	}})
	start := gateway.NewEndpoint[gateway.None, gateway.None](api, "POST /jobs", gateway.EndpointConfig{})

	r, err := start.CallResponse(context.Background(), gateway.None{})
	fmt.Println(r.Status, r.Header.Get("Location"), err)
	// Output: 202 /jobs/17 <nil>
}

// A stream is read as it comes, and closed by the caller.
func ExampleEndpoint_Call_stream() {
	api := newAPI(nil, gatewaytest.Stub{"GET /export": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "a,b\n1,2\n")
	}})
	export := gateway.NewEndpoint[gateway.None, io.ReadCloser](api, "GET /export", gateway.EndpointConfig{})

	rows, err := export.Call(context.Background(), gateway.None{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rows.Close()
	text, err := io.ReadAll(rows)
	fmt.Printf("%q %v\n", text, err)
	// Output: "a,b\n1,2\n" <nil>
}

type items struct {
	Items []string `json:"items"`
	Next  string   `json:"next"`
}

// Pages are fetched when the loop asks for them.
func ExamplePages() {
	api := newAPI(nil, gatewaytest.Stub{"GET /items": func(w http.ResponseWriter, r *http.Request) {
		page := items{Items: []string{"a", "b"}, Next: "c2"}
		if r.FormValue("cursor") == "c2" {
			page = items{Items: []string{"c"}}
		}
		gatewaytest.JSON(w, 200, page)
	}})
	type list struct {
		Cursor string `query:"cursor,omitempty"`
	}
	get := gateway.NewEndpoint[list, items](api, "GET /items", gateway.EndpointConfig{})
	next := func(_ list, page items) (list, bool, error) { return list{page.Next}, page.Next != "", nil }

	for page, err := range gateway.Pages(context.Background(), get.Call, list{}, next, 100) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(page.Items)
	}
	// Output:
	// [a b]
	// [c]
}

// Items are what most programs want. Their pages are fetched one by one all the same,
// and whoever stops because of an error can go on from its page.
func ExampleItems() {
	broken := true
	api := newAPI(nil, gatewaytest.Stub{"GET /items": func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.FormValue("cursor") == "":
			gatewaytest.JSON(w, 200, items{Items: []string{"a", "b"}, Next: "c2"})
		case broken:
			w.WriteHeader(http.StatusBadGateway)
		default:
			gatewaytest.JSON(w, 200, items{Items: []string{"c"}})
		}
	}})
	type list struct {
		Cursor string `query:"cursor,omitempty"`
	}
	get := gateway.NewEndpoint[list, items](api, "GET /items", gateway.EndpointConfig{})
	next := func(_ list, page items) (list, bool, error) { return list{page.Next}, page.Next != "", nil }
	all := func(from list) iter.Seq2[string, error] {
		pages := gateway.Pages(context.Background(), get.Call, from, next, 100)
		return gateway.Items(pages, func(page items) []string { return page.Items })
	}

	from := list{}
	for item, err := range all(from) {
		if e, ok := errors.AsType[*gateway.PageError[list]](err); ok {
			fmt.Println(e)
			from = e.Request
			break
		}
		fmt.Println(item)
	}
	broken = false
	for item, err := range all(from) {
		fmt.Println(item, err)
	}
	// Output:
	// a
	// b
	// gateway: page 2: GET /items: status 502 Bad Gateway
	// c <nil>
}

// If the next page is in the field Link, CallResponse is what to repeat.
func ExampleLink() {
	api := newAPI(nil, gatewaytest.Stub{"GET /items": func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("page") != "2" {
			w.Header().Set("Link", `<https://api.example/items?page=2>; rel="next", <https://api.example/items?page=2>; rel="last"`)
		}
		gatewaytest.JSON(w, 200, []string{r.URL.RequestURI()})
	}})
	type list struct {
		Page string `query:"page,omitempty"`
	}
	get := gateway.NewEndpoint[list, []string](api, "GET /items", gateway.EndpointConfig{})
	next := func(_ list, r gateway.Response[[]string]) (list, bool, error) {
		link, ok := gateway.Link(r.Header, "next")
		if !ok {
			return list{}, false, nil
		}
		return list{link.Query().Get("page")}, true, nil
	}

	for page, err := range gateway.Pages(context.Background(), get.CallResponse, list{}, next, 100) {
		fmt.Println(page.Value, err)
	}
	// Output:
	// [/items] <nil>
	// [/items?page=2] <nil>
}

// Layers below see which endpoint a request belongs to: a label for metrics.
func ExampleEndpointFrom() {
	count := map[string]int{}
	counting := roundTripper(func(req *http.Request) (*http.Response, error) {
		name, _ := gateway.EndpointFrom(req.Context())
		count[name]++
		return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
	})
	api, _ := gateway.New(gateway.Config{BaseURL: "https://api.example", Transport: counting})
	remove := gateway.NewEndpoint[int, gateway.None](api, "DELETE /users/{id}", gateway.EndpointConfig{})

	remove.Call(context.Background(), 1)
	remove.Call(context.Background(), 2)
	fmt.Println(count)
	// Output: map[DELETE /users/{id}:2]
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// The key is new for each call, unless the caller has one that outlives it: that of
// a job that may run again.
func ExampleWithIdempotencyKey() {
	api := newAPI(nil, gatewaytest.Stub{"POST /payments": func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(len(r.Header.Get("Idempotency-Key")), r.Header.Get("Idempotency-Key") == "job-17")
	}})
	pay := gateway.NewEndpoint[gateway.None, gateway.None](api, "POST /payments", gateway.EndpointConfig{IdempotencyKey: true})

	pay.Call(context.Background(), gateway.None{})
	pay.Call(gateway.WithIdempotencyKey(context.Background(), "job-17"), gateway.None{})
	// Output:
	// 26 false
	// 6 true
}

// Callers that ask for the same at the same time share one answer.
func ExampleFlight() {
	flight := gateway.Flight[string, []string]{Clone: slices.Clone[[]string]} // so that each may change its own
	resolve := func(ctx context.Context, host string) ([]string, error) {
		return flight.Join(ctx, host, func(ctx context.Context) ([]string, error) {
			return []string{"192.0.2.1"}, nil // which takes a while
		})
	}

	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			addresses, err := resolve(context.Background(), "api.example")
			fmt.Println(addresses, err)
		})
	}
	callers.Wait()
	// Output:
	// [192.0.2.1] <nil>
	// [192.0.2.1] <nil>
	// [192.0.2.1] <nil>
}

// The counters of each endpoint, for a health page or for metrics. A limit of the
// server's and a refusal of this program are no faults of the same kind.
func ExampleGateway_Stats() {
	left := 1
	api := newAPI(nil, gatewaytest.Stub{
		"GET /repos/{name}": func(w http.ResponseWriter, r *http.Request) {
			if left--; left < 0 {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			gatewaytest.JSON(w, 200, Repo{Name: r.PathValue("name")})
		},
	})
	getRepo := gateway.NewEndpoint[string, Repo](api, "GET /repos/{name}", gateway.EndpointConfig{})
	for _, name := range []string{"belay", "rope", ".."} {
		getRepo.Call(context.Background(), name)
	}
	for _, e := range api.Stats().Endpoints {
		fmt.Printf("%s: %d calls, %d failed, %d of them limited; %d refused\n", e.Endpoint, e.Calls, e.Failed, e.Limited, e.Refused)
	}
	// Output:
	// GET /repos/{name}: 2 calls, 1 failed, 1 of them limited; 1 refused
}
