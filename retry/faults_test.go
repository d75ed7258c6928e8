package retry_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/retry"
)

// TestFaults sends one request through a Transport to a server in trouble.
func TestFaults(t *testing.T) {
	date := func(after time.Duration) string { // bubbles begin at this time
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(after).Format(http.TimeFormat)
	}
	retryAfter := func(status int, v string) memhttp.Fault {
		return memhttp.Fault{Status: status, Header: http.Header{"Retry-After": {v}}}
	}
	skewed := memhttp.Fault{Status: 503, Header: http.Header{"Retry-After": {date(time.Hour + 5*time.Second)}, "Date": {date(time.Hour)}}}
	refused := func(n int) memhttp.ConnFault { return memhttp.ConnFault{Refused: n == 0} }
	const s = time.Second
	for _, tt := range []struct {
		name     string
		method   string // GET
		cfg      retry.Config
		faults   []memhttp.Fault
		conn     func(int) memhttp.ConnFault
		requests int // that have reached the server
		elapsed  time.Duration
		status   int // 0: err
		err      error
		bodyErr  error
	}{
		{name: "connection refused", conn: refused, requests: 1, elapsed: 1 * s, status: 200},
		{name: "connection refused, POST", method: "POST", conn: refused, requests: 1, elapsed: 1 * s, status: 200},
		{name: "slow dial, attempt timeout", cfg: retry.Config{AttemptTimeout: s}, conn: func(n int) memhttp.ConnFault {
			if n == 0 {
				return memhttp.ConnFault{Dial: time.Hour}
			}
			return memhttp.ConnFault{}
		}, requests: 1, elapsed: 2 * s, status: 200},
		{name: "reset before the headers", faults: []memhttp.Fault{{Reset: memhttp.BeforeHeaders}}, requests: 2, elapsed: 1 * s, status: 200},
		{name: "reset before the headers, POST", method: "POST", faults: []memhttp.Fault{{Reset: memhttp.BeforeHeaders}}, requests: 1, err: syscall.ECONNRESET},
		{name: "closed before the headers", faults: []memhttp.Fault{{Truncate: memhttp.BeforeHeaders}}, requests: 2, elapsed: 1 * s, status: 200},
		{name: "closed before the headers, POST", method: "POST", faults: []memhttp.Fault{{Truncate: memhttp.BeforeHeaders}}, requests: 1, err: io.EOF},
		{name: "slow headers", cfg: retry.Config{AttemptTimeout: 2 * s}, faults: []memhttp.Fault{{Delay: time.Minute}}, requests: 2, elapsed: 3 * s, status: 200},
		{name: "slow headers, POST", method: "POST", cfg: retry.Config{AttemptTimeout: 2 * s}, faults: []memhttp.Fault{{Delay: time.Minute}}, requests: 1, elapsed: 2 * s, err: retry.ErrAttemptTimeout},
		{name: "slow headers, always", cfg: retry.Config{AttemptTimeout: 2 * s}, faults: []memhttp.Fault{{Delay: time.Minute}, {Delay: time.Minute}, {Delay: time.Minute}}, requests: 3, elapsed: 8 * s, err: context.DeadlineExceeded},
		{name: "slow body", cfg: retry.Config{AttemptTimeout: 2 * s}, faults: []memhttp.Fault{{ChunkDelay: time.Minute}}, requests: 1, status: 200},
		{name: "reset in the body", faults: []memhttp.Fault{{Reset: memhttp.AfterBody(3)}}, requests: 1, status: 200, bodyErr: syscall.ECONNRESET},
		{name: "truncated body", faults: []memhttp.Fault{{Truncate: memhttp.AfterBody(3)}}, requests: 1, status: 200, bodyErr: io.ErrUnexpectedEOF},
		{name: "a discarded body is endless", faults: []memhttp.Fault{{Status: 503, Body: strings.Repeat("x", 1<<20)}}, requests: 2, elapsed: 1 * s, status: 200},
		{name: "503 with Retry-After", faults: []memhttp.Fault{retryAfter(503, "5")}, requests: 2, elapsed: 5 * s, status: 200},
		{name: "429 with Retry-After", faults: []memhttp.Fault{retryAfter(429, "5")}, requests: 2, elapsed: 5 * s, status: 200},
		{name: "Retry-After as a date", faults: []memhttp.Fault{retryAfter(503, date(5*s))}, requests: 2, elapsed: 5 * s, status: 200},
		{name: "Retry-After as a date of a clock that is off", faults: []memhttp.Fault{skewed}, requests: 2, elapsed: 5 * s, status: 200},
		{name: "Retry-After in the past", faults: []memhttp.Fault{retryAfter(503, date(-time.Hour))}, requests: 2, elapsed: 1 * s, status: 200},
		{name: "Retry-After of nonsense", faults: []memhttp.Fault{retryAfter(503, "soon"), retryAfter(503, "-1")}, requests: 3, elapsed: 2 * s, status: 200},
		{name: "Retry-After beyond all bounds", faults: []memhttp.Fault{retryAfter(503, "99999999999"), retryAfter(503, "1000000000")}, requests: 3, elapsed: 2 * s, status: 200},
		{name: "500 on POST", method: "POST", faults: []memhttp.Fault{{Status: 500}}, requests: 1, status: 500},
		{name: "504 on POST", method: "POST", faults: []memhttp.Fault{{Status: 504}}, requests: 1, status: 504},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests atomic.Int32
				srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					io.WriteString(w, "ans")
					io.WriteString(w, "wer")
				}))
				srv.ConnFault = tt.conn
				srv.Fault = func(n int, r *http.Request) memhttp.Fault {
					requests.Add(1)
					return memhttp.Sequence(tt.faults...)(n, r)
				}
				client := &http.Client{Transport: &retry.Transport{Base: srv.Transport(), Policy: everySecond(tt.cfg)}}
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, srv.URL(), nil)
				if tt.method == "POST" {
					req, _ = http.NewRequestWithContext(t.Context(), tt.method, srv.URL(), strings.NewReader("data"))
				}
				start := time.Now()
				resp, err := client.Do(req)
				if d := time.Since(start); d < tt.elapsed || d > tt.elapsed*6/5 {
					t.Errorf("took %v, want %v", d, tt.elapsed)
				}
				if int(requests.Load()) != tt.requests {
					t.Errorf("%d requests, want %d", requests.Load(), tt.requests)
				}
				if tt.status == 0 {
					if !errors.Is(err, tt.err) {
						t.Errorf("error %v, want %v", err, tt.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if resp.StatusCode != tt.status || !errors.Is(err, tt.bodyErr) || tt.status == 200 && err == nil && string(got) != "answer" {
					t.Errorf("status %d, body %q, %v; want %d, %v", resp.StatusCode, got, err, tt.status, tt.bodyErr)
				}
			})
		})
	}
}

