package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Config describes a [Gateway]. Only BaseURL is needed.
type Config struct {
	// Name stands for the external system in errors and events. "": it has none.
	Name string

	// BaseURL is where the external system is: absolute, http or https, without
	// userinfo, query and fragment. All patterns are relative to it.
	BaseURL string

	// Transport sends the requests: the stack of retries, breaker and limits. It
	// sees them with their credentials. nil means [http.DefaultTransport].
	Transport http.RoundTripper `json:"-"`

	// Auth adds the credentials to requests to the base origin. nil: there are none.
	Auth Auth `json:"-"`

	// Header is sent with every call, unless a field of Req says otherwise.
	// Secrets are better off in Auth.
	Header http.Header

	// Timeout limits a call, from its start until the body of the response is read
	// or, if it is streamed, closed. 0 means 30 seconds; negative: no limit.
	Timeout time.Duration

	// MaxResponseBytes limits the body of a response, after decompression. It does
	// not hold for streams. 0 means 10 MiB; negative: no limit.
	MaxResponseBytes int64

	// CheckRedirect decides whether a redirect is followed, as in [http.Client].
	// nil follows ten, within the base origin. A request to another origin has no
	// credentials and no header fields but harmless ones.
	CheckRedirect func(req *http.Request, via []*http.Request) error `json:"-"`

	// RetryAfter says for how long to wait after a response with an error, for a
	// system that says it in its own way. More than 0 means that the request was
	// refused by a limit, and can be repeated then, whatever the status. It must not
	// read or change the response. nil, and 0, mean the field Retry-After.
	// [RateLimited] knows the usual ways.
	RetryAfter func(*http.Response) time.Duration `json:"-"`

	// Observe is called at the end of each call, and when a request is sent again
	// with new credentials, with the caller's context. nil means not at all.
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	_, err := parseBase(c.BaseURL)
	errs := []error{err}
	for name, values := range c.Header {
		if !validName(name) || forbidden(name) {
			errs = append(errs, fmt.Errorf("gateway: Config.Header has the field %q, which cannot be set", name))
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

// EndpointConfig describes an [Endpoint]. The zero value is a good one; what it does
// not set is as in the Gateway's Config.
type EndpointConfig struct {
	// Name stands for the endpoint in errors, events and [EndpointFrom]. "" means
	// the pattern.
	Name string

	// Codec encodes and decodes bodies for which their type does not say how. Its
	// zero value is JSON.
	Codec Codec

	// Timeout and MaxResponseBytes take the place of those in Config, unless they
	// are 0. A positive MaxResponseBytes also limits a stream.
	Timeout          time.Duration
	MaxResponseBytes int64

	// IdempotencyKey sends a key with each call that is the same whenever the
	// layers below repeat its request: the one in the context
	// ([WithIdempotencyKey]), or else a new one. It is for servers that honour the
	// field Idempotency-Key: a retry.Transport takes a request that has it for one
	// that may be repeated.
	IdempotencyKey bool
}
