// Microservice: booking owns its data, and others ask it or hear from it. Not worth it
// for a team that fits one table: a package is a service without a network.

// Package booking is the service that books beds: commands over HTTP, and in the
// background the relay from the outbox to the bus, the view, and the process manager.
package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
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
			if err := s.Publish(ctx, change); err != nil {
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

// Handler returns the service's HTTP side.
func (s *Service) Handler() http.Handler {
	s.init()
	mux := http.NewServeMux()
	mux.Handle("GET /huts/{hut}/{date}", answer(s.night))
	mux.Handle("GET /bookings", answer(s.list))
	mux.Handle("GET /huts/{hut}/{date}/bookings/{id}", answer(s.get))
	mux.Handle("PUT /huts/{hut}/{date}/bookings/{id}", answer(s.put))
	mux.Handle("DELETE /huts/{hut}/{date}/bookings/{id}", answer(s.cancel))
	return mux
}

// A Night is what everybody may know of a night.
type Night struct {
	Hut    domain.HutID
	Name   string
	Region string
	Date   domain.Date
	Beds   int
	Free   int
	Price  domain.Money
}

func (s *Service) night(r *http.Request) (int, any, error) {
	at, err := ref(r)
	if err != nil {
		return 0, nil, err
	}
	n, err := s.Nights.Load(r.Context(), at.Hut, at.Date)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Night{n.Hut.ID, n.Hut.Name, n.Hut.Region, n.Date, n.Hut.Beds, max(0, n.Hut.Beds-n.Taken()), n.Hut.Price}, nil
}

func (s *Service) list(r *http.Request) (int, any, error) {
	guest, err := guest(r)
	if err != nil {
		return 0, nil, err
	}
	found, err := s.Nights.Store.BookingsOf(r.Context(), guest)
	if found == nil {
		found = []domain.Booking{}
	}
	return http.StatusOK, found, err
}

func (s *Service) get(r *http.Request) (int, any, error) {
	at, guest, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	n, err := s.Nights.Load(r.Context(), at.Hut, at.Date)
	if err != nil {
		return 0, nil, err
	}
	b, err := n.Booking(at.Booking)
	if err == nil && b.Guest != guest {
		err = fmt.Errorf("%w: no booking %q of this guest", domain.ErrNotFound, at.Booking)
	}
	return http.StatusOK, b, err
}

// put books. It can be sent again: the same booking is there once.
func (s *Service) put(r *http.Request) (int, any, error) {
	at, guest, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	var in struct{ Beds int }
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<12)).Decode(&in); err != nil {
		return 0, nil, fmt.Errorf("%w: the body is not JSON with Beds: %w", domain.ErrInvalid, err)
	}
	b, err := s.bookings.Book(r.Context(), app.Order{Ref: at, Guest: guest, Beds: in.Beds})
	s.happened()
	if err == nil && b.State == domain.AwaitingPayment {
		return http.StatusAccepted, b, nil
	}
	return http.StatusCreated, b, err
}

func (s *Service) cancel(r *http.Request) (int, any, error) {
	at, guest, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	b, err := s.bookings.Cancel(r.Context(), at, guest)
	s.happened()
	return http.StatusOK, b, err
}

// happened wakes Run.
func (s *Service) happened() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// ref returns what the path names.
func ref(r *http.Request) (app.Ref, error) {
	date, err := domain.ParseDate(r.PathValue("date"))
	return app.Ref{Hut: domain.HutID(r.PathValue("hut")), Date: date, Booking: domain.BookingID(r.PathValue("id"))}, err
}

// whose returns the booking that the path names, and who asks.
func whose(r *http.Request) (at app.Ref, by string, err error) {
	if at, err = ref(r); err == nil {
		by, err = guest(r)
	}
	return at, by, err
}

var errWho = errors.New("who are you? The field Guest is missing")

// guest returns who asks: what stands before the service has found out who it is, and
// says so in the field Guest.
func guest(r *http.Request) (string, error) {
	if g := r.Header.Get("Guest"); g != "" {
		return g, nil
	}
	return "", errWho
}

// answer writes what f returns, or what its error says.
func answer(f func(*http.Request) (status int, body any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := f(r)
		if err != nil {
			status, body = refusal(err)
			if status >= 500 {
				slog.ErrorContext(r.Context(), "booking: failed", "method", r.Method, "path", r.URL.Path, "err", err)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	})
}

// A problem is a refusal as RFC 9457 has it.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Free   *int   `json:"free,omitempty"`
}

func refusal(err error) (int, problem) {
	p := problem{Detail: err.Error()}
	full, isFull := errors.AsType[*domain.FullError](err)
	switch {
	case isFull:
		p.Status, p.Free = http.StatusConflict, &full.Free
	case errors.Is(err, domain.ErrInvalid):
		p.Status = http.StatusBadRequest
	case errors.Is(err, errWho):
		p.Status = http.StatusUnauthorized
	case errors.Is(err, domain.ErrNotFound):
		p.Status = http.StatusNotFound
	case errors.Is(err, domain.ErrTaken):
		p.Status = http.StatusConflict
	case errors.Is(err, app.ErrDeclined):
		p.Status = http.StatusPaymentRequired
	default:
		p.Status, p.Detail = http.StatusInternalServerError, ""
	}
	p.Title = http.StatusText(p.Status)
	return p.Status, p
}
