package contract

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"
)

var cancelCases = []testCase{
	{
		name: "cancel/before-sending",
		doc:  "If the caller's context is done before the call, nothing is sent, and the error is the context's.",
		run:  cancelBeforeSending,
	}, {
		name: "cancel/awaiting-headers",
		doc:  "If the caller cancels while the base waits for the header, the call ends at once with context.Canceled.",
		run:  cancelAwaitingHeaders,
	}, {
		name: "cancel/awaiting-headers-protocol",
		doc:  "If the caller cancels while the server prepares its response, the call ends and the server sees it.",
		over: overAll,
		run:  cancelAwaitingHeadersProtocol,
	}, {
		name: "cancel/reading-body",
		doc:  "If the caller cancels while it reads the body, the read returns context.Canceled.",
		over: overAll,
		run:  cancelReadingBody,
	}, {
		name: "cancel/between-attempts",
		doc:  "If the caller cancels while the wrapper waits between attempts, the call ends at once with the context's error or its cause.",
		run:  cancelBetweenAttempts,
	}, {
		name: "cancel/cause",
		doc:  "context.Cause of the base's context is the caller's cause. The error that the base makes of it comes back.",
		run:  cancelCause,
	}, {
		name: "cancel/deadline",
		doc:  "The base's context has the caller's deadline. A call that passes it returns context.DeadlineExceeded, whose Timeout method reports true.",
		run:  cancelDeadline,
	}, {
		name: "cancel/client-timeout",
		doc:  "http.Client.Timeout ends a call that gets no header. The error's Timeout method reports true.",
		run:  cancelClientTimeout,
	}, {
		name: "cancel/client-timeout-body",
		doc:  "http.Client.Timeout ends the reading of a body. The error's Timeout method reports true.",
		over: overBoth,
		run:  cancelClientTimeoutBody,
	},
}

// hang answers when the request's context is done, with its cause, as
// http.Transport does.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func cancelBeforeSending(c *check) {
	for _, deadline := range []bool{false, true} {
		var sent atomic.Int64
		rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
			if err := context.Cause(r.Context()); err != nil {
				return nil, err
			}
			sent.Add(1)
			return text(r, 200, "ok"), nil
		})
		ctx, cancel := context.WithCancel(c.Context())
		want := context.Canceled
		if deadline {
			ctx, cancel = context.WithDeadline(c.Context(), time.Now().Add(-time.Second))
			want = context.DeadlineExceeded
		}
		cancel()
		if err := c.fails(rt, c.requestWith(ctx, "GET", address+"/resource", nil)); !errors.Is(err, want) {
			c.Errorf("the error is %v, want %v", err, want)
		}
		if n := sent.Load(); n > 0 {
			c.Errorf("%d requests were sent", n)
		}
	}
}

func cancelAwaitingHeaders(c *check) {
	waiting := make(chan bool, 1)
	rt, s := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		select {
		case waiting <- true:
		default:
		}
		return hang(r)
	})
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	body := newSource("content")
	k := c.start(rt, c.requestWith(ctx, "PUT", address+"/resource", body))
	during(c, k, waiting, "the call of the base")
	began := time.Now()
	cancel()
	_, err := c.result(k)
	if !errors.Is(err, context.Canceled) {
		c.Errorf("the error is %v, want %v", err, context.Canceled)
	}
	if d := time.Since(began); d > 0 {
		c.Errorf("it took %v to notice the cancellation", d)
	}
	if n := s.calls.Load(); n != 1 {
		c.Errorf("the base was called %d times", n)
	}
	c.wantClosed(body, "canceled")
}

func cancelAwaitingHeadersProtocol(c *check) {
	arrived, gone := make(chan bool, 1), make(chan bool, 1)
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
		gone <- true
		panic(http.ErrAbortHandler) // or there might be an answer after all
	})
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	k := c.start(c.wrap(s.transport), c.requestWith(ctx, "GET", s.url, nil))
	during(c, k, arrived, "the request at the server")
	cancel()
	if _, err := c.result(k); !errors.Is(err, context.Canceled) {
		c.Errorf("the error is %v, want %v", err, context.Canceled)
	}
	after(c, gone, "the end of the request at the server")
}

