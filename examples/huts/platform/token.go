// Authentication by signed tokens: who comes has proved elsewhere who he is, and shows
// it. Not worth it for a service that only its own pages talk to: a session is simpler,
// and can be ended.

// Package platform holds what every service needs in front of it, whatever it does:
// who is asking, how much of it, and what nobody may learn.
package platform

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"strings"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/golang-jwt/jwt/v5"
)

// Audience is whom tokens must be for: one for another service opens nothing here. All
// services of the huts are one audience, so that one can pass on to the next who asks.
const Audience = "huts"

// Claims are what a token says.
type Claims struct {
	jwt.RegisteredClaims
	Hut domain.HutID `json:"hut,omitempty"` // whose warden it is
}

// A Verifier knows genuine tokens by the public key of their issuer.
type Verifier struct {
	key    ed25519.PublicKey
	parser *jwt.Parser
}

// NewVerifier returns a Verifier for the tokens of one issuer.
func NewVerifier(key ed25519.PublicKey) *Verifier {
	return &Verifier{key, jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), // the token does not choose how it is checked
		jwt.WithAudience(Audience),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
	)}
}

// ErrToken says that a token proves nothing. It does not show the token, nor much of why.
var ErrToken = errors.New("the token is not valid here, or has expired")

// Verify returns whose token it is.
func (v *Verifier) Verify(token string) (app.Person, error) {
	var c Claims
	_, err := v.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.key, nil })
	if err != nil || c.Subject == "" {
		return app.Person{}, ErrToken
	}
	return app.Person{Name: c.Subject, Warden: c.Hut}, nil
}

type caller struct {
	person app.Person
	token  string
}

type callerKey struct{}

// With returns a context in which a person asks, by a token that has been verified.
func With(ctx context.Context, p app.Person, token string) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{p, token})
}

// Who returns who asks. ok is false if that is not known.
func Who(ctx context.Context) (p app.Person, ok bool) {
	c, ok := ctx.Value(callerKey{}).(caller)
	return c.person, ok
}

// Forward is the gateway.Auth of one service in front of another: it passes on who asks.
type Forward struct{}

// Apply adds the token of whoever asks, if there is one.
func (Forward) Apply(ctx context.Context, r *http.Request) error {
	if c, ok := ctx.Value(callerKey{}).(caller); ok {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return nil
}

// Identity is the name of who asks.
func (Forward) Identity(ctx context.Context) string {
	p, _ := Who(ctx)
	return p.Name
}

// bearer returns the token of a request, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
