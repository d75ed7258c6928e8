package gateway

import (
	"context"
	"net/http"

	"github.com/belay-go/belay/internal/identity"
)

// call is one logical call. It is the context of all its requests.
type call struct {
	context.Context
	gateway  *Gateway
	endpoint *plan             // nil below Gateway.Client
	identity identity.Identity // of the credentials that Auth has added
	own      *http.Request     // the endpoint's request, which nobody else has
	sent     *http.Request     // the last one given to Config.Transport, or nil
	followed bool              // a redirect: the system has got the first request
	query    string            // of own, before Auth
	form     string            // the body of own, if it is made of form fields
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

// EndpointFrom returns the name of the endpoint that a request belongs to, for the
// layers below. There are few such names, so that they can be labels of metrics.
func EndpointFrom(ctx context.Context) (name string, ok bool) {
	c := callFrom(ctx)
	if c == nil || c.endpoint == nil {
		return "", false
	}
	return c.endpoint.name, true
}

type idempotencyKey struct{}

// WithIdempotencyKey returns a context with the idempotency key for one logical call,
// if its endpoint sends one. It is for a retry above the Gateway, and for a job that
// may run again.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}
