package retry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// empty returns a budget of which everything was spent.
func empty(t *testing.T) *retry.Budget {
	t.Helper()
	b := retry.NewBudget(retry.BudgetConfig{Credit: 1, Floor: -1, Ratio: 1})
	retry.Run(t.Context(), retry.New(retry.Config{Budget: b, Schedule: retry.Constant(0)}), func(context.Context) error { return errOp })
	if s := b.Stats(); s.Balance != 0 || s.Granted != 1 || s.Refused != 1 {
		t.Fatalf("%+v", s)
	}
	return b
}

// Only what was withdrawn is paid back.
func TestBudgetIsNotRefilledByRetriesThatWereFree(t *testing.T) {
	for name, call := range map[string]func(*testing.T, *retry.Budget){
		"GetBody fails after a refusal": func(t *testing.T, b *retry.Budget) {
			rt := &retry.Transport{
				Policy: retry.New(retry.Config{Budget: b}),
				Base:   roundTrip(func(req *http.Request) (*http.Response, error) { return nil, free }),
			}
			req := newRequest(t, "POST", strings.NewReader("data"))
			req.GetBody = func() (io.ReadCloser, error) { return nil, errOp }
			rt.RoundTrip(req)
		},
		"Observe cancels after a refusal": func(t *testing.T, b *retry.Budget) {
			ctx, cancel := context.WithCancel(t.Context())
			p := retry.New(retry.Config{Budget: b, Observe: func(context.Context, retry.Event) { cancel() }})
			retry.Run(ctx, p, func(context.Context) error { return free })
		},
		"the caller leaves while a refusal is waited for": func(t *testing.T, b *retry.Budget) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			retry.Run(ctx, retry.New(retry.Config{Budget: b}), func(context.Context) error { return limited })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := empty(t)
				before := b.Stats()
				for range 20 {
					call(t, b)
				}
				if diff := cmp.Diff(before, b.Stats()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// The same by chance, where cancels race with refusals.
func TestBudgetKeepsItsCountWhenCallersLeave(t *testing.T) {
	b := empty(t)
	p := retry.New(retry.Config{Budget: b, Schedule: retry.Constant(0), MaxAttempts: 10})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				retry.Run(ctx, p, func(context.Context) error { return free })
				cancel()
			}
		})
	}
	wg.Wait()
	if s := b.Stats(); s.Granted != 1 || s.Balance != 0 {
		t.Errorf("%+v", s)
	}
}

// A final error is an answer of a backend that is well, and feeds the budget, unless it
// is a status of 500 and above, or comes from the network or from a layer below.
func TestFinalAnswersFeedTheBudget(t *testing.T) {
	stop := func(context.Context, error) retry.Decision { return retry.Stop }
	for _, tt := range []struct {
		name string
		cfg  retry.Config
		err  error
		fed  bool
	}{
		{name: "permanent", err: retry.Permanent(errOp), fed: true},
		{name: "Classify", cfg: retry.Config{Classify: stop}, err: errOp, fed: true},
		{name: "status 404", err: status(404), fed: true},
		{name: "status 404, not retryable", err: errors.Join(status(404), retryable(false)), fed: true},
		{name: "status 500", err: status(500)},
		{name: "permanent, status 503", err: retry.Permanent(status(503))},
		{name: "not retryable", err: retryable(false)},
		{name: "permanent, timeout", err: retry.Permanent(context.DeadlineExceeded)},
		{name: "Classify, connection refused", cfg: retry.Config{Classify: stop}, err: errRefused},
		{name: "Classify, refused below", cfg: retry.Config{Classify: stop}, err: open},
		{name: "refused below", err: open},
		{name: "no attempts left", cfg: retry.Config{MaxAttempts: 1}, err: errOp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Budget = empty(t)
			retry.Run(t.Context(), retry.New(tt.cfg), func(context.Context) error { return tt.err })
			if s := tt.cfg.Budget.Stats(); (s.Balance == 1) != tt.fed {
				t.Errorf("%v in the budget", s.Balance)
			}
		})
	}
}

