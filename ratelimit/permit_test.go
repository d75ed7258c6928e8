package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/ratelimit"
	"github.com/google/go-cmp/cmp"
)

// A record is an Acquirer of a user: it takes down what it is told.
type record struct {
	mu       sync.Mutex
	next     uint64
	told     []string
	classify func(context.Context, error) ratelimit.Outcome
}

func (r *record) Acquire(context.Context) (ratelimit.Permit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	if r.classify != nil {
		return ratelimit.NewPermit(classifier{r}, r.next), nil
	}
	return ratelimit.NewPermit(r, r.next), nil
}

func (r *record) Answered(lease uint64, o ratelimit.Outcome) { r.tell("%d %v", lease, o) }

func (r *record) Done(lease uint64) { r.tell("%d done", lease) }

func (r *record) tell(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

// check compares what was told, and forgets it.
func (r *record) check(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.told); diff != "" {
		t.Error(diff)
	}
	r.told, r.next = nil, 0
}

type classifier struct{ *record }

func (c classifier) Classify(ctx context.Context, err error) ratelimit.Outcome {
	return c.classify(ctx, err)
}

var errOp = errors.New("op")

func TestPermitTellsItsOwnerOnce(t *testing.T) {
	r := &record{}
	p, _ := r.Acquire(t.Context())
	p.Answered(ratelimit.Default) // says nothing
	p.Answered(ratelimit.Overload)
	p.Answered(ratelimit.Success)
	p.Done()
	p.Done()
	p.Answered(ratelimit.Success)
	r.check(t, "1 overload", "1 done")
	q, _ := r.Acquire(t.Context())
	q.Done()
	r.check(t, "1 done")
	var none ratelimit.Permit
	none.Answered(ratelimit.Failure)
	none.Done()
	if o := none.Outcome(t.Context(), errOp); o != ratelimit.Failure {
		t.Errorf("outcome %v without an owner", o)
	}
}

type rejected struct{ error }

func (rejected) Rejected() bool { return true }

