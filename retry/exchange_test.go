package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
)

// source is a request's body that is no memory of http.NewRequest's: it counts what is
// done to it, and may fail.
type source struct {
	io.Reader
	err    error // instead of io.EOF
	reads  atomic.Int32
	closed atomic.Int32
}

func content(s string) *source { return &source{Reader: strings.NewReader(s)} }

func (s *source) Read(p []byte) (int, error) {
	s.reads.Add(1)
	n, err := s.Reader.Read(p)
	if err == io.EOF && s.err != nil {
		err = s.err
	}
	return n, err
}

func (s *source) Close() error { s.closed.Add(1); return nil }

// A body without GetBody can be sent again as long as nobody has read from it.
func TestUnreadBodyIsSentAgain(t *testing.T) {
	type attempt struct {
		reads bool
		then  any // an error or a status
	}
	for _, tt := range []struct {
		name   string
		method string
		steps  []attempt
		sent   int
		status int // 0: an error
	}{
		{"refused dials, then an answer", "POST", []attempt{{false, errRefused}, {false, errRefused}, {true, 200}}, 3, 200},
		{"refused dials only", "POST", []attempt{{false, errRefused}, {false, errRefused}, {false, errRefused}}, 3, 0},
		{"503 before the body was read", "PUT", []attempt{{false, 503}, {true, 200}}, 2, 200},
		{"503 before the body was read, not idempotent", "POST", []attempt{{false, 503}}, 1, 503},
		{"503 after the body was read", "PUT", []attempt{{true, 503}}, 1, 503},
		{"refused dial after the body was read", "POST", []attempt{{true, errRefused}}, 1, 0},
		{"read in the second attempt", "PUT", []attempt{{false, errReset}, {true, errReset}}, 2, 0},
		{"answered without a look at it", "PUT", []attempt{{false, 200}}, 1, 200},
		{"refused by a layer below", "POST", []attempt{{false, open}}, 1, 0},
		{"refused by a balancer that has others", "POST", []attempt{{false, free}, {true, 200}}, 2, 200},
	} {
		for _, timeout := range []time.Duration{0, time.Minute} {
			t.Run(fmt.Sprint(tt.name, ", timeout ", timeout), func(t *testing.T) {
				body, sent := content("content"), 0
				rt := &retry.Transport{
					Policy: retry.New(retry.Config{Schedule: retry.Constant(0), AttemptTimeout: timeout}),
					Base: roundTrip(func(req *http.Request) (*http.Response, error) {
						defer req.Body.Close()
						sent++
						a := tt.steps[sent-1]
						if body.closed.Load() > 0 {
							t.Error("the body is closed before the attempt")
						}
						if a.reads {
							if got, err := io.ReadAll(req.Body); string(got) != "content" || err != nil {
								t.Errorf("attempt %d reads %q, %v", sent, got, err)
							}
						}
						if err, ok := a.then.(error); ok {
							return nil, err
						}
						return answer(req, a.then.(int), ""), nil
					}),
				}
				req := newRequest(t, tt.method, body)
				req.ContentLength = int64(len("content"))
				resp, err := rt.RoundTrip(req)
				if sent != tt.sent || (err == nil) != (tt.status != 0) || err == nil && resp.StatusCode != tt.status {
					t.Errorf("sent %d times, got %v, %v", sent, resp, err)
				}
				if err == nil && resp.Request != req {
					t.Error("the response's request is not the caller's")
				}
				if body.closed.Load() == 0 {
					t.Error("the body is open")
				}
			})
		}
	}
}

// A body that is read while the answer is there already, as net/http does, stays open.
func TestUnreadBodyIsNotClosedByAnEarlyAnswer(t *testing.T) {
	body := content("content")
	var late io.ReadCloser
	rt := &retry.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
		late = req.Body
		return answer(req, 200, ""), nil
	})}
	if _, err := rt.RoundTrip(newRequest(t, "POST", body)); err != nil || body.closed.Load() != 0 {
		t.Fatalf("error %v, closed %d times", err, body.closed.Load())
	}
	if got, err := io.ReadAll(late); string(got) != "content" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if late.Close(); body.closed.Load() != 1 {
		t.Errorf("closed %d times", body.closed.Load())
	}
	if n, err := late.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v after Close", n, err)
	}
}