// The errors of all attempts are found, and how the call ended is told by the last.
func TestErrorsOfEarlierAttemptsAreFound(t *testing.T) {
	errs := []error{errReset, context.DeadlineExceeded, retry.Permanent(errOther), errOp}
	n := 0
	p := retry.New(retry.Config{
		MaxAttempts: 4, Schedule: retry.Constant(0), Budget: retry.NoBudget,
		Classify: func(context.Context, error) retry.Decision { return retry.Retry },
	})
	errs[2] = retry.After(0, errOther)
	err := retry.Run(t.Context(), p, func(context.Context) error { n++; return errs[n-1] })
	if !errors.Is(err, errReset) || !errors.Is(err, errOther) || !errors.Is(err, errOp) || !errors.Is(err, retry.ErrExhausted) {
		t.Errorf("not all are found in %v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("the call has not ended with %v", context.DeadlineExceeded)
	}
	e, _ := errors.AsType[*retry.Error](err)
	if diff := cmp.Diff([]error{errReset, context.DeadlineExceeded, errOther}, e.Earlier, cmpopts.EquateErrors()); diff != "" {
		t.Error(diff)
	}
	if s, ok := errors.AsType[status](&retry.Error{Err: errOp, Earlier: []error{status(404)}}); ok {
		t.Errorf("an earlier status, %d, is found as the last one's", s)
	}
}

func TestErrorRemembersABoundedNumberOfAttempts(t *testing.T) {
	n := 0
	p := retry.New(retry.Config{MaxAttempts: 100, Schedule: retry.Constant(0), Budget: retry.NoBudget})
	err := retry.Run(t.Context(), p, func(context.Context) error { n++; return fault{after: time.Duration(n)} })
	e, _ := errors.AsType[*retry.Error](err)
	if n != 100 || e.Attempts != 100 || len(e.Earlier) != 15 || e.Earlier[0] != error(fault{85}) || e.Earlier[14] != error(fault{99}) || e.Err != error(fault{100}) {
		t.Errorf("%d attempts, %+v", n, e)
	}
}

// Elapsed counts from the end of the first attempt, whatever runs the attempts.
func TestElapsedIsThatSinceTheFirstFailure(t *testing.T) {
	for _, cfg := range []retry.Config{{}, {MaxElapsed: time.Hour}} {
		inBubbles(t, func(t *testing.T, run func(context.Context, *retry.Policy, func(context.Context) error) error) {
			err := run(t.Context(), everySecond(cfg), func(context.Context) error { time.Sleep(time.Minute); return errOp })
			if e, ok := errors.AsType[*retry.Error](err); !ok || e.Elapsed != 2*time.Minute+2*time.Second {
				t.Errorf("%+v", err)
			}
		})
	}
}

// A context that one attempt keeps does not keep the other calls'.
func TestAKeptContextKeepsOnlyItsOwnCall(t *testing.T) {
	type key struct{}
	p := retry.New(retry.Config{Schedule: retry.Constant(0), Budget: retry.NoBudget})
	var kept context.Context
	var values []weak.Pointer[[1 << 16]byte]
	for range 15 {
		value := new([1 << 16]byte)
		values = append(values, weak.Make(value))
		retry.Run(context.WithValue(t.Context(), key{}, value), p, func(ctx context.Context) error {
			if _, again := retry.AttemptFrom(ctx); !again {
				return errOp
			}
			kept = ctx
			return nil
		})
	}
	for range 5 {
		runtime.GC()
	}
	alive := 0
	for _, v := range values {
		if v.Value() != nil {
			alive++
		}
	}
	if alive != 1 || kept == nil {
		t.Errorf("the values of %d calls are alive, want 1", alive)
	}
}

// Classify may ask which attempt it was.
func TestClassifyKnowsTheAttempt(t *testing.T) {
	numbers := func(got *[]int) func(context.Context) retry.Decision {
		return func(ctx context.Context) retry.Decision {
			a, _ := retry.AttemptFrom(ctx)
			*got = append(*got, a.Number)
			return retry.Default
		}
	}
	for _, timeout := range []time.Duration{0, time.Minute} {
		var got []int
		ask := numbers(&got)
		cfg := retry.Config{Schedule: retry.Constant(0), AttemptTimeout: timeout, Classify: func(ctx context.Context, _ error) retry.Decision { return ask(ctx) }}
		retry.Run(t.Context(), retry.New(cfg), func(context.Context) error { return errOp })
		if !slices.Equal(got, []int{0, 2, 3}) {
			t.Errorf("Do: %d", got)
		}
		got, cfg.Classify = nil, nil
		n := 0
		rt := &retry.Transport{
			Config:   cfg,
			Classify: func(resp *http.Response, _ error) retry.Decision { return ask(resp.Request.Context()) },
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				if n++; n == 1 {
					return nil, errReset
				}
				return answer(req, 503, ""), nil
			}),
		}
		req := newRequest(t, "GET", nil)
		if resp, err := rt.RoundTrip(req); err != nil || resp.Request != req {
			t.Errorf("got %v, %v", resp, err)
		}
		if !slices.Equal(got, []int{0, 2, 3}) {
			t.Errorf("Transport: %d", got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var got []int
		var mu sync.Mutex
		h := retry.NewHedger(retry.HedgeConfig{Delay: time.Second, Max: 3, Classify: func(ctx context.Context, _ error) retry.Decision {
			mu.Lock()
			defer mu.Unlock()
			return numbers(&got)(ctx)
		}})
		retry.Hedge(t.Context(), h, func(context.Context) (int, error) { return 0, errOp }, nil)
		if !slices.Equal(got, []int{0, 2, 3}) {
			t.Errorf("Hedge: %d", got)
		}
	})
}

