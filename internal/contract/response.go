package contract

import (
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

var responseCases = []testCase{
	{
		name: "response/status-is-not-an-error",
		doc:  "A response is not an error, whatever its status. It comes back with its body.",
		run:  responseStatus,
	}, {
		name: "response/or-error",
		doc:  "RoundTrip returns a response or an error, never both, and never neither. A response's Body is never nil.",
		run:  responseOrError,
	}, {
		name: "response/fields",
		doc:  "Status, Proto, Header, ContentLength, TransferEncoding, Uncompressed, TLS and Close come back as the base set them.",
		run:  responseFields,
	}, {
		name: "response/request",
		doc:  "The response's Request is the caller's own request, and not a copy that the wrapper sent. A base that leaves it nil does no harm.",
		run:  responseRequest,
	}, {
		name: "response/request-of-a-layer-below",
		doc:  "A Request that is neither the caller's nor a copy that the wrapper sent says what a layer below has added, such as credentials. It comes back with that, and for the URL and the Host that the caller has asked for.",
		run:  responseForeignRequest,
	}, {
		name: "response/no-body",
		doc:  "http.NoBody comes back as http.NoBody, and not inside another body.",
		run:  responseNoBody,
	}, {
		name: "response/no-body-protocol",
		doc:  "The responses to HEAD, and those with status 204 or 304, have http.NoBody. A response to HEAD keeps its Content-Length.",
		over: overAll,
		run:  responseNoBodyProtocol,
	}, {
		name: "response/last-bytes",
		doc:  "Bytes that a body returns together with an error or io.EOF are not lost. io.EOF comes back as io.EOF itself.",
		run:  responseLastBytes,
	}, {
		name: "response/closed",
		doc:  "Closing the response's body closes the base's body, before its end as well as after it. A second Close does no harm.",
		run:  responseClosed,
	}, {
		name: "response/uncompressed",
		doc:  "A response that net/http has decompressed says so in Uncompressed. A response to a request that asked for gzip by itself stays compressed.",
		over: overBoth,
		run:  responseUncompressed,
	}, {
		name: "response/tls",
		doc:  "TLS and Proto describe the connection on which the response came.",
		over: []protocol{https1, http2},
		run:  responseTLS,
	},
}

func responseStatus(c *check) {
	for _, status := range []int{200, 201, 206, 226, 299, 300, 301, 302, 307, 308, 400, 401, 403, 404, 408, 409, 410, 412, 418, 421, 425, 429, 451, 499, 500, 501, 502, 503, 504, 507, 511, 520, 599, 666, 999} {
		rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
			return text(r, status, "body of "+strconv.Itoa(status)), nil
		})
		resp, err := c.send(rt, c.post(newSource("content")))
		if err != nil {
			c.Errorf("status %d came back as an error: %v", status, err)
			continue
		}
		if resp.StatusCode != status {
			c.Errorf("status %d came back as %d", status, resp.StatusCode)
		}
		c.wantBody(resp, "body of "+strconv.Itoa(status))
	}
}

// What is checked here is in check.result, for all calls.
func responseOrError(c *check) {
	failure := errors.New("connection reset")
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"} {
		for _, answers := range [][]int{{200}, {204}, {304}, {404}, {429}, {500}, {503}, {0}, {503, 0}, {0, 503}, {503, 200}, {0, 204}} {
			rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
				status := answers[min(n, len(answers))-1]
				if status == 0 {
					return nil, failure
				}
				return reply(r, status, http.NoBody), nil
			})
			resp, err := c.send(rt, c.request(method, address+"/resource", nil))
			if err == nil {
				c.wantBody(resp, "")
			}
		}
	}
}

