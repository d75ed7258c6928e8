// Session: the browser holds a name that means nothing, and the server what it stands
// for, so that it can be ended. Not worth it for programs: they hold the token itself.
// With several instances it needs a store that they share.

package platform

import (
	"crypto/rand"
	"net/http"

	lru "github.com/hashicorp/golang-lru/v2"
)

const cookie = "huts"

// Sessions keeps the tokens of people who have signed in with a browser. The longest
// unused goes first when there are very many.
type Sessions struct {
	verifier *Verifier
	tokens   *lru.Cache[string, string] // by session
}

// NewSessions returns no sessions yet.
func NewSessions(v *Verifier) *Sessions {
	tokens, err := lru.New[string, string](10_000)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Sessions{v, tokens}
}

// Begin begins a session with a token, under a name that nobody has seen before: one
// that was put into the browser beforehand is worth nothing.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, token string) error {
	if _, err := s.verifier.Verify(token); err != nil {
		return err
	}
	s.forget(r)
	name := rand.Text()
	s.tokens.Add(name, token)
	set(w, r, name, 0)
	return nil
}

// End ends the session of a request.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request) {
	s.forget(r)
	set(w, r, "", -1)
}

func (s *Sessions) forget(r *http.Request) {
	if c, err := r.Cookie(cookie); err == nil {
		s.tokens.Remove(c.Value)
	}
}

// Handler returns h, which finds in the context whose session it is. A session ends with
// its token.
func (s *Sessions) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(cookie); err == nil {
			if token, ok := s.tokens.Get(c.Value); ok {
				if p, err := s.verifier.Verify(token); err == nil {
					r = r.WithContext(With(r.Context(), p, token))
				}
			}
		}
		h.ServeHTTP(w, r)
	})
}

func set(w http.ResponseWriter, r *http.Request, name string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: name, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: !loopback(r.Host), // TLS stands in front, except on this machine
	})
}
