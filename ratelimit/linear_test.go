package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// What concurrent calls return must be what the same calls would have returned one
// after the other, in an order in which no call comes after one that began when it
// had ended already (Herlihy and Wing, 1990). Time stands still meanwhile, so that
// a limit is a pair of numbers, and the search for an order is short.

// A level is what a limit holds, as the slow reference sees it.
type level struct{ tokens, most int }

// A step is a call, when it began and ended, and what it does to a level: false says
// that it would have returned something else.
type step struct {
	began, end int64
	what       []any
	replay     func(*level) bool
}

// ordered returns whether the steps can have happened in some order.
func ordered(start level, steps []step) bool {
	type seen struct {
		done uint64
		at   level
	}
	failed := map[seen]bool{}
	var search func(done uint64, at level) bool
	search = func(done uint64, at level) bool {
		if done == 1<<len(steps)-1 {
			return true
		} else if failed[seen{done, at}] {
			return false
		}
		first := int64(1 << 62) // the end of a step that is not done: none that began later can come now
		for i, s := range steps {
			if done>>i&1 == 0 {
				first = min(first, s.end)
			}
		}
		for i, s := range steps {
			if next := at; done>>i&1 == 0 && s.began < first && s.replay(&next) && search(done|1<<i, next) {
				return true
			}
		}
		failed[seen{done, at}] = true
		return false
	}
	return search(0, start)
}

// A caller takes down the calls that it makes.
type caller struct {
	*rand.Rand
	clock *atomic.Int64
	steps []step
}

// call makes a call, which returns what it was, with its result, and its replay.
func (c *caller) call(make func() ([]any, func(*level) bool)) {
	s := step{began: c.clock.Add(1)}
	s.what, s.replay = make()
	s.end = c.clock.Add(1)
	c.steps = append(c.steps, s)
}

// checkOrder lets two callers make six calls each, at once as far as the machine can,
// and many times.
func checkOrder(t *testing.T, start level, fresh func() (call func(*caller))) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(3000) {
			call := fresh()
			var clock, ready atomic.Int64
			var callers [2]caller
			var wg sync.WaitGroup
			for i := range callers {
				c := &callers[i]
				*c = caller{rand.New(rand.NewPCG(seed, uint64(i))), &clock, make([]step, 0, 6)}
				wg.Go(func() {
					for ready.Add(1); ready.Load() < int64(len(callers)); {
						runtime.Gosched()
					}
					for range cap(c.steps) {
						call(c)
					}
				})
			}
			wg.Wait()
			steps := slices.Concat(callers[0].steps, callers[1].steps)
			if !ordered(start, steps) {
				slices.SortFunc(steps, func(a, b step) int { return int(a.began - b.began) })
				var all strings.Builder
				for _, s := range steps {
					fmt.Fprintf(&all, "\n%3d to %3d: %+v", s.began, s.end, s.what)
				}
				t.Fatalf("seed %d: in no order could this have happened:%s", seed, &all)
			}
		}
	})
}

func (l *level) take(n int) bool {
	if n > l.tokens {
		return false
	}
	l.tokens -= n
	return true
}

func TestLimiterIsLinearizable(t *testing.T) {
	const burst = 12
	checkOrder(t, level{burst, burst}, func() func(*caller) {
		l := New(Config{Rate: rate.Every(time.Hour), Burst: burst})
		return func(c *caller) {
			n := 1 + c.IntN(3)
			c.call(func() ([]any, func(*level) bool) {
				switch c.IntN(8) {
				case 0:
					v := l.Tokens()
					return []any{"Tokens", v}, func(at *level) bool { return v == float64(at.tokens) }
				case 1:
					to := 8 + 2*c.IntN(4)
					l.SetBurst(to)
					return []any{"SetBurst", to}, func(at *level) bool {
						*at = level{min(at.tokens, to), to}
						return true
					}
				case 2, 3, 4:
					d := l.Take(n)
					return []any{"Take", n, d}, func(at *level) bool {
						return at.take(n) == d.OK && d.Remaining == at.tokens && d.Burst == at.most
					}
				default:
					ok := l.AllowN(time.Now(), n)
					return []any{"AllowN", n, ok}, func(at *level) bool { return at.take(n) == ok }
				}
			})
		}
	})
}

func TestKeyedIsLinearizable(t *testing.T) {
	const burst = 12
	checkOrder(t, level{burst, burst}, func() func(*caller) {
		k := NewKeyed(KeyedConfig[string]{Rate: rate.Every(time.Hour), Burst: burst})
		return func(c *caller) {
			n := 1 + c.IntN(3)
			c.call(func() ([]any, func(*level) bool) {
				switch c.IntN(8) {
				case 0:
					k.Delete("a")
					return []any{"Delete"}, func(at *level) bool { at.tokens = at.most; return true }
				case 1:
					ok := k.Allow("a")
					return []any{"Allow", ok}, func(at *level) bool { return at.take(1) == ok }
				default:
					d := k.Take("a", n)
					return []any{"Take", n, d}, func(at *level) bool {
						return at.take(n) == d.OK && d.Remaining == at.tokens
					}
				}
			})
		}
	})
}

func TestBulkheadIsLinearizable(t *testing.T) {
	const places = 5
	checkOrder(t, level{places, places}, func() func(*caller) {
		b := NewBulkhead(BulkheadConfig{Limit: places})
		held := make(chan *Permit, 100)
		return func(c *caller) {
			n := 1 + c.IntN(3)
			choice := c.IntN(6)
			if choice < 2 {
				select {
				case p := <-held:
					c.call(func() ([]any, func(*level) bool) {
						n := int(p.lease)
						p.Done()
						return []any{"Done", n}, func(at *level) bool { at.tokens += n; return true }
					})
				default:
				}
				return
			}
			c.call(func() ([]any, func(*level) bool) {
				switch choice {
				case 2:
					s := b.Stats()
					return []any{"Stats", s}, func(at *level) bool {
						return s.Limit == at.most && s.InUse == at.most-at.tokens
					}
				case 3:
					to := 3 + c.IntN(5)
					b.SetLimit(to)
					return []any{"SetLimit", to}, func(at *level) bool {
						*at = level{at.tokens + to - at.most, to}
						return true
					}
				default:
					p, err := b.AllowN(n)
					if err == nil {
						held <- &p
					}
					return []any{"AllowN", n, err}, func(at *level) bool { return at.take(n) == (err == nil) }
				}
			})
		}
	})
}

// The search itself must find what is wrong.
func TestOrderedFindsFaults(t *testing.T) {
	took := func(began, end int64, n int, ok bool) step {
		return step{began, end, nil, func(at *level) bool { return at.take(n) == ok }}
	}
	one := level{1, 1}
	for name, c := range map[string]struct {
		steps []step
		want  bool
	}{
		"one after the other":         {[]step{took(1, 2, 1, true), took(3, 4, 1, false)}, true},
		"the first loses":             {[]step{took(1, 2, 1, false), took(3, 4, 1, true)}, false},
		"at once, the first loses":    {[]step{took(1, 4, 1, false), took(2, 3, 1, true)}, true},
		"both have the one there is":  {[]step{took(1, 3, 1, true), took(2, 4, 1, true)}, false},
		"refused with a token unused": {[]step{took(1, 2, 1, false)}, false},
	} {
		if got := ordered(one, c.steps); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
