package contract

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

var requestCases = []testCase{
	{
		name: "request/unchanged",
		doc:  "The caller's request is not changed, not even for the time of the call. The caller may use it again or read it meanwhile.",
		run:  requestUnchanged,
	}, {
		name: "request/sent-whole",
		doc:  "Everything in the caller's request arrives at the base: method, URL, Host, header, length, Close and Pattern.",
		run:  requestSentWhole,
	}, {
		name: "request/headers-do-not-leak",
		doc:  "What the wrapper adds to the header for one attempt is not in the caller's header map afterwards. Callers use one map for many requests.",
		run:  requestHeadersDoNotLeak,
	}, {
		name: "request/cancel-channel",
		doc:  "Request.Cancel arrives at the base. http.Client still cancels through it.",
		run:  requestCancelChannel,
	}, {
		name: "request/invalid",
		doc:  "A request without a URL, a host or a header, or with an invalid method or scheme, is an error and not a panic. It is tried at most once, and its body is closed.",
		run:  requestInvalid,
	},
}

// snapshot remembers a request and returns a function that says what has
// changed since.
func snapshot(r *http.Request) (changes func() []string) {
	was := *r
	header, trailer := r.Header.Clone(), r.Trailer.Clone()
	encoding := slices.Clone(r.TransferEncoding)
	var u url.URL
	if r.URL != nil {
		u = *r.URL
	}
	pointer := func(v any) uintptr { return reflect.ValueOf(v).Pointer() }
	return func() []string {
		var list []string
		differ := func(field string, same bool) {
			if !same {
				list = append(list, field)
			}
		}
		differ("Method", r.Method == was.Method)
		differ("URL", r.URL == was.URL && (r.URL == nil || *r.URL == u))
		differ("Proto", r.Proto == was.Proto && r.ProtoMajor == was.ProtoMajor && r.ProtoMinor == was.ProtoMinor)
		differ("Header", pointer(r.Header) == pointer(was.Header) && cmp.Diff(r.Header, header) == "")
		differ("Body", r.Body == was.Body)
		differ("GetBody", pointer(r.GetBody) == pointer(was.GetBody))
		differ("ContentLength", r.ContentLength == was.ContentLength)
		differ("TransferEncoding", slices.Equal(r.TransferEncoding, encoding))
		differ("Close", r.Close == was.Close)
		differ("Host", r.Host == was.Host)
		differ("Form", pointer(r.Form) == pointer(was.Form) && pointer(r.PostForm) == pointer(was.PostForm) && r.MultipartForm == was.MultipartForm)
		differ("Trailer", pointer(r.Trailer) == pointer(was.Trailer) && cmp.Diff(r.Trailer, trailer) == "")
		differ("RemoteAddr", r.RemoteAddr == was.RemoteAddr)
		differ("RequestURI", r.RequestURI == was.RequestURI)
		differ("TLS", r.TLS == was.TLS)
		//lint:ignore SA1019 http.Client still sets it
		differ("Cancel", r.Cancel == was.Cancel)
		differ("Response", r.Response == was.Response)
		differ("Pattern", r.Pattern == was.Pattern)
		differ("context", r.Context() == was.Context())
		return list
	}
}

func requestUnchanged(c *check) {
	failure := errors.New("broken pipe")
	answers := map[string]func(int, *http.Request) (*http.Response, error){
		"success": ok,
		"failure": func(int, *http.Request) (*http.Response, error) { return nil, failure },
		"503":     func(_ int, r *http.Request) (*http.Response, error) { return text(r, 503, "busy"), nil },
		"redirect": func(_ int, r *http.Request) (*http.Response, error) {
			resp := text(r, 307, "")
			resp.Header.Set("Location", "/elsewhere")
			return resp, nil
		},
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		for _, method := range []string{"GET", "PUT", "POST"} {
			var req *http.Request
			if method == "GET" {
				req = c.request(method, address+"/a?b=c#d", nil)
			} else {
				req = c.request(method, address+"/a?b=c#d", strings.NewReader("content"))
				req.Trailer = http.Header{"X-Sum": nil}
			}
			req.Header.Set("X-Name", "value")
			changes := snapshot(req)
			rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
				if list := changes(); list != nil {
					c.Errorf("%s %s: while the base was called, the caller's request had changed: %v", method, name, list)
				}
				return answers[name](n, r)
			})
			resp, err := c.send(rt, req)
			if list := changes(); list != nil {
				c.Errorf("%s %s: after RoundTrip the caller's request had changed: %v", method, name, list)
			}
			if err == nil {
				c.read(resp)
			}
			if list := changes(); list != nil {
				c.Errorf("%s %s: after the body the caller's request had changed: %v", method, name, list)
			}
		}
	}
}

