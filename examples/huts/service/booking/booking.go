// Microservice: booking owns its data, and others ask it or hear from it. Not worth it
// for a team that fits one table: a package is a service without a network.

// Package booking is the service that books beds: commands over HTTP, and in the
// background the relay from the outbox to the bus, the view, and the process manager.
package booking

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/app"
)

// Service is the booking service. All fields must be set.
type Service struct {
	Nights  *store.Nights
	Payment app.Payment
	Publish func(context.Context, app.Change) error
	// Patience is how long the process manager leaves a booking alone on which the
	// guest's own request may be at work.
	Patience time.Duration

	once     sync.Once
	bookings *app.Bookings
	wake     chan struct{} // something has happened
}

func (s *Service) init() {
	s.once.Do(func() {
		s.bookings = app.New(s.Nights, s.Payment)
		s.wake = make(chan struct{}, 1)
	})
}

// Run does what is to be done in the background until ctx ends.
func (s *Service) Run(ctx context.Context) {
	s.init()
	tick := time.NewTicker(200 * time.Millisecond) // other processes write, too
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, step := range []func(context.Context) error{s.relay, s.Nights.Store.CatchUp, s.proceed} {
			if err := step(ctx); err != nil && ctx.Err() == nil {
				slog.DebugContext(ctx, "booking: tried again soon", "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// relay publishes what is in the outbox, in order.
func (s *Service) relay(ctx context.Context) error {
	for {
		recorded, err := s.Nights.Store.Unpublished(ctx, 100)
		if err != nil || len(recorded) == 0 {
			return err
		}
		for _, r := range recorded {
			change, err := s.Nights.Change(ctx, r)
			if err != nil {
				return err
			}
			caused, err := s.Nights.Store.Caused(ctx, r.Position)
			if err != nil {
				return err
			}
			if err := s.Publish(caused, change); err != nil {
				return err
			}
			if err := s.Nights.Store.Published(ctx, r.Position); err != nil {
				return err
			}
		}
	}
}

func (s *Service) proceed(ctx context.Context) error {
	return s.bookings.Proceed(ctx, s.Nights.Store, time.Now().Add(-s.Patience))
}

// happened wakes Run.
func (s *Service) happened() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
