package gateway

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"time"
)

// call makes a call and stores the value in what out points to. The body of the
// response has been read, or is the value. The error is not of type *Error, so that
// a nil one is nil.
func (e *plan) call(ctx context.Context, in reflect.Value, out any) (*http.Response, error) {
	observe := e.gateway.cfg.Observe
	if observe == nil {
		resp, err := e.do(ctx, in, out)
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
	begin := time.Now()
	resp, err := e.do(ctx, in, out)
	observed := false
	defer func() {
		if !observed && resp != nil { // Observe panicked, and nobody gets the stream
			resp.Body.Close()
		}
	}()
	event := Event{
		Kind: Ended, Name: e.gateway.cfg.Name, Endpoint: e.name, Method: e.binding.pattern.method, Elapsed: time.Since(begin),
	}
	if err != nil {
		event.Status, event.Cache, event.Err = err.Status, cacheStatusOf(err.Header), err
		observe(ctx, event)
		return nil, err
	}
	event.Status, event.Cache = resp.StatusCode, cacheStatusOf(resp.Header)
	observe(ctx, event)
	observed = true
	return resp, nil
}

var errUnfinished = &Error{} // of a call that user code has ended with a panic

func (e *plan) do(ctx context.Context, in reflect.Value, out any) (_ *http.Response, failure *Error) {
	c := &call{Context: ctx, gateway: e.gateway, endpoint: e}
	e.counts.inFlight.Add(1)
	failure = errUnfinished
	cancel := context.CancelFunc(func() {})
	if e.timeout > 0 {
		c.Context, cancel = context.WithTimeout(ctx, e.timeout)
	}
	streaming := false
	defer func() {
		if !streaming {
			cancel()
			e.counts.ended(c, failure)
		}
	}()
	req, err := e.request(c, in)
	if err != nil {
		return nil, c.fail(InvalidRequest, nil, err)
	}
	resp, err := e.gateway.client.Do(req)
	if err != nil {
		return nil, c.noResponse(resp, err)
	}
	defer func() {
		if !streaming {
			resp.Body.Close()
		}
	}()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		if err := c.notCached(resp); err != nil {
			return nil, err
		}
		return nil, c.badStatus(resp)
	}
	if e.none || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusResetContent {
		drain(resp.Body)
		if e.stream {
			*out.(*io.ReadCloser) = http.NoBody // so that it can be closed
		}
		return resp, nil
	}
	if err := decompress(resp); err != nil {
		return nil, c.fail(Undecodable, resp, err)
	}
	if !e.accepts.match(resp.Header.Get("Content-Type")) {
		return nil, c.wrongType(resp)
	}
	if e.stream {
		streaming = true
		if e.limit > 0 {
			resp.Body = &limited{ReadCloser: resp.Body, left: e.limit, limit: e.limit}
		}
		resp.Body = &stream{ReadCloser: resp.Body, call: c, resp: resp, end: func(err *Error) {
			cancel()
			e.counts.ended(c, err)
		}}
		*out.(*io.ReadCloser) = resp.Body
		return resp, nil
	}
	data, err := readAll(resp, e.limit)
	if err != nil {
		return nil, c.broken(resp, err)
	}
	if err := e.unmarshal(data, out); err != nil {
		return nil, c.fail(Undecodable, resp, err)
	}
	if e.check != nil {
		if err := e.check(out); err != nil {
			return nil, c.unsuccessful(resp, data, err)
		}
	}
	return resp, nil
}
