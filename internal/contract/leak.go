package contract

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"strings"
	"time"
)

var leakCases = []testCase{
	{
		name: "leak/goroutines",
		doc:  "When a call has ended, in whatever way, no goroutine that it started is left.",
		over: overBoth,
		run:  leakGoroutines,
	},
}

// Goroutines inherit the labels of the one that starts them, so those of this
// case can be told from all others.
func leakGoroutines(c *check) {
	arrived := make(chan bool, 1)
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			arrived <- true
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "first")
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/open" {
			<-r.Context().Done()
		}
	})
	const label = "contract-leak"
	name := fmt.Sprintf("%p", s)
	rt := c.wrap(s.transport)
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, name)))
	defer pprof.SetGoroutineLabels(context.Background())

	parent, end := context.WithCancel(context.WithoutCancel(c.Context())) // outlives the calls
	defer end()
	c.read(c.must(rt, c.requestWith(parent, "GET", s.url+"/", nil)))
	resp := c.must(rt, c.requestWith(parent, "GET", s.url+"/", nil)) // read, never closed
	c.do("reading", func() { io.Copy(io.Discard, resp.Body) })
	resp = c.must(rt, c.requestWith(parent, "GET", s.url+"/open", nil)) // closed, not read
	c.do("closing", func() { resp.Body.Close() })
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	k := c.start(rt, c.requestWith(ctx, "GET", s.url+"/hang", nil))
	during(c, k, arrived, "the request at the server")
	cancel()
	c.result(k)
	c.send(rt, c.requestWith(ctx, "GET", s.url+"/", nil)) // canceled before
	c.send(rt, c.requestWith(parent, "POST", "gopher://service.test", newSource("content")))

	pprof.SetGoroutineLabels(context.Background())
	mark := fmt.Sprintf("%q:%q", label, name)
	limit := time.After(c.patience)
	for {
		s.transport.CloseIdleConnections() // a canceled stream keeps its connection busy for a moment
		var profile bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&profile, 1)
		var left []string
		for group := range strings.SplitSeq(profile.String(), "\n\n") {
			if strings.Contains(group, mark) {
				left = append(left, group)
			}
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			c.Fatalf("goroutines are left:\n%s", strings.Join(left, "\n\n"))
		}
	}
}
