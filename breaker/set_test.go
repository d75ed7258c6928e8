package breaker

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSet(t *testing.T) {
	s := NewSet(SetConfig[int]{})
	one := s.Get(1)
	if s.Get(1) != one || s.Get(2) == one || one.Stats().Name != "1" || s.Stats().Keys != 2 {
		t.Error("not one breaker for each key")
	}
	var keys []int
	for k, b := range s.All() {
		keys = append(keys, k)
		if b != s.Get(k) {
			t.Error("All yields another breaker")
		}
	}
	slices.Sort(keys)
	if !slices.Equal(keys, []int{1, 2}) {
		t.Errorf("keys %v", keys)
	}
	if !s.Remove(1) || s.Remove(1) || s.Stats().Keys != 1 || s.Get(1) == one {
		t.Error("Remove does not remove")
	}
}

func TestSetThrowsOutWhatWasNotUsed(t *testing.T) {
	s := NewSet(SetConfig[string]{MaxKeys: 3})
	has := func(want string) {
		t.Helper()
		var keys []string
		for k := range s.All() {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if got := fmt.Sprint(keys); got != want {
			t.Errorf("kept %v, want %v", got, want)
		}
	}
	s.Get("a")
	s.Get("b")
	s.Get("c")
	s.Get("a")
	s.Get("d") // a has been used since it was made
	has("[a c d]")
	s.Get("c").Trip(time.Hour, nil)
	s.Get("e") // c has been used, a only before it was passed over
	has("[c d e]")
	s.Get("f")
	s.Get("g") // c is open, and is passed over once more
	has("[c f g]")
	s.Get("h")
	s.Get("e")
	has("[e g h]")
	s.Get("e").Force(Disabled)
	for i := range 6 {
		s.Get(fmt.Sprint(i))
	}
	has("[4 5 e]")
	for i := range 20 {
		s.Get(fmt.Sprint(i))
	}
	has("[17 18 19]")
	for i := range 4 {
		s.Get("all").Force(ForcedOpen)
		s.Get("of").Force(ForcedOpen)
		s.Get("them").Force(ForcedOpen)
		s.Get(fmt.Sprint("new ", i))
		if s.Stats().Keys != 3 {
			t.Errorf("%d breakers", s.Stats().Keys)
		}
	}
}

// When most breakers are open, the fault is probably on this side.
func TestSetOverrules(t *testing.T) {
	overruled := 0
	s := NewSet(SetConfig[int]{MaxOpenFraction: 0.5, Config: func(int) Config {
		return Config{Observe: func(_ context.Context, e Event) {
			if e.Kind == Overruled {
				overruled++
			}
		}}
	}})
	admits := func(k int) bool {
		p, err := s.Get(k).Allow()
		p.Done(Failure)
		return err == nil
	}
	for i := range 4 {
		s.Get(i).Trip(time.Hour, nil)
	}
	if admits(0) || s.Overruled() {
		t.Error("overruled with 4 keys")
	}
	for i := range 4 {
		s.Get(4 + i)
	}
	if admits(0) || s.Overruled() {
		t.Error("overruled with half of the breakers open")
	}
	s.Get(4).Trip(time.Hour, nil)
	if !admits(0) || !s.Overruled() || overruled != 1 {
		t.Errorf("not overruled with 5 of 8 breakers open; %d events", overruled)
	}
	if st := s.Get(0).Stats(); st.State != Open || st.Window.Calls != 0 {
		t.Errorf("a call that was admitted so counts: %+v", st)
	}
	s.Get(4).Force(Auto)
	if admits(0) {
		t.Error("overruled after one has closed")
	}
	s.Remove(7)
	if !admits(0) {
		t.Error("not overruled with 4 of 7 open")
	}
	for i := range 3 {
		s.Remove(i)
	}
	if admits(3) || s.fuse.tripped.Load() != 1 {
		t.Errorf("open breakers that were removed still count: %d", s.fuse.tripped.Load())
	}
}

func TestSetOverrulesWithoutObserver(t *testing.T) {
	s := NewSet(SetConfig[int]{MaxOpenFraction: 0.5})
	for i := range 5 {
		s.Get(i).Trip(time.Hour, nil)
	}
	if err := Run(t.Context(), s.Get(0), succeed); err != nil {
		t.Error(err)
	}
}

func TestSetConcurrently(t *testing.T) {
	s := NewSet(SetConfig[int]{MaxKeys: 50, MaxOpenFraction: 0.9})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				b := s.Get((i*7 + g) % 100)
				switch i % 5 {
				case 0:
					b.Trip(time.Hour, nil)
				case 1:
					b.Force(Auto)
				case 2:
					s.Remove(i % 100)
				default:
					if p, err := b.Allow(); err == nil {
						p.Done(Success)
					}
				}
				if s.Stats().Keys > 50 {
					t.Errorf("%d breakers", s.Stats().Keys)
				}
			}
		})
	}
	wg.Wait()
	open := int64(0)
	for _, b := range s.All() {
		if b.State() != Closed {
			open++
		}
	}
	if got := s.fuse.tripped.Load(); got != open {
		t.Errorf("counts %d open breakers, there are %d", got, open)
	}
}

