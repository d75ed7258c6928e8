// Saga within a process: steps that can be undone, run by a facade. It answers at once,
// and takes back what it did when a step fails, panics or is cancelled. It does not
// survive the end of its process: process.go beside it does, but answers later. Not
// worth it for steps that one transaction can hold.

package app

import (
	"context"
	"errors"

	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/facade"
)

// Book holds beds, charges the guest and confirms. If the bank declines, the beds are
// free again and the error is [ErrDeclined]. If nobody can say whether the guest was
// charged, the booking is returned as it is, awaiting payment: the process manager goes
// on with it.
func (b *Bookings) Book(ctx context.Context, o Order) (domain.Booking, error) {
	return b.book.Call(ctx, o)
}

func (b *Bookings) saga() (*facade.Facade[Order, domain.Booking], error) {
	p := facade.New[Order](facade.Config{Name: "book"})
	reserved := facade.Step(p, "reserve", b.Reserve)
	facade.UndoAlways(reserved, p.In(), b.unreserve)
	charged := facade.After(p, "charge", reserved, b.charge)
	facade.UndoAlways(charged, p.In(), b.refund)
	confirmed := facade.After(p, "confirm", charged, b.confirm)
	return facade.Build(p, func(v *facade.Values) (domain.Booking, error) {
		return confirmed.Value(v), nil
	})
}

// charge asks for the money of a booking that awaits it. The receipt is empty if
// nobody knows whether it was paid.
func (b *Bookings) charge(ctx context.Context, booking domain.Booking) (domain.Booking, error) {
	if booking.State != domain.AwaitingPayment {
		return booking, nil // the order was sent again
	}
	receipt, err := b.payment.Charge(ctx, booking)
	if errors.Is(err, ErrDeclined) {
		return booking, err
	}
	if err == nil {
		booking.Receipt = receipt
	}
	return booking, nil
}

func (b *Bookings) confirm(ctx context.Context, booking domain.Booking) (domain.Booking, error) {
	if booking.State != domain.AwaitingPayment || booking.Receipt == "" {
		return booking, nil
	}
	return b.Confirm(ctx, RefOf(booking), booking.Receipt)
}

func (b *Bookings) unreserve(ctx context.Context, o Order) error {
	_, err := b.Release(ctx, o.Ref, domain.Undone)
	if errors.Is(err, domain.ErrNotFound) {
		return nil // it was not held
	}
	return err
}

func (b *Bookings) refund(ctx context.Context, o Order) error {
	return b.payment.Refund(ctx, o.Ref)
}
