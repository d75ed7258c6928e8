package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// body yields text, then err.
type body struct {
	io.Reader
	closed int
}

func (b *body) Close() error { b.closed++; return nil }

func newBody(text string, err error) *body {
	return &body{Reader: io.MultiReader(strings.NewReader(text), failing{err})}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func get(t testing.TB, rt http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rt.RoundTrip(req)
}

var (
	errReset = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	errDown  = errors.New("down")
)

// TestTransportOutcomes finds what an exchange counted as by what it does to a
// breaker that opens on one failure and closes on one success.
func TestTransportOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		err    error // of RoundTrip
		read   error // of reading the body
		close  bool  // close the body unread
		want   breaker.Outcome
	}{
		{name: "200", status: 200, read: io.EOF, want: breaker.Success},
		{name: "404", status: 404, read: io.EOF, want: breaker.Success},
		{name: "500", status: 500, read: io.EOF, want: breaker.Failure},
		{name: "501", status: 501, read: io.EOF, want: breaker.Success},
		{name: "503", status: 503, read: io.EOF, want: breaker.Failure},
		{name: "505", status: 505, read: io.EOF, want: breaker.Success},
		{name: "429", status: 429, read: io.EOF, want: breaker.Ignored},
		{name: "101", status: 101, read: errReset, want: breaker.Success},
		{name: "connection error", err: errReset, want: breaker.Failure},
		{name: "timeout", err: context.DeadlineExceeded, want: breaker.Failure},
		{name: "cancelled", err: context.Canceled, want: breaker.Ignored},
		{name: "reset in the body", status: 200, read: errReset, want: breaker.Failure},
		{name: "early end of the body", status: 200, read: io.ErrUnexpectedEOF, want: breaker.Failure},
		{name: "cancelled in the body", status: 200, read: context.Canceled, want: breaker.Success},
		{name: "body closed unread", status: 200, read: errReset, close: true, want: breaker.Success},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := roundTrip(func(*http.Request) (*http.Response, error) {
				if tt.err != nil {
					return nil, tt.err
				}
				return &http.Response{StatusCode: tt.status, Body: newBody("abc", tt.read)}, nil
			})
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New(breaker.Config{Consecutive: 1, Trials: 1, SlowStart: -1})
				exchange := func() {
					resp, err := get(t, &breaker.Transport{Base: base, Breaker: b}, "http://a.test/")
					if !errors.Is(err, tt.err) {
						t.Fatal(err)
					}
					if err == nil && !tt.close {
						io.ReadAll(resp.Body)
					}
					if err == nil {
						resp.Body.Close()
					}
				}
				exchange()
				if opened := b.State() == breaker.Open; opened != (tt.want == breaker.Failure) {
					t.Errorf("closed: %v", b.State())
				}
				b = breaker.New(breaker.Config{Consecutive: 1, Trials: 1, SlowStart: -1})
				breaker.Run(t.Context(), b, func(context.Context) error { return errDown })
				time.Sleep(5 * time.Second)
				synctest.Wait()
				exchange()
				want := map[breaker.Outcome]breaker.State{
					breaker.Success: breaker.Closed, breaker.Failure: breaker.Open, breaker.Ignored: breaker.HalfOpen,
				}[tt.want]
				if got := b.State(); got != want {
					t.Errorf("half-open: %v, want %v", got, want)
				}
			})
		})
	}
}

func TestTransportRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		rt := &breaker.Transport{Base: roundTrip(func(*http.Request) (*http.Response, error) {
			sent++
			return nil, errReset
		})}
		for range 5 {
			get(t, rt, "http://a.test/")
		}
		reqBody := newBody("data", io.EOF)
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.test/", reqBody)
		_, err := rt.RoundTrip(req)
		e, ok := errors.AsType[*breaker.Error](err)
		if !ok || e.Name != "http://a.test" || sent != 5 || reqBody.closed != 1 {
			t.Errorf("error %v, sent %d times, body closed %d times", err, sent, reqBody.closed)
		}
	})
}

