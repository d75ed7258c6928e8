package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

var closeCases = []testCase{
	{
		name: "body/closed-after-success",
		doc:  "The request's body is closed when the call has succeeded, whatever the status.",
		run:  bodyClosedAfterSuccess,
	}, {
		name: "body/closed-after-failure",
		doc:  "The request's body is closed when the call has failed.",
		run:  bodyClosedAfterFailure,
	}, {
		name: "body/closed-when-context-is-done",
		doc:  "If the context is done before the call, the request's body is closed and nothing is sent.",
		run:  bodyClosedWhenDone,
	}, {
		name: "body/left-alone",
		doc:  "Only the base reads the request's body. The wrapper does not read it or close it after RoundTrip has returned, since the base may still be sending it.",
		run:  bodyLeftAlone,
	}, {
		name: "body/not-read-after-close",
		doc:  "Nobody reads the request's body after it was closed, not even for another attempt.",
		run:  bodyNotReadAfterClose,
	},
}

func bodyClosedAfterSuccess(c *check) {
	for _, status := range []int{200, 204, 302, 400, 404, 429, 500, 503} {
		rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
			io.Copy(io.Discard, r.Body)
			return text(r, status, "answer"), nil
		})
		body := newSource("content")
		c.read(c.must(rt, c.post(body)))
		c.wantClosed(body, fmt.Sprintf("status %d", status))
	}
}

// A base that fails closes the body it was given; if that is not the caller's,
// the wrapper has to pass the Close on.
func bodyClosedAfterFailure(c *check) {
	failure := errors.New("connection reset")
	for _, method := range []string{"POST", "PUT"} {
		rt, _ := c.stubbed(func(int, *http.Request) (*http.Response, error) { return nil, failure })
		body := newSource("content")
		req := c.request(method, address+"/orders", body)
		c.fails(rt, req)
		c.wantClosed(body, method+", the base failed")

		// The same with a body that can be had again: each of them is closed.
		var mu sync.Mutex
		var given []*source
		first := newSource("content")
		req = c.request(method, address+"/orders", first)
		req.ContentLength = int64(len("content"))
		req.GetBody = func() (io.ReadCloser, error) {
			s := newSource("content")
			mu.Lock()
			defer mu.Unlock()
			given = append(given, s)
			return s, nil
		}
		c.fails(rt, req)
		c.wantClosed(first, method+" with GetBody, the base failed")
		mu.Lock()
		all := slices.Clone(given)
		mu.Unlock()
		for i, s := range all {
			c.wantClosed(s, fmt.Sprintf("%s, what call %d of GetBody returned", method, i+1))
		}
	}
}

func bodyClosedWhenDone(c *check) {
	transport := &http.Transport{}
	var sent atomic.Int64
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		if r.Context().Err() == nil {
			sent.Add(1)
			return text(r, 200, "ok"), nil
		}
		return transport.RoundTrip(r)
	})
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	for _, method := range []string{"POST", "PUT"} {
		body := newSource("content")
		c.fails(rt, c.requestWith(ctx, method, address+"/orders", body))
		c.wantClosed(body, method+", the context was done")
	}
	if n := sent.Load(); n > 0 {
		c.Errorf("%d requests were sent", n)
	}
}

// ownBody is a body that knows whether the base is reading it.
type ownBody struct {
	source
	inBase  atomic.Bool // set by the base around its reads
	strange atomic.Int64
}

func (b *ownBody) Read(p []byte) (int, error) {
	if !b.inBase.Load() {
		b.strange.Add(1)
	}
	return b.source.Read(p)
}

func bodyLeftAlone(c *check) {
	body := &ownBody{}
	body.r = strings.NewReader("first,second")
	finished := make(chan error, 1)
	base := &keeper{answer: func(r *http.Request) (*http.Response, error) {
		readSome := func(n int) error {
			body.inBase.Store(true)
			defer body.inBase.Store(false)
			_, err := io.ReadFull(r.Body, make([]byte, n))
			return err
		}
		if err := readSome(len("first,")); err != nil {
			r.Body.Close()
			return nil, err
		}
		proceed := make(chan struct{})
		go func() {
			<-proceed
			err := readSome(len("second"))
			r.Body.Close()
			finished <- err
		}()
		// The answer's end is what lets the rest of the body be read, so this
		// is long after RoundTrip has returned.
		return reply(r, 200, &callbackBody{Reader: strings.NewReader("answer"), closed: sync.OnceFunc(func() { close(proceed) })}), nil
	}}
	resp := c.must(c.wrap(base), c.post(body))
	if body.closed() {
		c.Fatalf("the body was closed while the base was not done with it")
	}
	c.wantBody(resp, "answer")
	if err := after(c, finished, "the base reading the rest of the body"); err != nil {
		c.Errorf("the base could not read the rest of the body: %v", err)
	}
	if n := body.strange.Load(); n > 0 {
		c.Errorf("the body was read %d times by somebody else than the base", n)
	}
}

// keeper is a base that leaves the closing of the body to its function.
type keeper struct {
	answer func(r *http.Request) (*http.Response, error)
}

func (k *keeper) RoundTrip(r *http.Request) (*http.Response, error) { return k.answer(r) }

// callbackBody is a response's body that tells when it is closed.
type callbackBody struct {
	io.Reader
	closed func()
}

func (b *callbackBody) Close() error { b.closed(); return nil }

func bodyNotReadAfterClose(c *check) {
	for _, length := range []int64{-1, int64(len("content"))} {
		body := newSource("content")
		rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
			r.Body.Read(make([]byte, 3))
			return text(r, 503, "busy"), nil
		})
		req := c.request("PUT", address+"/resource", body)
		req.ContentLength = length
		c.read(c.must(rt, req))
		c.wantClosed(body, "503")
		if _, late := body.counts(); late > 0 {
			c.Errorf("the body (length %d) was read %d times after its Close", length, late)
		}
	}
}
