package gateway

import (
	"context"
	"net/http"

	"github.com/belay-go/belay/internal/identity"
)

// call is one logical call, in the context of all its requests.
type call struct {
	context.Context
	gateway  *Gateway
	endpoint *plan             // nil below Gateway.Client
	identity identity.Identity // of the credentials that Auth has added
	own      *http.Request     // made by the endpoint, which may be changed
	sent     *http.Request     // the last one given to Config.Transport, nil for none
	query    string            // own's, before Auth
	form     string            // own's body, if that is a form of fields
}

type callKey struct{}

// Value implements [context.Context].
func (c *call) Value(key any) any {
	switch key {
	case callKey{}:
		return c
	case identity.Key{}:
		return &c.identity
	}
	return c.Context.Value(key)
}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

type idempotencyKey struct{}

// WithIdempotencyKey returns a context that gives the calls made with it their
// idempotency key, if their endpoint sends one. It is for one logical call: for a retry
// above the Gateway, or a job that is run again.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}
