package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
)

// ways are how code of the caller's may end without a return.
var ways = map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit}

// end runs call on a goroutine of its own and says how it ended.
func end(call func()) (how string) {
	var wg sync.WaitGroup
	wg.Go(func() {
		how = "Goexit"
		defer func() {
			if v := recover(); v != nil {
				how = fmt.Sprint("panic: ", v)
			}
		}()
		call()
		how = "returned"
	})
	wg.Wait()
	return how
}

// TestHedgeUserCode is the table of what becomes of a panic, or of runtime.Goexit, in
// code of the caller's: it is the caller's as long as there is one. In each case no
// attempt's context and no value stays behind.
func TestHedgeUserCode(t *testing.T) {
	const ms = time.Millisecond
	type code struct {
		op       func(ctx context.Context, stop func()) (int, error)
		classify func(stop func())
		observe  func(e retry.Event, stop func())
		discard  func(v int, stop func())
	}
	quick := func(context.Context, func()) (int, error) { return 1, nil }
	for _, tt := range []struct {
		name     string
		code     code
		detached string // with panics; Goexit where it says "panic: boom"
		inline   string // "": the same
		panics   uint64 // told as dropped panics of Observe, detached
		values   int    // that are made, and so discarded unless the call returns one
	}{
		{name: "op, the first attempt", detached: "panic: boom", code: code{op: func(ctx context.Context, stop func()) (int, error) {
			stop()
			return 0, nil
		}}},
		{name: "op, a hedge", detached: "panic: boom", code: code{op: func(ctx context.Context, stop func()) (int, error) {
			if number(ctx) == 2 {
				stop()
			}
			return 0, after(ctx, time.Hour)
		}}},
		{name: "op, while the value of a deaf attempt is on its way", detached: "panic: boom", values: 1, code: code{op: func(ctx context.Context, stop func()) (int, error) {
			if number(ctx) == 2 {
				stop()
			}
			time.Sleep(time.Second)
			return 1, nil
		}}},
		{name: "Classify", detached: "panic: boom", code: code{
			op:       func(context.Context, func()) (int, error) { return 0, errOp },
			classify: func(stop func()) { stop() },
		}},
		{name: "Classify of a hedge", detached: "panic: boom", code: code{
			op: func(ctx context.Context, _ func()) (int, error) {
				if number(ctx) == 2 {
					return 0, errOp
				}
				return 0, after(ctx, time.Hour)
			},
			classify: func(stop func()) { stop() },
		}},
		{name: "Observe of the end", detached: "panic: boom", values: 1, code: code{
			op: quick,
			observe: func(e retry.Event, stop func()) {
				if e.Kind == retry.Succeeded {
					stop()
				}
			},
		}},
		{name: "Observe of a failure at the end", detached: "panic: boom", code: code{
			op: func(context.Context, func()) (int, error) { return 0, retry.Permanent(errOp) },
			observe: func(e retry.Event, stop func()) {
				if e.Kind == retry.GaveUp {
					stop()
				}
			},
		}},
		{name: "Observe of a hedge of a slow attempt", detached: "returned", panics: 1, values: 1, code: code{
			op: func(ctx context.Context, _ func()) (int, error) { return 1, after(ctx, 150*ms) },
			observe: func(e retry.Event, stop func()) {
				if e.Kind == retry.Hedging {
					stop()
				}
			},
		}},
		{name: "Observe of an attempt after a failure", detached: "returned", inline: "panic: boom", panics: 1, values: 1, code: code{
			op: func(ctx context.Context, _ func()) (int, error) {
				if number(ctx) == 1 {
					return 0, errOp
				}
				return 1, nil
			},
			observe: func(e retry.Event, stop func()) {
				if e.Kind == retry.Hedging {
					stop()
				}
			},
		}},
		{name: "discard, after the end", detached: "returned", inline: "panic: boom", values: 2, code: code{
			op: func(ctx context.Context, _ func()) (int, error) {
				if number(ctx) == 1 {
					time.Sleep(time.Second)
				}
				return number(ctx), nil
			},
			discard: func(v int, stop func()) {
				if v == 1 {
					stop()
				}
			},
		}},
	} {
		for way, stop := range ways {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				bothWays(t, func(t *testing.T, cfg retry.HedgeConfig) {
					want := tt.detached
					if cfg.Inline && tt.inline != "" {
						want = tt.inline
					}
					// A goroutine that Observe ends with Goexit ends with it the attempt
					// that it was to make, and so the call.
					if way == "Goexit" && (want == "panic: boom" || tt.panics > 0) {
						want = "Goexit"
					}
					var mu sync.Mutex
					var contexts []context.Context
					var told []retry.Event
					var made, discarded atomic.Int32
					if tt.code.classify != nil {
						cfg.Classify = func(context.Context, error) retry.Decision { tt.code.classify(stop); return retry.Default }
					}
					cfg.Observe = func(_ context.Context, e retry.Event) {
						mu.Lock()
						told = append(told, e)
						mu.Unlock()
						if tt.code.observe != nil {
							tt.code.observe(e, stop)
						}
					}
					h := retry.NewHedger(cfg)
					how := end(func() {
						retry.Hedge(t.Context(), h, func(ctx context.Context) (int, error) {
							mu.Lock()
							contexts = append(contexts, ctx)
							mu.Unlock()
							v, err := tt.code.op(ctx, stop)
							if err == nil {
								made.Add(1)
							}
							return v, err
						}, func(v int) {
							discarded.Add(1)
							if tt.code.discard != nil {
								tt.code.discard(v, stop)
							}
						})
					})
					time.Sleep(time.Hour)
					synctest.Wait()
					if how != want {
						t.Errorf("the call ended by %q, want %q", how, want)
					}
					for i, ctx := range contexts {
						if ctx.Err() == nil {
							t.Errorf("the context of attempt %d lives on", i+1)
						}
					}
					back := 0
					if how == "returned" {
						back = 1
					}
					if int(made.Load()) != int(discarded.Load())+back {
						t.Errorf("%d values made, %d discarded, %d returned", made.Load(), discarded.Load(), back)
					}
					if s := h.Stats(); !cfg.Inline && s.Panics != tt.panics {
						t.Errorf("%+v", s)
					}
					if way == "panic" && !cfg.Inline {
						if int(made.Load()) != tt.values {
							t.Errorf("%d values made, want %d", made.Load(), tt.values)
						}
						var last retry.Event
						if len(told) > 0 {
							last = told[len(told)-1]
						}
						if late := tt.code.discard != nil; late != (last.Kind == retry.Panicked) || late && !strings.Contains(last.Err.Error(), "boom") {
							t.Errorf("Observe was told %+v", last)
						}
					}
					// The Hedger is as good as before.
					if v, err := retry.Hedge(t.Context(), retry.NewHedger(retry.HedgeConfig{Inline: cfg.Inline}), func(context.Context) (int, error) { return 7, nil }, nil); v != 7 || err != nil {
						t.Errorf("the next call gave %d, %v", v, err)
					}
				})
			})
		}
	}
}

