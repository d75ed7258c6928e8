package gateway_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
)

type level int

func (l level) MarshalText() ([]byte, error) {
	if l < 0 {
		return nil, errors.New("no such level")
	}
	return []byte(strings.Repeat("i", int(l))), nil
}

// shout has its method on the pointer.
type shout struct{ word string }

func (s *shout) MarshalText() ([]byte, error) { return []byte(s.word + "!"), nil }

type paging struct {
	Page int `query:"page,omitempty"`
	Size int `query:"size,omitempty"`
}

type search struct {
	paging
	Query  string        `query:"q"`
	Tags   []string      `query:"tag"`
	IDs    []int         `query:"ids,comma"`
	Since  time.Time     `query:"since,omitempty"`
	Within time.Duration `query:"within,omitempty"`
	Exact  *bool         `query:"exact"`
	Level  level         `query:"level,omitempty"`
	Addr   netip.Addr    `query:"addr,omitempty"`
	Shout  shout         `query:"shout,omitempty"`
	Ratio  float32       `query:"ratio,omitempty"`
	Bytes  uint64        `query:"bytes,omitempty"`
	Mark   []time.Time   `query:"mark,omitempty"`
	Etag   string        `header:"if-none-match,omitempty"`
	Lang   []string      `header:"Accept-Language,comma"`
	Trace  []string      `header:"X-Trace"`
	Secret string        `query:"-"`
	hidden string
}

// The table of types in the documentation.
func TestQueryAndHeader(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, tt := range []struct {
		in     search
		query  string
		header http.Header
	}{
		{search{}, "q=", nil},
		{search{Query: "a b&c=ü/?#+", Tags: []string{"x", "", "y"}, Secret: "s3cr3t", hidden: "x"}, "q=a+b%26c%3D%C3%BC%2F%3F%23%2B&tag=x&tag=&tag=y", nil},
		{search{paging: paging{Page: 2, Size: -5}, IDs: []int{3, -1}}, "page=2&size=-5&q=&ids=3%2C-1", nil},
		{search{Since: at, Within: 90 * time.Second, Mark: []time.Time{at}}, "q=&since=2026-05-04T03%3A02%3A01Z&within=1m30s&mark=2026-05-04T03%3A02%3A01Z", nil},
		{search{Exact: new(false), Level: 3, Addr: netip.MustParseAddr("::1")}, "q=&exact=false&level=iii&addr=%3A%3A1", nil},
		{search{Shout: shout{"hey"}, Ratio: 0.1, Bytes: math.MaxUint64}, "q=&shout=hey%21&ratio=0.1&bytes=18446744073709551615", nil},
		{search{Etag: `"x"`, Lang: []string{"de", "fr"}, Trace: []string{"1", "2"}}, "q=",
			http.Header{"If-None-Match": {`"x"`}, "Accept-Language": {"de,fr"}, "X-Trace": {"1", "2"}}},
	} {
		for _, pointer := range []bool{false, true} {
			req, body, err := sent(t, "GET /search", tt.in, gateway.EndpointConfig{})
			if pointer {
				req, body, err = sent(t, "GET /search", &tt.in, gateway.EndpointConfig{})
			}
			if err != nil || body != "" || req.URL.RawQuery != tt.query {
				t.Fatalf("%+v: %v, body %q, query\n%s, want\n%s", tt.in, err, body, req.URL.RawQuery, tt.query)
			}
			for name, values := range tt.header {
				if strings.Join(req.Header[name], ";") != strings.Join(values, ";") {
					t.Errorf("%s is %q, want %q", name, req.Header[name], values)
				}
			}
			if len(req.Header) != len(tt.header) {
				t.Errorf("the header is %v, want %v", req.Header, tt.header)
			}
		}
	}
}

func TestFormBody(t *testing.T) {
	type grant struct {
		Type  string   `form:"grant_type"`
		Scope []string `form:"scope,omitempty"`
		Realm string   `path:"realm"`
		Debug bool     `query:"debug"`
	}
	req, body, err := sent(t, "POST /realms/{realm}/token", grant{Type: "a b", Scope: []string{"x", "y"}, Realm: "r"}, gateway.EndpointConfig{})
	if err != nil || body != "grant_type=a+b&scope=x&scope=y" || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
		req.URL.String() != "https://api.example/v2/realms/r/token?debug=false" || req.ContentLength != int64(len(body)) {
		t.Errorf("%v, body %q, %v", req, body, err)
	}
}

