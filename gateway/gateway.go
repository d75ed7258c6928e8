// Package gateway is one typed, safe door to an external system.
//
// A [Gateway] is made once for each system, an [Endpoint] once for each thing that
// it can be asked, and the rest of the program sees typed calls only:
//
//	api, err := gateway.New(gateway.Config{BaseURL: "https://api.example/v2"})
//	...
//	getUser := gateway.NewEndpoint[string, User](api, "GET /users/{name}", gateway.EndpointConfig{})
//	...
//	user, err := getUser.Call(ctx, "ada")
//
// Patterns and types are checked when the endpoint is made, so that a mistake
// shows at start-up. [Endpoint.Call] has the shape that retry.Wrap, breaker.Wrap
// and facade.Step take.
//
// # Requests
//
// Req is bound to the request by the tags of its fields:
//
//	Owner string     `path:"owner"`                    // {owner} in the pattern
//	Page  int        `query:"page,omitempty"`          // ?page=2
//	Match string     `header:"If-None-Match,omitempty"`
//	Grant string     `form:"grant_type"`               // a field of a form in the body
//	Issue Issue      `body:""`                         // the body, one field at most
//	Note  string     `query:"-"`                       // not bound
//
// Every exported field of a struct with tags has one; those of an embedded struct
// count as its own. A value is written as its type says:
//
//	string, bool, integers, floats  as they are
//	time.Time                       RFC 3339
//	time.Duration                   1m30s
//	encoding.TextMarshaler          its text
//	a pointer                       what it points to; nil is left out
//	a slice                         one parameter or field line for each element
//
// The option omitempty leaves out zero values, comma joins the elements of a slice
// with commas. [None] has no parameters and no body. A Req that is neither a struct
// nor a pointer to one is the value of the pattern's one wildcard. All others,
// structs without tags among them, are the body, which is sent as its type says:
//
//	io.Reader            application/octet-stream, streamed
//	[]byte               application/octet-stream
//	string               text/plain
//	url.Values           application/x-www-form-urlencoded
//	[Multipart]          multipart/form-data, streamed
//	anything else        EndpointConfig.Codec, which is JSON by default
//
// # Responses
//
// Resp says how the body of a response with a status of 2xx is read, and which
// content types are right; any other is an error, never a zero value:
//
//	None                 not read
//	io.ReadCloser        any, streamed to the caller, who closes it
//	[]byte               any
//	string               text/*, but for text/html
//	url.Values           application/x-www-form-urlencoded
//	anything else        EndpointConfig.Codec: application/json and */*+json
//
// A response without a Content-Type is taken for right, one with the status 204 or
// 205 is the zero value. Everything else is an [*Error], which carries a bounded
// part of the body, as RFC 9457 has it where it is an application/problem+json.
//
// # URLs
//
// The pattern is always relative to the base URL:
//
//	BaseURL                   pattern            request
//	https://api.example       GET /users/{name}  https://api.example/users/ada
//	https://api.example/      GET /users/{name}  https://api.example/users/ada
//	https://api.example/v2    GET /users/{name}  https://api.example/v2/users/ada
//	https://api.example/v2/   GET /users/{name}  https://api.example/v2/users/ada
//	https://api.example/v2    GET /              https://api.example/v2/
//
// A wildcard may be a part of a segment ("GET /compare/{base}...{head}"), or at the
// end be the rest of the path ("GET /contents/{path...}"). Everything in a value
// that is not a letter, a digit or one of "-._~" is percent-encoded. A value that
// is empty, has the segment "." or "..", in any encoding, or a control character
// is refused: DELETE /users/{name} can delete no more than one user.
//
// # Safety
//
// Credentials are bound to the origin of the base URL. Redirects are followed
// within that origin only; where [Config].CheckRedirect allows others, they carry
// none but harmless header fields. No cookie is stored. No credential is in any
// part of an error or event, and no query value in their text.
//
// The time of a call, its body included, is limited, and so is the size of a
// response after decompression.
//
// # Cache
//
// Package [github.com/belay-go/belay/gateway/httpcache] stores responses, as RFC 9111
// has it. It goes into Config.Transport, above retries, breakers and limits, and knows
// there whose credentials the Auth of a Gateway has added.
//
// # Defaults
//
//	Config.Timeout              30s
//	Config.MaxResponseBytes     10485760
//	BearerConfig.Early          1m
//	BearerConfig.Timeout        30s
//	BearerConfig.MaxKeys        1024
package gateway

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
)

// A Gateway is the door to one external system. It is safe for concurrent use and
// starts no goroutine. Make it with [New].
type Gateway struct {
	cfg    Config
	base   *url.URL // no longer with a path
	path   string   // of the base URL, encoded, without a slash at its end
	own    string   // an identity for an Auth that names none
	client http.Client
}

// New returns a Gateway, or an error if cfg is not valid: the base URL is usually
// not known before the program runs.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg.withDefaults(), path: strings.TrimSuffix(base.EscapedPath(), "/")}
	g.cfg.Header = cfg.Header.Clone()
	if cfg.Auth != nil {
		g.own = rand.Text()
	}
	g.base = &url.URL{Scheme: base.Scheme, Host: base.Host}
	g.client = http.Client{Transport: &door{g}, CheckRedirect: g.checkRedirect}
	return g, nil
}

// Client returns a client for requests that are no endpoints: it refuses to
// send any but to the base origin, adds the credentials, and otherwise sends and
// answers as http.Client does. The size of responses is not limited, and neither
// Config.Header nor Observe apply.
func (g *Gateway) Client() *http.Client {
	c := g.client
	c.Timeout = max(0, g.cfg.Timeout)
	return &c
}

// String returns the base URL.
func (g *Gateway) String() string { return g.base.String() + g.path + "/" }

// GoString returns what [Gateway.String] does, which has no secrets.
func (g *Gateway) GoString() string { return g.String() }

// EndpointFrom returns the name of the endpoint that a request belongs to, to the
// layers below: a pattern, fit for metrics since there are only so many.
func EndpointFrom(ctx context.Context) (name string, ok bool) {
	c := callFrom(ctx)
	if c == nil || c.endpoint == nil {
		return "", false
	}
	return c.endpoint.name, true
}