// Half of all attempts fail: retries add their share and no more.
// A certificate that is not trusted, or is another host's, is so the next time too.
func TestCertificatesAreNotTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		trusted    bool
		want       string
	}{
		{"unknown authority", "example.com", false, "unknown authority"},
		{"another host", "other.test", true, "not other.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(nil)
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.StartTLS()
			defer srv.Close()
			base := &http.Transport{TLSClientConfig: &tls.Config{ServerName: tt.host}}
			if tt.trusted {
				base.TLSClientConfig.RootCAs = x509.NewCertPool()
				base.TLSClientConfig.RootCAs.AddCert(srv.Certificate())
			}
			dials := 0
			base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials++
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
			policy := retry.New(retry.Config{Schedule: retry.Constant(0)})
			_, err := (&http.Client{Transport: &retry.Transport{Base: base, Policy: policy}}).Get(srv.URL)
			if dials != 1 || err == nil {
				t.Errorf("%d handshakes, error %v; want one", dials, err)
			}
			if _, ok := errors.AsType[*retry.Error](err); ok {
				t.Errorf("error %v; want what the only attempt returned", err)
			}
			if !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestFlappingServerIsNotAmplified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		srv := memhttp.NewServer(t, http.NotFoundHandler())
		srv.Fault = func(n int, _ *http.Request) memhttp.Fault {
			requests.Add(1)
			return memhttp.Fault{Status: []int{200, 503}[n%2]}
		}
		client := &http.Client{Transport: &retry.Transport{Base: srv.Transport(), Policy: retry.New(retry.Config{Schedule: retry.Constant(0)})}}
		for range 1000 {
			resp, err := client.Get(srv.URL())
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		if n := requests.Load(); n > 1000+100+10 {
			t.Errorf("%d requests for 1000 calls", n)
		}
	})
}

