// Model, of model, view and controller: what the pages know, got from the booking service
// for whoever looks at them. Not worth one of its own where the pages and the data are
// one service.

package desk

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/service/booking"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/retry"
)

// A Model asks the booking service, with the token of the person in the context: what he
// may see and do is decided there.
type Model struct {
	night    *gateway.Endpoint[night, booking.Night]
	mine     *gateway.Endpoint[gateway.None, []domain.Booking]
	arrivals *gateway.Endpoint[night, []domain.Booking]
	find     *gateway.Endpoint[one, domain.Booking]
	book     *gateway.Endpoint[order, domain.Booking]
	cancel   *gateway.Endpoint[one, domain.Booking]
}

type night struct {
	Hut  domain.HutID `path:"hut"`
	Date domain.Date  `path:"date"`
}

type one struct {
	night
	ID domain.BookingID `path:"id"`
}

type order struct {
	night
	Beds beds `body:""`
}

type beds struct{ Beds int }

// NewModel returns the model over the booking service at url.
func NewModel(url string, base http.RoundTripper) (*Model, error) {
	g, err := gateway.New(gateway.Config{
		Name: "booking", BaseURL: url, Timeout: 10 * time.Second, Auth: platform.Forward{},
		Transport: &retry.Transport{
			// Each write has a key or can be repeated. A booking that waits for its
			// payment takes some seconds.
			Policy: retry.New(retry.Config{Name: "booking", AttemptTimeout: 5 * time.Second}),
			Base:   &breaker.Transport{Breaker: breaker.New(breaker.Config{Name: "booking"}), Base: base},
		},
	})
	if err != nil {
		return nil, err
	}
	return &Model{
		night:    gateway.NewEndpoint[night, booking.Night](g, "GET /huts/{hut}/{date}", gateway.EndpointConfig{}),
		mine:     gateway.NewEndpoint[gateway.None, []domain.Booking](g, "GET /bookings", gateway.EndpointConfig{}),
		arrivals: gateway.NewEndpoint[night, []domain.Booking](g, "GET /huts/{hut}/{date}/bookings", gateway.EndpointConfig{}),
		find:     gateway.NewEndpoint[one, domain.Booking](g, "GET /huts/{hut}/{date}/bookings/{id}", gateway.EndpointConfig{}),
		book:     gateway.NewEndpoint[order, domain.Booking](g, "POST /huts/{hut}/{date}/bookings", gateway.EndpointConfig{IdempotencyKey: true}),
		cancel:   gateway.NewEndpoint[one, domain.Booking](g, "DELETE /huts/{hut}/{date}/bookings/{id}", gateway.EndpointConfig{}),
	}, nil
}

func at(r app.Ref) one { return one{night{r.Hut, r.Date}, r.Booking} }

// Book books under a key: sent again with the same one, it is the same booking.
func (m *Model) Book(ctx context.Context, key string, hut domain.HutID, date domain.Date, n int) (domain.Booking, error) {
	return m.book.Call(gateway.WithIdempotencyKey(ctx, key), order{night{hut, date}, beds{n}})
}

// Said is what an error means to the person at the desk. ok is false if it does not say
// whether anything was done.
func said(err error) (status int, text string, ok bool) {
	e, is := errors.AsType[*gateway.Error](err)
	if is && e.Problem != nil && e.Problem.Detail != "" && e.Status < 500 {
		return e.Status, e.Problem.Detail, true
	}
	if is && e.Status == http.StatusTooManyRequests {
		return e.Status, "That was a lot at once. Please wait a moment, and try again.", true
	}
	if is && e.Status == http.StatusUnauthorized {
		return e.Status, "Please sign in again.", true
	}
	return http.StatusServiceUnavailable, "The booking service does not answer. Nothing is lost: please try again in a moment.", false
}
