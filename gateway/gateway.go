// Package gateway is one typed and safe door to an external system.
//
// Make a [Gateway] once for each system, and an [Endpoint] once for each operation
// of the system. The rest of the program makes typed calls:
//
//	api, err := gateway.New(gateway.Config{BaseURL: "https://api.example/v2"})
//	...
//	getUser := gateway.NewEndpoint[string, User](api, "GET /users/{name}", gateway.EndpointConfig{})
//	...
//	user, err := getUser.Call(ctx, "ada")
//
// Patterns, types and configurations are checked when the gateway or the endpoint is
// made, so that a mistake shows at start-up. [Endpoint.Call] has the shape that
// retry.Wrap, breaker.Wrap and facade.Step take.
//
// # Requests
//
// The tags of Req's fields say where each field goes:
//
//	Owner string     `path:"owner"`                    // {owner} in the pattern
//	Page  int        `query:"page,omitempty"`          // ?page=2
//	Match string     `header:"If-None-Match,omitempty"`
//	Grant string     `form:"grant_type"`               // a field of a form in the body
//	Issue Issue      `body:""`                         // the body; one field at most
//	Note  string     `query:"-"`                       // not sent
//
// In a struct with tags every exported field needs one. The fields of an embedded
// struct count as fields of the outer one. The type of a value says how it is written:
//
//	string, bool, integers, floats  as they are
//	time.Time                       RFC 3339
//	time.Duration                   1m30s
//	encoding.TextMarshaler          its text
//	a pointer                       what it points to; nil is left out
//	a slice                         one parameter or header line for each element
//
// The option omitempty leaves out zero values. The option comma joins the elements of
// a slice with commas. [None] has no parameters and no body. If the pattern has one
// wildcard, and Req is neither a struct nor a pointer to one, Req is the value of the
// wildcard. Any other Req, such as a struct without tags, is the body. The type of a
// body says how it is sent:
//
//	io.Reader            application/octet-stream, streamed
//	[]byte               application/octet-stream
//	string               text/plain
//	url.Values           application/x-www-form-urlencoded
//	[Multipart]          multipart/form-data, streamed
//	anything else        EndpointConfig.Codec, which is JSON by default
//
// A reader is closed if it can be. One that hangs does not hold up the call: when the
// time of the call is over, the reader is closed in the middle of its Read.
//
// # Responses
//
// If the status is 2xx, Resp says how the body is read and which content types are
// right. Any other content type is an error, and never a zero value:
//
//	None                 not read
//	io.ReadCloser        any, streamed to the caller, who closes it
//	[]byte               any
//	string               text/*, except text/html
//	url.Values           application/x-www-form-urlencoded
//	anything else        EndpointConfig.Codec: application/json and */*+json
//
// A response without a Content-Type is accepted. The status 204 or 205 means the zero
// value, and an empty stream. So does a JSON null: nil, if Resp is a pointer. If a stream breaks off, or is too long, its Read returns
// an [*Error] as a call does.
//
// Some systems answer failures with the status 200. If Resp, or what it points to, has
// the method
//
//	CheckResponse() error
//
// it is called after decoding, and its error becomes the cause of an [*Error] of the
// kind [Unsuccessful]. A method of a type that is embedded in all responses of a system
// checks them all. A body that is null, or says nothing, is checked as the zero value.
// The statuses 204 and 205 are successes and need no check.
//
// # Errors
//
// Every error of a call is an [*Error]. It says what went wrong, whether the system
// got the request, and what the system says: the status, the header, the beginning of
// the body, a problem (RFC 9457), and in one line the usual members of JSON. Its methods
// tell the layers above whether and when another call can help. [Config].RetryAfter is
// for systems that announce their limits in their own way.
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
// A wildcard can be a part of a segment ("GET /compare/{base}...{head}"). At the end
// it can be the rest of the path ("GET /contents/{path...}"). In its value everything
// except letters, digits and "-._~" is percent-encoded. A value that is empty, that
// contains the segment "." or ".." in any encoding, or that contains a control
// character is an error: DELETE /users/{name} can never delete more than one user. No
// segment is ever left out, so what is optional in a path needs two endpoints.
//
// # Safety
//
// Credentials are bound to the origin of the base URL. Redirects are followed only
// within this origin. If [Config].CheckRedirect allows other origins, requests to them
// have only header fields that are harmless. Cookies are not stored. Errors and events
// contain no credential, and their text contains no query value.
//
// The time of a call is limited, its body included. So is the size of a response,
// measured after decompression.
//
// # Cache
//
// Package [github.com/belay-go/belay/gateway/httpcache] stores responses (RFC 9111).
// Put it into Config.Transport, above retries, breakers and limits. There it knows
// whose credentials the Auth of a Gateway has added. [Event] and [Response] say what a
// cache had to do with a response. httpcache.WithCacheControl tells it what to do for
// one call: "no-cache" asks the system anyway, "only-if-cached" does not ask it at all.
//
// # What is counted
//
// [Gateway.Stats] has the counters of each endpoint: calls, and of them failures and
// limits of the system's; refusals of this process; requests that were sent again with
// new credentials. [Config].Observe is told of each call.
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
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// A Gateway is the door to one external system. It is safe for concurrent use, and
// there is nothing to close. Make it with [New].
type Gateway struct {
	cfg    Config
	base   *url.URL // without its path
	path   string   // of the base URL, encoded, without a slash at the end
	own    string   // the identity if Auth does not name one
	client http.Client

	mu   sync.Mutex
	rows []*counts // of endpoints, by their names
}

// New returns a Gateway, or an error if cfg is not valid. It does not panic, because
// the base URL usually comes from outside the program.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg.withDefaults(), path: strings.TrimSuffix(base.EscapedPath(), "/")}
	g.cfg.Header = make(http.Header, len(cfg.Header))
	for name, values := range cfg.Header {
		g.cfg.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	if cfg.Auth != nil {
		g.own = rand.Text()
	}
	g.base = &url.URL{Scheme: base.Scheme, Host: base.Host}
	g.client = http.Client{Transport: &door{g}, CheckRedirect: g.checkRedirect}
	return g, nil
}

// Client returns a client for requests that have no endpoint. It sends requests to
// the base origin only, and adds the credentials. In everything else it is an
// http.Client: the size of responses is not limited, and of Config neither Header nor
// RetryAfter apply. Observe is called for [Replayed] only.
func (g *Gateway) Client() *http.Client {
	c := g.client
	c.Timeout = max(0, g.cfg.Timeout)
	return &c
}

// String returns the base URL.
func (g *Gateway) String() string { return g.base.String() + g.path + "/" }

// GoString returns what String does, so that %#v shows no secrets.
func (g *Gateway) GoString() string { return g.String() }
