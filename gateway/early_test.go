package gateway_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway"
)

// misspelt is an Auth whose Stale nobody would call.
type misspelt struct{ gateway.Auth }

func (misspelt) Stale(*http.Request) bool { return true }

// What is wrong with a Gateway shows when it is made, all of it at once, and no secret.
func TestMistakesShowInNew(t *testing.T) {
	var noTransport *http.Transport
	var noAuth *renewed
	for blame, cfg := range map[string]gateway.Config{
		"Config.Auth: the API key is empty":                         {Auth: gateway.APIKey("X-Key", "")},
		"Config.Auth: the API key has a control character":          {Auth: gateway.APIKey("X-Key", "s3cr3t\n")},
		"Config.Auth: the header field of the API key cannot":       {Auth: gateway.APIKey("X Key", "s3cr3t")},
		"Config.Auth: the user and the password are empty":          {Auth: gateway.Basic("", "")},
		"Config.Auth: the user has a colon":                         {Auth: gateway.Basic("a:b", "s3cr3t")},
		"Config.Auth: the user or the password has a control":       {Auth: gateway.Basic("ada", "s3cr3t\n")},
		"Config.Auth is a nil *gateway_test.renewed":                {Auth: noAuth},
		"Stale of gateway_test.misspelt":                            {Auth: misspelt{gateway.Basic("a", "s3cr3t")}},
		"Config.Transport is a nil *http.Transport":                 {Transport: noTransport},
		"Config.Header has a Content-Type":                          {Header: http.Header{"content-type": {"text/plain"}}},
		"Config.Header has the field X-A in two spellings":          {Header: http.Header{"X-A": {"1"}, "x-a": {"2"}}},
		"Config.Header has the field \"X A\", which cannot be set":  {Header: http.Header{"X A": {"s3cr3t"}}},
		"Config.Header has the field \"te\", which cannot be set\n": {Header: http.Header{"te": {"x"}}, Auth: gateway.APIKey("X-Key", "")},
	} {
		cfg.BaseURL = "https://api.example"
		_, err := gateway.New(cfg)
		if err == nil || !strings.Contains(err.Error()+"\n", blame) || !strings.HasPrefix(err.Error(), "gateway: Config") {
			t.Errorf("%v, want %q", err, blame)
			continue
		}
		canary(t, blame, err)
	}
	if _, err := gateway.New(gateway.Config{BaseURL: "https://api.example", Auth: gateway.Basic("sk_live", "")}); err != nil {
		t.Errorf("a user without a password: %v", err)
	}
}

// A field of Config.Header is the same one in any spelling.
func TestConfigHeaderInAnySpelling(t *testing.T) {
	type in struct {
		Version string `header:"X-Version"`
	}
	r := &record{base: reply(204, "")}
	g := mustNew(t, gateway.Config{Transport: r, Header: http.Header{"x-version": {"1"}, "accept": {"text/csv"}}})
	gateway.NewEndpoint[in, []string](g, "GET /x", gateway.EndpointConfig{}).Call(t.Context(), in{"2"})
	if h := r.requests[0].Header; len(h["X-Version"]) != 1 || h["X-Version"][0] != "2" || h.Get("Accept") != "text/csv" || len(h) != 2 {
		t.Errorf("%v", h)
	}
}

type twoResults struct{}

func (twoResults) CheckResponse() (bool, error) { return true, nil }

type marshals struct{ F func() }

func (*marshals) MarshalJSON() ([]byte, error) { return []byte(`"x"`), nil }