func responseFields(c *check) {
	header := http.Header{"X-Many": {"1", "2"}, "x-raw": {"3"}, "Set-Cookie": {"a=b", "c=d"}}
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		resp := reply(r, 299, io.NopCloser(strings.NewReader("content")))
		resp.Status = "299 Rather Well"
		resp.Proto, resp.ProtoMajor, resp.ProtoMinor = "HTTP/3.1", 3, 1
		resp.Header = header.Clone()
		resp.ContentLength = 7
		resp.TransferEncoding = []string{"identity"}
		resp.Uncompressed = true
		resp.Close = true
		resp.TLS = &tls.ConnectionState{ServerName: "service.test"}
		return resp, nil
	})
	resp := c.must(rt, c.post(newSource("content")))
	differ := func(field string, got, want any) {
		if diff := cmp.Diff(want, got); diff != "" {
			c.Errorf("%s differs (-want +got):\n%s", field, diff)
		}
	}
	differ("Status", resp.Status, "299 Rather Well")
	differ("StatusCode", resp.StatusCode, 299)
	differ("Proto", resp.Proto, "HTTP/3.1")
	differ("ProtoMajor", resp.ProtoMajor, 3)
	differ("ProtoMinor", resp.ProtoMinor, 1)
	differ("ContentLength", resp.ContentLength, int64(7))
	differ("TransferEncoding", resp.TransferEncoding, []string{"identity"})
	differ("Uncompressed", resp.Uncompressed, true)
	differ("Close", resp.Close, true)
	for name, want := range header {
		differ("Header "+name, resp.Header[name], want)
	}
	if resp.TLS == nil || resp.TLS.ServerName != "service.test" {
		c.Errorf("TLS is %v", resp.TLS)
	}
	c.wantBody(resp, "content")
}

func responseRequest(c *check) {
	for _, none := range []bool{false, true} {
		for _, status := range []int{200, 503} {
			rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
				resp := text(r, status, "ok")
				if none {
					resp.Request = nil
				}
				return resp, nil
			})
			req := c.get()
			resp := c.must(rt, req)
			if resp.Request != req && !(none && resp.Request == nil) {
				c.Errorf("status %d, base leaves Request nil: %t: Request is %p, the caller's is %p", status, none, resp.Request, req)
			}
			c.wantBody(resp, "ok")
		}
	}
}

func responseForeignRequest(c *check) {
	for _, status := range []int{200, 503} {
		rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
			signed := r.Clone(r.Context())
			signed.Header.Set("X-Signed", "yes")
			return text(signed, status, "ok"), nil
		})
		req := c.get()
		resp := c.must(rt, req)
		switch got := resp.Request; {
		case got == nil || got.Header.Get("X-Signed") != "yes":
			c.Errorf("status %d: what a layer below has added to the request does not show", status)
		case got.URL.String() != req.URL.String() || got.Host != req.Host:
			c.Errorf("status %d: Request is for %s and Host %q, the caller's for %s and Host %q", status, got.URL, got.Host, req.URL, req.Host)
		}
		if req.Header.Get("X-Signed") != "" {
			c.Errorf("status %d: the caller's request has changed", status)
		}
		c.wantBody(resp, "ok")
	}
}

func responseNoBody(c *check) {
	for _, status := range []int{200, 204, 304, 404, 503} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
				resp := reply(r, status, http.NoBody)
				resp.ContentLength = 0
				return resp, nil
			})
			resp := c.must(rt, c.request(method, address+"/resource", nil))
			if resp.Body != http.NoBody {
				c.Errorf("%s, %d: http.NoBody came back as a %T", method, status, resp.Body)
			}
			if resp.ContentLength != 0 {
				c.Errorf("%s, %d: ContentLength came back as %d", method, status, resp.ContentLength)
			}
			c.wantBody(resp, "")
		}
	}
}

