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
	"strings"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/app"
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
	if err != nil || len(received) > 0 {
		return err
	}
	if err := s.Send(ctx, c); err != nil {
		return err
	}
	return s.Store.Once(ctx, consumer, c.ID, func(*sql.Tx) error { return nil })
}

// Handler tells which states of a booking its guest has been told of.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /told/{hut}/{date}/{id}", func(w http.ResponseWriter, r *http.Request) {
		prefix := strings.Join([]string{r.PathValue("hut"), r.PathValue("date"), r.PathValue("id"), ""}, "/")
		received, err := s.Store.Received(r.Context(), consumer, prefix)
		if err != nil {
			slog.ErrorContext(r.Context(), "mail: failed", "err", err)
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		states := []string{}
		for _, m := range received {
			states = append(states, strings.TrimPrefix(m, prefix))
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(states)
	})
	return mux
}
