package loadbalance_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/loadbalance"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hosts is a balancer of servers.
func hosts(t *testing.T, urls ...string) *loadbalance.Balancer[*url.URL] {
	t.Helper()
	b, err := loadbalance.Hosts(urls...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// Where a request goes, and what it says.
func TestTransportAims(t *testing.T) {
	for _, tt := range []struct {
		endpoint, host string
		rewrite        bool
		url, reqHost   string
		want, wantHost string
	}{
		{"http://10.0.0.1:80", "", false, "http://orders/open?q=1", "", "http://10.0.0.1:80/open?q=1", "orders"},
		{"https://10.0.0.1", "orders", false, "http://ORDERS/open", "", "https://10.0.0.1/open", "ORDERS"},
		{"http://10.0.0.1/v1", "orders", false, "http://orders/open", "virtual", "http://10.0.0.1/v1/open", "virtual"},
		{"http://10.0.0.1/v1/", "orders", true, "http://orders/open/", "virtual", "http://10.0.0.1/v1/open/", "10.0.0.1"},
		{"http://10.0.0.1/v1", "", false, "http://orders", "", "http://10.0.0.1/v1", "orders"},
		{"http://10.0.0.1/a%2Fb", "", false, "http://orders/c", "", "http://10.0.0.1/a%2Fb/c", "orders"},
		{"http://10.0.0.1/v1", "", false, "http://orders/a%2Fb", "", "http://10.0.0.1/v1/a%2Fb", "orders"},
		{"http://10.0.0.1/v1", "", false, "http://orders/../x", "", "http://10.0.0.1/v1/../x", "orders"},
		{"http://10.0.0.1", "orders", false, "http://other/open", "", "http://other/open", "other"},
		{"http://10.0.0.1", "orders", false, "http://orders:8080/open", "", "http://orders:8080/open", "orders:8080"},
	} {
		req := get(t, tt.url)
		if tt.reqHost != "" {
			req.Host = tt.reqHost
		}
		before := *req.URL
		var sent *http.Request
		transport := loadbalance.Transport{Balancer: hosts(t, tt.endpoint), Host: tt.host, RewriteHost: tt.rewrite,
			Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = r
				return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
			})}
		resp, err := transport.RoundTrip(req)
		if err != nil || resp.Request != req || *req.URL != before {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		if sent.URL.String() != tt.want || sent.Host != tt.wantHost {
			t.Errorf("%+v: sent to %s, host %s", tt, sent.URL, sent.Host)
		}
	}
}

// Behind a reverse proxy a URL may have no host at all.
func TestTransportAimsWithoutHost(t *testing.T) {
	for path, want := range map[string]string{"x": "http://a:1/v/x", "*": "http://a:1/*", "": "http://a:1/v"} {
		transport := loadbalance.Transport{Balancer: hosts(t, "http://a:1/v"), Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != want || r.Host != "inbound" {
				t.Errorf("sent to %s, host %s", r.URL, r.Host)
			}
			return &http.Response{StatusCode: 200}, nil
		})}
		if _, err := transport.RoundTrip((&http.Request{Method: "GET", URL: &url.URL{Path: path}, Host: "inbound"}).WithContext(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

type watchedBody struct {
	io.Reader
	closed int
}

func (b *watchedBody) Close() error { b.closed++; return nil }

// What cannot be sent is an error, with the body closed; nothing panics.
func TestTransportErrors(t *testing.T) {
	closed := hosts(t, "http://a")
	closed.Close()
	null := loadbalance.New(loadbalance.Static(loadbalance.Endpoint[*url.URL]{Key: "null"}), loadbalance.Config{})
	unreached := roundTripper(func(*http.Request) (*http.Response, error) { panic("sent") })
	for name, tt := range map[string]struct {
		balancer *loadbalance.Balancer[*url.URL]
		hint     func(*http.Request) loadbalance.Hint
		base     roundTripper
		says     string
	}{
		"no balancer":        {nil, nil, unreached, "without a Balancer"},
		"a zero balancer":    {new(loadbalance.Balancer[*url.URL]), nil, unreached, "without a Balancer"},
		"a closed balancer":  {closed, nil, unreached, "closed"},
		"an endpoint of nil": {null, nil, unreached, "no URL"},
		"all excluded": {hosts(t, "http://a"), func(*http.Request) loadbalance.Hint {
			return loadbalance.Hint{Exclude: []string{"http://a"}}
		}, unreached, "excluded"},
		"base returns nothing": {hosts(t, "http://a"), nil, func(r *http.Request) (*http.Response, error) {
			r.Body.Close()
			return nil, nil
		}, "neither"},
	} {
		transport := loadbalance.Transport{Balancer: tt.balancer, Hint: tt.hint, Base: tt.base}
		body := &watchedBody{Reader: strings.NewReader("x")}
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://orders", body)
		resp, err := transport.RoundTrip(req)
		if resp != nil || err == nil || !strings.Contains(err.Error(), tt.says) || body.closed == 0 {
			t.Errorf("%s: %v, body closed %d times", name, err, body.closed)
		}
	}
	if null.Stats().Endpoints[0].InFlight != 0 {
		t.Error("a call to nowhere is in flight")
	}
	if _, err := new(loadbalance.Transport).RoundTrip(&http.Request{}); err == nil {
		t.Error("no error without a URL")
	}
}

// A panic below, and a Goexit, give the place back.
func TestTransportPanics(t *testing.T) {
	b := hosts(t, "http://a", "http://b")
	transport := loadbalance.Transport{Balancer: b, Base: roundTripper(func(*http.Request) (*http.Response, error) { panic("below") })}
	func() {
		defer func() {
			if recover() != "below" {
				t.Error("the panic did not pass through")
			}
		}()
		transport.RoundTrip(get(t, "http://x"))
	}()
	for _, e := range b.Stats().Endpoints {
		if e.InFlight != 0 {
			t.Errorf("%+v", e)
		}
	}
}

// A request is in flight until its body has been read or closed; its latency is that
// of the header.
func TestTransportInFlight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "abc") }))
		srv.Fault = func(int, *http.Request) memhttp.Fault {
			return memhttp.Fault{Delay: 20 * time.Millisecond}
		}
		b := hosts(t, "http://a")
		transport := &loadbalance.Transport{Balancer: b, Base: srv.Transport()}
		for _, read := range []bool{true, false} {
			resp, err := transport.RoundTrip(get(t, "http://x"))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			e := b.Stats().Endpoints[0]
			if e.InFlight != 1 || e.Latency > 21*time.Millisecond {
				t.Errorf("%+v", e)
			}
			if read {
				io.ReadAll(resp.Body)
			} else {
				resp.Body.Close()
			}
			if n := b.Stats().Endpoints[0].InFlight; n != 0 {
				t.Errorf("%d in flight", n)
			}
		}
		transport.CloseIdleConnections()
	})
}

