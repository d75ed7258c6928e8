// Simulation of an identity provider that believes everybody. Not worth it where the
// real one has a test tenant.

package world

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Identity issues tokens: to whoever says a name, for an hour.
type Identity struct {
	*System
	Key ed25519.PublicKey // of whoever checks the tokens

	private ed25519.PrivateKey
}

func newIdentity() *Identity {
	i := &Identity{}
	var err error
	if i.Key, i.private, err = ed25519.GenerateKey(nil); err != nil {
		panic(err) // it never is
	}
	i.System = newSystem("identity", i.routes())
	return i
}

// Seed makes the key from a seed, so that processes which are set up before this one runs
// know it. It is for the beginning, and for a simulation.
func (i *Identity) Seed(seed string) {
	sum := sha256.Sum256([]byte(seed))
	i.private = ed25519.NewKeyFromSeed(sum[:])
	i.Key = i.private.Public().(ed25519.PublicKey)
}

func (i *Identity) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<12)
		if r.PostFormValue("name") == "" {
			http.Error(w, "want a form with name, and for a warden with hut", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintln(w, i.Token(r.PostFormValue("name"), r.PostFormValue("hut")))
	})
	return mux
}

// Token returns a token for a guest or, if hut is not "", for the warden of that hut.
func (i *Identity) Token(name, hut string) string {
	claims := map[string]any{"sub": name, "aud": "huts", "exp": time.Now().Add(time.Hour).Unix()}
	if hut != "" {
		claims["hut"] = hut
	}
	return i.Sign(claims)
}

// Sign returns a token that says anything.
func (i *Identity) Sign(claims map[string]any) string {
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims(claims)).SignedString(i.private)
	if err != nil {
		panic(err) // the claims are JSON
	}
	return token
}
