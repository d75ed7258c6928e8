// Seam: a place where a test can reach in. Not worth it where a port does as well.

package main

import (
	"context"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
)

// at is told of each step that leaves the process. Tests let the process die there.
var at = func(step string) {}

func note(step string, f func() error) error {
	at("before " + step)
	err := f()
	at("after " + step)
	return err
}

// noted is a payment whose steps are noted.
type noted struct{ app.Payment }

func (n noted) Charge(ctx context.Context, b domain.Booking) (receipt string, err error) {
	err = note("charge", func() error {
		receipt, err = n.Payment.Charge(ctx, b)
		return err
	})
	return receipt, err
}

func (n noted) Refund(ctx context.Context, of app.Ref) error {
	return note("refund", func() error { return n.Payment.Refund(ctx, of) })
}
