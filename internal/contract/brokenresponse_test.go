package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

var brokenResponses = []broken{
	{name: "turns 5xx into an error", caught: "response/status-is-not-an-error", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil && resp.StatusCode >= 500 {
			resp.Body.Close()
			return nil, errors.New(resp.Status)
		}
		return resp, err
	})},
	{name: "returns a response together with an error", caught: "response/or-error", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err != nil {
			resp = text(r, 502, err.Error())
		}
		return resp, err
	})},
	{name: "returns neither response nor error", caught: "response/or-error", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, _ := base.RoundTrip(r)
		return resp, nil
	})},
	{name: "has no body for a response without one", caught: "response/or-error", wrap: returning(func(_ *http.Request, resp *http.Response) {
		if resp.Body == http.NoBody {
			resp.Body = nil
		}
	})},
	{name: "builds a response of its own", caught: "response/fields", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		return &http.Response{Status: resp.Status, StatusCode: resp.StatusCode, Proto: resp.Proto, ProtoMajor: 1, ProtoMinor: 1, Header: resp.Header, Body: resp.Body, ContentLength: resp.ContentLength, Request: r}, nil
	})},
	{name: "does not know the length any more", caught: "response/fields", wrap: returning(func(_ *http.Request, resp *http.Response) { resp.ContentLength = -1 })},
	{name: "leaves its copy in the response", caught: "response/request", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		return base.RoundTrip(new(*r))
	})},
	{name: "puts the caller's request in place of any", caught: "response/request-of-a-layer-below", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil {
			resp.Request = r
		}
		return resp, err
	})},
	{name: "needs the response's request", caught: "response/request", wrap: returning(func(_ *http.Request, resp *http.Response) {
		if resp.Request.Method == "TRACE" {
			resp.Header.Set("X-Trace", "1")
		}
	})},
	{name: "wraps http.NoBody", caught: "response/no-body", wrap: bodyReading(io.Reader.Read)},
	{name: "wraps every body", caught: "response/no-body-protocol", wrap: bodyReading(io.Reader.Read)},
	{name: "drops the bytes that come with an error", caught: "response/last-bytes", wrap: bodyReading(func(body io.Reader, p []byte) (int, error) {
		n, err := body.Read(p)
		if err != nil {
			n = 0
		}
		return n, err
	})},
	{name: "wraps io.EOF", caught: "response/last-bytes", wrap: bodyReading(func(body io.Reader, p []byte) (int, error) {
		n, err := body.Read(p)
		if err != nil {
			err = fmt.Errorf("reading the body: %w", err)
		}
		return n, err
	})},
	{name: "keeps Close to itself", caught: "response/closed", wrap: returning(func(_ *http.Request, resp *http.Response) {
		resp.Body = &funcBody{read: resp.Body.Read, close: nothing}
	})},
	{name: "collects the response", caught: "response/streams", wrap: returning(func(_ *http.Request, resp *http.Response) {
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(data))
	})},
	{name: "ends the request when the response begins", caught: "response/full-duplex", wrap: returning(func(r *http.Request, _ *http.Response) { r.Body.Close() })},
	{name: "cuts large responses", caught: "response/large", wrap: returning(func(_ *http.Request, resp *http.Response) {
		resp.Body = &funcBody{read: io.LimitReader(resp.Body, 1<<20).Read, close: resp.Body.Close}
	})},
	{name: "takes a truncated body for a complete one", caught: "response/truncated", wrap: bodyReading(endWell)},
	{name: "asks for gzip itself", caught: "response/uncompressed", wrap: sending(func(r *http.Request) {
		r.Header = r.Header.Clone()
		r.Header.Set("Accept-Encoding", "gzip")
	})},
	{name: "drops the state of TLS", caught: "response/tls", wrap: returning(func(_ *http.Request, resp *http.Response) { resp.TLS = nil })},

	{name: "hides Write", caught: "upgrade/writable", wrap: bodyReading(io.Reader.Read)},
	{name: "hides Write", caught: "upgrade/long-lived", wrap: bodyReading(io.Reader.Read)},
	{name: "has a deadline for the whole exchange", caught: "upgrade/long-lived", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		resp, err := base.RoundTrip(r.WithContext(ctx))
		if err != nil {
			cancel()
			return nil, err
		}
		body := resp.Body.(io.ReadWriteCloser)
		resp.Body = struct {
			io.ReadWriter
			io.Closer
		}{body, closerFunc(func() error { cancel(); return body.Close() })}
		return resp, nil
	})},
	{name: "hides CloseWrite", caught: "upgrade/half-close", wrap: returning(onlyReadAndWrite)},
	{name: "takes the server's last byte for the end", caught: "upgrade/half-close", wrap: returning(func(_ *http.Request, resp *http.Response) {
		resp.Body = &closedAtEOF{resp.Body.(halfClosing)}
	})},
	{name: "hides CloseWrite", caught: "upgrade/reverse-proxy", wrap: returning(onlyReadAndWrite)},
	{name: "hides net.Conn", caught: "upgrade/connection", wrap: returning(onlyReadAndWrite)},
	{name: "takes a read's deadline for the end", caught: "upgrade/connection", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithCancel(r.Context())
		resp, err := base.RoundTrip(r.WithContext(ctx))
		resp.Body = &endingConn{resp.Body.(net.Conn), cancel}
		return resp, err
	})},
	{name: "ends a tunnel's upstream when it is open", caught: "upgrade/connect", wrap: returning(func(r *http.Request, _ *http.Response) { r.Body.Close() })},
	{name: "sends in a context without values", caught: "informational/1xx", wrap: inContext(func(ctx context.Context) context.Context { return valueless{ctx} })},
	{name: "sends in a context without values", caught: "trace/hooks", wrap: inContext(func(ctx context.Context) context.Context { return valueless{ctx} })},
	{name: "peeks at the body", caught: "expect/continue", wrap: peek},
	{name: "copies the request's trailers", caught: "trailers/request", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		return base.RoundTrip(r.Clone(r.Context()))
	})},
	{name: "copies the response", caught: "trailers/response", wrap: with(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		return new(*resp), nil
	})},

	{name: "drops GetBody", caught: "http2/goaway", wrap: sending(func(r *http.Request) { r.GetBody = nil })},
	{name: "drops GetBody", caught: "http2/refused-stream", wrap: sending(func(r *http.Request) { r.GetBody = nil })},
	{name: "takes a reset stream for a complete one", caught: "http2/reset-in-body", wrap: bodyReading(endWell)},
	{name: "drops GetBody", caught: "http1/stale-connection", wrap: sending(func(r *http.Request) { r.GetBody = nil })},
	{name: "drops the Idempotency-Key", caught: "http1/stale-connection", wrap: sending(func(r *http.Request) {
		r.Header = r.Header.Clone()
		r.Header.Del("Idempotency-Key")
	})},
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

func onlyReadAndWrite(_ *http.Request, resp *http.Response) {
	if body, ok := resp.Body.(io.ReadWriteCloser); ok {
		resp.Body = struct{ io.ReadWriteCloser }{body}
	}
}

type halfClosing interface {
	io.ReadWriteCloser
	halfCloser
}

type closedAtEOF struct{ halfClosing }

func (b *closedAtEOF) Read(p []byte) (int, error) {
	n, err := b.halfClosing.Read(p)
	if err != nil {
		b.Close()
	}
	return n, err
}

type endingConn struct {
	net.Conn
	end context.CancelFunc
}

func (c *endingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.end()
	}
	return n, err
}
