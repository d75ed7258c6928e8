// Federated identity: who somebody is, another system says. Not worth doing oneself:
// passwords are a duty.

package outside

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/retry"
)

// Identity is an identity provider. A real one would show its own page, and send the
// browser back with a code (OpenID Connect); from there on all is the same.
type Identity struct {
	// The layers, for those who watch them.
	Gateway *gateway.Gateway
	Retry   *retry.Policy
	Breaker *breaker.Breaker

	token *gateway.Endpoint[who, string]
}

type who struct {
	Name string `form:"name"`
	Hut  string `form:"hut,omitempty"`
}

// NewIdentity returns the provider at url.
func NewIdentity(url string, base http.RoundTripper) (*Identity, error) {
	i := &Identity{
		Retry:   retry.New(retry.Config{Name: "identity", AttemptTimeout: time.Second}),
		Breaker: breaker.New(breaker.Config{Name: "identity"}),
	}
	g, err := gateway.New(gateway.Config{
		Name: "identity", BaseURL: url, Timeout: 3 * time.Second,
		Transport: &retry.Transport{
			Policy:     i.Retry,
			Idempotent: func(*http.Request) bool { return true }, // a token that nobody gets harms nobody
			Base:       &breaker.Transport{Breaker: i.Breaker, Base: base},
		},
	})
	if err != nil {
		return nil, err
	}
	i.Gateway = g
	i.token = gateway.NewEndpoint[who, string](g, "POST /token", gateway.EndpointConfig{})
	return i, nil
}

// Token returns a token for a guest or, if hut is not "", for the warden of that hut.
func (i *Identity) Token(ctx context.Context, name, hut string) (string, error) {
	token, err := i.token.Call(ctx, who{name, hut})
	return strings.TrimSpace(token), err
}
