package breaker_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/internal/memhttp"
)

// byGRPC is what a client of gRPC over HTTP uses.
func byGRPC(resp *http.Response, err error) breaker.Outcome {
	switch cmp.Or(resp.Trailer.Get("Grpc-Status"), resp.Header.Get("Grpc-Status")) {
	case "": // an error, or not known yet
		return breaker.Default
	case "4", "8", "13", "14", "15":
		return breaker.Failure
	}
	return breaker.Success
}

// byHabit is what one writes first.
func byHabit(resp *http.Response, err error) breaker.Outcome {
	if err != nil || resp == nil || resp.StatusCode >= 500 || resp.StatusCode == 418 {
		return breaker.Failure
	}
	return breaker.Default
}

// careless looks at the status before it looks at the error.
func careless(resp *http.Response, err error) breaker.Outcome {
	if resp.StatusCode == 418 || resp.Request.URL.Path == "/nowhere" {
		return breaker.Failure
	}
	return breaker.Default
}

// TestWhatSpeaksAtItsEndCountsThere sends requests over a network to a server whose
// answers say in their trailers, or in how they end, how it went.
func TestWhatSpeaksAtItsEndCountsThere(t *testing.T) {
	const success, failure = breaker.Success, breaker.Failure
	type classify = func(*http.Response, error) breaker.Outcome
	for _, tt := range []struct {
		path     string
		classify classify
		headers  breaker.Outcome // what they alone count as
		want     breaker.Outcome
	}{
		{"/plain", nil, success, success},
		{"/plain", byGRPC, success, success},
		{"/plain", byHabit, success, success},
		{"/plain", careless, success, success},
		{"/teapot", nil, success, success},
		{"/teapot", byGRPC, success, success},
		{"/teapot", byHabit, failure, failure},
		{"/teapot", careless, failure, failure},
		{"/cut", nil, success, failure},
		{"/cut", byGRPC, success, failure},
		{"/cut", byHabit, success, failure},
		{"/cut", careless, success, failure},
		{"/grpc?0", nil, breaker.Ignored, success},
		{"/grpc?0", byGRPC, breaker.Ignored, success},
		{"/grpc?0", careless, breaker.Ignored, success},
		{"/grpc?5", byGRPC, breaker.Ignored, success},
		{"/grpc?14", nil, breaker.Ignored, success},
		{"/grpc?14", byGRPC, breaker.Ignored, failure},
		{"/grpccut", nil, breaker.Ignored, failure},
		{"/grpccut", byGRPC, breaker.Ignored, failure},
		{"/trailersonly?14", nil, success, success},
		{"/trailersonly?14", byGRPC, failure, failure},
		{"/announced?14", nil, breaker.Ignored, success},
		{"/announced?14", byGRPC, breaker.Ignored, failure},
		{"/nowhere", nil, failure, failure},
		{"/nowhere", byGRPC, failure, failure},
		{"/nowhere", byHabit, failure, failure},
		{"/nowhere", careless, failure, failure},
	} {
		for _, protocol := range []string{"HTTP/1", "HTTP/2"} {
			for who, f := range map[string]classify{"": nil, "byGRPC": byGRPC, "byHabit": byHabit, "careless": careless} {
				if fmt.Sprintf("%p", f) != fmt.Sprintf("%p", tt.classify) {
					continue
				}
				t.Run(fmt.Sprint(tt.path, " ", who, " ", protocol), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := memhttp.NewServer(t, http.HandlerFunc(answer))
						srv.Fault = func(_ int, req *http.Request) (f memhttp.Fault) {
							if strings.HasSuffix(req.URL.Path, "cut") {
								f.Reset = memhttp.AfterBody(3)
							}
							return f
						}
						srv.ConnFault = func(int) memhttp.ConnFault { return memhttp.ConnFault{Refused: tt.path == "/nowhere"} }
						base := srv.Transport()
						if protocol == "HTTP/2" {
							memhttp.HTTP2(base)
						}
						defer base.CloseIdleConnections()
						b := breaker.New(breaker.Config{AllFailed: -1, Consecutive: -1, MinCalls: 100})
						rt := &breaker.Transport{Base: base, Breaker: b, Classify: tt.classify}
						resp, err := get(t, rt, srv.URL()+tt.path)
						if got := outcome(b); got != tt.headers {
							t.Errorf("at the headers: %v, want %v", got, tt.headers)
						}
						if err == nil {
							io.Copy(io.Discard, resp.Body)
							resp.Body.Close()
						}
						if got := outcome(b); got != tt.want {
							t.Errorf("at the end: %v, want %v", got, tt.want)
						}
					})
				})
			}
		}
	}
}

