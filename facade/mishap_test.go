package facade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/internal/mishap"
)

// promises are the rows of the table in the package documentation: what happens for each
// bad ending.
func promises(t *testing.T) map[string][]string {
	text, err := os.ReadFile("facade.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "panics          exits       hangs\n")
	rows, group := map[string][]string{}, ""
	for line := range strings.Lines(table) {
		line, isRow := strings.CutPrefix(line, "//\t")
		if !isRow {
			break
		}
		cells := regexp.MustCompile(`  +`).Split(strings.TrimSpace(line), -1)
		name := cells[0]
		if strings.HasPrefix(line, "  ") {
			name = group + ": " + name
		} else {
			group = name
		}
		rows[name] = cells[1:]
	}
	return rows
}

// mishaps is one call of a plan in which code ends badly.
type mishaps struct {
	ending mishap.Ending
	armed  atomic.Bool // not in the second call
	cfg    facade.Config
	late   []error // what Observe was told
	mu     sync.Mutex

	// What a place sets up: parts, what ends the call, and what is observed badly.
	plan     *facade.Plan[int]
	fail     bool // the call fails at its end
	outlives bool // an Undo outlives its time, which is an error in Error.Undo
	slow     time.Duration
	deadline time.Duration
	assemble func()
	observed func(facade.Kind)
}

// end ends the caller badly, in the first call.
func (m *mishaps) end() {
	if m.armed.Load() {
		m.ending.End()
	}
}

func (m *mishaps) part(name string) *facade.Part[int] {
	return facade.Step(m.plan, name, func(context.Context, int) (int, error) {
		m.end()
		return 1, nil
	})
}

// after returns a function that ends badly after d, whatever its context says.
func (m *mishaps) after(d time.Duration) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) {
		if m.armed.Load() {
			time.Sleep(d)
		}
		m.end()
		return 1, nil
	}
}

func (m *mishaps) undo(d time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, in int) error {
		_, err := m.after(d)(ctx, in)
		return err
	}
}

// badError is an error with a method that ends badly.
type badError struct{ m *mishaps }

func (e badError) Error() string   { return "bad" }
func (e badError) Is(error) bool   { e.m.end(); return false }
func (e badError) Timeout() bool   { return false }
func (e badError) Retryable() bool { return true }