func TestTransportOptions(t *testing.T) {
	stop := func(resp *http.Response, err error) retry.Decision {
		if err != nil || resp.StatusCode == 503 {
			return retry.Stop
		}
		return retry.Default
	}
	also500 := func(resp *http.Response, err error) retry.Decision {
		if err == nil && resp.StatusCode == 500 || errors.Is(err, errOp) {
			return retry.Retry
		}
		return retry.Default
	}
	hint := func(code int) *http.Response { return answer(nil, code, "10") }
	for _, tt := range []struct {
		name    string
		rt      *retry.Transport
		method  string
		first   any // a response or an error
		sent    int
		elapsed time.Duration
	}{
		{name: "Classify retries a 500", rt: &retry.Transport{Classify: also500}, method: "GET", first: answer(nil, 500, ""), sent: 2, elapsed: time.Second},
		{name: "Classify does not make a POST idempotent", rt: &retry.Transport{Classify: also500}, method: "POST", first: answer(nil, 500, ""), sent: 1},
		{name: "Classify does not make a POST idempotent after an error", rt: &retry.Transport{Classify: also500}, method: "POST", first: errOp, sent: 1},
		{name: "Classify retries what is final", rt: &retry.Transport{Classify: also500}, method: "GET", first: retry.Permanent(errOp), sent: 2, elapsed: time.Second},
		{name: "Classify stops at a 503", rt: &retry.Transport{Classify: stop}, method: "GET", first: answer(nil, 503, ""), sent: 1},
		{name: "Classify stops at an error", rt: &retry.Transport{Classify: stop}, method: "GET", first: errReset, sent: 1},
		{name: "Idempotent allows a POST", rt: &retry.Transport{Idempotent: func(*http.Request) bool { return true }}, method: "POST", first: answer(nil, 503, ""), sent: 2, elapsed: time.Second},
		{name: "Idempotent forbids a GET", rt: &retry.Transport{Idempotent: func(*http.Request) bool { return false }}, method: "GET", first: errReset, sent: 1},
		{name: "Balanced does not wait for a 503", rt: &retry.Transport{Balanced: true}, method: "GET", first: hint(503), sent: 2},
		{name: "Balanced waits for a 429", rt: &retry.Transport{Balanced: true}, method: "GET", first: hint(429), sent: 2, elapsed: 10 * time.Second},
		{name: "Balanced waits as scheduled without a hint", rt: &retry.Transport{Balanced: true}, method: "GET", first: answer(nil, 503, ""), sent: 2, elapsed: time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				rt := tt.rt
				rt.Policy = everySecond(retry.Config{})
				rt.Base = roundTrip(func(req *http.Request) (*http.Response, error) {
					if sent++; sent > 1 {
						return answer(req, 200, ""), nil
					}
					if err, ok := tt.first.(error); ok {
						return nil, err
					}
					return tt.first.(*http.Response), nil
				})
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, "http://a.test/", nil)
				start := time.Now()
				rt.RoundTrip(req)
				if d := time.Since(start); sent != tt.sent || d < tt.elapsed || d > tt.elapsed*6/5 {
					t.Errorf("sent %d times in %v, want %d in %v", sent, d, tt.sent, tt.elapsed)
				}
			})
		})
	}
}

