// Ports of a hexagon: what the application needs of the world, in its own words, as
// small interfaces where they are used. Adapters fit them; tests fit them too. Not
// worth it for what has one form and never fails, such as the standard library.

// Package app carries out what guests ask for: its commands change nights, its
// queries read. It knows the domain, and nothing of databases, brokers or HTTP.
package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/belay-go/belay/examples/huts/domain"
)

// Nights is a repository: it hands out nights as they are now, and saves what has
// happened to them.
type Nights interface {
	// Load returns the night; one that nobody has booked yet is empty.
	Load(ctx context.Context, hut domain.HutID, date domain.Date) (*domain.Night, error)
	// Save appends events to the night as it was loaded, all or none. It returns
	// [ErrConflict] if others have happened to it since.
	Save(ctx context.Context, n *domain.Night, events ...domain.Event) error
}

// ErrConflict says that a night has changed since it was loaded.
var ErrConflict = errors.New("the night has changed meanwhile")

// Payment takes guests' money. Both verbs can be repeated: a booking is charged at
// most once, and once it is refunded it can never be charged again.
type Payment interface {
	// Charge returns a receipt, or [ErrDeclined] if the guest's bank says no. After any
	// other error nobody knows whether the money was taken.
	Charge(ctx context.Context, b domain.Booking) (receipt string, err error)
	// Refund gives back what was charged for the booking, if anything was.
	Refund(ctx context.Context, of Ref) error
}

// ErrDeclined says that a payment will never succeed.
var ErrDeclined = errors.New("payment declined")

// Unfinished finds the bookings on which the process manager has work left, and with
// which nothing has happened since a time.
type Unfinished interface {
	Unfinished(ctx context.Context, since time.Time) ([]Ref, error)
}

// A Ref says where a booking is. IDs are those of one night: two nights may know the
// same one.
type Ref struct {
	Hut     domain.HutID
	Date    domain.Date
	Booking domain.BookingID
}

// RefOf returns where b is.
func RefOf(b domain.Booking) Ref { return Ref{b.Hut, b.Date, b.ID} }

// String is the name of the booking among all, such as "planura/2027-07-31/a1".
func (r Ref) String() string { return fmt.Sprintf("%s/%s/%s", r.Hut, r.Date, r.Booking) }
