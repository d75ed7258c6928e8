package retry_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
)

func newRequest(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://a.test/", body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// reply is a response with a body that counts how often it is closed.
type reply struct {
	*strings.Reader
	closed atomic.Int32
}

func (r *reply) Close() error { r.closed.Add(1); return nil }

func answer(req *http.Request, code int, retryAfter string) *http.Response {
	h := http.Header{}
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: code, Header: h, Request: req, Body: &reply{Reader: strings.NewReader("body")}}
}

var (
	errReset   = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	errNoHost  = &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
)

// TestTransport sends one request to a base that follows a script of statuses and
// errors; its end is a 200.
func TestTransport(t *testing.T) {
	type step any // an int (a status), a string (503 with this Retry-After) or an error
	key := func(r *http.Request) { r.Header.Set("Idempotency-Key", "k1") }
	for _, tt := range []struct {
		name    string
		method  string
		body    string
		edit    func(*http.Request)
		script  []step
		sent    int
		elapsed time.Duration // of a schedule of 1s; at most a fifth more after a Retry-After
		status  int           // 0: an error
		err     error
	}{
		{name: "success", method: "GET", sent: 1, status: 200},
		{name: "502 504 200", method: "GET", script: []step{502, 504}, sent: 3, elapsed: 2 * time.Second, status: 200},
		{name: "408 429 200", method: "GET", script: []step{408, 429}, sent: 3, elapsed: 2 * time.Second, status: 200},
		{name: "500 is final", method: "GET", script: []step{500}, sent: 1, status: 500},
		{name: "404 is final", method: "GET", script: []step{404}, sent: 1, status: 404},
		{name: "exhausted: the last response", method: "GET", script: []step{503, 503, 502}, sent: 3, elapsed: 2 * time.Second, status: 502},
		{name: "exhausted: the last error", method: "GET", script: []step{503, 503, errReset}, sent: 3, elapsed: 2 * time.Second, err: errReset},

		{name: "Retry-After", method: "GET", script: []step{"3"}, sent: 2, elapsed: 3 * time.Second, status: 200},
		{name: "Retry-After above the cap", method: "GET", script: []step{"31"}, sent: 1, status: 503},
		{name: "Retry-After as a Unix time", method: "GET", script: []step{"1743400000"}, sent: 2, elapsed: time.Second, status: 200},
		{name: "Retry-After negative", method: "GET", script: []step{"-5"}, sent: 2, elapsed: time.Second, status: 200},

		{name: "GET after a reset", method: "GET", script: []step{errReset}, sent: 2, elapsed: time.Second, status: 200},
		{name: "PUT with a body", method: "PUT", body: "data", script: []step{errReset, 503}, sent: 3, elapsed: 2 * time.Second, status: 200},
		{name: "POST after a reset", method: "POST", body: "data", script: []step{errReset}, sent: 1, err: errReset},
		{name: "POST after 503", method: "POST", body: "data", script: []step{503}, sent: 1, status: 503},
		{name: "POST with a key", method: "POST", body: "data", edit: key, script: []step{errReset, 503}, sent: 3, elapsed: 2 * time.Second, status: 200},
		{name: "POST never sent", method: "POST", body: "data", script: []step{errRefused}, sent: 2, elapsed: time.Second, status: 200},
		{name: "POST refused below, another attempt may differ", method: "POST", body: "data", script: []step{free}, sent: 2, status: 200},
		{name: "refused below", method: "GET", script: []step{open}, sent: 1, err: open},
		{name: "a refusal after a response: the response", method: "GET", script: []step{503, open}, sent: 2, elapsed: time.Second, status: 503},
		{name: "a refusal after a response and an error: the error", method: "GET", script: []step{503, errReset, open}, sent: 3, elapsed: 2 * time.Second, err: errReset},
		{name: "refusals to the end after a response: the response", method: "GET", script: []step{503, free, free}, sent: 3, elapsed: time.Second, status: 503},
		{name: "no GetBody", method: "PUT", body: "data", edit: func(r *http.Request) { r.GetBody = nil }, script: []step{errReset}, sent: 1, err: errReset},
		{name: "no GetBody, 503", method: "PUT", body: "data", edit: func(r *http.Request) { r.GetBody = nil }, script: []step{503}, sent: 1, status: 503},
		{name: "GetBody fails", method: "PUT", body: "data", edit: func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, errOp } }, script: []step{errReset}, sent: 1, err: errReset},
		{name: "GetBody fails, 503", method: "PUT", body: "data", edit: func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, errOp } }, script: []step{503}, sent: 1, status: 503},

		{name: "certificate", method: "GET", script: []step{&net.OpError{Op: "remote error", Err: x509.UnknownAuthorityError{}}}, sent: 1, err: x509.UnknownAuthorityError{}},
		{name: "no such host", method: "GET", script: []step{errNoHost}, sent: 1, err: errNoHost},
		{name: "upgrade", method: "GET", edit: func(r *http.Request) { r.Header.Set("Upgrade", "websocket") }, script: []step{503}, sent: 1, status: 503},
		{name: "CONNECT", method: "CONNECT", script: []step{errRefused}, sent: 1, err: errRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies []*reply
				sent := 0
				base := roundTrip(func(req *http.Request) (*http.Response, error) {
					sent++
					if req.Body != nil {
						if got, _ := io.ReadAll(req.Body); string(got) != tt.body {
							t.Errorf("attempt %d: request body %q", sent, got)
						}
						req.Body.Close()
					}
					var s step = 200
					if sent <= len(tt.script) {
						s = tt.script[sent-1]
					}
					var resp *http.Response
					switch s := s.(type) {
					case error:
						return nil, s
					case int:
						resp = answer(req, s, "")
					case string:
						resp = answer(req, 503, s)
					}
					bodies = append(bodies, resp.Body.(*reply))
					return resp, nil
				})
				rt := &retry.Transport{Base: base, Policy: everySecond(retry.Config{})}
				req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://a.test/", strings.NewReader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				if tt.edit != nil {
					tt.edit(req)
				}
				start := time.Now()
				resp, err := rt.RoundTrip(req)
				if d := time.Since(start); d < tt.elapsed || d > tt.elapsed*6/5 {
					t.Errorf("took %v, want %v", d, tt.elapsed)
				}
				if sent != tt.sent {
					t.Errorf("sent %d times, want %d", sent, tt.sent)
				}
				if tt.err != nil {
					if resp != nil || !errors.Is(err, tt.err) {
						t.Fatalf("got %v, %v; want error %v", resp, err, tt.err)
					}
				} else {
					if err != nil {
						t.Fatal(err)
					}
					if resp.StatusCode != tt.status || resp.Request != req {
						t.Errorf("status %d, request %p; want %d, %p", resp.StatusCode, resp.Request, tt.status, req)
					}
					if got, err := io.ReadAll(resp.Body); string(got) != "body" || err != nil {
						t.Errorf("body %q, %v", got, err)
					}
					resp.Body.Close()
				}
				for i, b := range bodies {
					if b.closed.Load() == 0 || b.Len() > 0 {
						t.Errorf("response %d: closed %d times, %d bytes unread", i, b.closed.Load(), b.Len())
					}
				}
			})
		})
	}
}

func TestTransportDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &retry.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			return answer(req, 503, "2"), nil
		})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://a.test/", nil)
		start := time.Now()
		resp, err := rt.RoundTrip(req)
		if err != nil || resp.StatusCode != 503 || time.Since(start) != 0 {
			t.Errorf("got %v, %v after %v; want the 503 at once", resp, err, time.Since(start))
		}
	})
}

func TestTransportCancelledInDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var body *reply
		rt := &retry.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			resp := answer(req, 503, "")
			body = resp.Body.(*reply)
			return resp, nil
		}), Policy: everySecond(retry.Config{})}
		time.AfterFunc(time.Millisecond, cancel)
		req, _ := http.NewRequestWithContext(ctx, "PUT", "http://a.test/", strings.NewReader("x"))
		second := &reply{Reader: strings.NewReader("x")}
		req.GetBody = func() (io.ReadCloser, error) { return second, nil }
		resp, err := rt.RoundTrip(req)
		var e *retry.Error
		if resp != nil || !errors.Is(err, context.Canceled) || !errors.As(err, &e) {
			t.Fatalf("got %v, %v", resp, err)
		}
		if got := e.Err.Error(); got != "server answered 503 Service Unavailable" {
			t.Errorf("last error %q", got)
		}
		if body.closed.Load() == 0 || second.closed.Load() == 0 {
			t.Error("the response that was given up, or the body for the attempt that was not made, is open")
		}
	})
}

func TestTransportCancelledInAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rt := &retry.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
		cancel()
		return answer(req, 503, ""), nil
	})}
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://a.test/", nil)
	if resp, err := rt.RoundTrip(req); err != nil || resp.StatusCode != 503 {
		t.Errorf("got %v, %v; want the response that came", resp, err)
	}
}

