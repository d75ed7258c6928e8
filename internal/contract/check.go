package contract

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// tb is the part of *testing.T that cases use. The kit's own tests put a
// recorder in its place.
type tb interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// outcome is how a call ended.
type outcome struct {
	resp     *http.Response
	err      error
	panicked any    // what RoundTrip panicked with
	stack    []byte // where
	exited   bool   // RoundTrip ended its goroutine
}

// call is a call that is under way.
type call struct {
	done    chan struct{}
	outcome outcome // when done is closed
}

// start calls RoundTrip on a goroutine of its own. The body of a response is
// closed at the latest when the case ends.
func (c *check) start(rt http.RoundTripper, req *http.Request) *call {
	k := &call{done: make(chan struct{})}
	go func() {
		o := outcome{exited: true}
		defer func() {
			if r := recover(); r != nil {
				o = outcome{panicked: r, stack: debug.Stack()}
			}
			if o.resp != nil && o.resp.Body != nil {
				body := o.resp.Body
				c.Cleanup(func() { body.Close() })
			}
			k.outcome = o
			close(k.done)
		}()
		o.resp, o.err = rt.RoundTrip(req)
		o.exited = false
	}()
	return k
}

// outcome waits for the end of a call.
func (c *check) outcome(k *call) outcome {
	c.Helper()
	select {
	case <-k.done:
		return k.outcome
	case <-time.After(c.patience):
		c.Fatalf("RoundTrip did not return within %v", c.patience)
		panic("unreachable")
	}
}

// result waits for the end of a call, and checks what is true of every call:
// there is a response with a body, or an error.
func (c *check) result(k *call) (*http.Response, error) {
	c.Helper()
	o := c.outcome(k)
	switch {
	case o.panicked != nil:
		c.Fatalf("RoundTrip panicked: %v\n%s", o.panicked, o.stack)
	case o.exited:
		c.Fatalf("RoundTrip ended its goroutine")
	case o.resp == nil && o.err == nil:
		c.Fatalf("RoundTrip returned neither a response nor an error")
	case o.resp != nil && o.err != nil:
		c.Fatalf("RoundTrip returned both a response (%s) and an error (%v)", o.resp.Status, o.err)
	case o.resp != nil && o.resp.Body == nil:
		c.Fatalf("RoundTrip returned a response whose Body is nil")
	case rejected(o.err) && c.traits.Refuses:
		c.Skipf("the call was refused: %v", o.err)
	}
	return o.resp, o.err
}

// send makes one call, see result.
func (c *check) send(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	c.Helper()
	return c.result(c.start(rt, req))
}

// must makes one call that has to end with a response.
func (c *check) must(rt http.RoundTripper, req *http.Request) *http.Response {
	c.Helper()
	resp, err := c.send(rt, req)
	if err != nil {
		c.Fatalf("RoundTrip: %v", err)
	}
	return resp
}

// fails makes one call that has to end with an error.
func (c *check) fails(rt http.RoundTripper, req *http.Request) error {
	c.Helper()
	resp, err := c.send(rt, req)
	if err == nil {
		c.Fatalf("RoundTrip returned %s, want an error", resp.Status)
	}
	return err
}

// do calls f, which may block, on a goroutine of its own and waits for it.
func (c *check) do(what string, f func()) {
	c.Helper()
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	select {
	case r := <-done:
		if r != nil {
			c.Fatalf("%s panicked: %v", what, r)
		}
	case <-time.After(c.patience):
		c.Fatalf("%s did not end within %v", what, c.patience)
	}
}

// read reads the response's body to its end and closes it.
func (c *check) read(resp *http.Response) (string, error) {
	c.Helper()
	var data []byte
	var err error
	c.do("reading the response's body", func() {
		data, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	})
	return string(data), err
}

// wantBody reads the response's body, which must be as given.
func (c *check) wantBody(resp *http.Response, want string) {
	c.Helper()
	got, err := c.read(resp)
	if err != nil {
		c.Fatalf("reading the response's body: %v, after %d bytes", err, len(got))
	}
	if got != want {
		c.Fatalf("the response's body is %s, want %s", clip(got), clip(want))
	}
}

// during waits for the next value on ch, which should come while the call is
// under way.
func during[T any](c *check, k *call, ch <-chan T, what string) T {
	c.Helper()
	select {
	case v := <-ch:
		return v
	case <-k.done:
		select {
		case v := <-ch:
			return v
		default:
		}
		_, err := c.result(k)
		c.Fatalf("%s: not before the call had ended, with the error %v", what, err)
	case <-time.After(c.patience):
		c.Fatalf("%s: nothing within %v", what, c.patience)
	}
	panic("unreachable")
}

// after waits for the next value on ch, which should come when the call that
// is behind it has ended.
func after[T any](c *check, ch <-chan T, what string) T {
	c.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(c.patience):
		c.Fatalf("%s: nothing within %v", what, c.patience)
		panic("unreachable")
	}
}

// soon fails unless ok turns true.
func (c *check) soon(ok func() bool, format string, args ...any) {
	c.Helper()
	pause := time.Millisecond
	for limit := time.After(c.patience); !ok(); pause = min(2*pause, c.patience/50) {
		select {
		case <-time.After(pause):
		case <-limit:
			c.Fatalf(format, args...)
		}
	}
}

// rejected reports whether err says that nothing was sent.
func rejected(err error) bool {
	r, ok := errors.AsType[interface {
		error
		Rejected() bool
	}](err)
	return ok && r.Rejected()
}

// timedOut reports whether err is a timeout in the sense of net.Error.
func timedOut(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// clip quotes the beginning of s.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:most]) + "..."
}