// The caller's own body is at fault: the request is sent once, the error comes back as
// it is, and the budget does not move.
func TestBodyThatFailsToBeRead(t *testing.T) {
	errDisk := errors.New("disk is gone")
	for _, tt := range []struct {
		name    string
		getBody bool
		hedged  bool
	}{{"without GetBody", false, false}, {"with GetBody", true, false}, {"hedged", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			var sent atomic.Int32
			budget := retry.NewBudget(retry.BudgetConfig{Credit: 10, Ratio: 1, Floor: -1})
			retry.Run(t.Context(), retry.New(retry.Config{Budget: budget, MaxAttempts: 2, Schedule: retry.Constant(0)}), func(context.Context) error { return errOp })
			before := budget.Stats()
			rt := &retry.Transport{
				Policy: retry.New(retry.Config{Budget: budget, Schedule: retry.Constant(0)}),
				Base: roundTrip(func(req *http.Request) (*http.Response, error) {
					defer req.Body.Close()
					sent.Add(1)
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return nil, fmt.Errorf("write: %w", err)
					}
					return answer(req, 200, ""), nil
				}),
			}
			if tt.hedged {
				rt.Hedger = retry.NewHedger(retry.HedgeConfig{Delay: time.Hour, Budget: budget})
			}
			failing := func() io.ReadCloser { return &source{Reader: strings.NewReader("con"), err: errDisk} }
			req := newRequest(t, "PUT", failing())
			if tt.getBody {
				req.GetBody = func() (io.ReadCloser, error) { return failing(), nil }
			}
			_, err := rt.RoundTrip(req)
			if _, typed := errors.AsType[*retry.Error](err); sent.Load() != 1 || !errors.Is(err, errDisk) || typed {
				t.Errorf("sent %d times, error %v", sent.Load(), err)
			}
			if diff := cmp.Diff(before, budget.Stats()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Behind a reverse proxy a request has no host until the layer below chooses one.
func TestRequestWithoutHostIsRetried(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	alive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer alive.Close()
	var hosts []string
	balancer := roundTrip(func(req *http.Request) (*http.Response, error) {
		u, _ := url.Parse([]string{dead.URL, alive.URL}[len(hosts)%2])
		hosts = append(hosts, req.URL.Host)
		sent := req.Clone(req.Context())
		sent.URL.Scheme, sent.URL.Host = u.Scheme, u.Host
		return http.DefaultTransport.RoundTrip(sent)
	})
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetXForwarded() },
		Transport: &retry.Transport{Base: balancer, Config: retry.Config{Schedule: retry.Constant(0)}},
	})
	defer proxy.Close()
	resp, err := http.Get(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, _ := io.ReadAll(resp.Body)
	if string(got) != "hello" || len(hosts) != 2 || hosts[0] != "" {
		t.Errorf("%s %q after requests to %q", resp.Status, got, hosts)
	}
}

// A caller may leave by closing Request.Cancel, too.
func TestRequestCancel(t *testing.T) {
	errCanceled := errors.New("net/http: request canceled")
	leave := func(t *testing.T) (*http.Request, func()) {
		req := newRequest(t, "GET", nil)
		cancel := make(chan struct{})
		//lint:ignore SA1019 old callers still use it
		req.Cancel = cancel
		return req, func() { close(cancel) }
	}
	t.Run("in an attempt", func(t *testing.T) {
		req, cancel := leave(t)
		sent := 0
		asked := false
		rt := &retry.Transport{
			Classify: func(*http.Response, error) retry.Decision { asked = true; return retry.Retry },
			Base: roundTrip(func(*http.Request) (*http.Response, error) {
				sent++
				cancel()
				return nil, errCanceled
			}),
		}
		if _, err := rt.RoundTrip(req); sent != 1 || err != errCanceled || asked {
			t.Errorf("sent %d times, error %v, Classify asked: %v", sent, err, asked)
		}
	})
	t.Run("in a wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			req, cancel := leave(t)
			time.AfterFunc(time.Second, cancel)
			budget := retry.NewBudget(retry.BudgetConfig{Credit: 3, Floor: -1})
			rt := &retry.Transport{
				Policy: retry.New(retry.Config{Budget: budget, Schedule: retry.Constant(time.Hour)}),
				Base:   roundTrip(func(*http.Request) (*http.Response, error) { return nil, errReset }),
			}
			start := time.Now()
			_, err := rt.RoundTrip(req)
			if !errors.Is(err, errReset) || !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
				t.Errorf("error %v after %v", err, time.Since(start))
			}
			if s := budget.Stats(); s.Balance != 3 || s.Granted != 0 {
				t.Errorf("%+v", s)
			}
		})
	})
}

// A key without a value is net/http's way to say that a request may be sent twice and
// to send no field.
func TestIdempotencyKeyWithoutAValue(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		sent := 0
		rt := &retry.Transport{
			Config: retry.Config{Schedule: retry.Constant(0)},
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				sent++
				return answer(req, []int{503, 200}[sent-1], ""), nil
			}),
		}
		req := newRequest(t, "POST", strings.NewReader("data"))
		req.Header[name] = nil
		if resp, err := rt.RoundTrip(req); err != nil || resp.StatusCode != 200 || sent != 2 {
			t.Errorf("%s: got %v, %v after %d requests", name, resp, err, sent)
		}
	}
}

// That a server closes idle connections is no sign of overload: the next attempt is made
// at once, costs the budget nothing and is not counted. There is an end to it.
func TestClosedIdleConnectionIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errIdle := errors.New("http: server closed idle connection")
		for _, tt := range []struct {
			method       string
			closed, sent int
		}{{"PUT", 20, 21}, {"PUT", 1000, 103}, {"POST", 20, 1}} {
			budget := retry.NewBudget(retry.BudgetConfig{Credit: -1, Floor: -1})
			sent := 0
			rt := &retry.Transport{
				Policy: everySecond(retry.Config{Budget: budget}),
				Base: roundTrip(func(req *http.Request) (*http.Response, error) {
					if sent++; sent <= tt.closed {
						return nil, errIdle
					}
					return answer(req, 200, ""), nil
				}),
			}
			start := time.Now()
			rt.RoundTrip(newRequest(t, tt.method, strings.NewReader("data")))
			if sent != tt.sent || time.Since(start) != 0 {
				t.Errorf("%s: sent %d times in %v, want %d at once", tt.method, sent, time.Since(start), tt.sent)
			}
		}
	})
}