// What cannot be bound is found when the endpoint is made.
func TestBadBindings(t *testing.T) {
	bad := func(blame string, make func(g *gateway.Gateway)) {
		t.Helper()
		text := panicOf(func() { make(mustNew(t, gateway.Config{})) })
		if !strings.HasPrefix(text, "gateway: NewEndpoint(") || !strings.Contains(text, blame) {
			t.Errorf("it panics with %q, want %q", text, blame)
		}
	}
	none := gateway.EndpointConfig{}
	bad("bound to {nmae}, which is not in the pattern", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `path:"nmae"`
		}, gateway.None](g, "GET /{name}", none)
	})
	bad("no part of gateway.None is bound to {name}", func(g *gateway.Gateway) {
		gateway.NewEndpoint[gateway.None, gateway.None](g, "GET /{name}", none)
	})
	bad("no part of string is bound to {a}", func(g *gateway.Gateway) {
		gateway.NewEndpoint[string, gateway.None](g, "PUT /{a}/{b}", none)
	})
	bad("no part of struct { A string } is bound to {name}", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct{ A string }, gateway.None](g, "PUT /{name}", none)
	})
	bad("has a body, and a GET has none", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct{ A string }, gateway.None](g, "GET /x", none)
	})
	bad("has a body, and a HEAD has none", func(g *gateway.Gateway) {
		gateway.NewEndpoint[string, gateway.None](g, "HEAD /x", none)
	})
	bad("has no tag", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `query:"a"`
			B string
		}, gateway.None](g, "GET /x", none)
	})
	bad("has several tags", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `query:"a" header:"a"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("is not exported", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			a string `query:"a"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("has a tag without a name", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `query:",omitempty"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("has a name in its tag", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `body:"json"`
		}, gateway.None](g, "POST /x", none)
	})
	bad(`unknown option "omitemtpy"`, func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `query:"a,omitemtpy"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("is not a slice, and cannot have the option comma", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `query:"a,comma"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("cannot have an option", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `path:"a,omitempty"`
		}, gateway.None](g, "GET /{a}", none)
	})
	bad("is bound to {a}, as another field is", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `path:"a"`
			B string `path:"a"`
		}, gateway.None](g, "GET /{a}", none)
	})
	bad(`is bound to query "a", as another field is`, func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `query:"a"`
			B string `query:"a"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("is a body, as another field is", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `body:""`
			B string `body:""`
		}, gateway.None](g, "POST /x", none)
	})
	bad("both a form and a body", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `body:""`
			B string `form:"b"`
		}, gateway.None](g, "POST /x", none)
	})
	bad("has no text form", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A map[string]int `query:"a"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("has no text form", func(g *gateway.Gateway) {
		gateway.NewEndpoint[[]string, gateway.None](g, "GET /{x}", none)
	})
	for _, name := range []string{"Host", "content-length", "Transfer-Encoding", "Connection"} {
		if text := panicOf(func() {
			mustNew(t, gateway.Config{})
			_, err := gateway.New(gateway.Config{BaseURL: "https://api.example", Header: http.Header{name: {"x"}}})
			panic(err.Error())
		}); !strings.Contains(text, "cannot be set") {
			t.Errorf("%s: %s", name, text)
		}
	}
	bad("cannot be set", func(g *gateway.Gateway) {
		gateway.NewEndpoint[struct {
			A string `header:"Host"`
		}, gateway.None](g, "GET /x", none)
	})
	bad("cannot be decoded into", func(g *gateway.Gateway) {
		gateway.NewEndpoint[gateway.None, io.Reader](g, "GET /x", none)
	})
	bad("a HEAD has no body", func(g *gateway.Gateway) {
		gateway.NewEndpoint[gateway.None, string](g, "HEAD /x", none)
	})
	bad("which cannot be a body", func(g *gateway.Gateway) {
		gateway.NewEndpoint[func(), gateway.None](g, "POST /x", none)
	})
}

// What is wrong with a value is found before anything is sent.
func TestBadValues(t *testing.T) {
	check := func(req *http.Request, _ string, err error) {
		t.Helper()
		if e := asError(t, err, gateway.InvalidRequest); req != nil || e.Sent {
			t.Errorf("%v was sent", req)
		}
	}
	for _, v := range []string{"a\r\nX-Evil: 1", "a\nb", "a\x00b", "\x7f"} {
		check(sent(t, "GET /x", struct {
			A string `header:"X-A"`
		}{v}, gateway.EndpointConfig{}))
	}
	check(sent(t, "GET /x", struct {
		A level `query:"a"`
	}{-1}, gateway.EndpointConfig{}))
	check(sent(t, "GET /{a}", struct {
		A *int `path:"a"`
	}{}, gateway.EndpointConfig{}))
	check(sent(t, "GET /x", (*search)(nil), gateway.EndpointConfig{}))
	check(sent(t, "POST /x", math.Inf(1), gateway.EndpointConfig{}))
}

// An empty body that may be left out is.
func TestOmittedBody(t *testing.T) {
	type in struct {
		M map[string]int `body:",omitempty"`
	}
	for _, m := range []map[string]int{nil, {}} {
		if req, body, err := sent(t, "POST /x", in{m}, gateway.EndpointConfig{}); err != nil || body != "" || req.Header.Get("Content-Type") != "" {
			t.Errorf("%v, %q, %v", req, body, err)
		}
	}
}

func TestOtherCodecs(t *testing.T) {
	own := gateway.EndpointConfig{Codec: gateway.Codec{ContentType: "application/own", Marshal: func(v any) ([]byte, error) {
		text, err := json.Marshal(v)
		return append([]byte("own "), text...), err
	}}}
	for _, tt := range []struct {
		cfg         gateway.EndpointConfig
		in          any
		contentType string
		body        string
	}{
		{gateway.EndpointConfig{}, map[string]int{"a": 1}, "application/json", `{"a":1}`},
		{own, map[string]int{"a": 1}, "application/own", `own {"a":1}`},
	} {
		req, body, err := sent(t, "POST /x", tt.in, tt.cfg)
		if err != nil || body != tt.body || req.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%v, body %q, %v", req, body, err)
		}
	}
	req, body, err := sent(t, "POST /x", url.Values{"b": {"2"}, "a": {"1"}}, gateway.EndpointConfig{})
	if err != nil || body != "a=1&b=2" || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%v, body %q, %v", req, body, err)
	}
	if req, body, err := sent(t, "POST /x", "text", gateway.EndpointConfig{}); err != nil || body != "text" || req.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v, body %q, %v", req, body, err)
	}
}
