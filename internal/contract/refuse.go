package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

var refuseCases = []testCase{
	{
		name: "refuse/clean",
		doc:  "A refused call returns only an error. Nothing was sent, the request is unchanged, and its body is closed. A wrapper without this right refuses nothing.",
		run:  refuseClean,
	}, {
		name: "answer/again",
		doc:  "A response that the wrapper gives without asking its base is as good as the base's: it has the same body, open, and the caller's request. A wrapper without this right always asks.",
		run:  answerAgain,
	}, {
		name: "pool/close-idle",
		doc:  "CloseIdleConnections, which http.Client calls, arrives at the base.",
		run:  poolCloseIdle,
	}, {
		name: "pool/close-idle-absent",
		doc:  "CloseIdleConnections does no harm if the base does not have it.",
		run:  poolCloseIdleAbsent,
	}, {
		name: "pool/no-cancel-request",
		doc:  "There is no method CancelRequest. http.Client calls it for transports that know no contexts.",
		run:  poolNoCancelRequest,
	},
}

// Many failures one after the other open a circuit, many calls at once fill a
// limiter. If nothing is refused for it, that is fine too.
func refuseClean(c *check) {
	type key struct{}
	var sent sync.Map
	var failing atomic.Bool
	release := make(chan struct{})
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		sent.Store(r.Context().Value(key{}), true)
		if failing.Load() {
			return nil, errors.New("connection reset")
		}
		select {
		case <-release:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return text(r, 200, "ok"), nil
	})
	refused := 0
	inspect := func(o outcome, id string, body *source, changes func() []string) {
		if o.panicked != nil {
			c.Fatalf("RoundTrip panicked: %v\n%s", o.panicked, o.stack)
		}
		if list := changes(); list != nil {
			c.Errorf("%s: the caller's request has changed: %v", id, list)
		}
		c.wantClosed(body, fmt.Sprintf("%s: %v", id, o.err))
		if !rejected(o.err) {
			return
		}
		refused++
		if !c.traits.Refuses {
			c.Fatalf("%s was refused, which is not among the traits: %v", id, o.err)
		}
		if o.resp != nil {
			c.Errorf("%s was refused, but has a response", id)
		}
		if _, was := sent.Load(id); was {
			c.Errorf("%s was refused, but had been sent: %v", id, o.err)
		}
	}
	begin := func(id string) (*call, *source, func() []string) {
		body := newSource("content")
		req := c.requestWith(context.WithValue(c.Context(), key{}, id), "POST", address+"/orders", body)
		changes := snapshot(req)
		return c.start(rt, req), body, changes
	}
	failing.Store(true)
	for i := range 40 {
		id := fmt.Sprintf("failing call %d", i+1)
		k, body, changes := begin(id)
		inspect(c.outcome(k), id, body, changes)
	}
	failing.Store(false)
	var inspections []func()
	for i := range 100 {
		id := fmt.Sprintf("parallel call %d", i+1)
		k, body, changes := begin(id)
		inspections = append(inspections, func() { inspect(c.outcome(k), id, body, changes) })
	}
	close(release)
	for _, f := range inspections {
		f()
	}
	if c.traits.Refuses {
		c.Logf("refused %d of %d calls", refused, 40+100)
	}
}

func answerAgain(c *check) {
	rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		resp := text(r, 200, "content")
		resp.Header.Set("Cache-Control", "public, max-age=3600")
		resp.Header.Set("Etag", `"v1"`)
		return resp, nil
	})
	const calls = 3
	for i := range calls {
		req := c.get()
		changes := snapshot(req)
		resp := c.must(rt, req)
		if resp.StatusCode != 200 || resp.Header.Get("Etag") != `"v1"` {
			c.Errorf("answer %d is %s, with the header %v", i+1, resp.Status, resp.Header)
		}
		if resp.Request != req {
			c.Errorf("answer %d is to the request %p, the caller's is %p", i+1, resp.Request, req)
		}
		resp.Header.Set("Etag", "the caller may write here")
		c.wantBody(resp, "content")
		if list := changes(); list != nil {
			c.Errorf("answer %d: the caller's request has changed: %v", i+1, list)
		}
	}
	if n := s.calls.Load(); n != calls && !c.traits.Answers {
		c.Errorf("the base was called %d times for %d calls", n, calls)
	}
}

// pool is a base that counts calls of CloseIdleConnections.
type pool struct {
	stub
	closed atomic.Int64
}

func (p *pool) CloseIdleConnections() { p.closed.Add(1) }

func poolCloseIdle(c *check) {
	base := &pool{stub: stub{answer: ok}}
	rt := c.wrap(base)
	c.wantBody(c.must(rt, c.get()), "ok")
	(&http.Client{Transport: rt}).CloseIdleConnections()
	if base.closed.Load() == 0 {
		c.Errorf("CloseIdleConnections did not reach the base")
	}
	c.wantBody(c.must(rt, c.post(newSource("content"))), "ok")
}

func poolCloseIdleAbsent(c *check) {
	rt, _ := c.stubbed(ok)
	c.do("CloseIdleConnections", func() { (&http.Client{Transport: rt}).CloseIdleConnections() })
	c.wantBody(c.must(rt, c.get()), "ok")
}

func poolNoCancelRequest(c *check) {
	rt, _ := c.stubbed(ok)
	if _, has := rt.(interface{ CancelRequest(*http.Request) }); has {
		c.Errorf("%T has a method CancelRequest", rt)
	}
}
