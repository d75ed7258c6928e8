package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
)

// pagesOf makes calls with what next makes of each request, and returns how many there
// were, and how they ended.
func pagesOf[Req any](t *testing.T, first Req, limit int, next func(Req) Req) (calls int, err error) {
	t.Helper()
	call := func(context.Context, Req) (int, error) { calls++; return 0, nil }
	following := func(r Req, _ int) (Req, bool, error) { return next(r), true, nil }
	for _, e := range gateway.Pages(t.Context(), call, first, following, limit) {
		err = e
	}
	return calls, err
}

type ring struct {
	N    int
	Next *ring
}

// whole has one of everything that a request may consist of.
type whole struct {
	B    bool
	I    int8
	U    uint16
	F    float32
	C    complex128
	S    string
	P    *int
	L    []string
	Raw  []byte
	A    [2]int
	M    map[string]*int
	Any  any
	At   time.Time
	Addr netip.Addr
	Big  *big.Int
	Ring *ring
	Fn   func()
	note string
}

func newWhole() whole {
	r := &ring{N: 1}
	r.Next = &ring{N: 2, Next: r}
	return whole{
		true, -3, 4, 1.5, 2i, "s", new(5), []string{"a", "b"}, []byte("raw"), [2]int{1, 2}, map[string]*int{"a": new(1), "b": new(2), "c": new(3)},
		[]any{1, "x", nil}, time.Unix(1, 2).UTC(), netip.MustParseAddr("192.0.2.1"), big.NewInt(1 << 40), r, nil, "n",
	}
}

// The same said in other memory is a circle; anything that is said differently is none.
func TestPagesCompareWhatRequestsSay(t *testing.T) {
	for range 30 { // for a map has another order each time
		calls, err := pagesOf(t, newWhole(), 50, func(whole) whole { return newWhole() })
		if calls != 1 || !errors.Is(err, gateway.ErrPageCycle) {
			t.Errorf("the same in other memory: %d calls, %v", calls, err)
		}
	}
	for name, change := range map[string]func(*whole, int){
		"bool and int": func(w *whole, i int) { w.B, w.I = i%2 == 0, int8(i) },
		"uint":         func(w *whole, i int) { w.U = uint16(i) },
		"float":        func(w *whole, i int) { w.F = float32(i) },
		"complex":      func(w *whole, i int) { w.C = complex(0, float64(i)) },
		"string":       func(w *whole, i int) { w.S = fmt.Sprint(i) },
		"pointer":      func(w *whole, i int) { w.P = &i },
		"to nil":       func(w *whole, i int) { w.P, w.Addr = nil, netip.AddrFrom4([4]byte{byte(i)}) },
		"slice":        func(w *whole, i int) { w.L = []string{strings.Repeat("a", i), strings.Repeat("a", 100-i)} },
		"bytes":        func(w *whole, i int) { w.Raw = []byte{byte(i)} },
		"array":        func(w *whole, i int) { w.A[1] = i },
		"map key":      func(w *whole, i int) { w.M = map[string]*int{fmt.Sprint(i): new(1)} },
		"map value":    func(w *whole, i int) { w.M["b"] = &i },
		"interface":    func(w *whole, i int) { w.Any = []any{i} },
		"its type":     func(w *whole, i int) { w.Any = []any{int8(1), int16(1), int32(1), int64(1)}[i%4]; w.I = int8(i / 4) },
		"time":         func(w *whole, i int) { w.At = time.Unix(int64(i), 0) },
		"address":      func(w *whole, i int) { w.Addr = netip.AddrFrom4([4]byte{192, 0, 3, byte(i)}) },
		"big":          func(w *whole, i int) { w.Big = big.NewInt(int64(i)) },
		"ring":         func(w *whole, i int) { w.Ring = &ring{N: 1, Next: &ring{N: i}} },
		"not exported": func(w *whole, i int) { w.note = fmt.Sprint(i) },
		"function":     func(w *whole, i int) { w.Fn = func() { _ = i } },
	} {
		n := 0
		calls, err := pagesOf(t, newWhole(), 60, func(whole) whole {
			n++
			w := newWhole()
			change(&w, n)
			return w
		})
		if calls != 60 || !errors.Is(err, gateway.ErrPageLimit) {
			t.Errorf("%s: %d calls, %v", name, calls, err)
		}
	}
}

// What next changes in place is another request, though it is the same memory.
func TestPagesOfARequestThatIsChanged(t *testing.T) {
	type list struct {
		Page int            `query:"page"`
		Seen int            `query:"-"`
		Tags []string       `query:"tag"`
		More map[string]int `query:"-"`
	}
	for name, next := range map[string]func(*list){
		"a field":                       func(r *list) { r.Page++ },
		"a slice":                       func(r *list) { r.Tags[0] += "x" },
		"a map":                         func(r *list) { r.More["n"]++ },
		"the place is the server's own": func(r *list) { r.Seen++ },
	} {
		calls, err := pagesOf(t, &list{Tags: []string{""}, More: map[string]int{}}, 100, func(r *list) *list { next(r); return r })
		if calls != 100 || !errors.Is(err, gateway.ErrPageLimit) {
			t.Errorf("%s: %d calls, %v", name, calls, err)
		}
	}
	// A text that an embedded type brings along is not all that a request says.
	type since struct {
		time.Time
		Page int
	}
	if calls, err := pagesOf(t, since{}, 10, func(s since) since { s.Page++; return s }); calls != 10 || !errors.Is(err, gateway.ErrPageLimit) {
		t.Errorf("an embedded time: %d calls, %v", calls, err)
	}
	// What cannot be known is not taken for a circle.
	r := strings.NewReader("x")
	if calls, err := pagesOf(t, io.Reader(r), 10, func(r io.Reader) io.Reader { return r }); calls != 10 || !errors.Is(err, gateway.ErrPageLimit) {
		t.Errorf("a reader: %d calls, %v", calls, err)
	}
	type private struct{ at *int }
	p := private{new(0)}
	if calls, err := pagesOf(t, p, 10, func(p private) private { return p }); calls != 10 || !errors.Is(err, gateway.ErrPageLimit) {
		t.Errorf("a private pointer: %d calls, %v", calls, err)
	}
}

// Every circle is found, whatever its length and what comes before it, after at most
// three times as many calls; where there is none, none is.
func TestPagesFindEveryCircle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		before, around := r.IntN(60), 1+r.IntN(60)
		calls, err := pagesOf(t, 0, 1000, func(i int) int {
			if i++; i == before+around {
				return before
			}
			return i
		})
		if calls < before+around || calls > 3*(before+around) || !errors.Is(err, gateway.ErrPageCycle) {
			t.Errorf("%d before a circle of %d: %d calls, %v", before, around, calls, err)
		}
	}
	if calls, err := pagesOf(t, 0, 20_000, func(i int) int { return i + 1 }); calls != 20_000 || !errors.Is(err, gateway.ErrPageLimit) {
		t.Errorf("without a circle: %d calls, %v", calls, err)
	}
}

// A page costs the same whatever came before it.
func TestPagesNeedNoMemory(t *testing.T) {
	type list struct {
		Cursor string
	}
	cursors := make([]string, 4000)
	for i := range cursors {
		cursors[i] = fmt.Sprint(i)
	}
	cost := func(pages int) float64 {
		return testing.AllocsPerRun(5, func() {
			i := 0
			pagesOf(t, list{}, pages, func(list) list { i++; return list{cursors[i]} })
		}) / float64(pages)
	}
	if few, many := cost(100), cost(3000); many > few {
		t.Errorf("a page of 100 costs %v allocations, one of 3,000 %v", few, many)
	}
}