func requestSentWhole(c *check) {
	req := c.request("PATCH", "http://user:pass@service.test:8080/a%2Fb/c?q=1&q=2", strings.NewReader("content"))
	req.Host = "virtual.test"
	req.Header = http.Header{"X-Many": {"1", "2"}, "x-raw": {"3"}, "User-Agent": nil}
	req.Close = true
	req.Pattern = "PATCH /{id}"
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		differ := func(field string, got, want any) {
			if diff := cmp.Diff(want, got); diff != "" {
				c.Errorf("at the base %s differs (-want +got):\n%s", field, diff)
			}
		}
		differ("Method", r.Method, req.Method)
		differ("URL", r.URL.String(), req.URL.String())
		differ("Host", r.Host, req.Host)
		differ("ContentLength", r.ContentLength, req.ContentLength)
		differ("Close", r.Close, req.Close)
		differ("Pattern", r.Pattern, req.Pattern)
		for name, values := range req.Header {
			got, present := r.Header[name]
			if !present || !slices.Equal(got, values) {
				c.Errorf("at the base header %q is %q (present: %t), want %q", name, got, present, values)
			}
		}
		return echo(0, r)
	})
	c.wantBody(c.must(rt, req), "content")
}

func requestHeadersDoNotLeak(c *check) {
	var seen []http.Header
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		seen = append(seen, r.Header.Clone())
		return text(r, 200, "ok"), nil
	})
	shared := http.Header{"X-Name": {"value"}}
	for range 3 {
		req := c.request("POST", address+"/orders", strings.NewReader("content"))
		req.Header = shared
		c.wantBody(c.must(rt, req), "ok")
		if diff := cmp.Diff(http.Header{"X-Name": {"value"}}, shared); diff != "" {
			c.Fatalf("the caller's header map has changed (-was +is):\n%s", diff)
		}
	}
	for i, h := range seen {
		if len(h) != len(seen[0]) {
			c.Errorf("call %d had the header %v, the first one %v", i+1, h, seen[0])
		}
		for name, values := range h {
			if len(values) != len(seen[0][name]) {
				c.Errorf("call %d had %q for %s, the first one %q", i+1, values, name, seen[0][name])
			}
		}
	}
}

func requestCancelChannel(c *check) {
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		select {
		//lint:ignore SA1019 http.Client still sets it
		case <-r.Cancel:
			return nil, errors.New("canceled by channel")
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
	ctx, cancel := context.WithTimeout(c.Context(), c.patience/2)
	defer cancel()
	req := c.requestWith(ctx, "POST", address+"/orders", newSource("content"))
	stop := make(chan struct{})
	//lint:ignore SA1019 http.Client still sets it
	req.Cancel = stop
	done := c.start(rt, req)
	close(stop)
	if _, err := c.result(done); err == nil || ctx.Err() != nil {
		c.Fatalf("Request.Cancel did not reach the base: %v", err)
	}
}

func requestInvalid(c *check) {
	for name, spoil := range map[string]func(*http.Request){
		"no URL":         func(r *http.Request) { r.URL = nil },
		"no host":        func(r *http.Request) { r.URL.Host = ""; r.Host = "" },
		"no header":      func(r *http.Request) { r.Header = nil },
		"no scheme":      func(r *http.Request) { r.URL.Scheme = "" },
		"scheme":         func(r *http.Request) { r.URL.Scheme = "gopher" },
		"method":         func(r *http.Request) { r.Method = "GET POST" },
		"header name":    func(r *http.Request) { r.Header["a b"] = []string{"value"} },
		"header value":   func(r *http.Request) { r.Header["A"] = []string{"a\nb"} },
		"trailer's name": func(r *http.Request) { r.Trailer = http.Header{"a b": nil} },
	} {
		transport := &http.Transport{}
		rt, s := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) { return transport.RoundTrip(r) })
		body := newSource("content")
		req := c.request("PUT", address+"/resource", body)
		spoil(req)
		changes := snapshot(req)
		err := c.fails(rt, req)
		if n := s.calls.Load(); n > 1 {
			c.Errorf("%s: sent %d times, although it fails each time: %v", name, n, err)
		}
		c.wantClosed(body, fmt.Sprintf("invalid request, %s: %v", name, err))
		if list := changes(); list != nil {
			c.Errorf("%s: the caller's request has changed: %v", name, list)
		}
	}
}
