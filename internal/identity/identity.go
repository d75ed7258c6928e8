// Package identity is how a gateway tells the layers below it whose credentials a
// request has, and which names of header fields speak of credentials at all. Contexts
// carry the one, so that neither side imports the other; both take the same rule for
// the other, so that what is hidden in an error is also what keeps users apart.
package identity

import "context"

// An Identity says whose credentials have been added to a request.
type Identity struct {
	// Name tells one set of credentials from all others. "": none have been added.
	Name string
	// Granted is the Authorization that was added. It may change while Name stays, as
	// tokens do, and tells no more than Name does.
	Granted string
}

// Key is the key of a context's *Identity. A context of one's own may answer it.
type Key struct{}

// From returns the Identity in ctx; the zero value if there is none. To be called
// while the request is on its way: who has made ctx may change it afterwards.
func From(ctx context.Context) Identity {
	if id, _ := ctx.Value(Key{}).(*Identity); id != nil {
		return *id
	}
	return Identity{}
}
