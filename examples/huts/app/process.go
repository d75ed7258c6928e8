// Process manager: the saga that survives a crash. It reads from the event log what is
// unfinished and takes each booking one step further, as often as it takes; so each
// step must be one that can be repeated. Not worth it where a caller waits for the
// answer and can be told that it failed.

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/belay-go/belay/examples/huts/domain"
)

// Proceed takes every unfinished booking as far as it goes: those that await payment
// are charged and confirmed, or released if the bank declines; those that were released
// get their money back. It returns what stands in the way of the others, which it
// finds again when it is called the next time. Bookings with which something has
// happened since a time are left alone: the guest's own request is at work on them.
func (b *Bookings) Proceed(ctx context.Context, todo Unfinished, since time.Time) error {
	refs, err := todo.Unfinished(ctx, since)
	if err != nil {
		return err
	}
	var errs []error
	for _, at := range refs {
		if err := b.proceed(ctx, at); err != nil {
			errs = append(errs, fmt.Errorf("booking %s: %w", at, err))
		}
	}
	return errors.Join(errs...)
}

func (b *Bookings) proceed(ctx context.Context, at Ref) error {
	n, err := b.nights.Load(ctx, at.Hut, at.Date)
	if err != nil {
		return err
	}
	booking, err := n.Booking(at.Booking)
	if err != nil {
		return err
	}
	if booking.State == domain.AwaitingPayment {
		if booking, err = b.collect(ctx, at, booking); err != nil {
			return err
		}
	}
	if booking.State == domain.Freed {
		return b.giveBack(ctx, at)
	}
	return nil
}

// collect charges a booking and notes how that went.
func (b *Bookings) collect(ctx context.Context, at Ref, booking domain.Booking) (domain.Booking, error) {
	receipt, err := b.payment.Charge(ctx, booking)
	if errors.Is(err, ErrDeclined) {
		return b.Release(ctx, at, domain.Declined)
	}
	if err != nil {
		return booking, err
	}
	paid, err := b.Confirm(ctx, at, receipt)
	if errors.Is(err, domain.ErrReleased) { // while it was charged
		booking.State = domain.Freed
		return booking, nil
	}
	return paid, err
}

// giveBack refunds first and notes it then: a crash in between refunds twice, which is
// once, and never not at all.
func (b *Bookings) giveBack(ctx context.Context, at Ref) error {
	if err := b.payment.Refund(ctx, at); err != nil {
		return err
	}
	_, err := b.change(ctx, at, func(n *domain.Night) ([]domain.Event, error) {
		return n.Settle(at.Booking)
	})
	return err
}
