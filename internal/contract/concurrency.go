package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var concurrencyCases = []testCase{
	// A wrapper that holds a mutex during a call would stop a bubble's time, so
	// these do not run in one.
	{
		name: "concurrency/many",
		doc:  "A thousand calls at once, some of them failing or cancelled, and all with one header map, each get their own response.",
		over: overPlain,
		run:  concurrencyMany,
	}, {
		name: "concurrency/many-protocol",
		doc:  "Many calls at once over real connections each get their own response.",
		over: overBoth,
		run:  concurrencyManyProtocol,
	}, {
		name: "concurrency/side-by-side",
		doc:  "A call that waits for its header, or whose body is still open, does not hold up another call.",
		over: overPlain,
		run:  concurrencySideBySide,
	}, {
		name: "panic/passes",
		doc:  "A panic of the base arrives at the caller with its value. Nothing stays held: later calls work.",
		run:  panicPasses,
	}, {
		name: "panic/goexit",
		doc:  "If the base calls runtime.Goexit, as t.FailNow does, nothing stays held: later calls work.",
		run:  panicGoexit,
	},
}

func concurrencyMany(c *check) {
	failure := errors.New("connection reset")
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		// Let all calls overlap.
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		if r.Header["X-Name"][0] != "value" {
			return nil, errors.New("the header is not the caller's")
		}
		if strings.HasSuffix(string(data), "7") {
			return nil, failure
		}
		return text(r, 200, string(data)), nil
	})
	shared := http.Header{"X-Name": {"value"}}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			content := fmt.Sprintf("content of call %d", i)
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			if i%10 == 3 {
				time.AfterFunc(time.Duration(i)*10*time.Microsecond, cancel)
			}
			body := newSource(content)
			req, err := http.NewRequestWithContext(ctx, "POST", address+"/orders", body)
			if err != nil {
				c.Errorf("NewRequest: %v", err)
				return
			}
			req.Header = shared
			o := c.outcome(c.start(rt, req))
			resp, err := o.resp, o.err
			switch {
			case (resp == nil) == (err == nil):
				c.Errorf("call %d has the response %v and the error %v (panicked: %v)", i, resp, err, o.panicked)
			case rejected(err):
				if !c.traits.Refuses {
					c.Errorf("call %d was refused: %v", i, err)
				}
			case err != nil:
				if !(i%10 == 7 && errors.Is(err, failure)) && !(i%10 == 3 && errors.Is(err, context.Canceled)) {
					c.Errorf("call %d failed: %v", i, err)
				}
			default:
				data, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(data) != content && i%10 != 3 {
					c.Errorf("call %d got the answer %q, %v, want %q", i, data, err, content)
				}
				if resp.Request != req {
					c.Errorf("call %d got a response to another request", i)
				}
			}
			c.wantClosed(body, fmt.Sprintf("call %d: %v", i, err))
		})
	}
	c.do("a thousand calls at once", wg.Wait)
	if diff := cmp.Diff(http.Header{"X-Name": {"value"}}, shared); diff != "" {
		c.Errorf("the shared header map has changed (-was +is):\n%s", diff)
	}
}

func concurrencyManyProtocol(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Name", r.Header.Get("X-Name"))
		w.Write(data)
	})
	// So many that streams and connections are shared, so few that a loopback
	// with HTTP/1 stands them.
	const workers, each = 20, 10
	s.transport.MaxIdleConnsPerHost = workers
	rt := c.wrap(s.transport)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("call %d of worker %d", i, w)
				content := name + string(pattern(10000))
				req, err := http.NewRequestWithContext(c.Context(), "POST", s.url, strings.NewReader(content))
				if err != nil {
					c.Errorf("NewRequest: %v", err)
					return
				}
				req.Header.Set("X-Name", name)
				o := c.outcome(c.start(rt, req))
				resp, err := o.resp, o.err
				if err != nil || resp == nil {
					if !rejected(err) || !c.traits.Refuses {
						c.Errorf("%s: %v, %v (panicked: %v)", name, resp, err, o.panicked)
					}
					continue
				}
				data, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if got := resp.Header.Get("X-Name"); got != name || string(data) != content {
					c.Errorf("%s got the answer to %s, with %s, %v", name, got, clip(string(data)), err)
				}
			}
		})
	}
	c.do("many calls at once", wg.Wait)
}

