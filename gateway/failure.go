package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	maxErrorBody = 64 << 10
	maxSnippet   = 256
)

// fail returns the Error of a call. resp is nil if there was none.
func (c *call) fail(kind ErrorKind, resp *http.Response, err error) *Error {
	e := &Error{
		Kind: kind, Name: c.gateway.cfg.Name, Endpoint: c.endpoint.name, Err: c.withoutURL(err),
		Sent: c.followed || c.sent != nil && kind != NoCredentials && kind != Refused && !(kind == NoResponse && isDial(err)),
	}
	_, keyed := c.Value(idempotencyKey{}).(string)
	e.repeatable = c.endpoint.idempotent || keyed && c.endpoint.idempotencyKey
	if resp != nil {
		e.Status, e.Header = resp.StatusCode, c.publicHeader(resp.Header)
	}
	switch kind {
	case Undecodable, Unsuccessful:
		e.Err = c.scrubError(e.Err)
	case BadRedirect:
		if location := e.Header["Location"]; len(location) > 0 {
			e.Header["Location"] = []string{withoutQuery(location[0])}
		}
	}
	return e
}

// isDial reports whether err comes from dialing: the request was not sent. It does not
// look into an error of several, such as that of a retry, one of whose attempts may
// have been sent.
func isDial(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if op, ok := err.(*net.OpError); ok {
			return op.Op == "dial" || op.Op == "proxyconnect"
		}
	}
	return false
}

// noResponse returns the Error for an error of http.Client. There is a response with
// it only if a redirect was refused.
func (c *call) noResponse(resp *http.Response, err error) *Error {
	if u, ok := err.(*url.Error); ok {
		err = u.Err // the rest of it is the URL, with the query
	}
	kind := NoResponse
	switch marked := err.(type) {
	case *redirectError:
		kind, err = BadRedirect, marked.error
	case *authError:
		kind, err = NoCredentials, marked.error
	default:
		if rejected(err) {
			kind = Refused
		}
	}
	return c.fail(kind, resp, err)
}

var errNotCached = errors.New("the request is only-if-cached, and no usable response is cached")

// notCached returns the Error for the 504 with which a cache answers a request that is
// only-if-cached, or nil for any other response.
func (c *call) notCached(resp *http.Response) *Error {
	if resp.StatusCode != http.StatusGatewayTimeout || readCacheStatus(resp.Header).detail != "only-if-cached" {
		return nil
	}
	return c.fail(Refused, resp, errNotCached)
}

// badStatus returns the Error for a response whose status is not 2xx.
func (c *call) badStatus(resp *http.Response) *Error {
	e := c.fail(BadStatus, resp, nil)
	c.tell(e, resp, c.errorBody(resp))
	return e
}

// unsuccessful returns the Error for a response of which CheckResponse says err.
func (c *call) unsuccessful(resp *http.Response, body []byte, err error) *Error {
	e := c.fail(Unsuccessful, resp, err)
	c.tell(e, resp, c.withoutSecrets(body[:min(len(body), maxErrorBody)]))
	return e
}

// tell fills in what the response says about the error. body has no secrets.
func (c *call) tell(e *Error, resp *http.Response, body []byte) {
	contentType := resp.Header.Get("Content-Type")
	if e.Body = body; mediaType(contentType) == problemType {
		e.Problem = parseProblem(body)
	}
	said, hidden := message(contentType, e.Problem, body), c.echoes()
	e.Message = shorten(scrub(oneLine(scrub(said, hidden)), hidden)) // one line may bring together the parts of a secret
	if limited := c.gateway.cfg.RetryAfter; limited != nil {
		e.after = limited(resp)
	}
}

// broken returns the Error for a body that cannot be read to its end.
func (c *call) broken(resp *http.Response, err error) *Error {
	switch {
	case isTooLarge(err):
		return c.fail(TooLarge, resp, err)
	case isCorrupt(err):
		return c.fail(Undecodable, resp, err)
	}
	return c.fail(Incomplete, resp, err)
}

// wrongType returns the Error for a response with an unexpected content type.
func (c *call) wrongType(resp *http.Response) *Error {
	e := c.fail(WrongContentType, resp, nil)
	e.Body = c.errorBody(resp)
	snippet := scrub(strings.ToValidUTF8(scrub(string(e.Body), c.echoes()), ""), c.echoes())
	for len(snippet) > maxSnippet || !utf8.ValidString(snippet) {
		snippet = snippet[:min(len(snippet)-1, maxSnippet)]
	}
	contentType := scrub(resp.Header.Get("Content-Type"), c.echoes())
	e.text = fmt.Sprintf(": %.100q, which begins with %q", contentType, snippet)
	return e
}

// errorBody reads the first part of a body that is not the value.
func (c *call) errorBody(resp *http.Response) []byte {
	if decompress(resp) != nil {
		return nil
	}
	limit := int64(maxErrorBody)
	if max := c.endpoint.limit; max > 0 && max < limit {
		limit = max
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, limit))
	return c.withoutSecrets(data)
}

// withoutSecrets returns the first part of a body without the credentials of the call.
func (c *call) withoutSecrets(data []byte) []byte {
	secrets, text := c.secrets(), string(data)
	for _, secret := range secrets { // the limit may have cut one in two
		for n := len(secret); n >= minSecret; n-- {
			text = strings.TrimSuffix(text, secret[:n])
		}
	}
	return []byte(scrub(text, secrets))
}