// Classify is asked at the header, and again when the body broke off or has brought
// trailers; resp is never nil.
func TestTransportClassify(t *testing.T) {
	broken := errors.New("broken")
	type asked struct {
		Status  int
		Path    string
		Trailer string
		Err     error
	}
	for name, tt := range map[string]struct {
		base roundTripper
		want []asked
	}{
		"a whole body": {answering(418, "x", nil, nil), []asked{{418, "/p", "", nil}}},
		"no body":      {answering(204, "", nil, nil), []asked{{204, "/p", "", nil}}},
		"no response": {func(*http.Request) (*http.Response, error) { return nil, broken },
			[]asked{{0, "/p", "", broken}}},
		"a body that breaks off": {answering(200, "x", broken, nil), []asked{{200, "/p", "", nil}, {200, "/p", "", broken}}},
		"trailers": {answering(200, "x", nil, http.Header{"Grpc-Status": {"14"}}),
			[]asked{{200, "/p", "", nil}, {200, "/p", "14", nil}}},
		"the caller's cancel": {func(*http.Request) (*http.Response, error) { return nil, context.Canceled }, nil},
		"a refusal from below": {func(*http.Request) (*http.Response, error) {
			return nil, &loadbalance.Error{Err: loadbalance.ErrClosed}
		}, nil},
		"cancel while one reads": {answering(200, "x", context.Canceled, nil), []asked{{200, "/p", "", nil}}},
	} {
		var got []asked
		transport := &loadbalance.Transport{Balancer: hosts(t, "http://a", "http://b"), Base: tt.base,
			Classify: func(resp *http.Response, err error) loadbalance.Outcome {
				got = append(got, asked{resp.StatusCode, resp.Request.URL.Path, resp.Trailer.Get("Grpc-Status"), err})
				return loadbalance.Default
			}}
		if resp, err := transport.RoundTrip(get(t, "http://x/p")); err == nil {
			io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateErrors()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// answering is a server whose body ends with err, if it is set, or with trailers.
func answering(status int, body string, err error, trailer http.Header) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: http.NoBody}
		switch {
		case err != nil:
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(body), iotest.ErrReader(err)))
		case body != "":
			resp.Body = &trailing{strings.NewReader(body), resp, trailer}
		}
		return resp, nil
	}
}