// A server that answers 500 earns no retries.
func TestTransportBudgetTakesNo500ForSuccess(t *testing.T) {
	b := retry.NewBudget(retry.BudgetConfig{Floor: -1})
	code := 503
	rt := &retry.Transport{
		Policy: retry.New(retry.Config{Budget: b, Schedule: retry.Constant(0)}),
		Base:   roundTrip(func(req *http.Request) (*http.Response, error) { return answer(req, code, ""), nil }),
	}
	for _, tt := range []struct {
		code    int
		balance float64
	}{{503, 8}, {500, 8}, {501, 8}, {404, 8.1}, {200, 8.2}} {
		code = tt.code
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
		rt.RoundTrip(req)
		if have := b.Stats().Balance; have < tt.balance-1e-6 || have > tt.balance+1e-6 {
			t.Errorf("%v in the budget after a %d, want %v", have, tt.code, tt.balance)
		}
	}
}

func TestTransportMaxBody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length int64 // of the body "content", as the request has it
		max    int64
		sent   int
		err    bool
	}{
		{name: "within", length: 7, max: 7, sent: 2},
		{name: "above", length: 7, max: 6, sent: 1},
		{name: "off", length: 7, sent: 1},
		{name: "length unknown", length: -1, max: 100, sent: 1},
		{name: "shorter than it says", length: 8, max: 100, err: true},
		{name: "longer than it says", length: 6, max: 100, err: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := 0
			rt := &retry.Transport{MaxBody: tt.max, Policy: retry.New(retry.Config{Schedule: retry.Constant(0)})}
			rt.Base = roundTrip(func(req *http.Request) (*http.Response, error) {
				sent++
				got, _ := io.ReadAll(req.Body)
				req.Body.Close()
				if string(got) != "content" || req.ContentLength != tt.length {
					t.Errorf("attempt %d has the body %q and length %d", sent, got, req.ContentLength)
				}
				return answer(req, []int{503, 200}[sent-1], ""), nil
			})
			body := &reply{Reader: strings.NewReader("content")}
			req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://a.test/", body)
			req.ContentLength = tt.length
			resp, err := rt.RoundTrip(req)
			if (err != nil) != tt.err || sent != tt.sent || body.closed.Load() == 0 {
				t.Errorf("sent %d times, error %v, body closed %d times", sent, err, body.closed.Load())
			}
			if err == nil && (resp.Request != req || req.GetBody != nil || req.Body != body) {
				t.Error("the caller's request has changed, or is not the response's")
			}
		})
	}
}

// A layer below that takes cancellations for the caller's must see a timeout as one.
func TestTransportAttemptTimeoutIsADeadlineBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := &retry.Transport{
			Policy: retry.New(retry.Config{AttemptTimeout: time.Second, MaxAttempts: 1}),
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				if cause := context.Cause(req.Context()); cause != retry.ErrAttemptTimeout || !errors.Is(cause, context.DeadlineExceeded) {
					t.Errorf("the context ended because of %v", cause)
				}
				return nil, context.Canceled // as HTTP/2 has it
			}),
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
		_, err := rt.RoundTrip(req)
		if !errors.Is(err, retry.ErrAttemptTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// An answer that takes the connection over outlives AttemptTimeout, and can be
// written to.
func TestTransportAttemptTimeoutSparesUpgrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent bytes.Buffer
		var ctx context.Context
		rt := &retry.Transport{
			Policy: retry.New(retry.Config{AttemptTimeout: time.Second}),
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				ctx = req.Context()
				return &http.Response{StatusCode: 101, Body: struct {
					io.ReadCloser
					io.Writer
				}{io.NopCloser(strings.NewReader("")), &sent}}, nil
			}),
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
		req.Header.Set("Upgrade", "websocket")
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		fmt.Fprint(resp.Body.(io.Writer), "ping")
		if ctx.Err() != nil || sent.String() != "ping" {
			t.Errorf("context %v, sent %q", ctx.Err(), &sent)
		}
		resp.Body.Close()
		if ctx.Err() == nil {
			t.Error("the context outlives the body")
		}
	})
}
