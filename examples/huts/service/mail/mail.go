// Event-driven service: it hears of changes, and nobody waits for it. Not worth it where
// the sender must know that it was done.

// Package mail is the service that writes to guests about their bookings.
package mail

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
)

// Service is the mail service. All fields must be set.
type Service struct {
	Store *store.Store // of its own: it shares no table with booking
	Send  func(context.Context, app.Change) error
}

const consumer = "mail"

// Handle writes to the guest once for each change. If it is cut off between sending
// and remembering, it sends the same Message-ID again, which the mail server knows.
func (s *Service) Handle(ctx context.Context, c app.Change) error {
	received, err := s.Store.Received(ctx, consumer, c.ID)
	if err != nil || received {
		return err
	}
	if err := s.Send(ctx, c); err != nil {
		return err
	}
	return s.Store.Once(ctx, consumer, c.ID, func(tx *sql.Tx) error { return store.Tell(ctx, tx, c) })
}

// Handler tells which states of a booking its guest has been told of. Of a booking that
// is another's nobody has been told anything.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /told/{hut}/{date}/{id}", func(w http.ResponseWriter, r *http.Request) {
		by, ok := platform.Who(r.Context())
		if !ok {
			platform.Refuse(w, platform.Problem{Status: http.StatusUnauthorized})
			return
		}
		told, err := s.Store.Told(r.Context(), app.Ref{
			Hut: domain.HutID(r.PathValue("hut")), Date: domain.Date(r.PathValue("date")), Booking: domain.BookingID(r.PathValue("id")),
		})
		if err != nil {
			slog.ErrorContext(r.Context(), "mail: failed", "err", err)
			platform.Refuse(w, platform.Problem{Status: http.StatusInternalServerError})
			return
		}
		states := []domain.State{}
		for _, b := range told {
			if by.May(b) {
				states = append(states, b.State)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(states)
	})
	return mux
}