// endless is a body that never ends, or never yields anything.
type endless struct {
	block  chan struct{}
	read   atomic.Int64
	closed sync.Once
}

func (e *endless) Read(p []byte) (int, error) {
	if e.block != nil {
		<-e.block
		return 0, errors.New("closed")
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

func (e *endless) Close() error {
	e.closed.Do(func() {
		if e.block != nil {
			close(e.block)
		}
	})
	return nil
}

func TestTransportDrainIsBounded(t *testing.T) {
	for name, body := range map[string]func() *endless{
		"endless": func() *endless { return new(endless) },
		"stuck":   func() *endless { return &endless{block: make(chan struct{})} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := body()
				n := 0
				rt := &retry.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
					resp := answer(req, 503, "")
					if n++; n == 1 {
						resp.Body = b
					} else {
						resp.StatusCode = 200
					}
					return resp, nil
				}), Policy: retry.New(retry.Config{Schedule: retry.Constant(0)})}
				req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
				start := time.Now()
				resp, err := rt.RoundTrip(req)
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				if d := time.Since(start); d > 100*time.Millisecond || b.read.Load() > 128<<10 {
					t.Errorf("drained %d bytes in %v", b.read.Load(), d)
				}
			})
		})
	}
}

// A dead host must not spend what the others' success has earned.
func TestTransportBudgetPerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := map[string]int{}
		rt := &retry.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			sent[req.URL.Host]++
			if req.URL.Host == "dead.test" {
				return answer(req, 503, ""), nil
			}
			return answer(req, 200, ""), nil
		})}
		get := func(host string) {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/", nil)
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		start := time.Now()
		for range 1000 {
			get("live.test")
			get("dead.test")
		}
		// The credit, and one retry a second.
		if limit := 1000 + 10 + int(time.Since(start).Seconds()) + 1; sent["dead.test"] > limit || sent["dead.test"] < 1010 {
			t.Errorf("sent %d times to the dead host, want 1010 to %d", sent["dead.test"], limit)
		}
	})
}

func TestTransportHostsAreBounded(t *testing.T) {
	rt := &retry.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
		return answer(req, 200, ""), nil
	})}
	send := func(host string) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/", nil)
		if _, err := rt.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3000 {
		send(fmt.Sprintf("h%d.test", i))
	}
	n := 0
	for host, p := range rt.All() {
		if n++; p.Stats().Name != host {
			t.Errorf("the policy for %s is called %q", host, p.Stats().Name)
		}
	}
	if n != 1024 {
		t.Errorf("%d hosts kept, want 1024", n)
	}
	for range rt.All() {
		break
	}
}

func TestTransportReusesConnections(t *testing.T) {
	var conns, requests atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, strings.Repeat("x", 10_000))
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	base := &http.Transport{}
	client := &http.Client{Transport: &retry.Transport{Base: base, Policy: retry.New(retry.Config{Schedule: retry.Constant(0)})}}
	defer client.CloseIdleConnections()
	for range 3 {
		resp, err := client.Get(srv.URL)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if requests.Load() != 9 || conns.Load() != 1 {
		t.Errorf("%d requests over %d connections, want 9 over 1", requests.Load(), conns.Load())
	}
}

func TestTransportPolicyNotMadeByNew(t *testing.T) {
	body := &reply{Reader: strings.NewReader("x")}
	req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://a.test/", body)
	_, err := (&retry.Transport{Policy: new(retry.Policy)}).RoundTrip(req)
	if err == nil || !strings.HasPrefix(err.Error(), "retry: Transport.Policy") || body.closed.Load() != 1 {
		t.Errorf("error %v, body closed %d times", err, body.closed.Load())
	}
}

func TestTransportSuccessAddsNoAllocation(t *testing.T) {
	resp := &http.Response{StatusCode: 200, Body: http.NoBody}
	base := roundTrip(func(*http.Request) (*http.Response, error) { return resp, nil })
	rt := &retry.Transport{Base: base}
	for _, req := range []*http.Request{
		newRequest(t, "GET", nil),
		newRequest(t, "POST", strings.NewReader("data")),
	} {
		if n := testing.AllocsPerRun(1000, func() { rt.RoundTrip(req) }); n != 0 {
			t.Errorf("%s: %v allocations added", req.Method, n)
		}
	}
}