// Nobody is told, and nobody waits: a panic then ends the process, as that of any
// goroutine does.
func TestHedgePanicThatNobodyIsToldOfTakesItsCourse(t *testing.T) {
	if os.Getenv("HEDGE_PANICS") != "" {
		h := retry.NewHedger(retry.HedgeConfig{Delay: time.Nanosecond})
		retry.Hedge(context.Background(), h, func(ctx context.Context) (int, error) {
			if number(ctx) == 1 {
				<-ctx.Done()
				panic("boom of a loser")
			}
			return 0, nil
		}, nil)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), "HEDGE_PANICS=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: boom of a loser") {
		t.Errorf("the process ended with %v: %.300s", err, out)
	}
}

// A panic of Observe, or of a function of the Transport's, leaves no body open and no
// retry paid for.
func TestTransportUserCodePanics(t *testing.T) {
	boom := func() { panic("boom") }
	for _, tt := range []struct {
		name string
		rt   func(observe func(context.Context, retry.Event)) *retry.Transport
		kind retry.Kind // Observe panics at it; 99: not at all
		step any
	}{
		{name: "Observe, retrying", kind: retry.Retrying, step: 503},
		{name: "Observe, gave up", kind: retry.GaveUp, step: 500},
		{name: "Observe, succeeded", kind: retry.Succeeded, step: 200},
		{name: "Observe, no attempts left", kind: retry.GaveUp, step: 503, rt: func(observe func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{Config: retry.Config{Observe: observe, MaxAttempts: 1}}
		}},
		{name: "Classify, a response", kind: 99, step: 200, rt: func(func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{Classify: func(*http.Response, error) retry.Decision { boom(); return 0 }}
		}},
		{name: "Classify, an error", kind: 99, step: errReset, rt: func(func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{Classify: func(*http.Response, error) retry.Decision { boom(); return 0 }}
		}},
		{name: "Classify, with a timeout", kind: 99, step: 503, rt: func(func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{Config: retry.Config{AttemptTimeout: time.Hour}, Classify: func(*http.Response, error) retry.Decision { boom(); return 0 }}
		}},
		{name: "Classify, hedged", kind: 99, step: 503, rt: func(func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{Hedger: retry.NewHedger(retry.HedgeConfig{}), Classify: func(*http.Response, error) retry.Decision { boom(); return 0 }}
		}},
		{name: "RetryAfter", kind: 99, step: 200, rt: func(func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{RetryAfter: func(*http.Response) time.Duration { boom(); return 0 }}
		}},
		{name: "Idempotent, before", kind: 99, step: 200, rt: func(func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{Config: retry.Config{MaxElapsed: time.Hour}, Idempotent: func(*http.Request) bool { boom(); return true }}
		}},
		{name: "Idempotent, after", kind: 99, step: 503, rt: func(func(context.Context, retry.Event)) *retry.Transport {
			return &retry.Transport{Idempotent: func(*http.Request) bool { boom(); return true }}
		}},
	} {
		for way, stop := range ways {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					boom = stop
					observe := func(_ context.Context, e retry.Event) {
						if e.Kind == tt.kind {
							stop()
						}
					}
					rt := &retry.Transport{Config: retry.Config{Observe: observe}}
					if tt.rt != nil {
						rt = tt.rt(observe)
					}
					budget := retry.NewBudget(retry.BudgetConfig{Credit: 5, Floor: -1})
					rt.Config.Budget = budget
					var opened []interface{ isClosed() bool }
					rt.Base = roundTrip(func(req *http.Request) (*http.Response, error) {
						io.Copy(io.Discard, req.Body)
						req.Body.Close()
						if err, ok := tt.step.(error); ok {
							return nil, err
						}
						resp := answer(req, tt.step.(int), "")
						opened = append(opened, resp.Body.(*reply))
						return resp, nil
					})
					var bodies []*source
					body := func() io.ReadCloser {
						bodies = append(bodies, content("content"))
						return bodies[len(bodies)-1]
					}
					req := newRequest(t, "PUT", body())
					req.GetBody = func() (io.ReadCloser, error) { return body(), nil }
					how := end(func() { rt.RoundTrip(req) })
					if how == "returned" {
						t.Errorf("the call returned")
					}
					for i, r := range opened {
						if !r.isClosed() {
							t.Errorf("response %d is open", i+1)
						}
					}
					for i, b := range bodies {
						if b.closed.Load() == 0 {
							t.Errorf("the request's body %d is open", i+1)
						}
					}
					if s := budget.Stats(); s.Balance != 5 || s.Granted != 0 {
						t.Errorf("%+v", s)
					}
				})
			})
		}
	}
}

func (r *reply) isClosed() bool { return r.closed.Load() > 0 }

// Neither is a retry paid for that Observe's panic prevents.
func TestObservePanicsBeforeARetry(t *testing.T) {
	budget := retry.NewBudget(retry.BudgetConfig{Credit: 5, Floor: -1})
	p := retry.New(retry.Config{Budget: budget, Observe: func(context.Context, retry.Event) { panic("boom") }})
	inBubbles(t, func(t *testing.T, run func(context.Context, *retry.Policy, func(context.Context) error) error) {
		if how := end(func() { run(t.Context(), p, func(context.Context) error { return errors.New("x") }) }); how != "panic: boom" {
			t.Error(how)
		}
		if s := budget.Stats(); s.Balance != 5 || s.Granted != 0 {
			t.Errorf("%+v", s)
		}
	})
}
