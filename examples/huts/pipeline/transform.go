// Transformation: a line of the log becomes a fact, or a reason why not, and nothing else is
// asked. Not worth splitting off where the data needs no checks.

package pipeline

import (
	"errors"
	"fmt"
	"time"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/domain"
)

// A fact is what one line of the log means for the figures.
type fact struct {
	position int64
	night    Night
	week     string // as in ISO 8601, such as 2027-W30
	booking  domain.BookingID
	beds     int
	sky      string
	kind     kind
	bad      error // why the line is set aside
}

type kind int

const (
	nothing kind = iota // it changes no figure
	taken
	released
)

// transform never fails: one bad line must not stop those behind it.
func transform(l store.Line, huts store.Huts) fact {
	f := fact{position: l.Position, night: Night{l.Hut, l.Date}}
	day, err := time.Parse(time.DateOnly, string(l.Date))
	if err != nil {
		f.bad = fmt.Errorf("%q is not a day", l.Date)
		return f
	}
	year, week := day.ISOWeek()
	f.week = fmt.Sprintf("%d-W%02d", year, week)
	if _, ok := huts[l.Hut]; !ok {
		f.bad = fmt.Errorf("there is no hut %q", l.Hut)
		return f
	}
	e, err := l.Event()
	if err != nil {
		f.bad = err
		return f
	}
	if f.booking = e.Of(); f.booking == "" {
		f.bad = errors.New("it is of no booking")
		return f
	}
	switch e := e.(type) {
	case domain.Reserved:
		if f.kind, f.beds = taken, e.Beds; e.Beds < 1 || e.Beds > huts[l.Hut].Beds {
			f.kind, f.bad = nothing, fmt.Errorf("it takes %d beds", e.Beds)
		}
	case domain.Released:
		f.kind = released
	}
	return f
}