// What no call of an endpoint could do shows when the endpoint is made.
func TestMistakesShowInNewEndpoint(t *testing.T) {
	g := mustNew(t, gateway.Config{Transport: reply(204, "")})
	none := gateway.EndpointConfig{}
	bad := func(blame string, make func()) {
		t.Helper()
		if text := panicOf(make); !strings.HasPrefix(text, "gateway: NewEndpoint(") || !strings.Contains(text, blame) {
			t.Errorf("it panics with %q, want %q", text, blame)
		}
	}
	bad("the Gateway is nil", func() { gateway.NewEndpoint[string, string](nil, "GET /{x}", none) })
	bad(`tags of a struct, such as query:"page", say where`, func() {
		gateway.NewEndpoint[struct{ Page int }, string](g, "GET /x", none)
	})
	for _, contentType := range []string{"json", "text/", "text/plain;\n", "a b/c"} {
		bad("Codec.ContentType is", func() {
			gateway.NewEndpoint[string, string](g, "PUT /x", gateway.EndpointConfig{Codec: gateway.Codec{ContentType: contentType}})
		})
	}
	for _, accepts := range []string{"", "json", "text/*", "*/json", "*"} {
		bad("Codec.Accepts has", func() {
			gateway.NewEndpoint[string, string](g, "PUT /x", gateway.EndpointConfig{Codec: gateway.Codec{Accepts: []string{accepts}}})
		})
	}
	bad("the body has the type struct { F func() } with a func(), for which there is no JSON", func() { gateway.NewEndpoint[struct{ F func() }, string](g, "PUT /x", none) })
	bad("with a complex128, for which", func() {
		gateway.NewEndpoint[*struct{ A [1]struct{ C complex128 } }, string](g, "PUT /x", none)
	})
	bad("with a map[bool]string, for which", func() {
		gateway.NewEndpoint[struct {
			Body struct{ M map[bool]string } `body:""`
		}, string](g, "PUT /x", none)
	})
	bad("the body has the type *chan int, which cannot be a body", func() { gateway.NewEndpoint[*chan int, string](g, "PUT /x", none) })
	bad("is the body, and cannot have the option comma", func() {
		gateway.NewEndpoint[struct {
			A []string `body:",comma"`
		}, string](g, "PUT /x", none)
	})
	bad("sets the Content-Type of a Multipart", func() {
		gateway.NewEndpoint[struct {
			Type string            `header:"content-type"`
			Form gateway.Multipart `body:""`
		}, string](g, "PUT /x", none)
	})
	bad("JSON cannot be decoded into a func()", func() { gateway.NewEndpoint[string, *func()](g, "GET /{x}", none) })
	bad("CheckResponse of gateway_test.twoResults", func() { gateway.NewEndpoint[string, *twoResults](g, "GET /{x}", none) })
	bad("cannot be decoded into; a stream is an io.ReadCloser", func() { gateway.NewEndpoint[string, io.Reader](g, "GET /{x}", none) })
}

// What can be sent or decoded sometimes is no mistake.
func TestWhatIsNoMistake(t *testing.T) {
	g := mustNew(t, gateway.Config{Transport: reply(204, "")})
	none := gateway.EndpointConfig{}
	type options struct {
		Pointer *func()           `json:"pointer"`
		Slice   []chan int        `json:"slice"`
		Left    func()            `json:"-"`
		Omitted func()            `json:",omitzero"`
		Keys    map[int]string    `json:"keys"`
		Any     any               `json:"any"`
		Own     marshals          `json:"own"`
		Raw     json.RawMessage   `json:"raw"`
		Self    *options          `json:"self"`
		None    [0]func()         `json:"none"`
		Number  map[string]uint64 `json:"number"`
		hidden  func()
	}
	put := gateway.NewEndpoint[options, options](g, "PUT /x", none)
	if _, err := put.Call(t.Context(), options{hidden: func() {}}); err != nil {
		t.Error(err)
	}
	gateway.NewEndpoint[marshals, any](g, "PUT /x", none)
	asXML := gateway.EndpointConfig{Codec: gateway.Codec{ContentType: "application/xml; charset=utf-8", Marshal: xml.Marshal, Unmarshal: xml.Unmarshal}}
	gateway.NewEndpoint[struct{ F func() }, func()](g, "PUT /x", asXML)
}

// A segment is never left out: a path with an empty one would name something else.
func TestPathValuesLeaveNoSegmentEmpty(t *testing.T) {
	type two struct {
		A *string `path:"a"`
		B string  `path:"b"`
	}
	empty := ""
	for _, pattern := range []string{"DELETE /{a}/{b}", "DELETE /x/{a}/y/{b}", "DELETE /{a}...{b}", "DELETE /{a}.json/{b}", "DELETE /{b}/{a...}", "DELETE /{b}/{a}"} {
		for name, a := range map[string]*string{"is empty": &empty, "is nil": nil} {
			req, _, err := sent(t, pattern, two{a, "b"}, gateway.EndpointConfig{})
			if asError(t, err, gateway.InvalidRequest); req != nil || !strings.HasSuffix(err.Error(), "the path value {a} "+name) {
				t.Errorf("%s: sent %v, %v", pattern, req, err)
			}
		}
	}
	g := mustNew(t, gateway.Config{Transport: reply(204, "")})
	_, err := gateway.NewEndpoint[two, gateway.None](g, "DELETE /{a}/{b}", gateway.EndpointConfig{}).Call(context.Background(), two{&empty, ""})
	asError(t, err, gateway.InvalidRequest)
}
