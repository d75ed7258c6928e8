// Politeness: a provider that bans senders is asked no faster than agreed, and never by
// too many at once. Not worth it where the provider's own limit costs nothing to hit.

package outside

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

// Mail writes to guests.
type Mail struct {
	// The layers, for those who watch them.
	Gateway     *gateway.Gateway
	Retry       *retry.Policy
	Breaker     *breaker.Breaker
	Limiter     *ratelimit.Limiter
	Concurrency *ratelimit.Bulkhead

	send *gateway.Endpoint[message, gateway.None]
}

type message struct {
	ID      string
	To      string
	Subject string
	Text    string
}

// NewMail returns the service at url, which takes 50 mails a second and four at once.
func NewMail(url string, base http.RoundTripper) (*Mail, error) {
	m := &Mail{
		Retry:       retry.New(retry.Config{Name: "mail", AttemptTimeout: 2 * time.Second}),
		Breaker:     breaker.New(breaker.Config{Name: "mail"}),
		Limiter:     ratelimit.New(ratelimit.Config{Name: "mail", Rate: 50, Burst: 5}),
		Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Name: "mail", Limit: 4, Queue: 1_000}),
	}
	g, err := gateway.New(gateway.Config{
		Name: "mail", BaseURL: url, Timeout: 10 * time.Second,
		Transport: &retry.Transport{
			Policy:     m.Retry,
			Idempotent: func(*http.Request) bool { return true }, // the service knows a message by its ID
			Base: &breaker.Transport{
				Breaker: m.Breaker,
				Base:    &ratelimit.Transport{Limiter: m.Limiter, Concurrency: m.Concurrency, Base: base},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	m.Gateway = g
	m.send = gateway.NewEndpoint[message, gateway.None](g, "POST /messages", gateway.EndpointConfig{})
	return m, nil
}

// Send tells a guest of a change. It can be repeated: the Message-ID is the same.
func (m *Mail) Send(ctx context.Context, c app.Change) error {
	b := c.Booking
	subject := map[domain.State]string{
		domain.AwaitingPayment: "Your beds are held",
		domain.Paid:            "Your beds are booked",
		domain.Freed:           "Your beds are released",
	}[b.State]
	if subject == "" {
		return nil // nothing that a guest needs to know
	}
	_, err := m.send.Call(ctx, message{
		ID: c.ID, To: b.Guest, Subject: subject,
		Text: fmt.Sprintf("%d beds at %s on %s, %s.", b.Beds, b.Hut, b.Date, b.Price),
	})
	if e, ok := errors.AsType[*gateway.Error](err); ok && e.Status == http.StatusBadRequest {
		return fmt.Errorf("%w: %w", app.ErrNever, err)
	}
	return err
}
