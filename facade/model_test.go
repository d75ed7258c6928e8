package facade_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/internal/sim"
)

// decode makes a spec of bytes, of which there are enough.
func decode(data []byte) spec {
	next := func(n int) int {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return int(b) % n
	}
	odd := 0
	duration := func(max int) time.Duration { // no two are the same
		odd++
		return time.Duration(1+next(max))*ms + time.Duration(odd)*7*time.Microsecond
	}
	s := spec{limit: max(0, next(6)-2)}
	if next(3) == 0 {
		s.deadline = 4 * duration(100)
	}
	if next(5) == 0 {
		s.cancel = duration(100)
	}
	required := false
	for i := range 1 + next(9) {
		p := specPart{
			when:     -1,
			takes:    duration(60),
			fails:    next(4) == 0,
			ignores:  next(4) == 0,
			optional: next(2) == 0,
			fallback: max(0, next(6)-2),
			undo:     next(2) == 0,
			always:   next(4) == 0,
		}
		for range min(i, next(4)) {
			if on := next(i); !slices.Contains(p.on, on) {
				p.on, p.soft = append(p.on, on), append(p.soft, next(3) == 0)
			}
		}
		if on := next(4*i + 4); on < i && !slices.Contains(p.on, on) {
			p.when = on
		}
		if next(3) == 0 {
			p.timeout = duration(60)
		}
		if next(4) == 0 {
			if p.expects = duration(20); p.timeout > 0 {
				p.expects = min(p.expects, p.timeout)
			}
		}
		for k, on := range p.on {
			mayLack := func(d specPart) bool { return d.fallback == 0 && (d.optional || d.when >= 0) }
			if !p.soft[k] && mayLack(s.parts[on]) && p.fallback == 0 {
				p.optional = true
			}
		}
		if p.when >= 0 && p.fallback == 0 {
			p.optional = true // whatever its condition is like
		}
		p.pivot = !p.optional && next(8) == 0
		required = required || !p.optional
		s.parts = append(s.parts, p)
	}
	if !required {
		s.parts = append(s.parts, specPart{when: -1, takes: duration(60)})
	}
	return s
}

// plan builds the plan of s, whose undos are logged.
func (s spec) plan(t testing.TB, undos *[]string) *facade.Facade[int, outcome] {
	var mu sync.Mutex
	undone := func(what, part string) error {
		mu.Lock()
		defer mu.Unlock()
		*undos = append(*undos, what+" "+part)
		return nil
	}
	p := facade.New[int](facade.Config{Limit: s.limit})
	var parts []*facade.Part[int]
	for i, sp := range s.parts {
		var on []*facade.Part[int]
		for _, d := range sp.on {
			on = append(on, parts[d])
		}
		part := facade.Add(p, name(i), on, sp.soft, func(ctx context.Context, values []int) (int, error) {
			if sp.ignores {
				time.Sleep(sp.takes)
			} else if _, err := takes[int](sp.takes, 0)(ctx, 0); err != nil {
				return 0, err
			}
			if sp.fails {
				return 0, errWrong
			}
			v := 1
			for _, d := range values {
				v += d
			}
			return v, nil
		})
		if sp.optional {
			part.Optional()
		}
		if sp.timeout > 0 {
			part.Timeout(sp.timeout)
		}
		if sp.expects > 0 {
			part.Expects(sp.expects)
		}
		switch sp.fallback {
		case 1:
			part.Fallback(100)
		case 2:
			part.FallbackFunc(func(context.Context, error) (int, error) { return 100, nil })
		case 3:
			part.FallbackFunc(func(context.Context, error) (int, error) { return 0, errWrong })
		}
		if sp.undo {
			part.Undo(func(context.Context, int) error { return undone("undo", name(i)) })
		}
		if sp.always {
			facade.UndoAlways(part, p.In(), func(context.Context, int) error { return undone("always", name(i)) })
		}
		if sp.pivot {
			part.Pivot()
		}
		if sp.when >= 0 {
			facade.WhenOdd(part, parts[sp.when])
		}
		parts = append(parts, part)
	}
	return build(t, p, func(v *facade.Values) (outcome, error) {
		var o outcome
		for _, part := range parts {
			r := part.Result(v)
			o.statuses, o.values = append(o.statuses, r.Status), append(o.values, r.Value)
		}
		return o, nil
	})
}

