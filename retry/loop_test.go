package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// script is an error that says how it is to be taken.
type script byte

func (script) Error() string     { return "script" }
func (s script) Rejected() bool  { return s%8 == 1 || s%8 >= 6 }
func (s script) Retryable() bool { return s%8 != 2 && s%8 != 6 }
func (s script) RetryAfter() time.Duration {
	switch s % 8 {
	case 3, 7:
		return 3 * time.Second
	case 4:
		return time.Hour
	}
	return -1
}

// FuzzLoop compares calls with a plain account of what a Policy promises. Each byte
// of steps is the outcome of an attempt; a call ends where the Policy says so.
func FuzzLoop(f *testing.F) {
	f.Add([]byte{5, 5, 0}, uint8(3), uint8(2), uint8(0), false)
	f.Add([]byte{1, 1, 5, 2, 3, 0, 4, 0, 5, 5, 5, 5}, uint8(4), uint8(3), uint8(20), true)
	f.Add([]byte{3, 3, 3, 3, 5, 1, 5, 1, 5}, uint8(10), uint8(0), uint8(9), false)
	f.Add([]byte{5, 6, 6, 13, 21, 1, 6, 5, 7, 5, 7, 0}, uint8(4), uint8(9), uint8(0), false)
	f.Add([]byte{7, 7, 5, 1, 1, 1}, uint8(4), uint8(9), uint8(3), false)
	f.Fuzz(func(t *testing.T, steps []byte, attempts, credit, deadline uint8, perRequest bool) {
		if len(steps) > 200 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			limit := int(attempts%10) + 1
			balance := float64(credit % 20)
			full := balance
			cfg := BudgetConfig{Credit: int(balance), Ratio: 0.5, Floor: -1, PerRequest: perRequest}
			if balance == 0 {
				cfg.Credit = -1
			}
			b := NewBudget(cfg)
			p := New(Config{MaxAttempts: limit, Budget: b, Schedule: Constant(time.Second)})
			for len(steps) > 0 {
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				start := time.Now()
				if deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(deadline)*time.Second)
				}
				// The model plays the call first.
				want, left, sent := 0, int(deadline), 0
				var last script // of those that were sent
				var cause error
				rest := steps
				deposit := func() { balance = min(balance+0.5, full) }
			model:
				for {
					want++
					s := byte(0)
					if len(rest) > 0 {
						s, rest = rest[0], rest[1:]
					}
					refused := script(s).Rejected()
					if !refused {
						if sent++; sent == 1 && perRequest {
							deposit()
						}
						last = script(s)
					}
					delay := 1
					switch s % 8 {
					case 0:
						if !perRequest {
							deposit()
						}
						break model
					case 1:
						if want == limit {
							break model
						}
						continue
					case 2, 6:
						break model
					case 3, 7:
						delay = 3
					}
					switch {
					case want == limit:
						cause = ErrExhausted
					case s%8 == 4:
						cause = ErrRetryAfter
					case deadline > 0 && left <= delay:
						cause = ErrDeadline
					case balance < 1 && !refused:
						cause = ErrBudget
					}
					if cause != nil {
						if refused { // which is the cause itself, or all there is
							cause = nil
						}
						break
					}
					if !refused {
						balance--
					}
					left -= delay
					if delay == 3 && deadline > 0 {
						// How much is left depends on the jitter on top of Retry-After.
						cancel()
						return
					}
				}
				got := 0
				err := Run(ctx, p, func(context.Context) error {
					got++
					s := byte(0)
					if len(steps) > 0 {
						s, steps = steps[0], steps[1:]
					}
					if s%8 == 0 {
						return nil
					}
					return script(s)
				})
				cancel()
				if got != want {
					t.Fatalf("%d attempts, want %d (%v)", got, want, err)
				}
				if cause != nil && want > 1 && !errors.Is(err, cause) {
					t.Fatalf("error %v, want %v", err, cause)
				}
				if err != nil && sent > 0 && !errors.Is(err, last) {
					t.Fatalf("error %v, want %v", err, last)
				}
				if e, ok := errors.AsType[*Error](err); ok && (e.Attempts != sent || e.Err != last) {
					t.Fatalf("error %+v, want %v of %d attempts", e, last, sent)
				}
				if have := b.Stats().Balance; have < balance-1e-9 || have > balance+1e-9 {
					t.Fatalf("balance %v, want %v", have, balance)
				}
				if deadline > 0 && time.Since(start) >= time.Duration(deadline)*time.Second {
					t.Fatalf("returned after %v, at or after the deadline", time.Since(start))
				}
			}
		})
	})
}
