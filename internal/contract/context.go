package contract

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing/synctest"
)

var contextCases = []testCase{
	{
		name: "request/context-values",
		doc:  "The context that the base gets has the values of the caller's context. Traces, spans and attempt numbers travel in them.",
		run:  requestContextValues,
	}, {
		name: "cancel/context-lives",
		doc:  "The context that the base got is not done before the response's body is closed or read to its end.",
		run:  cancelContextLives,
	}, {
		name: "cancel/context-ends",
		doc:  "A context that the wrapper derives is cancelled when the exchange is over: the body was closed or read to its end, there is no body, or the call failed.",
		run:  cancelContextEnds,
	},
}

func requestContextValues(c *check) {
	type key struct{}
	rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		if got := r.Context().Value(key{}); got != "value" {
			c.Errorf("in call %d of the base the context's value is %v", n, got)
		}
		return text(r, 503, "busy"), nil
	})
	req := c.requestWith(context.WithValue(c.Context(), key{}, "value"), "GET", address+"/resource", nil)
	c.read(c.must(rt, req))
	if s.calls.Load() == 0 && !c.traits.Answers {
		c.Errorf("the base was not called")
	}
}

func cancelContextLives(c *check) {
	// What the attempts are answered with; 0 is a failure. The contexts of a
	// second attempt are often made in another place than those of the first.
	for _, statuses := range [][]int{{200}, {404}, {503}, {503, 200}, {0, 200}} {
		var seen context.Context
		pass := make(chan bool, 1)
		ctx, cancel := context.WithTimeout(c.Context(), c.patience/2)
		rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
			status := statuses[min(n, len(statuses))-1]
			if status == 0 {
				return nil, errors.New("connection reset")
			}
			if n < len(statuses) {
				return text(r, status, ""), nil
			}
			seen = r.Context()
			return reply(r, status, &contextBody{
				ctx: r.Context(),
				r: io.MultiReader(strings.NewReader("first"), onRead(func() {
					select {
					case <-pass:
					case <-ctx.Done():
					}
				}), strings.NewReader("second")),
			}), nil
		})
		method := "POST" // which nobody repeats
		if len(statuses) > 1 {
			method = "GET"
		}
		resp, err := c.send(rt, c.requestWith(ctx, method, address+"/resource", nil))
		if seen == nil { // there was no second attempt
			if err == nil {
				c.read(resp)
			}
			cancel()
			continue
		}
		if err != nil {
			c.Fatalf("RoundTrip: %v", err)
		}
		synctest.Wait()
		if err := seen.Err(); err != nil {
			c.Errorf("attempts answered with %v: after RoundTrip, with the body open, the context of the last one is done: %v", statuses, err)
		}
		pass <- true
		c.wantBody(resp, "firstsecond")
		cancel()
	}
}

// contextBody is a response's body that, like that of http.Transport, cannot
// be read when the request's context is done.
type contextBody struct {
	ctx context.Context
	r   io.Reader
}

func (b *contextBody) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

func (b *contextBody) Close() error { return nil }

func cancelContextEnds(c *check) {
	ends := map[string]func(resp *http.Response){
		"closed":             func(resp *http.Response) { resp.Body.Close() },
		"read in part":       func(resp *http.Response) { io.CopyN(io.Discard, resp.Body, 3); resp.Body.Close() },
		"read, never closed": func(resp *http.Response) { io.Copy(io.Discard, resp.Body) },
		"no body":            func(resp *http.Response) { resp.Body.Close() },
		"failed":             nil,
	}
	for name, end := range ends {
		var mu sync.Mutex
		var seen []context.Context
		rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, r.Context())
			switch {
			case end == nil:
				return nil, errors.New("connection reset")
			case name == "no body":
				return reply(r, 204, http.NoBody), nil
			case len(seen) == 1:
				return text(r, 503, "busy"), nil
			}
			return text(r, 200, "content"), nil
		})
		req := c.get()
		resp, err := c.send(rt, req)
		if err == nil {
			c.do("ending the call", func() { end(resp) })
		}
		synctest.Wait()
		mu.Lock()
		for i, ctx := range seen {
			// One that is canceled with the caller's own is not derived, or only
			// to hold values.
			if ctx.Done() != req.Context().Done() && ctx.Err() == nil {
				c.Errorf("%s: the context of attempt %d was derived and not canceled", name, i+1)
			}
		}
		mu.Unlock()
	}
}
