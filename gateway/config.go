package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Config describes a [Gateway]. Only BaseURL is required.
type Config struct {
	// Name is the name of the external system in errors and events. "": none.
	Name string

	// BaseURL is the address of the external system: absolute, http or https, without
	// userinfo, query and fragment. All patterns are relative to it.
	BaseURL string

	// Transport sends the requests: the stack of cache, retries, breaker and limits.
	// It gets them with their credentials. nil means [http.DefaultTransport].
	Transport http.RoundTripper `json:"-"`

	// Auth adds the credentials to requests to the base origin. nil: there are none.
	Auth Auth `json:"-"`

	// Header is sent with every call. A field of Req takes precedence. Credentials
	// belong into Auth, and the Content-Type into EndpointConfig.Codec.
	Header http.Header

	// Timeout limits a call, from its start until the body of the response is read,
	// or, if it is streamed, closed. 0 means 30 seconds; negative: no limit.
	Timeout time.Duration

	// MaxResponseBytes limits the body of a response, after decompression. It does
	// not apply to streams. 0 means 10 MiB; negative: no limit.
	MaxResponseBytes int64

	// CheckRedirect decides whether a redirect is followed, as in [http.Client]. nil
	// follows at most ten, within the base origin. A request to another origin has no
	// credentials, and only header fields that are harmless.
	CheckRedirect func(req *http.Request, via []*http.Request) error `json:"-"`

	// RetryAfter returns how long to wait after a response that is an error, for a
	// system that says so in its own way. More than 0 means that a limit refused the
	// request: whatever the status, it can be repeated after this time. The function
	// must not read or change the response. If RetryAfter is nil or returns 0, the field
	// Retry-After counts. [RateLimited] knows the usual ways.
	//
	// A retry.Transport in Transport sees the responses first. Give it the same function,
	// so that both have one rule: it waits and repeats what may be repeated, and the
	// error of what may not says how long.
	RetryAfter func(*http.Response) time.Duration `json:"-"`

	// Observe is called at the end of each call, and when a request is sent again
	// with new credentials. It gets the caller's context. nil means not at all.
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	_, err := parseBase(c.BaseURL)
	errs := []error{err, validAuth(c.Auth)}
	if isNilPointer(c.Transport) {
		errs = append(errs, fmt.Errorf("gateway: Config.Transport is a nil %T", c.Transport))
	}
	for name, values := range c.Header {
		canonical := http.CanonicalHeaderKey(name)
		_, twice := c.Header[canonical]
		switch {
		case !validName(name) || forbidden(name):
			errs = append(errs, fmt.Errorf("gateway: Config.Header has the field %q, which cannot be set", name))
		case canonical == "Content-Type":
			errs = append(errs, errors.New("gateway: Config.Header has a Content-Type, and not all requests have the same; want EndpointConfig.Codec"))
		case name != canonical && twice:
			errs = append(errs, fmt.Errorf("gateway: Config.Header has the field %s in two spellings", canonical))
		}
		for _, v := range values {
			if !validValue(v) {
				errs = append(errs, fmt.Errorf("gateway: Config.Header[%q] has a control character", name))
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.MaxResponseBytes = cmp.Or(c.MaxResponseBytes, 10<<20)
	return c
}

// EndpointConfig describes an [Endpoint]. The zero value takes everything from the
// Gateway's Config.
type EndpointConfig struct {
	// Name is the endpoint's name in errors, events and [EndpointFrom]. "" means the
	// pattern.
	Name string

	// Codec encodes and decodes bodies whose type does not say how. The zero value is
	// JSON.
	Codec Codec

	// Timeout and MaxResponseBytes replace those in Config, unless they are 0. A
	// positive MaxResponseBytes also limits a stream.
	Timeout          time.Duration
	MaxResponseBytes int64

	// IdempotencyKey sends the field Idempotency-Key with each call. The key is the one
	// in the context ([WithIdempotencyKey]), or else a new one for each call. It stays
	// the same when layers below repeat the request. This is for servers that honour
	// the field: a retry.Transport repeats any request that has it.
	IdempotencyKey bool
}