// check compares a call of the plan with the reference. It reports whether they can be
// compared.
func (s spec) check(t *testing.T) bool {
	want := s.run()
	if want.ambiguous {
		return false
	}
	var undos []string
	f := s.plan(t, &undos)
	ctx := t.Context()
	if s.deadline > 0 {
		ctx = within(t, s.deadline)
	}
	if s.cancel > 0 {
		c, cancel := context.WithCancel(ctx)
		ctx = c
		time.AfterFunc(s.cancel, cancel)
	}
	begin := time.Now()
	got, err := f.Call(ctx, 0)
	elapsed := time.Since(begin)
	time.Sleep(time.Second)
	synctest.Wait()

	wrong := func(what string, got, want any) {
		t.Errorf("%s: got %v, want %v\n%+v\nstatuses %v", what, got, want, s, want)
	}
	if elapsed != want.elapsed {
		wrong("elapsed", elapsed, want.elapsed)
	}
	slices.Sort(undos)
	if !slices.Equal(undos, want.undos) {
		wrong("undos", undos, want.undos)
	}
	if err == nil || want.pivoted {
		if !slices.Equal(got.statuses, want.statuses) {
			wrong("statuses", got.statuses, want.statuses)
		}
		if !slices.Equal(got.values, want.values) {
			wrong("values", got.values, want.values)
		}
	}
	if (err == nil) != (want.failed == "") {
		wrong("error", err, want.failed)
	}
	if err == nil || want.failed == "" {
		return true
	}
	e, _ := errors.AsType[*facade.Error](err)
	if e.Part != want.part || (want.failed == "cancelled") != (e.Part == "" && errors.Is(err, context.Canceled)) {
		wrong("error", err, want.failed+" "+want.part)
	}
	for i, r := range f.Stats().Parts {
		n := [...]uint64{r.OK, r.FellBack, r.Failed, r.Skipped, r.Cancelled}[want.statuses[i]]
		if needed := !s.unneeded(want, i); needed && n != 1 {
			wrong("status of "+r.Part, fmt.Sprintf("%+v", r), want.statuses[i])
		}
	}
	slices.Sort(e.Unknown)
	if !slices.Equal(e.Unknown, want.unknown) {
		wrong("unknown", e.Unknown, want.unknown)
	}
	at := map[string]time.Duration{}
	for _, u := range want.undone {
		at[u.part] = u.at
	}
	for i, part := range e.Undone {
		if _, ok := at[part]; !ok || i > 0 && at[e.Undone[i-1]] < at[part] {
			wrong("undone", e.Undone, want.undone)
		}
	}
	if len(e.Undone) != len(want.undone) {
		wrong("undone", e.Undone, want.undone)
	}
	return true
}

// unneeded reports whether the conditions of part i, or of what it needs, were false.
func (s spec) unneeded(r *reference, i int) bool {
	p := s.parts[i]
	if p.when >= 0 {
		return true // which is looked at elsewhere
	}
	return slices.ContainsFunc(p.on, func(d int) bool { return s.unneeded(r, d) })
}

// TestModel runs random plans beside the reference: graphs, outcomes, timeouts, limits,
// deadlines, cancellations and undos. With -full there are more of them.
func TestModel(t *testing.T) {
	rounds := 4000
	if sim.Full() {
		rounds = 200_000
	}
	compared := 0
	for seed := range rounds {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			data := make([]byte, 256)
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			if decode(data).check(t) {
				compared++
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if compared < rounds/2 {
		t.Errorf("only %d of %d plans are clear", compared, rounds)
	}
	t.Logf("%d of %d plans compared", compared, rounds)
}

// FuzzPlan is TestModel for the shapes that a fuzzer finds.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte("a plan has parts, and parts need parts; some fail, some hang, and some are undone"))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { decode(data).check(t) })
	})
}
