// Contract between services: what others are told, in a form that stays when the
// domain's events change. Not worth it within one service.

package app

import (
	"errors"
	"time"

	"github.com/belay-go/belay/examples/huts/domain"
)

// A Change tells other services that a booking has a new state, with all that they
// need to act on it without asking back.
type Change struct {
	ID      string // the same whenever the message comes
	Booking domain.Booking
	At      time.Time
}

// NewChange returns the change by which a booking became what it is.
func NewChange(b domain.Booking, at time.Time) Change {
	return Change{ID: RefOf(b).String() + "/" + string(b.State), Booking: b, At: at} // each state comes once
}

// ErrNever says of a change that handling it again would be in vain.
var ErrNever = errors.New("can never be handled")