// places are where code ends badly, by the row of the table that tells what happens.
// Calls last a second, unless they say how long.
var places = map[string][]func(*mishaps){
	"function, fallback": {
		func(m *mishaps) { m.part("part").Timeout(ms) },
		func(m *mishaps) { m.part("part").Optional().Timeout(ms) },
		func(m *mishaps) { m.part("part").Fallback(2).Timeout(ms) },
		func(m *mishaps) {
			m.deadline = 2 * time.Second
			facade.Step(m.plan, "part", fails[int, int](0, errWrong)).FallbackFunc(func(context.Context, error) (int, error) {
				m.end()
				return 1, nil
			}).Optional()
		},
		func(m *mishaps) { // a condition is the value of a part
			yes := facade.Step(m.plan, "part", func(context.Context, int) (bool, error) {
				m.end()
				return true, nil
			}).Optional().Timeout(ms)
			facade.Step(m.plan, "if", now[int](1)).When(yes).Optional()
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.Chain(fails[int, int](0, errWrong), m.after(0))).Timeout(ms).Optional()
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.LastGood(1, 0, m.after(0))).Timeout(ms).Optional()
		},
		func(m *mishaps) { // in a plan within
			inner := &mishaps{plan: facade.New[int](facade.Config{}), ending: m.ending}
			inner.armed.Store(true)
			facade.Step(inner.plan, "inner", m.after(0))
			f, _ := facade.Build(inner.plan, missing)
			facade.Step(m.plan, "part", f.Call).Timeout(ms).Optional()
		},
	},
	"function, fallback: left behind, Call goes on": {
		func(m *mishaps) { facade.Step(m.plan, "part", m.after(10*ms)).Timeout(ms).Optional() },
		func(m *mishaps) { // twice, once for the fallback
			m.deadline = 2 * time.Second
			facade.Step(m.plan, "part", ignores[int](time.Hour, 1, nil)).Timeout(ms).Expects(ms).FallbackFunc(func(ctx context.Context, _ error) (int, error) {
				return m.after(900*ms)(ctx, 0)
			}).Optional()
			facade.After(m.plan, "after", facade.Settled(m.plan.In()), func(context.Context, facade.Result[int]) (int, error) { return 1, nil })
		},
	},
	"function, fallback: left behind, after Call": {
		func(m *mishaps) { facade.Step(m.plan, "part", m.after(time.Minute)).Timeout(ms).Optional() },
		func(m *mishaps) {
			m.deadline = 2 * time.Second
			facade.Step(m.plan, "part", fails[int, int](0, errWrong)).FallbackFunc(func(ctx context.Context, _ error) (int, error) {
				return m.after(time.Minute)(ctx, 0)
			}).Optional()
		},
		func(m *mishaps) { // in a plan within, which has no Observe
			inner := facade.New[int](facade.Config{})
			facade.Step(inner, "inner", m.after(time.Minute)).Timeout(ms).Optional()
			facade.Step(inner, "other", now[int](1))
			f, _ := facade.Build(inner, missing)
			facade.Step(m.plan, "part", f.Call)
		},
	},
	"function in First, Quorum, Each": {
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.First(nil, m.after(0), ignores[int](10*ms, 1, nil))).Timeout(20 * ms).Optional()
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.Quorum(2, nil, m.after(0), takes[int](0, 1))).Timeout(ms).Optional()
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", each(facade.Each(2, nil, m.after(0)))).Timeout(ms).Optional()
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", each(facade.EachSettled(2, nil, m.after(0)))).Timeout(ms).Optional()
		},
	},
	"function in First, Quorum, Each: loser, Call goes on": {
		func(m *mishaps) { facade.Step(m.plan, "part", facade.First(nil, m.after(ms), now[int](1))) },
	},
	"function in First, Quorum, Each: loser, after Call": {
		func(m *mishaps) { facade.Step(m.plan, "part", facade.First(nil, m.after(time.Minute), now[int](1))) },
	},
	"discard, Call goes on": {
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.First(m.discard(0), ignores[int](ms, 1, nil), now[int](1)))
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.Quorum(2, m.discard(0), now[int](1), fails[int, int](ms, errWrong))).Optional()
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", each(facade.Each(2, m.discard(0), func(_ context.Context, in int) (int, error) {
				if in == 1 {
					time.Sleep(ms)
					return 0, errWrong
				}
				return 1, nil
			}))).Optional()
		},
	},
	"discard, after Call": {
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.First(m.discard(0), ignores[int](time.Minute, 1, nil), now[int](1)))
		},
		func(m *mishaps) {
			facade.Step(m.plan, "part", facade.Quorum(2, m.discard(time.Minute), now[int](1), fails[int, int](ms, errWrong))).Optional()
		},
	},
	"Undo": {
		func(m *mishaps) { m.fail = true; facade.Step(m.plan, "part", now[int](1)).Undo(m.undo(0)) },
		func(m *mishaps) {
			m.fail = true
			facade.UndoAlways(facade.Step(m.plan, "part", now[int](1)), m.plan.In(), m.undo(0))
		},
	},
	"Undo: after its time, Call goes on": {
		func(m *mishaps) {
			m.fail, m.outlives = true, true
			first := facade.Step(m.plan, "first", now[int](1)).Undo(func(ctx context.Context, _ int) error {
				<-ctx.Done()
				return nil
			})
			facade.After(m.plan, "part", first, now[int](1)).Undo(m.undo(6 * time.Second))
		},
	},
	"Undo: of a late value, Call goes on": {
		func(m *mishaps) {
			facade.Step(m.plan, "part", ignores[int](ms, 1, nil)).Timeout(10).Optional().Undo(m.undo(0))
		},
		func(m *mishaps) {
			part := facade.Step(m.plan, "part", ignores[int](ms, 1, nil)).Timeout(10).Optional()
			facade.UndoAlways(part, m.plan.In(), m.undo(0))
		},
	},
	"Undo: after Call": {
		func(m *mishaps) {
			facade.Step(m.plan, "part", ignores[int](time.Minute, 1, nil)).Timeout(ms).Optional().Undo(m.undo(0))
		},
		func(m *mishaps) {
			m.fail = true
			part := facade.Step(m.plan, "part", ignores[int](time.Minute, 1, errWrong)).Timeout(ms).Optional()
			facade.UndoAlways(part, m.plan.In(), m.undo(0))
		},
		func(m *mishaps) {
			m.fail, m.outlives = true, true
			facade.Step(m.plan, "part", now[int](1)).Undo(m.undo(time.Minute))
		},
	},
	"method of an error": {
		func(m *mishaps) { facade.Step(m.plan, "part", fails[int, int](0, badError{m})).Timeout(ms).Optional() },
		func(m *mishaps) {
			facade.Step(m.plan, "part", fails[int, int](0, badError{m})).Timeout(ms).Optional().Undo(m.undo(0))
		},
	},
	"key of LastGood": {
		func(m *mishaps) {
			get := facade.LastGood(1, 0, now[any](1))
			facade.Step(m.plan, "part", func(ctx context.Context, _ int) (int, error) {
				if m.armed.Load() {
					return get(ctx, []int{1})
				}
				return get(ctx, "key")
			})
		},
	},
	"assemble": {func(m *mishaps) { m.assemble = m.end; facade.Step(m.plan, "part", now[int](1)) }},
	"Observe of Called": {func(m *mishaps) {
		facade.Step(m.plan, "part", now[int](1))
		m.observed = func(k facade.Kind) {
			if k == facade.Called {
				m.end()
			}
		}
	}},
	"Observe of Late": {func(m *mishaps) {
		facade.Step(m.plan, "part", ignores[int](time.Minute, 1, nil)).Timeout(ms).Optional()
		m.observed = func(k facade.Kind) {
			if k == facade.Late {
				m.end()
			}
		}
	}},
}