func responseNoBodyProtocol(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "HEAD" {
			w.Header().Set("Content-Length", "1234")
			return
		}
		status, _ := strconv.Atoi(r.URL.Path[1:])
		w.WriteHeader(status)
	})
	rt := c.wrap(s.transport)
	for _, tc := range []struct {
		method, path string
		length       int64
	}{{"HEAD", "/", 1234}, {"GET", "/204", 0}, {"POST", "/204", 0}, {"GET", "/304", 0}} {
		resp := c.must(rt, c.request(tc.method, s.url+tc.path, nil))
		// net/http's HTTP/2 has an empty body of its own.
		if resp.Body != http.NoBody && resp.ProtoMajor == 1 {
			c.Errorf("%s %s: the body is a %T, want http.NoBody", tc.method, tc.path, resp.Body)
		}
		if tc.method == "HEAD" && resp.ContentLength != tc.length {
			c.Errorf("%s %s: ContentLength is %d, want %d", tc.method, tc.path, resp.ContentLength, tc.length)
		}
		c.wantBody(resp, "")
	}
}

func responseLastBytes(c *check) {
	broken := errors.New("broken in the middle")
	for _, want := range []error{nil, broken} {
		rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
			var body io.Reader = strings.NewReader("content")
			if want != nil {
				body = io.MultiReader(body, iotest.ErrReader(want))
			}
			return reply(r, 200, io.NopCloser(iotest.DataErrReader(body))), nil
		})
		resp := c.must(rt, c.post(newSource("content")))
		got, err := c.read(resp)
		if got != "content" || !errors.Is(err, want) {
			c.Errorf("the body reads %q, %v, want %q, %v", got, err, "content", want)
		}
	}
	rt, _ := c.stubbed(ok)
	resp := c.must(rt, c.post(newSource("content")))
	c.do("reading at the end of the body", func() {
		io.Copy(io.Discard, resp.Body)
		for range 3 {
			if n, err := resp.Body.Read(make([]byte, 8)); n != 0 || err != io.EOF {
				c.Errorf("at the end Read returns %d, %v, want 0, io.EOF itself", n, err)
			}
		}
	})
}

func responseClosed(c *check) {
	for _, amount := range []int64{0, 3, 7, 100} {
		for _, statuses := range [][]int{{200}, {404}, {503, 200}} {
			var body *source
			rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
				body = newSource("content")
				return reply(r, statuses[min(n, len(statuses))-1], body), nil
			})
			resp := c.must(rt, c.request("PUT", address+"/resource", strings.NewReader("request")))
			c.do("reading and closing the body", func() {
				io.CopyN(io.Discard, resp.Body, amount)
				resp.Body.Close()
				resp.Body.Close()
			})
			c.wantClosed(body, fmt.Sprintf("response %d, closed after up to %d bytes", resp.StatusCode, amount))
		}
	}
}

func responseUncompressed(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			io.WriteString(w, "gzip was not asked for")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "content")
		z.Close()
	})
	rt := c.wrap(s.transport)
	resp := c.must(rt, c.request("GET", s.url, nil))
	if !resp.Uncompressed || resp.ContentLength != -1 || resp.Header.Get("Content-Encoding") != "" {
		c.Errorf("decompressed: Uncompressed %t, ContentLength %d, Content-Encoding %q", resp.Uncompressed, resp.ContentLength, resp.Header.Get("Content-Encoding"))
	}
	c.wantBody(resp, "content")

	req := c.request("GET", s.url, nil)
	req.Header.Set("Accept-Encoding", "gzip")
	resp = c.must(rt, req)
	if resp.Uncompressed || resp.Header.Get("Content-Encoding") != "gzip" {
		c.Errorf("compressed: Uncompressed %t, Content-Encoding %q", resp.Uncompressed, resp.Header.Get("Content-Encoding"))
	}
	if got, _ := c.read(resp); !strings.HasPrefix(got, "\x1f\x8b") {
		c.Errorf("compressed: the body is %s", clip(got))
	}
}

func responseTLS(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	resp := c.must(c.wrap(s.transport), c.request("GET", s.url, nil))
	if resp.TLS == nil || len(resp.TLS.PeerCertificates) == 0 {
		c.Errorf("the response has no state of its TLS connection: %v", resp.TLS)
	}
	want := map[protocol]string{https1: "HTTP/1.1", http2: "HTTP/2.0"}[c.over]
	if resp.Proto != want {
		c.Errorf("Proto is %s, want %s", resp.Proto, want)
	}
	c.wantBody(resp, want)
}
