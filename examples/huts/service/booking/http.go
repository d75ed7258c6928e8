// Driving adapter: HTTP on one side, commands and queries on the other, and nothing
// decided in between. Not worth a framework: the standard router knows methods and paths.

package booking

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
)

// Handler returns the service's HTTP side. It expects a [platform.Guard] in front.
func (s *Service) Handler() http.Handler {
	s.init()
	mux := http.NewServeMux()
	mux.Handle("GET /huts/{hut}/{date}", answer(s.night))
	mux.Handle("GET /bookings", answer(s.list))
	mux.Handle("GET /huts/{hut}/{date}/bookings", answer(s.arrivals))
	mux.Handle("POST /huts/{hut}/{date}/bookings", answer(s.post))
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

func (s *Service) night(_ http.Header, r *http.Request) (int, any, error) {
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

func (s *Service) list(_ http.Header, r *http.Request) (int, any, error) {
	by, err := person(r)
	if err != nil {
		return 0, nil, err
	}
	found, err := s.Nights.Store.BookingsOf(r.Context(), by.Name)
	if found == nil {
		found = []domain.Booking{}
	}
	return http.StatusOK, found, err
}

func (s *Service) arrivals(_ http.Header, r *http.Request) (int, any, error) {
	at, by, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	found, err := s.bookings.Arrivals(r.Context(), at.Hut, at.Date, by)
	return http.StatusOK, found, err
}

func (s *Service) get(_ http.Header, r *http.Request) (int, any, error) {
	at, by, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	b, err := s.bookings.Find(r.Context(), at, by)
	return http.StatusOK, b, err
}

// put books under a name of the guest's choice. It can be sent again: the same booking is
// there once.
func (s *Service) put(_ http.Header, r *http.Request) (int, any, error) {
	at, by, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	return s.book(r, at, by)
}

var errKey = errors.New("a POST needs the field Idempotency-Key: send the same one when you send it again")

// post books, for clients that choose no names. The name is made of the guest and the
// Idempotency-Key: so nothing has to be remembered to know a request that comes again, a
// key is never too old, and nobody can guess the name of another's booking.
func (s *Service) post(h http.Header, r *http.Request) (int, any, error) {
	at, by, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return 0, nil, errKey
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", by.Name, key))
	at.Booking = domain.BookingID(strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15])))
	h.Set("Location", fmt.Sprintf("/huts/%s/%s/bookings/%s", at.Hut, at.Date, at.Booking))
	status, body, err := s.book(r, at, by)
	if errors.Is(err, domain.ErrTaken) {
		err = fmt.Errorf("%w: this Idempotency-Key was sent with another request", errReused)
	}
	return status, body, err
}

var errReused = errors.New("key used before")

func (s *Service) book(r *http.Request, at app.Ref, by app.Person) (int, any, error) {
	var in struct{ Beds int }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return 0, nil, fmt.Errorf("%w: the body is not JSON with Beds: %w", domain.ErrInvalid, err)
	}
	b, err := s.bookings.Book(r.Context(), app.Order{Ref: at, Guest: by.Name, Beds: in.Beds})
	s.happened()
	if err == nil && b.State == domain.AwaitingPayment {
		return http.StatusAccepted, b, nil
	}
	return http.StatusCreated, b, err
}

func (s *Service) cancel(_ http.Header, r *http.Request) (int, any, error) {
	at, by, err := whose(r)
	if err != nil {
		return 0, nil, err
	}
	b, err := s.bookings.Cancel(r.Context(), at, by)
	s.happened()
	return http.StatusOK, b, err
}

// ref returns what the path names.
func ref(r *http.Request) (app.Ref, error) {
	date, err := domain.ParseDate(r.PathValue("date"))
	return app.Ref{Hut: domain.HutID(r.PathValue("hut")), Date: date, Booking: domain.BookingID(r.PathValue("id"))}, err
}

// whose returns the booking that the path names, and who asks.
func whose(r *http.Request) (at app.Ref, by app.Person, err error) {
	if by, err = person(r); err == nil {
		at, err = ref(r)
	}
	return at, by, err
}

var errWho = errors.New("who are you? The request needs the field Authorization with a token")

func person(r *http.Request) (app.Person, error) {
	by, ok := platform.Who(r.Context())
	if !ok {
		return by, errWho
	}
	return by, nil
}

// answer writes what f returns, or what its error says. f may set header fields.
func answer(f func(http.Header, *http.Request) (status int, body any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := f(w.Header(), r)
		if err != nil {
			p := refusal(err)
			if p.Status == http.StatusInternalServerError {
				slog.ErrorContext(r.Context(), "booking: failed", "method", r.Method, "path", r.URL.Path, "err", err)
			}
			w.Header().Del("Location")
			platform.Refuse(w, p)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	})
}

// refusal says what an error means to a guest. Of what it does not know it says nothing.
func refusal(err error) platform.Problem {
	if full, ok := errors.AsType[*domain.FullError](err); ok {
		return platform.Problem{Status: http.StatusConflict, Detail: err.Error(), Free: &full.Free}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return platform.Problem{Status: http.StatusRequestEntityTooLarge}
	}
	for _, known := range []struct {
		err    error
		status int
	}{
		{domain.ErrInvalid, http.StatusBadRequest},
		{errKey, http.StatusBadRequest},
		{errWho, http.StatusUnauthorized},
		{app.ErrDeclined, http.StatusPaymentRequired},
		{app.ErrForbidden, http.StatusForbidden},
		{domain.ErrNotFound, http.StatusNotFound},
		{domain.ErrTaken, http.StatusConflict},
		{errReused, http.StatusUnprocessableEntity},
	} {
		if errors.Is(err, known.err) {
			return platform.Problem{Status: known.status, Detail: err.Error()}
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return platform.Problem{Status: http.StatusServiceUnavailable, Detail: "not in time: send it again"}
	}
	return platform.Problem{Status: http.StatusInternalServerError}
}