func (m *mishaps) discard(d time.Duration) func(int) {
	return func(int) { m.after(d)(nil, 0) }
}

func each[T any](f func(context.Context, []int) ([]T, error)) func(context.Context, int) ([]T, error) {
	return func(ctx context.Context, _ int) ([]T, error) { return f(ctx, []int{0, 1, 2}) }
}

// run makes a call in which code ends badly, and one in which it does not, and says what
// has come of it.
func (m *mishaps) run(t *testing.T, observes bool, place func(*mishaps)) string {
	m.slow = time.Second
	if m.armed.Store(true); observes {
		m.cfg.Observe = m.observe
	}
	m.plan = facade.New[int](m.cfg)
	last := facade.Step(m.plan, "last", now[int](1))
	place(m)
	done, undone := 0, 0
	facade.After(m.plan, "undoable", last, func(context.Context, int) (int, error) { done++; return 1, nil }).Undo(func(context.Context, int) error { undone++; return nil })
	facade.After(m.plan, "slow", last, ignores[int](m.slow, 1, nil))
	f := build(t, m.plan, func(*facade.Values) (int, error) {
		if m.assemble != nil {
			m.assemble()
		}
		if m.fail && m.armed.Load() {
			return 0, errors.New("undo it")
		}
		return 1, nil
	})
	ctx := t.Context()
	if m.deadline > 0 {
		ctx = within(t, m.deadline)
	}
	begin := time.Now()
	var err error
	how, value := mishap.Ended(func() { _, err = f.Call(ctx, 0) })
	took := time.Since(begin)
	failed := how != mishap.Returns || err != nil
	time.Sleep(3 * mishap.Hang)
	if p, ok := value.(*facade.PanicError); ok && (!strings.HasPrefix(p.Part, "part") || p.Value != mishap.Value && !strings.HasPrefix(fmt.Sprint(p.Value), "facade: LastGood:")) || !ok && value != nil && value != mishap.Value {
		return fmt.Sprintf("panics with %v", value)
	}
	m.armed.Store(false)
	m.mu.Lock()
	late := m.late
	m.mu.Unlock()
	dropped := f.Stats().Panics
	if failed && undone != done && m.observed == nil {
		return fmt.Sprintf("undone %d of %d after %v %v", undone, done, how, err)
	}
	if _, err := f.Call(t.Context(), 0); err != nil || f.Stats().InFlight != 0 {
		return fmt.Sprintf("a later call: %v, %+v", err, f.Stats())
	}
	e, _ := errors.AsType[*facade.Error](err)
	switch {
	case how != mishap.Returns:
		return "Call " + how.String()
	case took >= mishap.Hang:
		return "Call hangs"
	case e != nil && len(e.Undo) > 0 && !m.outlives:
		return "Error.Undo"
	case m.ending != mishap.Hangs && len(late) > 0 && late[len(late)-1] != nil:
		return "told"
	case dropped > 0:
		return "Stats.Panics"
	}
	return "no matter"
}

func (m *mishaps) observe(_ context.Context, e facade.Event) {
	if m.observed != nil {
		m.observed(e.Kind)
	}
	if e.Kind == facade.Late {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.late = append(m.late, errors.Join(e.Err, e.Undo))
	}
}

// TestMishaps is the table in the package documentation.
func TestMishaps(t *testing.T) {
	var cases []mishap.Case
	rows := promises(t)
	for row, wants := range rows {
		if places[row] == nil {
			t.Errorf("nothing tries %q", row)
		}
		for i, want := range wants {
			for n, place := range places[row] {
				for _, observes := range []bool{false, true} {
					switch want {
					case "told, or dies":
						if want = "told"; !observes {
							want = mishap.Dies
						}
					case "told":
						if !observes {
							want = "no matter"
						}
					case "left behind":
						want = "no matter"
					}
					if strings.HasPrefix(row, "Observe") && !observes {
						continue
					}
					cases = append(cases, mishap.Case{
						Name: fmt.Sprintf("%s %d: %v, observed: %v", row, n, mishap.Endings[i], observes),
						Run: func(t *testing.T) string {
							return (&mishaps{ending: mishap.Endings[i]}).run(t, observes, place)
						},
						Want: want,
					})
					want = wants[i]
				}
			}
		}
	}
	if len(rows) < len(places) || len(cases) < 150 {
		t.Errorf("found %d rows and %d cases only", len(rows), len(cases))
	}
	mishap.Run(t, mishap.Sorted(cases))
}