func concurrencySideBySide(c *check) {
	waiting := make(chan bool, 1)
	rt, _ := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/slow":
			waiting <- true
			return hang(r)
		case "/open":
			return reply(r, 200, io.NopCloser(io.MultiReader(strings.NewReader("first"), onRead(func() { <-r.Context().Done() })))), nil
		}
		return text(r, 200, "ok"), nil
	})
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	slow := c.start(rt, c.requestWith(ctx, "POST", address+"/slow", newSource("content")))
	during(c, slow, waiting, "the call of the base")
	open := c.must(rt, c.requestWith(ctx, "POST", address+"/open", newSource("content")))
	for range 3 {
		c.wantBody(c.must(rt, c.post(newSource("content"))), "ok")
	}
	cancel()
	if _, err := c.result(slow); !errors.Is(err, context.Canceled) {
		c.Errorf("the error of the slow call is %v, want %v", err, context.Canceled)
	}
	c.read(open)
}

func panicPasses(c *check) {
	for _, value := range []any{"out of cheese", errors.New("an error"), http.ErrAbortHandler} {
		for _, attempt := range []int64{1, 2} {
			c.unwound("panic", attempt, func() { panic(value) }, func(o outcome) bool { return o.panicked == value })
		}
	}
}

func panicGoexit(c *check) {
	for _, attempt := range []int64{1, 2} {
		c.unwound("runtime.Goexit", attempt, runtime.Goexit, func(o outcome) bool { return o.exited })
	}
}

// unwound calls a base that in the given attempt of a call does not return but
// unwinds its goroutine. Then, when a circuit that was opened by that may have
// closed again, calls have to work: whatever a call holds has been given back.
func (c *check) unwound(what string, attempt int64, unwind func(), same func(outcome) bool) {
	c.Helper()
	var healthy atomic.Bool
	var attempts atomic.Int64 // of the current call
	var mu sync.Mutex
	var seen []context.Context
	rt, _ := c.stubbed(func(_ int, r *http.Request) (*http.Response, error) {
		if healthy.Load() {
			return text(r, 200, "ok"), nil
		}
		if attempts.Add(1) < attempt {
			return text(r, 503, "busy"), nil
		}
		mu.Lock()
		seen = append(seen, r.Context())
		mu.Unlock()
		unwind()
		return nil, errors.New("unreachable")
	})
	for i := range 30 {
		body := newSource("content")
		req := c.post(body)
		if attempt > 1 {
			req = c.get()
			body.Close()
		}
		attempts.Store(0)
		o := c.outcome(c.start(rt, req))
		switch {
		case rejected(o.err) && c.traits.Refuses:
			if i == 0 {
				c.Skipf("the call was refused: %v", o.err)
			}
			continue
		case attempts.Load() < attempt && o.resp != nil: // no second attempt
			c.wantBody(o.resp, "busy")
		case !same(o):
			c.Fatalf("after a %s of the base RoundTrip returned %v, %v (panicked: %v, ended its goroutine: %t)", what, o.resp, o.err, o.panicked, o.exited)
		}
		c.wantClosed(body, what)
	}
	synctest.Wait()
	mu.Lock()
	for _, ctx := range seen {
		if ctx.Done() != c.Context().Done() && ctx.Err() == nil {
			c.Errorf("the context of a call that ended by a %s was derived and not canceled", what)
			break
		}
	}
	mu.Unlock()
	healthy.Store(true)
	<-time.After(time.Hour)
	for i := range 3 {
		o := c.outcome(c.start(rt, c.post(newSource("content"))))
		if o.err != nil || o.resp == nil {
			c.Fatalf("an hour later, call %d returned %v, %v (panicked: %v)", i+1, o.resp, o.err, o.panicked)
		}
		c.wantBody(o.resp, "ok")
	}
}