// trailing is a body that brings trailers with its end.
type trailing struct {
	io.Reader
	resp    *http.Response
	trailer http.Header
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.resp.Trailer = b.trailer
	}
	return n, err
}

func (b *trailing) Close() error { return nil }

// byGRPC is a user's: it knows what gRPC says in its trailers, and leaves the rest.
func byGRPC(resp *http.Response, err error) loadbalance.Outcome {
	switch resp.Trailer.Get("Grpc-Status") {
	case "":
		return loadbalance.Default
	case "4", "8", "13", "14", "15":
		return loadbalance.Failure
	}
	return loadbalance.Success
}

// The last answer of Classify counts, and decides about a trial as well.
func TestTransportClassifyTrailers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		status := "14"
		b := loadbalance.New(loadbalance.Static(addresses("a", "b")...), loadbalance.Config{Policy: loadbalance.First, EjectAfter: 3})
		transport := &loadbalance.Transport{Balancer: b, Classify: byGRPC, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := answering(200, "x", nil, http.Header{"Grpc-Status": {status}})(r)
			resp.Header.Set("Content-Type", "application/grpc+proto")
			return resp, err
		})}
		call := func() {
			resp, err := transport.RoundTrip(get(t, "http://x/"))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			io.ReadAll(resp.Body)
		}
		for range 3 {
			call()
		}
		if s := b.Stats().Endpoints[0]; s.State != loadbalance.Ejected {
			t.Errorf("%+v after three failures in the trailers", s)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		call() // to the other one
		call() // the trial
		if s := b.Stats().Endpoints[0]; s.State != loadbalance.Ejected {
			t.Errorf("%+v after a trial that failed in its trailers", s)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		status = "0"
		call()
		call()
		if s := b.Stats().Endpoints[0]; s.State != loadbalance.SlowStart {
			t.Errorf("%+v after a good trial", s)
		}
	})
}

// addresses are endpoints at hosts.
func addresses(hosts ...string) (set []loadbalance.Endpoint[*url.URL]) {
	for _, h := range hosts {
		set = append(set, loadbalance.Endpoint[*url.URL]{Key: h, Value: &url.URL{Scheme: "http", Host: h}})
	}
	return set
}

// An Overload that Classify sees cools the endpoint for the Retry-After of the response.
func TestTransportClassifyOverload(t *testing.T) {
	b := hosts(t, "http://a", "http://b")
	transport := &loadbalance.Transport{Balancer: b, Base: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 418, Header: http.Header{"Retry-After": {"60"}}}, nil
	}), Classify: func(*http.Response, error) loadbalance.Outcome { return loadbalance.Overload }}
	if _, err := transport.RoundTrip(get(t, "http://x")); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Stats().Endpoints {
		if e.State == loadbalance.Cooling && strings.Contains(e.Reason, "status 418") {
			return
		}
	}
	t.Errorf("%+v", b.Stats())
}

// Adding a balancer costs few allocations.
func TestTransportAllocations(t *testing.T) {
	body := &watchedBody{Reader: strings.NewReader("")}
	answer := &http.Response{StatusCode: 200}
	base := roundTripper(func(*http.Request) (*http.Response, error) {
		answer.Body = body
		return answer, nil
	})
	transport := &loadbalance.Transport{Balancer: hosts(t, "http://a", "http://b"), Base: base}
	req := get(t, "http://x/y")
	if got := testing.AllocsPerRun(100, func() {
		resp, _ := transport.RoundTrip(req)
		resp.Body.Close()
	}); got > 1 {
		t.Errorf("%v allocations", got)
	}
}
