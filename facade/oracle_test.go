package facade_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/internal/mishap"
	"github.com/belay-go/belay/internal/sim"
)

// ledger knows of each value that was made where it has gone.
type ledger struct {
	mu   sync.Mutex
	ends map[int][]string
}

// value is a set of those that leaves have made.
type value []int

func (l *ledger) make() value {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.ends)
	l.ends[n] = nil
	return value{n}
}

func (l *ledger) end(v value, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range v {
		l.ends[n] = append(l.ends[n], how)
	}
}

// chaos makes plans at random, of all that there is.
type chaos struct {
	*rand.Rand
	ledger
	leaves int // begun
	open   int // of them: have not ended
}

func (c *chaos) moment() time.Duration { return time.Duration(c.Int64N(int64(time.Second))) }

type leaf = func(context.Context, int) (value, error)

// leaf is a function that makes a value, fails, panics, exits or hangs, and may ignore
// its context.
func (c *chaos) leaf() leaf {
	d, ignores, fate := c.moment(), c.IntN(3) == 0, c.IntN(12)
	return func(ctx context.Context, _ int) (value, error) {
		c.count(1)
		defer c.count(-1)
		if ignores {
			time.Sleep(d)
		} else if _, err := takes[int](d, 1)(ctx, 0); err != nil {
			return nil, err
		}
		switch fate {
		case 0:
			return nil, errWrong
		case 1:
			mishap.Panics.End()
		case 2:
			mishap.Exits.End()
		case 3:
			mishap.Hangs.End()
		case 4:
			facade.Degraded(ctx, errWrong)
		}
		return c.make(), nil
	}
}

func (c *chaos) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open += n; n > 0 {
		c.leaves++
	}
}

// badly may end the caller badly, which is an undo, a discard or an Observe.
func (c *chaos) badly(fate int) {
	if fate < 3 {
		mishap.Endings[fate].End()
	}
}

func (c *chaos) discard() func(value) {
	fate := c.IntN(10)
	return func(v value) {
		c.end(v, "discarded")
		c.badly(fate)
	}
}

// function is a leaf, or several of them, or a plan.
func (c *chaos) function(t *testing.T, depth int) leaf {
	switch kind := c.IntN(12); {
	case kind == 0:
		return facade.First(c.discard(), c.leaf(), c.leaf(), c.leaf())
	case kind == 1:
		return joined(facade.Quorum(2, c.discard(), c.leaf(), c.leaf(), c.leaf()))
	case kind == 2:
		each := facade.Each(1+c.IntN(3), c.discard(), c.either(c.leaf(), c.leaf()))
		return joined(func(ctx context.Context, _ int) ([]value, error) { return each(ctx, []int{0, 1, 2}) })
	case kind == 3:
		each := facade.EachSettled(1+c.IntN(3), c.discard(), c.either(c.leaf(), c.leaf()))
		return func(ctx context.Context, _ int) (all value, err error) {
			results, err := each(ctx, []int{0, 1, 2, 3})
			for _, r := range results {
				all = append(all, r.Value...)
			}
			return all, err
		}
	case kind == 4:
		return facade.Chain(c.leaf(), c.leaf())
	case kind == 5 && depth < 2:
		return c.plan(t, depth+1).Call
	}
	return c.leaf()
}

// either calls one of two, by turns.
func (c *chaos) either(a, b leaf) leaf {
	return func(ctx context.Context, in int) (value, error) {
		if in%2 == 0 {
			return a(ctx, in)
		}
		return b(ctx, in)
	}
}

func joined(f func(context.Context, int) ([]value, error)) leaf {
	return func(ctx context.Context, in int) (value, error) {
		values, err := f(ctx, in)
		return slices.Concat(values...), err
	}
}

func (c *chaos) plan(t *testing.T, depth int) *facade.Facade[int, value] {
	cfg := facade.Config{Limit: max(0, c.IntN(6)-2)}
	if depth == 0 || c.IntN(2) == 0 {
		fate := c.IntN(10)
		cfg.Observe = func(_ context.Context, e facade.Event) {
			if e.Kind == facade.Late {
				c.badly(fate)
			}
		}
	}
	p := facade.New[int](cfg)
	all := []*facade.Part[value]{}
	on := p.In()
	for i := range 1 + c.IntN(6) {
		if i > 0 && c.IntN(2) == 0 {
			// The input, but when another part has ended.
			before := facade.Settled(all[c.IntN(len(all))])
			on = facade.After2(p, fmt.Sprint("then", i), p.In(), before, func(_ context.Context, in int, _ facade.Result[value]) (int, error) { return in, nil })
		}
		part := facade.After(p, fmt.Sprint(i), on, c.function(t, depth))
		fate := c.IntN(10)
		part.Undo(func(_ context.Context, v value) error {
			c.end(v, "undone")
			c.badly(fate)
			return nil
		})
		if c.IntN(3) == 0 {
			facade.UndoAlways(part, p.In(), func(context.Context, int) error {
				c.badly(fate)
				return nil
			})
		}
		if c.IntN(3) == 0 {
			part.Timeout(c.moment())
		}
		switch c.IntN(6) {
		case 0:
			part.Fallback(nil)
		case 1:
			fate := c.IntN(10)
			part.FallbackFunc(func(context.Context, error) (value, error) {
				c.badly(fate)
				return nil, nil
			})
		case 2, 3:
			if i > 0 {
				part.Optional()
			}
		}
		all = append(all, part)
	}
	end := c.IntN(20)
	return build(t, p, func(v *facade.Values) (answer value, err error) {
		for _, part := range all {
			answer = append(answer, part.Value(v)...)
		}
		switch end {
		case 0:
			return nil, errWrong
		case 1:
			mishap.Panics.End()
		case 2:
			mishap.Exits.End()
		}
		return answer, nil
	})
}

// Whatever happens, and whenever, each value that was made is returned, undone or
// discarded, once, and nothing goes on for ever. With -full there are more rounds.
func TestNoValueIsLost(t *testing.T) {
	rounds := 1000
	if sim.Full() {
		rounds = 50_000
	}
	ways, leaves := map[string]int{}, 0
	for seed := range rounds {
		synctest.Test(t, func(t *testing.T) {
			c := &chaos{Rand: rand.New(rand.NewPCG(uint64(seed), 3)), ledger: ledger{ends: map[int][]string{}}}
			f := c.plan(t, 0)
			ctx, cancel := context.WithCancelCause(t.Context())
			switch c.IntN(3) {
			case 0:
				time.AfterFunc(c.moment(), func() { cancel(errors.New("gone")) })
			case 1:
				ctx = within(t, c.moment())
			}
			how, _ := mishap.Ended(func() {
				if v, err := f.Call(ctx, 0); err == nil {
					c.end(v, "returned")
				}
			})
			cancel(nil)
			ways[how.String()]++
			time.Sleep(5 * mishap.Hang)
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			for n, ends := range c.ends {
				if len(ends) != 1 {
					t.Errorf("seed %d: value %d of %d: %q; the call %v", seed, n, len(c.ends), ends, how)
				} else {
					ways[ends[0]]++
				}
			}
			leaves += c.leaves
			if c.open != 0 || f.Stats().InFlight != 0 {
				t.Errorf("seed %d: %d functions have not ended, %+v", seed, c.open, f.Stats())
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d functions; %v", leaves, ways)
	for _, way := range []string{"returns", "panics", "exits", "returned", "undone", "discarded"} {
		if ways[way] < rounds/20 {
			t.Errorf("%s: %d times only; %v", way, ways[way], slices.Sorted(maps.Keys(ways)))
		}
	}
}