func TestTransportPerOrigin(t *testing.T) {
	rt := &breaker.Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "down.test" {
			return nil, errReset
		}
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), Config: breaker.Config{Consecutive: 2}}
	for range 2 {
		get(t, rt, "http://down.test/")
		get(t, rt, "http://up.test/")
		get(t, rt, "https://up.test/")
	}
	states := map[string]string{}
	for name, b := range rt.All() {
		states[name] = b.State().String()
	}
	want := map[string]string{"http://down.test": "open", "http://up.test": "closed", "https://up.test": "closed"}
	if !maps.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
	for range rt.All() {
		break
	}
	if n := len(slices.Collect(keys(new(breaker.Transport)))); n != 0 {
		t.Errorf("an unused Transport has %d breakers", n)
	}
}

func keys(rt *breaker.Transport) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range rt.All() {
			if !yield(k) {
				return
			}
		}
	}
}

func TestTransportOriginsAreBounded(t *testing.T) {
	rt := &breaker.Transport{Base: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	for i := range 3000 {
		if _, err := get(t, rt, fmt.Sprintf("http://h%d.test/", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(slices.Collect(keys(rt))); n != 1024 {
		t.Errorf("%d breakers kept, want 1024", n)
	}
}

func TestTransportFor(t *testing.T) {
	b := breaker.New(breaker.Config{Consecutive: 1})
	rt := &breaker.Transport{
		Base: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errReset }),
		For: func(req *http.Request) *breaker.Breaker {
			if req.URL.Path == "/free" {
				return nil
			}
			return b
		},
	}
	for range 3 {
		if _, err := get(t, rt, "http://a.test/free"); err != errReset {
			t.Errorf("unguarded: %v", err)
		}
	}
	get(t, rt, "http://a.test/")
	if _, err := get(t, rt, "http://a.test/"); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("guarded: %v", err)
	}
}

func TestTransportClassify(t *testing.T) {
	b := breaker.New(breaker.Config{Consecutive: 1})
	rt := &breaker.Transport{
		Base: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 404, Body: http.NoBody}, nil
		}),
		Breaker: b,
		Classify: func(resp *http.Response, _ error) breaker.Outcome {
			if resp.StatusCode == 404 {
				return breaker.Failure
			}
			return breaker.Success
		},
	}
	get(t, rt, "http://a.test/")
	if b.State() != breaker.Open {
		t.Error("Classify was not asked")
	}
}

func TestTransportRetryAfterLengthensTheOpenTime(t *testing.T) {
	for field, want := range map[string]time.Duration{"1": 5 * time.Second, "15": 15 * time.Second, "3600": 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker.New(breaker.Config{Consecutive: 2})
			rt := &breaker.Transport{Breaker: b, Base: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {field}}, Body: http.NoBody}, nil
			})}
			if get(t, rt, "http://a.test/"); b.State() != breaker.Closed {
				t.Error("one response opened the breaker")
			}
			get(t, rt, "http://a.test/")
			_, err := get(t, rt, "http://a.test/")
			e, ok := errors.AsType[*breaker.Error](err)
			if !ok {
				t.Fatal(err)
			}
			if got := e.RetryAfter(); got > want || got < want*4/5 {
				t.Errorf("Retry-After %s: open for %v, want %v", field, got, want)
			}
		})
	}
}

func TestTransportErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		rt   *breaker.Transport
		want string
	}{
		"config": {&breaker.Transport{Config: breaker.Config{Trials: -1}}, "breaker: Config.Trials is -1"},
		"zero":   {&breaker.Transport{Breaker: new(breaker.Breaker)}, "breaker: Transport: a Breaker that was not made by New"},
		"base":   {&breaker.Transport{Base: roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil })}, "breaker: Transport.Base returned neither"},
	} {
		b := newBody("x", io.EOF)
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.test/", b)
		for range 2 {
			if _, err := tt.rt.RoundTrip(req); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want %s", name, err, tt.want)
			}
		}
		if name != "base" && b.closed == 0 {
			t.Errorf("%s: the request's body is open", name)
		}
	}
}