func answer(w http.ResponseWriter, req *http.Request) {
	status := req.URL.RawQuery
	switch req.URL.Path {
	case "/teapot":
		w.WriteHeader(http.StatusTeapot)
	case "/grpc", "/grpccut":
		w.Header().Set("Content-Type", "application/grpc+proto")
		defer w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
	case "/trailersonly":
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", status)
		return
	case "/announced":
		w.Header().Set("Trailer", "Grpc-Status")
		defer w.Header().Set("Grpc-Status", status)
	}
	io.WriteString(w, "message")
	w.(http.Flusher).Flush()
}

// outcome returns what the only call of b counted as.
func outcome(b *breaker.Breaker) breaker.Outcome {
	switch w := b.Stats().Window; {
	case w.Failed > 0:
		return breaker.Failure
	case w.Calls > 0:
		return breaker.Success
	}
	return breaker.Ignored
}

// What the caller has done to its own request says nothing about the backend, and no
// Classify is asked about it.
func TestOwnFaultsAreIgnored(t *testing.T) {
	errRead := errors.New("disk error")
	reader := func(text string, err error) io.Reader {
		return struct{ io.Reader }{newBody(text, err)}
	}
	for name, request := range map[string]func(context.Context, string) *http.Request{
		"a body that cannot be read": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "POST", url, reader("abc", errRead))
			return req
		},
		"a body shorter than it says": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "POST", url, reader("abc", io.EOF))
			req.ContentLength = 10
			return req
		},
		"a body longer than it says": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "POST", url, reader("abcdefghijklm", io.EOF))
			req.ContentLength = 10
			return req
		},
		"the name of a header": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			req.Header["a b"] = []string{"x"}
			return req
		},
		"the value of a header": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			req.Header["A"] = []string{"x\ny"}
			return req
		},
		"a trailer": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "POST", url, reader("abc", io.EOF))
			req.Trailer = http.Header{"A b": {"x"}}
			return req
		},
		"a method": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			req.Method = "G T"
			return req
		},
		"no header": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			req.Header = nil
			return req
		},
		"no URL": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			req.URL = nil
			return req
		},
		"a closed Request.Cancel": func(ctx context.Context, url string) *http.Request {
			req, _ := http.NewRequestWithContext(ctx, "GET", url+"/hang", nil)
			cancel := make(chan struct{})
			req.Cancel = cancel //lint:ignore SA1019 it is what this is about
			time.AfterFunc(time.Second, func() { close(cancel) })
			return req
		},
		"a cancelled context": func(ctx context.Context, url string) *http.Request {
			ctx, cancel := context.WithCancel(ctx)
			req, _ := http.NewRequestWithContext(ctx, "GET", url+"/hang", nil)
			time.AfterFunc(time.Second, cancel)
			return req
		},
	} {
		for _, protocol := range []string{"HTTP/1", "HTTP/2"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
						if req.URL.Path == "/hang" {
							<-req.Context().Done()
						}
						io.Copy(io.Discard, req.Body)
						time.Sleep(time.Second) // a server that answers what it understands of it answers later
					}))
					base := srv.Transport()
					if protocol == "HTTP/2" {
						memhttp.HTTP2(base)
					}
					defer base.CloseIdleConnections()
					b := breaker.New(breaker.Config{Consecutive: 1})
					rt := &breaker.Transport{Base: base, Breaker: b, Classify: func(resp *http.Response, err error) breaker.Outcome {
						t.Errorf("Classify was asked: %v, %v", resp.StatusCode, err)
						return breaker.Failure
					}}
					resp, err := rt.RoundTrip(request(t.Context(), srv.URL()))
					if err == nil { // HTTP/2 has sent what there was
						resp.Body.Close()
					}
					if got := outcome(b); got != breaker.Ignored || b.State() != breaker.Closed {
						t.Errorf("%v, with the error %v", got, err)
					}
					synctest.Wait()
				})
			})
		}
	}
}

