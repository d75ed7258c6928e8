// Adapter of a driven port: speaks the provider's language on one side and the
// application's on the other, and keeps the provider's troubles out of it. Not worth it
// for a system whose language is one's own.

// Package outside calls the systems of others, each through the layers that fit it. The
// base of each is the connection itself; nil is [http.DefaultTransport].
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

// Payment is an [app.Payment] at a provider that knows idempotency keys.
type Payment struct {
	// The layers, for those who watch them.
	Gateway     *gateway.Gateway
	Retry       *retry.Policy
	Breaker     *breaker.Breaker
	Concurrency *ratelimit.Bulkhead

	charge *gateway.Endpoint[paymentOrder, paymentReceipt]
	refund *gateway.Endpoint[paymentOrder, gateway.None]
}

type paymentOrder struct {
	Reference string
	Guest     string
	Amount    domain.Money
}

type paymentReceipt struct {
	Receipt string
}

// NewPayment returns the provider at url. A charge takes at most 3 s, its retries
// included: a guest waits for it.
func NewPayment(url, token string, base http.RoundTripper) (*Payment, error) {
	p := &Payment{
		// An attempt that hangs leaves time for another.
		Retry:       retry.New(retry.Config{Name: "payment", AttemptTimeout: time.Second}),
		Breaker:     breaker.New(breaker.Config{Name: "payment"}),
		Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Name: "payment", Limit: 20}),
	}
	g, err := gateway.New(gateway.Config{
		Name: "payment", BaseURL: url, Timeout: 3 * time.Second,
		Auth: gateway.Bearer(gateway.BearerConfig{
			Name:  "payment",
			Token: func(context.Context, string) (string, time.Time, error) { return token, time.Time{}, nil },
		}),
		Transport: &retry.Transport{
			Policy: p.Retry,
			Base: &breaker.Transport{
				Breaker: p.Breaker,
				Base:    &ratelimit.Transport{Concurrency: p.Concurrency, Base: base},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	p.Gateway = g
	keyed := gateway.EndpointConfig{IdempotencyKey: true}
	p.charge = gateway.NewEndpoint[paymentOrder, paymentReceipt](g, "POST /charges", keyed)
	p.refund = gateway.NewEndpoint[paymentOrder, gateway.None](g, "POST /refunds", keyed)
	return p, nil
}

// Charge takes the price of the booking. The booking's name is the idempotency key, so
// that it is charged once, by whichever process asks and however often.
func (p *Payment) Charge(ctx context.Context, b domain.Booking) (receipt string, err error) {
	key := app.RefOf(b).String()
	ctx = gateway.WithIdempotencyKey(ctx, key)
	r, err := p.charge.Call(ctx, paymentOrder{key, b.Guest, b.Price})
	if e, ok := errors.AsType[*gateway.Error](err); ok && e.Status == http.StatusPaymentRequired {
		return "", fmt.Errorf("%w: %w", app.ErrDeclined, err)
	}
	return r.Receipt, err
}

// Refund gives back what was charged. If nothing was, the provider remembers that
// nothing ever may be: a charge that is still on its way comes too late.
func (p *Payment) Refund(ctx context.Context, of app.Ref) error {
	key := of.String()
	_, err := p.refund.Call(gateway.WithIdempotencyKey(ctx, key), paymentOrder{Reference: key})
	return err
}
