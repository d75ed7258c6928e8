package contract

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Most of these say how a wrapper sends a request again. One that never does
// passes them by calling its base once, which is checked as well.
var repeatCases = []testCase{
	{
		name: "repeat/discarded-closed",
		doc:  "A response that the caller does not get is read to its end, if that is near, and closed. That happens before the wait for the next attempt, so that its connection can be used.",
		run:  repeatDiscardedClosed,
	}, {
		name: "repeat/endless-discard",
		doc:  "If a response that the caller does not get has no end, only a bounded part of it is read.",
		run:  repeatEndlessDiscard,
	}, {
		name: "repeat/stalled-discard",
		doc:  "If a response that the caller does not get stalls, the call goes on without it.",
		run:  repeatStalledDiscard,
	}, {
		name: "repeat/last-response",
		doc:  "If no attempt succeeds and the last one had a response, the caller gets that response with its body open, and not an error.",
		run:  repeatLastResponse,
	}, {
		name: "repeat/attempts-alike",
		doc:  "Each attempt has the caller's method, URL, Host, header and length, and the whole body. A wrapper without this right makes one attempt.",
		run:  repeatAttemptsAlike,
	}, {
		name: "repeat/not-idempotent",
		doc:  "A request that is not idempotent and may have been received is sent only once, even if its body could be had again.",
		run:  repeatNotIdempotent,
	}, {
		name: "repeat/get-body-fails",
		doc:  "If GetBody fails, there is no further attempt. The caller still gets a response or an error.",
		run:  repeatGetBodyFails,
	},
}

// wantCalls checks the number of calls of the base.
func (c *check) wantCalls(s *stub) {
	c.Helper()
	if n := s.calls.Load(); n != 1 && !c.traits.Repeats && !(n == 0 && c.traits.Answers) {
		c.Errorf("the base was called %d times, want 1", n)
	}
}

func repeatDiscardedClosed(c *check) {
	var last *source
	var answered time.Time
	rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		if last != nil {
			if !last.closed() {
				c.Errorf("at attempt %d the response before is not closed", n)
			}
			if !last.drained() {
				c.Errorf("at attempt %d the response before, which was short, is not read to its end", n)
			}
		}
		if n > 2 {
			return text(r, 200, "ok"), nil
		}
		last = newSource("a short text")
		answered = time.Now()
		return reply(r, 503, &closeTimer{source: last, closed: func() {
			if d := time.Since(answered); d > 0 {
				c.Errorf("the response to attempt %d was closed %v after it had come", n, d)
			}
		}}), nil
	})
	resp := c.must(rt, c.get())
	c.read(resp)
	if last != nil {
		c.wantClosed(last, "a response that was discarded or returned")
	}
	c.wantCalls(s)
}

// closeTimer is a response's body that tells when it is closed for the first
// time.
type closeTimer struct {
	*source
	closed func()
}

func (b *closeTimer) Close() error {
	if !b.source.closed() {
		b.closed()
	}
	return b.source.Close()
}

// endless is a response's body without end.
type endless struct {
	read   atomic.Int64
	closed atomic.Bool
}

const endlessLimit = 64 << 20 // where even an endless body gives up

func (b *endless) Read(p []byte) (int, error) {
	if b.read.Add(int64(len(p))) > endlessLimit {
		return 0, errors.New("the endless body was read and read")
	}
	clear(p)
	return len(p), nil
}

func (b *endless) Close() error { b.closed.Store(true); return nil }

func repeatEndlessDiscard(c *check) {
	var bodies []*endless
	rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		bodies = append(bodies, new(endless))
		return reply(r, 503, bodies[n-1]), nil
	})
	resp := c.must(rt, c.get())
	resp.Body.Close()
	for i, b := range bodies {
		if n := b.read.Load(); n > 1<<20 {
			c.Errorf("of the endless response to attempt %d %d bytes were read", i+1, n)
		}
		if !b.closed.Load() {
			c.Errorf("the endless response to attempt %d is not closed", i+1)
		}
	}
	c.wantCalls(s)
}