// A caller that cancels while it reads says nothing about the backend, and no Classify
// is asked: the good headers stand.
func TestCancelInTheBodyIsNobodysFailure(t *testing.T) {
	b := breaker.New(breaker.Config{Consecutive: 1})
	asked := 0
	rt := &breaker.Transport{
		Breaker: b,
		Base: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: newBody("abc", errors.New("net/http: request canceled"))}, nil
		}),
		Classify: func(*http.Response, error) breaker.Outcome { asked++; return breaker.Default },
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
	cancel := make(chan struct{})
	req.Cancel = cancel //lint:ignore SA1019 it is what this is about
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	close(cancel)
	io.Copy(io.Discard, resp.Body)
	if got := outcome(b); got != breaker.Success || asked != 1 {
		t.Errorf("%v, asked %d times; want success, once", got, asked)
	}
}

// A body that the server does not want to the end is no fault of the caller.
func TestWatchedBodiesDoNotHideFailures(t *testing.T) {
	for _, status := range []int{200, 413, 503} {
		b := breaker.New(breaker.Config{Consecutive: 1})
		rt := &breaker.Transport{Breaker: b, Base: roundTrip(func(req *http.Request) (*http.Response, error) {
			req.Body.Read(make([]byte, 2))
			req.Body.Close()
			req.Body.Read(make([]byte, 2)) // fails, since it is closed
			return &http.Response{StatusCode: status, Body: http.NoBody, Request: req}, nil
		})}
		pr, pw := io.Pipe()
		go pw.Write([]byte("hello"))
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a.test/", pr)
		resp, err := rt.RoundTrip(req)
		if err != nil || resp.Request != req {
			t.Errorf("%v, the response's request is not the caller's", err)
		}
		if opened := b.State() == breaker.Open; opened != (status == 503) {
			t.Errorf("%d: %v", status, b.State())
		}
	}
}

