// Commands, the writing half of CQRS: each loads one aggregate, asks it, and saves
// what it says. Not worth splitting from the queries where both want the same shape.

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/retry"
)

// Bookings carries out commands. It is safe for concurrent use, by many processes:
// the repository decides who was first.
type Bookings struct {
	nights  Nights
	payment Payment
	again   *retry.Policy // for nights that have changed meanwhile
	book    *facade.Facade[Order, domain.Booking]
}

// New returns Bookings that are kept in nights and paid through payment.
func New(nights Nights, payment Payment) *Bookings {
	b := &Bookings{nights: nights, payment: payment}
	b.again = retry.New(retry.Config{
		Name: "conflicts", MaxAttempts: 50, Budget: retry.NoBudget, // nobody is overloaded: somebody was first
		Schedule: retry.Exponential(time.Millisecond, 20*time.Millisecond, retry.FullJitter),
		Classify: func(_ context.Context, err error) retry.Decision {
			if errors.Is(err, ErrConflict) {
				return retry.Retry
			}
			return retry.Stop
		},
	})
	book, err := b.saga()
	if err != nil {
		panic(err) // the plan is a constant of the program
	}
	b.book = book
	return b
}

// An Order asks for beds.
type Order struct {
	Ref
	Guest string
	Beds  int
}

// Reserve holds beds until they are paid.
func (b *Bookings) Reserve(ctx context.Context, o Order) (domain.Booking, error) {
	return b.change(ctx, o.Ref, func(n *domain.Night) ([]domain.Event, error) {
		return n.Reserve(o.Booking, o.Guest, o.Beds)
	})
}

// Confirm notes that a booking is paid.
func (b *Bookings) Confirm(ctx context.Context, at Ref, receipt string) (domain.Booking, error) {
	return b.change(ctx, at, func(n *domain.Night) ([]domain.Event, error) {
		return n.Confirm(at.Booking, receipt)
	})
}

// Release frees the beds of a booking. Its money goes back when the process manager
// comes to it.
func (b *Bookings) Release(ctx context.Context, at Ref, why domain.Why) (domain.Booking, error) {
	return b.change(ctx, at, func(n *domain.Night) ([]domain.Event, error) {
		return n.Release(at.Booking, why)
	})
}

// Cancel frees the beds of a booking, for its guest or for the warden of the hut.
func (b *Bookings) Cancel(ctx context.Context, at Ref, by Person) (domain.Booking, error) {
	return b.change(ctx, at, func(n *domain.Night) ([]domain.Event, error) {
		booking, err := by.find(n, at.Booking)
		if err != nil {
			return nil, err
		}
		why := domain.Cancelled
		if booking.Guest != by.Name {
			why = domain.Withdrawn
		}
		return n.Release(at.Booking, why)
	})
}

// Find returns a booking as it is now, if it exists for the person.
func (b *Bookings) Find(ctx context.Context, at Ref, by Person) (domain.Booking, error) {
	n, err := b.nights.Load(ctx, at.Hut, at.Date)
	if err != nil {
		return domain.Booking{}, err
	}
	return by.find(n, at.Booking)
}

// Arrivals returns the bookings that hold beds on a night, by guest. They are for the
// warden of the hut, and [ErrForbidden] for all others.
func (b *Bookings) Arrivals(ctx context.Context, hut domain.HutID, date domain.Date, by Person) ([]domain.Booking, error) {
	n, err := b.nights.Load(ctx, hut, date)
	if err != nil {
		return nil, err
	}
	if by.Warden != hut {
		return nil, fmt.Errorf("%w: the arrivals at %s are for its warden", ErrForbidden, hut)
	}
	found := []domain.Booking{}
	for booking := range n.Bookings() {
		if booking.State == domain.AwaitingPayment || booking.State == domain.Paid {
			found = append(found, booking)
		}
	}
	slices.SortFunc(found, func(x, y domain.Booking) int {
		return cmp.Or(cmp.Compare(x.Guest, y.Guest), cmp.Compare(x.ID, y.ID))
	})
	return found, nil
}

// change asks a night what a command does to it, and saves the answer. When another
// command was first, it asks the night as it is then.
func (b *Bookings) change(ctx context.Context, at Ref, ask func(*domain.Night) ([]domain.Event, error)) (domain.Booking, error) {
	return retry.Do(ctx, b.again, func(ctx context.Context) (domain.Booking, error) {
		n, err := b.nights.Load(ctx, at.Hut, at.Date)
		if err != nil {
			return domain.Booking{}, err
		}
		events, err := ask(n)
		if err != nil {
			return domain.Booking{}, err
		}
		if len(events) > 0 {
			if err := b.nights.Save(ctx, n, events...); err != nil {
				return domain.Booking{}, err
			}
			n.Apply(events...)
		}
		return n.Booking(at.Booking)
	})
}
