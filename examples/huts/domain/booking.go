// Entity: a thing with an identity, whose state moves along one line. Not worth it
// where two equal things may be exchanged for each other: that is a value.

package domain

// A BookingID names a booking. The client chooses it, so that a request that is sent
// twice is one booking.
type BookingID string

// A Booking is a guest's beds for one night.
type Booking struct {
	ID      BookingID
	Hut     HutID
	Date    Date
	Guest   string
	Beds    int
	Price   Money // of all beds together
	State   State
	Receipt string // of the charge, if it has been paid
	Why     Why    // if it has been released
}

// State is how far a booking has come: from AwaitingPayment to Paid, or straight to
// Free, and from there to Over.
type State string

const (
	AwaitingPayment State = "awaiting payment" // beds are held
	Paid            State = "paid"             // beds are held
	Freed           State = "released"         // the money is on its way back
	Over            State = "settled"
)

// holds tells whether a booking in this state takes beds.
func (s State) holds() bool { return s == AwaitingPayment || s == Paid }