// Classify is asked about the headers, and about the end if there is something to say.
// The last answer counts.
func TestClassifyIsAskedAtTheEnd(t *testing.T) {
	type call struct {
		status  int
		trailer string
		err     error
	}
	for name, tt := range map[string]struct {
		status  int
		read    error
		trailer string
		close   bool
		err     error
		answers []breaker.Outcome // in turn, then Default
		asked   []call
		want    breaker.Outcome
	}{
		"good":                          {status: 200, asked: []call{{status: 200}}, want: breaker.Success},
		"no response":                   {err: errReset, asked: []call{{err: errReset}}, want: breaker.Failure},
		"no response, but that is fine": {err: errReset, answers: []breaker.Outcome{breaker.Success}, asked: []call{{err: errReset}}, want: breaker.Success},
		"broken":                        {status: 200, read: errReset, asked: []call{{status: 200}, {status: 200, err: errReset}}, want: breaker.Failure},
		"broken, but that is fine":      {status: 200, read: errReset, answers: []breaker.Outcome{breaker.Default, breaker.Ignored}, asked: []call{{status: 200}, {status: 200, err: errReset}}, want: breaker.Success},
		"closed early":                  {status: 200, close: true, trailer: "bad", asked: []call{{status: 200}}, want: breaker.Success},
		"trailers":                      {status: 200, trailer: "fine", asked: []call{{status: 200}, {status: 200, trailer: "fine"}}, want: breaker.Success},
		"trailers alone decide":         {status: 200, trailer: "bad", answers: []breaker.Outcome{breaker.Ignored, breaker.Failure}, asked: []call{{status: 200}, {status: 200, trailer: "bad"}}, want: breaker.Failure},
		"trailers after a success":      {status: 200, trailer: "bad", answers: []breaker.Outcome{breaker.Success, breaker.Failure}, asked: []call{{status: 200}, {status: 200, trailer: "bad"}}, want: breaker.Failure},
		"ignored, and nothing follows":  {status: 200, answers: []breaker.Outcome{breaker.Ignored}, asked: []call{{status: 200}}, want: breaker.Ignored},
		"429":                           {status: 429, asked: []call{{status: 429}}, want: breaker.Ignored},
		"429 that breaks off":           {status: 429, read: errReset, asked: []call{{status: 429}, {status: 429, err: errReset}}, want: breaker.Failure},
		"503 is bad and stays so":       {status: 503, read: errReset, asked: []call{{status: 503}}, want: breaker.Failure},
		"503 is bad and stays so, too":  {status: 503, trailer: "fine", asked: []call{{status: 503}}, want: breaker.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []call
			b := breaker.New(breaker.Config{AllFailed: -1})
			rt := &breaker.Transport{
				Breaker: b,
				Base: roundTrip(func(req *http.Request) (*http.Response, error) {
					if tt.err != nil {
						return nil, tt.err
					}
					resp := &http.Response{StatusCode: tt.status, Header: http.Header{}}
					resp.Body = newBody("text", cmp.Or(tt.read, io.EOF))
					if tt.trailer != "" {
						resp.Trailer = http.Header{"End": {tt.trailer}}
					}
					return resp, nil
				}),
				Classify: func(resp *http.Response, err error) breaker.Outcome {
					c := call{status: resp.StatusCode, err: err}
					if len(asked) > 0 {
						c.trailer = resp.Trailer.Get("End")
					}
					if asked = append(asked, c); len(asked) <= len(tt.answers) {
						return tt.answers[len(asked)-1]
					}
					return breaker.Default
				},
			}
			if resp, err := get(t, rt, "http://a.test/"); err == nil {
				if !tt.close {
					io.ReadAll(resp.Body)
				}
				resp.Body.Close()
			}
			if fmt.Sprint(asked) != fmt.Sprint(tt.asked) {
				t.Errorf("asked about %v, want %v", asked, tt.asked)
			}
			if got := outcome(b); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// User code that does not return costs no permit and leaves no body open.
func TestTransportUnwinds(t *testing.T) {
	for name, tt := range map[string]struct {
		base     func()
		classify func()
		observe  func()
	}{
		"base":     {base: func() { panic("user") }},
		"classify": {classify: func() { panic("user") }},
		"observe":  {observe: func() { panic("user") }},
	} {
		synctest.Test(t, func(t *testing.T) {
			call := func(f func()) {
				if f != nil {
					f()
				}
			}
			body := newBody("text", io.EOF)
			b := breaker.New(breaker.Config{Consecutive: 1, Trials: 1, Observe: func(_ context.Context, e breaker.Event) {
				if e.Transition.To == breaker.Closed {
					call(tt.observe)
				}
			}})
			breaker.Run(t.Context(), b, func(context.Context) error { return errDown })
			time.Sleep(5 * time.Second)
			synctest.Wait()
			rt := &breaker.Transport{
				Breaker: b,
				Base: roundTrip(func(*http.Request) (*http.Response, error) {
					call(tt.base)
					return &http.Response{StatusCode: 200, Body: body}, nil
				}),
				Classify: func(*http.Response, error) breaker.Outcome { call(tt.classify); return breaker.Default },
			}
			func() {
				defer func() {
					if v := recover(); v != "user" {
						t.Errorf("%s: recovered %v", name, v)
					}
				}()
				get(t, rt, "http://a.test/")
			}()
			if closed := body.closed > 0; closed != (tt.base == nil) {
				t.Errorf("%s: the body was closed %d times", name, body.closed)
			}
			want := breaker.Open // the trial has failed
			if tt.observe != nil {
				want = breaker.Closed // which is what was told
			}
			if b.State() != want {
				t.Errorf("%s: %v, want %v", name, b.State(), want)
			}
		})
	}
}