// What Transport.Classify gets: never a nil response, and neither refusals nor the
// caller's own end.
func TestTransportClassifyIsAskedAboutAnswersAndErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, tt := range []struct {
		name  string
		step  any
		asked []int // the status of each response it gets
	}{
		{"answer", 200, []int{200}},
		{"failure", errReset, []int{0}},
		{"refusal", open, nil},
		{"the caller leaves", context.Canceled, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []int
			rt := &retry.Transport{
				Classify: func(resp *http.Response, err error) retry.Decision {
					asked = append(asked, resp.StatusCode)
					if _, failed := tt.step.(error); failed != (err != nil) || resp.Header.Get("X") != "" || resp.Request.URL.Host != "a.test" {
						t.Errorf("asked about %+v, %v", resp, err)
					}
					resp.Body.Close()
					return retry.Stop
				},
				Base: roundTrip(func(req *http.Request) (*http.Response, error) {
					if err, ok := tt.step.(error); ok {
						if err == context.Canceled {
							cancel()
						}
						return nil, err
					}
					return answer(req, tt.step.(int), ""), nil
				}),
			}
			rt.RoundTrip(newRequest(t, "GET", nil).WithContext(ctx))
			if !slices.Equal(asked, tt.asked) {
				t.Errorf("asked about %v, want %v", asked, tt.asked)
			}
		})
	}
}

