// Event sourcing: what has happened is kept, and what is follows from it. Not worth
// it where nobody will ever ask how a state came about: a row that is updated is
// simpler.

package domain

// An Event is something that has happened to a booking. It is a fact: it can be
// followed by others, but never be changed.
type Event interface {
	// Of returns the booking that the event is about.
	Of() BookingID
}

// Reserved says that beds are held for a guest who has not paid yet.
type Reserved struct {
	Booking BookingID
	Guest   string
	Beds    int
	Price   Money // of all beds together
}

// Confirmed says that the guest has paid.
type Confirmed struct {
	Booking BookingID
	Receipt string // as the payment provider names the charge
}

// Released says that the beds are free again. Money that has been paid, or is on its
// way, has to go back.
type Released struct {
	Booking BookingID
	Why     Why
}

// Settled says that no money of a released booking is left with us, and none will
// come: the booking is over.
type Settled struct {
	Booking BookingID
}

// Why says why beds were released.
type Why string

const (
	Cancelled Why = "cancelled by the guest"
	Withdrawn Why = "cancelled by the hut"
	Declined  Why = "payment declined"
	Undone    Why = "booking did not come about"
)

func (e Reserved) Of() BookingID  { return e.Booking }
func (e Confirmed) Of() BookingID { return e.Booking }
func (e Released) Of() BookingID  { return e.Booking }
func (e Settled) Of() BookingID   { return e.Booking }
