package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// Auth adds credentials to the requests that go to the base origin, to each of them
// once. It must be safe for concurrent use.
//
// An Auth can have one more method:
//
//	Stale(ctx context.Context, sent *http.Request) bool
//
// It is called when the request sent was answered with 401, and returns true if Apply
// can add other credentials now. Then the request is sent once more, with the field
// Cache-Control: no-cache, unless the credentials turn out to be the same.
type Auth interface {
	// Apply adds the credentials to a request. It may change the header and the query,
	// and nothing else. Its errors must not show the credentials.
	Apply(ctx context.Context, req *http.Request) error

	// Identity returns a name for the credentials. A cache below never gives the
	// responses for one name to another: different credentials need different names.
	// A name is not secret. "" means that all requests of the Gateway have the same
	// credentials.
	Identity(ctx context.Context) string
}

// validAuth reports what is wrong with Config.Auth.
func validAuth(a Auth) error {
	if isNilPointer(a) {
		return fmt.Errorf("gateway: Config.Auth is a nil %T", a)
	}
	if f, ok := a.(*fixed); ok && f.err != nil {
		return fmt.Errorf("gateway: Config.Auth: %w", f.err)
	}
	if _, ok := a.(staler); a != nil && !ok {
		if m, ok := reflect.TypeOf(a).MethodByName("Stale"); ok {
			return fmt.Errorf("gateway: Config.Auth: the method Stale of %T is a %v, want func(context.Context, *http.Request) bool", a, m.Type)
		}
	}
	return nil
}

func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// staler is an Auth that may have other credentials after a 401.
type staler interface {
	Stale(ctx context.Context, sent *http.Request) bool
}

// APIKey returns an Auth that sends value in a header field, such as X-Api-Key. If it
// cannot, [New] says why.
func APIKey(header, value string) Auth {
	a := &fixed{name: http.CanonicalHeaderKey(header), value: value, identity: fingerprint(header, value)}
	switch {
	case !validName(header) || forbidden(header):
		a.err = unusable("the header field of the API key cannot be set")
	case value == "":
		a.err = unusable("the API key is empty")
	case !validValue(value):
		a.err = unusable("the API key has a control character, such as a newline at its end")
	}
	return a
}

// unusable says why no request can ever be sent with an Auth.
type unusable string

func (u unusable) Error() string   { return string(u) }
func (u unusable) Rejected() bool  { return true }
func (u unusable) Retryable() bool { return false }

// Basic returns an Auth for the scheme Basic (RFC 7617). If it cannot send the user and
// the password, [New] says why.
func Basic(user, password string) Auth {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	a := &fixed{name: "Authorization", value: req.Header.Get("Authorization"), identity: fingerprint(user, password)}
	switch {
	case user == "" && password == "":
		a.err = unusable("the user and the password are empty")
	case strings.Contains(user, ":"):
		a.err = unusable("the user has a colon, which ends it")
	case !validValue(user) || !validValue(password):
		a.err = unusable("the user or the password has a control character, such as a newline at its end")
	}
	return a
}

// fixed is an Auth whose credentials never change.
type fixed struct {
	name, value string
	identity    string
	err         error
}

func (a *fixed) Apply(_ context.Context, req *http.Request) error {
	if a.err == nil {
		req.Header[a.name] = []string{a.value}
	}
	return a.err
}

func (a *fixed) Identity(context.Context) string { return a.identity }
func (a *fixed) String() string                  { return "gateway: credentials for " + a.name }
func (a *fixed) GoString() string                { return a.String() }

var processKey = sync.OnceValue(func() string { return rand.Text() })

// fingerprint returns a name for credentials, always the same for the same ones.
// Nobody can guess and test the credentials without a key from this process.
func fingerprint(parts ...string) string {
	mac := hmac.New(sha256.New, []byte(processKey()))
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		mac.Write(sum[:])
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
