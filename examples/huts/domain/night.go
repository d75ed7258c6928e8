// Aggregate: what must be consistent at every moment is changed in one place, in one
// transaction. A night at a hut is one, since its beds must never be overbooked; a
// tour of several nights is none, since its nights can be booked one by one. Not worth
// it for what may be wrong for a moment: whoever changes an aggregate waits for all
// others who do.

// Package domain holds the rules of booking beds in mountain huts, and nothing else:
// no database, no network, no clock. It imports the standard library only.
package domain

import (
	"errors"
	"fmt"
	"iter"
	"maps"
)

// A HutID names a hut, in small letters.
type HutID string

// A Hut has beds.
type Hut struct {
	ID     HutID
	Name   string
	Region string // of the avalanche bulletin
	Beds   int
	Price  Money // a bed and a night
}

// A Night is one night at one hut: its beds, and who has booked them. Its methods are
// commands: each returns the events that carry it out, or a refusal, and changes
// nothing; [Night.Apply] does. A command that has been carried out before returns no
// events, so that it can be sent again. A Night is not safe for concurrent use.
type Night struct {
	Hut  Hut
	Date Date

	version  int
	bookings map[BookingID]Booking
}

// NewNight returns a night that nobody has booked yet.
func NewNight(hut Hut, date Date) *Night {
	return &Night{Hut: hut, Date: date, bookings: map[BookingID]Booking{}}
}

// Version is how many events the night has seen. Who saves new ones names it, so that
// two who have seen the same night cannot both change it.
func (n *Night) Version() int { return n.version }

// Taken returns how many beds are held.
func (n *Night) Taken() int {
	taken := 0
	for _, b := range n.bookings {
		if b.State.holds() {
			taken += b.Beds
		}
	}
	return taken
}

// Booking returns the booking with this ID, as it is now.
func (n *Night) Booking(id BookingID) (Booking, error) {
	b, ok := n.bookings[id]
	if !ok {
		return Booking{}, fmt.Errorf("%w: no booking %q at %s on %s", ErrNotFound, id, n.Hut.ID, n.Date)
	}
	return b, nil
}

// Bookings returns all bookings, in no order.
func (n *Night) Bookings() iter.Seq[Booking] { return maps.Values(n.bookings) }

// Reserve holds beds for a guest.
func (n *Night) Reserve(id BookingID, guest string, beds int) ([]Event, error) {
	if id == "" || guest == "" || beds < 1 {
		return nil, fmt.Errorf("%w: a booking needs an ID, a guest and at least one bed", ErrInvalid)
	}
	if b, ok := n.bookings[id]; ok {
		if b.Guest != guest || b.Beds != beds {
			return nil, fmt.Errorf("%w: %q is another booking", ErrTaken, id)
		}
		return nil, nil
	}
	if free := n.Hut.Beds - n.Taken(); beds > free {
		return nil, &FullError{Hut: n.Hut.ID, Date: n.Date, Asked: beds, Free: max(free, 0)}
	}
	return []Event{Reserved{id, guest, beds, n.Hut.Price * Money(beds)}}, nil
}

// Confirm notes that the guest has paid.
func (n *Night) Confirm(id BookingID, receipt string) ([]Event, error) {
	b, err := n.Booking(id)
	switch {
	case err != nil:
		return nil, err
	case b.State == Paid:
		return nil, nil
	case !b.State.holds():
		return nil, fmt.Errorf("%w: %q was released: %s", ErrReleased, id, b.Why)
	}
	return []Event{Confirmed{id, receipt}}, nil
}

// Release gives the beds back.
func (n *Night) Release(id BookingID, why Why) ([]Event, error) {
	b, err := n.Booking(id)
	if err != nil || !b.State.holds() {
		return nil, err
	}
	return []Event{Released{id, why}}, nil
}

// Settle notes that the money of a released booking is back with the guest, or was
// never taken.
func (n *Night) Settle(id BookingID) ([]Event, error) {
	b, err := n.Booking(id)
	switch {
	case err != nil:
		return nil, err
	case b.State.holds():
		return nil, fmt.Errorf("%w: %q still holds its beds", ErrInvalid, id)
	case b.State == Over:
		return nil, nil
	}
	return []Event{Settled{id}}, nil
}

// Apply makes the night what it is after the events. They have happened: nothing is
// refused here.
func (n *Night) Apply(events ...Event) {
	for _, e := range events {
		b := n.bookings[e.Of()]
		switch e := e.(type) {
		case Reserved:
			b = Booking{ID: e.Booking, Hut: n.Hut.ID, Date: n.Date, Guest: e.Guest, Beds: e.Beds, Price: e.Price, State: AwaitingPayment}
		case Confirmed:
			b.State, b.Receipt = Paid, e.Receipt
		case Released:
			b.State, b.Why = Freed, e.Why
		case Settled:
			b.State = Over
		}
		n.bookings[e.Of()] = b
		n.version++
	}
}

// The refusals that have no more to say than their text. [FullError] has.
var (
	ErrNotFound = errors.New("not found")
	ErrTaken    = errors.New("taken")
	ErrReleased = errors.New("released")
)

// A FullError refuses a booking for which there are not enough beds.
type FullError struct {
	Hut   HutID
	Date  Date
	Asked int
	Free  int
}

func (e *FullError) Error() string {
	return fmt.Sprintf("%s has %d beds left on %s, not %d", e.Hut, e.Free, e.Date, e.Asked)
}
