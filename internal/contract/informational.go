package contract

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
)

var informationalCases = []testCase{
	{
		name: "informational/1xx",
		doc:  "Responses with a status 1xx arrive at the caller's httptrace hook. None of them is taken for the final response.",
		over: overBoth,
		run:  informational,
	}, {
		name: "trace/hooks",
		doc:  "The httptrace hooks in the caller's context are called.",
		over: overBoth,
		run:  traceHooks,
	},
}

func informational(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) {
		for _, link := range []string{"</one>", "</two>"} {
			w.Header().Set("Link", link)
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Del("Link")
		io.WriteString(w, "content")
	})
	var mu sync.Mutex
	var got []string
	ctx := httptrace.WithClientTrace(c.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, http.StatusText(code)+" "+header.Get("Link"))
			return nil
		},
	})
	resp := c.must(c.wrap(s.transport), c.requestWith(ctx, "GET", s.url, nil))
	if resp.StatusCode != 200 {
		c.Errorf("the response is %s", resp.Status)
	}
	c.wantBody(resp, "content")
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"Early Hints </one>", "Early Hints </two>"}; !slices.Equal(got, want) {
		c.Errorf("Got1xxResponse was told %q, want %q", got, want)
	}
}

func traceHooks(c *check) {
	s := c.serve(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	var mu sync.Mutex
	called := map[string]bool{"GetConn": false, "GotConn": false, "WroteHeaders": false, "WroteRequest": false, "GotFirstResponseByte": false}
	hook := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		called[name] = true
	}
	ctx := httptrace.WithClientTrace(c.Context(), &httptrace.ClientTrace{
		GetConn:              func(string) { hook("GetConn") },
		GotConn:              func(httptrace.GotConnInfo) { hook("GotConn") },
		WroteHeaders:         func() { hook("WroteHeaders") },
		WroteRequest:         func(httptrace.WroteRequestInfo) { hook("WroteRequest") },
		GotFirstResponseByte: func() { hook("GotFirstResponseByte") },
	})
	c.wantBody(c.must(c.wrap(s.transport), c.requestWith(ctx, "POST", s.url, strings.NewReader("content"))), "content")
	missing := func() (names []string) {
		mu.Lock()
		defer mu.Unlock()
		for name, was := range called {
			if !was {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	c.soon(func() bool { return missing() == nil }, "there are hooks that were not called, of these: %v", missing())
}