// A response that is given up and then returned after all has the body that was read.
func TestResponseBeforeARefusalKeepsItsBody(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault memhttp.Fault
		want  int // bytes
		err   error
		hedge bool
	}{
		{name: "short", fault: memhttp.Fault{Status: 503, Body: "try later"}, want: 9},
		{name: "short, in a race", fault: memhttp.Fault{Status: 503, Body: "try later"}, want: 9, hedge: true},
		{name: "long", fault: memhttp.Fault{Status: 503, Body: strings.Repeat("x", 1<<20)}, want: 64 << 10, err: io.ErrUnexpectedEOF},
		{name: "none", fault: memhttp.Fault{Status: 503}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := memhttp.NewServer(t, http.NotFoundHandler())
				srv.Fault = memhttp.Sequence(tt.fault)
				base, sent := srv.Transport(), 0
				rt := &retry.Transport{Config: retry.Config{Schedule: retry.Constant(time.Hour)}, Base: roundTrip(func(req *http.Request) (*http.Response, error) {
					if sent++; sent == 1 {
						return base.RoundTrip(req)
					}
					return nil, open
				})}
				if tt.hedge {
					rt.Hedger = retry.NewHedger(retry.HedgeConfig{Delay: time.Minute})
					rt.Config.MaxAttempts = 1
				}
				resp, err := (&http.Client{Transport: rt}).Get(srv.URL())
				if err != nil || resp.StatusCode != 503 || sent != 2 {
					t.Fatalf("got %v, %v after %d attempts", resp, err, sent)
				}
				got, err := io.ReadAll(resp.Body)
				if tt.name != "none" && len(got) != tt.want || !errors.Is(err, tt.err) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
				resp.Body.Close()
			})
		})
	}
}

// RetryAfter reads what an API says in fields of its own.
func TestTransportRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		rt := &retry.Transport{
			Policy: everySecond(retry.Config{}),
			RetryAfter: func(resp *http.Response) time.Duration {
				d, _ := time.ParseDuration(resp.Header.Get("X-Wait"))
				return d
			},
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				sent++
				resp := answer(req, []int{403, 503, 403}[sent-1], "30")
				if sent == 1 {
					resp.Header.Set("X-Wait", "5s")
				}
				return resp, nil
			}),
		}
		start := time.Now()
		resp, err := rt.RoundTrip(newRequest(t, "GET", nil))
		// The 403 with a wait is retried, the 503 after its Retry-After; the 403 without is final.
		if d := time.Since(start); err != nil || resp.StatusCode != 403 || sent != 3 || d < 35*time.Second || d > 45*time.Second {
			t.Errorf("got %v, %v after %d attempts and %v", resp, err, sent, d)
		}
	})
}

// The policies that Transport makes for hosts are as Config says, with the host's name.
func TestTransportConfigForHosts(t *testing.T) {
	var names []string
	sent := 0
	rt := &retry.Transport{
		Config: retry.Config{MaxAttempts: 2, Schedule: retry.Constant(0), Observe: func(_ context.Context, e retry.Event) { names = append(names, e.Name) }},
		Base:   roundTrip(func(req *http.Request) (*http.Response, error) { sent++; return nil, errReset }),
	}
	if _, err := rt.RoundTrip(newRequest(t, "GET", nil)); err == nil || sent != 2 || !slices.Equal(names, []string{"a.test", "a.test"}) {
		t.Errorf("error %v, %d attempts, names %q", err, sent, names)
	}
	body := content("x")
	bad := &retry.Transport{Config: retry.Config{MaxAttempts: -1}}
	if _, err := bad.RoundTrip(newRequest(t, "PUT", body)); err == nil || !strings.HasPrefix(err.Error(), "retry: Config.MaxAttempts is -1") || body.closed.Load() == 0 {
		t.Errorf("error %v, body closed %d times", err, body.closed.Load())
	}
}

// The budget of a host in use survives any number of hosts that are asked once.
func TestTransportKeepsTheHostsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		rt := &retry.Transport{
			Config: retry.Config{Schedule: retry.Constant(0)},
			Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.URL.Host == "a.test" {
					n++
					return answer(req, 503, ""), nil
				}
				return answer(req, 200, ""), nil
			}),
		}
		for i := range 5000 {
			if i%30 == 0 {
				rt.RoundTrip(newRequest(t, "GET", nil))
			}
			req := newRequest(t, "GET", nil)
			req.URL.Host = string([]rune{'h', rune(0x4e00 + i)}) + ".test"
			rt.RoundTrip(req)
		}
		if calls := (5000 + 29) / 30; n > calls+10 {
			t.Errorf("%d requests for %d calls: the emptied budget was forgotten", n, calls)
		}
	})
}