func TestOutcomeOfAnError(t *testing.T) {
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errOp)
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	lateBelow, below := context.WithCancelCause(t.Context())
	below(fmt.Errorf("attempt: %w", context.DeadlineExceeded))
	for name, tt := range map[string]struct {
		ctx  context.Context
		err  error
		want ratelimit.Outcome
	}{
		"none":                                {t.Context(), nil, ratelimit.Success},
		"none, cancelled":                     {cancelled, nil, ratelimit.Success},
		"error":                               {t.Context(), errOp, ratelimit.Failure},
		"cancelled, as the driver has it":     {cancelled, errOp, ratelimit.Ignored},
		"deadline, as the driver has it":      {late, errOp, ratelimit.Failure},
		"deadline that cancelled what it had": {late, context.Canceled, ratelimit.Failure},
		"deadline of a layer below":           {lateBelow, context.Canceled, ratelimit.Failure},
		"deadline of the operation":           {t.Context(), context.DeadlineExceeded, ratelimit.Failure},
		"cancelled by the operation":          {t.Context(), fmt.Errorf("op: %w", context.Canceled), ratelimit.Ignored},
		"refused below":                       {t.Context(), fmt.Errorf("op: %w", rejected{errOp}), ratelimit.Ignored},
		"refused below, too late":             {late, rejected{errOp}, ratelimit.Ignored},
	} {
		var p ratelimit.Permit
		if got := p.Outcome(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// Do says how it went; what panics or exits is given back without an answer.
func TestDoTellsTheOwner(t *testing.T) {
	r := &record{}
	run := func(err error) { ratelimit.Run(t.Context(), r, func(context.Context) error { return err }) }
	run(nil)
	run(errOp)
	run(rejected{errOp})
	ratelimit.Wrap(r, func(context.Context, int) (int, error) { return 0, errOp })(t.Context(), 1)
	r.check(t, "1 success", "1 done", "2 failure", "2 done", "3 ignored", "3 done", "4 failure", "4 done")

	func() {
		defer func() { recover() }()
		ratelimit.Run(t.Context(), r, func(context.Context) error { panic("op") })
	}()
	var wg sync.WaitGroup
	wg.Go(func() { ratelimit.Run(t.Context(), r, func(context.Context) error { runtime.Goexit(); return nil }) })
	wg.Wait()
	r.check(t, "1 done", "2 done")

	r.classify = func(_ context.Context, err error) ratelimit.Outcome {
		if err == errOp {
			return ratelimit.Overload
		}
		return ratelimit.Default
	}
	run(errOp)
	run(nil)
	run(errors.New("another"))
	r.check(t, "1 overload", "1 done", "2 success", "2 done", "3 failure", "3 done")

	r.classify = func(context.Context, error) ratelimit.Outcome { panic("classify") }
	func() {
		defer func() { recover() }()
		run(nil)
	}()
	r.check(t, "1 done")
}

func TestForeignOwnersDoNotAllocate(t *testing.T) {
	quiet := &quiet{}
	op := func(context.Context) error { return nil }
	if n := testing.AllocsPerRun(1000, func() { ratelimit.Run(t.Context(), quiet, op) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type quiet struct{ sum uint64 }

func (q *quiet) Acquire(context.Context) (ratelimit.Permit, error) {
	return ratelimit.NewPermit(q, 7), nil
}
func (q *quiet) Answered(lease uint64, o ratelimit.Outcome) { q.sum += lease * uint64(o) }
func (q *quiet) Done(lease uint64)                          { q.sum += lease }

// script is a body that ends with an error, or with trailers.
type script struct {
	io.Reader
	err      error
	trailers func()
}

func (s *script) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		if s.err != nil {
			return n, s.err
		}
		if s.trailers != nil {
			s.trailers()
		}
	}
	return n, err
}

func (*script) Close() error { return nil }

// What a Transport says of a request, by its rules and by three functions that users
// would write.
func TestTransportTellsTheOwner(t *testing.T) {
	functions := map[string]func(*http.Response, error) ratelimit.Outcome{
		"rules":   nil,
		"default": func(*http.Response, error) ratelimit.Outcome { return ratelimit.Default },
		"grpc": func(resp *http.Response, err error) ratelimit.Outcome {
			switch resp.Trailer.Get("Grpc-Status") {
			case "":
				return ratelimit.Default
			case "8", "14":
				return ratelimit.Overload
			}
			return ratelimit.Success
		},
		"careless": func(resp *http.Response, err error) ratelimit.Outcome {
			if resp.StatusCode == 200 {
				return ratelimit.Success
			}
			if resp.Request.Method == "GET" && len(resp.Header) >= 0 {
				return ratelimit.Overload
			}
			return ratelimit.Failure
		},
		"late": func(resp *http.Response, err error) ratelimit.Outcome {
			if b, _ := resp.Body.(*script); b != nil && err == nil { // not read yet
				return ratelimit.Ignored
			}
			return ratelimit.Default
		},
	}
	errBody := errors.New("connection reset")
	status := func(code int, header ...string) *http.Response {
		resp := &http.Response{StatusCode: code, Header: http.Header{}, Body: &script{Reader: strings.NewReader("abc")}}
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp
	}
	grpc := func(code string) func() (*http.Response, error) {
		return func() (*http.Response, error) {
			resp := status(200, "Content-Type", "application/grpc")
			resp.Body.(*script).trailers = func() { resp.Trailer = http.Header{"Grpc-Status": {code}} }
			return resp, nil
		}
	}
	for name, tt := range map[string]struct {
		answer  func() (*http.Response, error)
		headers string            // told when the headers are there
		end     string            // told when the body has ended, besides
		other   map[string]string // told by some of the functions in all
	}{
		"200": {func() (*http.Response, error) { return status(200), nil }, "success", "", nil},
		"404": {func() (*http.Response, error) { return status(404), nil }, "success", "", map[string]string{"careless": "overload"}},
		"429": {func() (*http.Response, error) { return status(429), nil }, "overload", "", nil},
		"500": {func() (*http.Response, error) { return status(500), nil }, "failure", "", map[string]string{"careless": "overload"}},
		"501": {func() (*http.Response, error) { return status(501), nil }, "success", "", map[string]string{"careless": "overload"}},
		"503": {func() (*http.Response, error) { return status(503), nil }, "failure", "", map[string]string{"careless": "overload"}},
		"503, Retry-After": {func() (*http.Response, error) { return status(503, "Retry-After", "3"), nil },
			"overload", "", nil},
		"error":   {func() (*http.Response, error) { return nil, errOp }, "failure", "", map[string]string{"careless": "overload"}},
		"refused": {func() (*http.Response, error) { return nil, rejected{errOp} }, "ignored", "", nil},
		"neither": {func() (*http.Response, error) { return nil, nil }, "failure", "", map[string]string{"careless": "overload"}},
		"cut body": {func() (*http.Response, error) {
			resp := status(200)
			resp.Body.(*script).err = errBody
			return resp, nil
		}, "success", "", map[string]string{"late": "failure"}},
		"gRPC": {grpc("0"), "", "success", map[string]string{"careless": "success"}},
		"gRPC, unavailable": {grpc("14"), "", "success",
			map[string]string{"careless": "success", "grpc": "overload"}},
		"gRPC, cut": {func() (*http.Response, error) {
			resp := status(200, "Content-Type", "application/grpc")
			resp.Body.(*script).err = errBody
			return resp, nil
		}, "", "failure", map[string]string{"careless": "success"}},
		"trailers": {func() (*http.Response, error) {
			resp := status(200)
			resp.Trailer = http.Header{"Checksum": nil}
			return resp, nil
		}, "", "success", map[string]string{"careless": "success"}},
	} {
		for fn, classify := range functions {
			t.Run(name+", "+fn, func(t *testing.T) {
				r := &record{}
				rt := &ratelimit.Transport{Concurrency: r, Classify: classify,
					Base: roundTrip(func(req *http.Request) (*http.Response, error) {
						resp, err := tt.answer()
						if resp != nil {
							resp.Request = req
						}
						return resp, err
					})}
				req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
				resp, _ := rt.RoundTrip(req)
				var want []string
				if o, ok := tt.other[fn]; ok {
					want = []string{"1 " + o}
				} else {
					if fn == "rules" && resp != nil { // which the others share
						if tt.headers != "" {
							want = []string{"1 " + tt.headers}
						}
						r.check(t, want...)
						want = nil
						if tt.end != "" {
							want = []string{"1 " + tt.end}
						}
					} else {
						want = []string{"1 " + tt.headers + tt.end}
					}
				}
				if resp != nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				r.check(t, append(want, "1 done")...)
			})
		}
	}
}

// A limit that refuses says nothing about the backend, and the caller's cancel neither.
func TestTransportDoesNotAskAboutRefusals(t *testing.T) {
	r := &record{}
	ctx, cancel := context.WithCancel(t.Context())
	asked := func(*http.Response, error) ratelimit.Outcome {
		t.Error("asked")
		return ratelimit.Failure
	}
	rt := &ratelimit.Transport{Concurrency: r, Classify: asked,
		Wait: func(*http.Request) error { return errOp },
		Base: roundTrip(func(*http.Request) (*http.Response, error) { cancel(); return nil, ctx.Err() })}
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://a.test/", nil)
	rt.RoundTrip(req)
	rt.Wait = nil
	rt.RoundTrip(req)
	r.check(t, "1 ignored", "1 done", "2 ignored", "2 done")
}

// A Classify that panics leaves neither a place taken nor a body open.
func TestTransportClassifyPanics(t *testing.T) {
	r := &record{}
	b := &body{Reader: strings.NewReader("abc")}
	rt := &ratelimit.Transport{Concurrency: r,
		Classify: func(*http.Response, error) ratelimit.Outcome { panic("classify") },
		Base: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: b}, nil
		})}
	func() {
		defer func() {
			if recover() != "classify" {
				t.Error("the panic did not pass")
			}
		}()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
		rt.RoundTrip(req)
	}()
	r.check(t, "1 done")
	if b.closed != 1 {
		t.Errorf("the body was closed %d times", b.closed)
	}
}

func TestPriorityIsInTheContext(t *testing.T) {
	low, cancel := context.WithCancel(ratelimit.LowPriority(t.Context()))
	defer cancel()
	if ratelimit.IsLowPriority(t.Context()) || !ratelimit.IsLowPriority(low) {
		t.Error("priority is not what was said")
	}
}