func repeatStalledDiscard(c *check) {
	rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		// Like the body of a connection: Close ends a Read that hangs.
		here, there := io.Pipe()
		go io.WriteString(there, "the beginning")
		return reply(r, 503, here), nil
	})
	resp := c.must(rt, c.get())
	if resp.StatusCode != 503 {
		c.Errorf("the response is %s", resp.Status)
	}
	resp.Body.Close()
	c.wantCalls(s)
}

func repeatLastResponse(c *check) {
	for _, method := range []string{"GET", "PUT", "POST"} {
		for _, status := range []int{429, 500, 502, 503, 504} {
			var calls int
			rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
				calls = n
				return text(r, status, fmt.Sprintf("answer %d", n)), nil
			})
			resp, err := c.send(rt, c.request(method, address+"/resource", strings.NewReader("content")))
			if err != nil {
				c.Errorf("%s: status %d came back as an error: %v", method, status, err)
				continue
			}
			if resp.StatusCode != status {
				c.Errorf("%s: status %d came back as %s", method, status, resp.Status)
			}
			c.wantBody(resp, fmt.Sprintf("answer %d", calls))
			c.wantCalls(s)
		}
	}
}

func repeatAttemptsAlike(c *check) {
	for _, fail := range []bool{true, false} {
		req := c.request("PUT", address+"/a?b=c", strings.NewReader("content"))
		req.Host = "virtual.test"
		req.Header = http.Header{"X-Name": {"1", "2"}}
		rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			got := []any{r.Method, r.URL.String(), r.Host, r.Header["X-Name"], r.ContentLength, string(body), err, r.GetBody != nil}
			want := []any{"PUT", address + "/a?b=c", "virtual.test", []string{"1", "2"}, int64(len("content")), "content", error(nil), true}
			if diff := cmp.Diff(want, got); diff != "" {
				c.Errorf("attempt %d differs (-want +got):\n%s", n, diff)
			}
			switch {
			case n >= 3:
				return text(r, 200, "ok"), nil
			case fail:
				return nil, errors.New("connection reset")
			}
			return text(r, 503, "busy"), nil
		})
		resp, err := c.send(rt, req)
		if err == nil {
			c.read(resp)
		}
		c.wantCalls(s)
	}
}

func repeatNotIdempotent(c *check) {
	for _, method := range []string{"POST", "PATCH"} {
		for _, fail := range []bool{true, false} {
			rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
				io.Copy(io.Discard, r.Body)
				if fail {
					return nil, errors.New("connection reset")
				}
				return text(r, 500, "oh"), nil
			})
			resp, err := c.send(rt, c.request(method, address+"/orders", strings.NewReader("content")))
			if err == nil {
				c.read(resp)
			}
			if n := s.calls.Load(); n != 1 {
				c.Errorf("%s (failing: %t) was sent %d times", method, fail, n)
			}
		}
	}
}

func repeatGetBodyFails(c *check) {
	broken := errors.New("the file is gone")
	rt, s := c.stubbed(func(n int, r *http.Request) (*http.Response, error) {
		if data, err := io.ReadAll(r.Body); err != nil || string(data) != "content" {
			c.Errorf("attempt %d has the body %q, %v", n, data, err)
		}
		return text(r, 503, "busy"), nil
	})
	body := newSource("content")
	req := c.request("PUT", address+"/resource", body)
	req.ContentLength = int64(len("content"))
	req.GetBody = func() (io.ReadCloser, error) { return nil, broken }
	resp, err := c.send(rt, req)
	if err == nil {
		if got, err := c.read(resp); err != nil || got != "busy" {
			c.Errorf("the response's body reads %q, %v", got, err)
		}
	}
	if n := s.calls.Load(); n != 1 {
		c.Errorf("the base was called %d times", n)
	}
	c.wantClosed(body, "GetBody failed")
}
