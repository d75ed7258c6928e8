package retry_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
	"github.com/cenkalti/backoff/v4"
)

// step is one attempt of a call: how it ends, and what is to come of it.
type step struct {
	response  any // a status, a status with Retry-After ([2]int) or an error
	decision  retry.Kind
	delay     time.Duration
	remaining float64 // in the budget, after the decision
	cause     error
}

// TestSteps plays calls attempt by attempt, through Do and through a Transport. All
// calls of a case share one budget.
func TestSteps(t *testing.T) {
	const s = time.Second
	const again, done, gaveUp = retry.Retrying, retry.Succeeded, retry.GaveUp
	for _, tt := range []struct {
		name  string
		cfg   retry.Config
		max   int // the budget's credit; 0: 10
		calls [][]step
	}{
		{name: "success after a retry", calls: [][]step{
			{{503, again, 1 * s, 9, nil}, {200, done, 0, 9.1, nil}},
		}},
		{name: "success after two retries", calls: [][]step{
			{{503, again, 1 * s, 9, nil}, {502, again, 2 * s, 8, nil}, {200, done, 0, 8.1, nil}},
		}},
		{name: "exhausted", calls: [][]step{
			{{503, again, 1 * s, 9, nil}, {504, again, 2 * s, 8, nil}, {503, gaveUp, 0, 8, retry.ErrExhausted}},
		}},
		{name: "delays up to the maximum", cfg: retry.Config{MaxAttempts: 6}, calls: [][]step{
			{{503, again, 1 * s, 9, nil}, {503, again, 2 * s, 8, nil}, {503, again, 4 * s, 7, nil}, {503, again, 5 * s, 6, nil}, {503, again, 5 * s, 5, nil}, {503, gaveUp, 0, 5, retry.ErrExhausted}},
		}},
		{name: "the budget ends in the first call", max: 1, calls: [][]step{
			{{503, again, 1 * s, 0, nil}, {503, gaveUp, 0, 0, retry.ErrBudget}},
		}},
		{name: "the budget ends in the second call", max: 3, calls: [][]step{
			{{503, again, 1 * s, 2, nil}, {503, again, 2 * s, 1, nil}, {200, done, 0, 1.1, nil}},
			{{503, again, 1 * s, 0.1, nil}, {503, gaveUp, 0, 0.1, retry.ErrBudget}},
			{{200, done, 0, 0.2, nil}},
			{{503, gaveUp, 0, 0.2, retry.ErrBudget}},
		}},
		{name: "a full budget stays full", calls: [][]step{
			{{200, done, 0, 10, nil}},
		}},
		{name: "not for 500", calls: [][]step{{{500, gaveUp, 0, 10, nil}}}},
		{name: "throttled", calls: [][]step{{{429, again, 1 * s, 9, nil}, {200, done, 0, 9.1, nil}}}},
		{name: "Retry-After", calls: [][]step{{{[2]int{503, 3}, again, 3 * s, 9, nil}, {503, again, 2 * s, 8, nil}, {200, done, 0, 8.1, nil}}}},
		{name: "Retry-After below the delay", calls: [][]step{{{503, again, 1 * s, 9, nil}, {[2]int{503, 1}, again, 2 * s, 8, nil}, {200, done, 0, 8.1, nil}}}},
		{name: "Retry-After above the maximum", calls: [][]step{{{[2]int{503, 31}, gaveUp, 0, 10, retry.ErrRetryAfter}}}},
		{name: "a reset", calls: [][]step{{{errReset, again, 1 * s, 9, nil}, {200, done, 0, 9.1, nil}}}},
		{name: "a refusal that another attempt may escape", calls: [][]step{{{free, again, 0, 10, nil}, {503, again, 1 * s, 9, nil}, {200, done, 0, 9.1, nil}}}},
	} {
		for _, through := range []string{"Do", "Transport"} {
			t.Run(tt.name+"/"+through, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var call []step
					n := 0
					budget := retry.NewBudget(retry.BudgetConfig{Credit: tt.max, Floor: -1})
					cfg := tt.cfg
					cfg.Budget = budget
					cfg.Schedule = retry.Exponential(s, 5*s, retry.NoJitter)
					cfg.Observe = func(_ context.Context, e retry.Event) {
						want := call[n]
						n++
						if e.Attempt != n || e.Kind != want.decision || e.Delay < want.delay || e.Delay > want.delay*6/5 || !errors.Is(e.Cause, want.cause) {
							t.Errorf("attempt %d: %+v, want %+v", n, e, want)
						}
						if have := budget.Stats().Balance; math.Abs(have-want.remaining) > 1e-6 {
							t.Errorf("attempt %d: %v remain in the budget, want %v", n, have, want.remaining)
						}
					}
					p := retry.New(cfg)
					rt := &retry.Transport{Policy: p, Base: roundTrip(func(req *http.Request) (*http.Response, error) {
						switch r := call[n].response.(type) {
						case int:
							return answer(req, r, ""), nil
						case [2]int:
							return answer(req, r[0], strconv.Itoa(r[1])), nil
						default:
							return nil, r.(error)
						}
					})}
					for _, call = range tt.calls {
						n = 0
						if through == "Transport" {
							req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/", nil)
							rt.RoundTrip(req)
						} else {
							retry.Run(t.Context(), p, func(context.Context) error {
								switch r := call[n].response.(type) {
								case int:
									if r == 200 {
										return nil
									}
									return status(r)
								case [2]int:
									return errors.Join(status(r[0]), fault{after: time.Duration(r[1]) * s})
								default:
									return r.(error)
								}
							})
						}
						if n != len(call) {
							t.Errorf("%d attempts, want %d", n, len(call))
						}
					}
				})
			})
		}
	}
}

// A schedule that must not be shared is made for each call.
func TestPolicyServesManyGoroutines(t *testing.T) {
	p := retry.New(retry.Config{Budget: retry.NoBudget, Schedule: func() backoff.BackOff {
		b := backoff.NewExponentialBackOff()
		b.InitialInterval, b.MaxInterval = time.Microsecond, time.Microsecond
		return b
	}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				attempts := 0
				retry.Run(t.Context(), p, func(context.Context) error { attempts++; return errOp })
				if attempts != 3 {
					t.Errorf("%d attempts", attempts)
				}
			}
		})
	}
	wg.Wait()
}

// No hidden limit of time: an attempt may take an hour, and fail, and be retried.
func TestLongFirstAttemptIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		err := retry.Run(t.Context(), retry.New(retry.Config{}), func(context.Context) error {
			if attempts++; attempts == 1 {
				time.Sleep(time.Hour)
				return errOp
			}
			return nil
		})
		if attempts != 2 || err != nil {
			t.Errorf("%d attempts, error %v", attempts, err)
		}
	})
}

// After an outage that has emptied the budget, successes fill it again.
func TestBudgetRecoversAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(retry.BudgetConfig{Floor: -1})
		p := everySecond(retry.Config{Budget: b})
		for range 100 {
			retry.Run(t.Context(), p, func(context.Context) error { return errOp })
		}
		if s := b.Stats(); s.Balance >= 1 || s.Granted != 10 || s.Refused == 0 {
			t.Errorf("in the outage: %+v", s)
		}
		for range 50 {
			retry.Run(t.Context(), p, func(context.Context) error { return nil })
		}
		attempts := 0
		retry.Run(t.Context(), p, func(context.Context) error { attempts++; return errOp })
		if attempts != 3 {
			t.Errorf("%d attempts after the outage, %+v", attempts, b.Stats())
		}
	})
}