func TestSetErrors(t *testing.T) {
	for _, cfg := range []SetConfig[int]{{MaxKeys: -1}, {MaxOpenFraction: -0.1}, {MaxOpenFraction: 1}} {
		if cfg.Validate() == nil {
			t.Errorf("%+v is valid", cfg)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("NewSet does not panic")
		}
	}()
	NewSet(SetConfig[int]{MaxKeys: -1})
}

func TestSetGetDoesNotAllocate(t *testing.T) {
	s := NewSet(SetConfig[origin]{})
	o := origin{"http", "a.test"}
	s.Get(o)
	if n := testing.AllocsPerRun(1000, func() { s.Get(o) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A key that is in use stays, however many others come and go: the breaker of a host
// that is down must live until it opens, and while it is open.
func TestSetKeepsWhatIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet(SetConfig[int]{MaxKeys: 100})
		reached, others := 0, 0
		for range 20_000 { // 200 s, a call each 10 ms to what is down
			if err := Run(t.Context(), s.Get(-1), fail); err == errDown {
				reached++
			}
			for range 3 { // and three to hosts that nobody calls again
				others++
				Run(t.Context(), s.Get(others), succeed)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if reached > 5+3*200/4 {
			t.Errorf("%d of 20,000 calls reached what is down", reached)
		}
	})
}

// With most breakers not closed, no call is refused, whether they are open or half-open.
func TestSetOverrulesHalfOpenBreakers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet(SetConfig[int]{MaxOpenFraction: 0.5})
		for k := range 10 {
			for range 5 {
				Run(t.Context(), s.Get(k), fail)
			}
		}
		for _, wait := range []time.Duration{0, 6 * time.Second, time.Minute} {
			sleep(wait)
			for i := range 200 {
				if _, err := s.Get(i % 10).Allow(); err != nil { // a call that does not end soon
					t.Errorf("after %v: %v", wait, err)
				}
			}
			if !s.Overruled() {
				t.Errorf("after %v: not overruled", wait)
			}
		}
	})
}

func TestSetNames(t *testing.T) {
	named := NewSet(SetConfig[string]{Name: "tenant", Config: func(k string) Config {
		if k == "acme" {
			return Config{Name: "our best"}
		}
		return Config{Consecutive: 7}
	}})
	for k, want := range map[string]string{"acme": "our best", "globex": "tenant globex"} {
		if got := named.Get(k).Stats().Name; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A key that does not equal itself can be asked for, and fills nothing.
func TestSetDoesNotKeepNaN(t *testing.T) {
	s := NewSet(SetConfig[float64]{})
	for range 2000 {
		if s.Get(math.NaN()).State() != Closed {
			t.Error("not closed")
		}
	}
	if s.Stats().Keys != 0 {
		t.Errorf("%d keys", s.Stats().Keys)
	}
}

// What a key costs that is new in a full Set does not depend on how many there are.
func TestSetDoesNotCopyItself(t *testing.T) {
	bytes := func(keys int) float64 {
		s := NewSet(SetConfig[int]{MaxKeys: keys})
		for k := range keys {
			s.Get(k)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const fresh = 2000
		for k := range fresh {
			s.Get(keys + k)
		}
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / fresh
	}
	if few, many := bytes(100), bytes(20_000); many > 1.5*few {
		t.Errorf("%.0f bytes for a new key among 20,000, %.0f among 100", many, few)
	}
}

// While a Set grows, a key has one breaker all the time.
func TestSetGrowsConcurrently(t *testing.T) {
	const keys = 3000
	s := NewSet(SetConfig[int]{MaxKeys: keys, Config: func(int) Config { return Config{Name: "one of many"} }})
	var got [4][keys]*Breaker
	var wg sync.WaitGroup
	for g := range got {
		wg.Go(func() {
			for i := range keys {
				k := (i*(2*g+1) + g) % keys
				got[g][k] = s.Get(k)
				if s.Get(0) == nil {
					t.Error("no breaker")
				}
			}
		})
	}
	wg.Wait()
	for k := range keys {
		for g := range got {
			if b := got[g][k]; b != nil && b != s.Get(k) {
				t.Fatalf("key %d has had two breakers", k)
			}
		}
	}
	if n := len(*s.all.buckets.Load()); s.Stats().Keys != keys || n < keys/2 {
		t.Errorf("%d breakers in %d lists", s.Stats().Keys, n)
	}
}