func cancelReadingBody(c *check) {
	gone := make(chan bool, 1)
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- true
		panic(http.ErrAbortHandler) // or the body might seem to have ended well
	})
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	resp := c.must(c.wrap(s.transport), c.requestWith(ctx, "GET", s.url, nil))
	c.do("reading the first bytes", func() { io.ReadFull(resp.Body, make([]byte, len("first"))) })
	cancel()
	if got, err := c.read(resp); !errors.Is(err, context.Canceled) {
		c.Errorf("the rest of the body reads %q, %v, want %v", got, err, context.Canceled)
	}
	after(c, gone, "the end of the request at the server")
}

func cancelBetweenAttempts(c *check) {
	cause := errors.New("the user went away")
	for name, answer := range map[string]func(int, *http.Request) (*http.Response, error){
		"failures": func(int, *http.Request) (*http.Response, error) { return nil, errors.New("connection reset") },
		"503":      func(_ int, r *http.Request) (*http.Response, error) { return text(r, 503, "busy"), nil },
	} {
		rt, s := c.stubbed(answer)
		ctx, cancel := context.WithCancelCause(c.Context())
		body := strings.NewReader("content")
		k := c.start(rt, c.requestWith(ctx, "PUT", address+"/resource", body))
		// Everybody is blocked now: the call has ended, or the wrapper waits.
		synctest.Wait()
		early := false
		select {
		case <-k.done:
			early = true
		default:
		}
		calls, began := s.calls.Load(), time.Now()
		cancel(cause)
		resp, err := c.result(k)
		if d := time.Since(began); d > 0 {
			c.Errorf("%s: it took %v to notice the cancellation", name, d)
		}
		if n := s.calls.Load(); n > calls {
			c.Errorf("%s: the base was called %d times after the cancellation", name, n-calls)
		}
		if err != nil && !early && !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			c.Errorf("%s: the error is %v, want %v or %v in it", name, err, cause, context.Canceled)
		}
		if err == nil {
			c.read(resp)
		}
	}
}

func cancelCause(c *check) {
	cause := errors.New("the user went away")
	waiting := make(chan bool, 1)
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		waiting <- true
		return hang(r)
	})
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	k := c.start(rt, c.requestWith(ctx, "POST", address+"/orders", newSource("content")))
	during(c, k, waiting, "the call of the base")
	cancel(cause)
	if _, err := c.result(k); !errors.Is(err, cause) {
		c.Errorf("the error is %v, want %v in it", err, cause)
	}
}

func cancelDeadline(c *check) {
	rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) { return hang(r) })
	began := time.Now()
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second)
	defer cancel()
	err := c.fails(rt, c.requestWith(ctx, "GET", address+"/resource", nil))
	if !errors.Is(err, context.DeadlineExceeded) {
		c.Errorf("the error is %v, want %v", err, context.DeadlineExceeded)
	}
	if !timedOut(err) {
		c.Errorf("the error %v is no timeout", err)
	}
	if d := time.Since(began); d > 3*time.Second {
		c.Errorf("the call took %v, with a deadline after 3s", d)
	}
}

func cancelClientTimeout(c *check) {
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) { return hang(r) })
	client := &http.Client{Transport: rt, Timeout: 3 * time.Second}
	began := time.Now()
	var resp *http.Response
	var err error
	c.do("a call through http.Client", func() { resp, err = client.Do(c.get()) })
	if err == nil {
		resp.Body.Close()
		c.Fatalf("the client returned %s", resp.Status)
	}
	if rejected(err) && c.traits.Refuses {
		c.Skipf("the call was refused: %v", err)
	}
	if !timedOut(err) {
		c.Errorf("the error %v is no timeout", err)
	}
	if d := time.Since(began); d > 3*time.Second {
		c.Errorf("the call took %v, with a timeout of 3s", d)
	}
}

func cancelClientTimeoutBody(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	// Not long enough for the headers to come in, on a very slow machine, is
	// a timeout as well, but not the one that is checked here.
	for timeout := 100 * time.Millisecond; ; timeout *= 2 {
		client := &http.Client{Transport: c.wrap(s.transport), Timeout: timeout}
		var resp *http.Response
		var err error
		c.do("a call through http.Client", func() { resp, err = client.Do(c.request("GET", s.url, nil)) })
		if err != nil {
			if rejected(err) && c.traits.Refuses {
				c.Skipf("the call was refused: %v", err)
			}
			if timedOut(err) && timeout < c.patience {
				continue
			}
			c.Fatalf("the client returned %v", err)
		}
		if got, err := c.read(resp); err == nil || !timedOut(err) {
			c.Errorf("the body reads %q, %v, want a timeout", got, err)
		}
		return
	}
}
