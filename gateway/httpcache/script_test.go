package httpcache_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

// A row is one sentence of a specification, as a conversation:
//
//	> METHOD /path | Field: value | ...     a request; a URL may stand for the path
//	< 200 | Field: value | ...              what the origin answers, if it is asked;
//	                                        also "< error" and "< cut": half of a body
//	= hit 200 | Field: value | !Field | ... what comes back: "hit" without the origin,
//	                                        "miss" from it, "validated" by it, "error";
//	                                        then a status and "body=..." if need be
//	? Field: value | !Field                 what the origin was sent
//	+ 10s                                   time passes
//
// {-10} stands for the date 10 seconds ago. The origin's responses have a Date unless
// that is "none". An origin that is asked and has nothing
// to say answers 200 with nothing. Its n-th response has the body "body n".
type row struct {
	section, says string
	cfg           httpcache.Config
	script        string
}

// runRows runs each row in a bubble, with a cache of its own.
func runRows(t *testing.T, rows []row) {
	for _, row := range rows {
		t.Run(row.section+" "+row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newConversation(t, row.cfg).run(row.script) })
		})
	}
}

// A conversation is between a caller, a cache and an origin.
type conversation struct {
	*testing.T
	rt    http.RoundTripper
	asked []*http.Request
	next  string // the origin's next answer
	gave  int    // the status of its last one
}

func newConversation(t *testing.T, cfg httpcache.Config) *conversation {
	c := &conversation{T: t}
	cache := httpcache.New(cfg)
	t.Cleanup(func() { cache.Close() })
	c.rt = &httpcache.Transport{Base: c, Cache: cache, Partition: func(r *http.Request) string {
		if cfg.Shared {
			return "all"
		}
		return cmp.Or(httpcache.Credentials(r), "the one who talks")
	}}
	return c
}

func (c *conversation) run(script string) {
	c.Helper()
	var req *http.Request
	lines := strings.Split(strings.TrimSpace(script), "\n")
	for i, line := range lines {
		kind, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case ">":
			words, fields, _ := strings.Cut(text, " | ")
			method, path, _ := strings.Cut(words, " ")
			if path[0] == '/' {
				path = "http://service.test" + path
			}
			req, _ = http.NewRequestWithContext(c.Context(), method, path, nil)
			req.Header = c.fields(fields)
		case "<":
			c.next = text
		case "+":
			d, err := time.ParseDuration(text)
			if err != nil {
				c.Fatal(err)
			}
			time.Sleep(d)
		case "=":
			c.expect(req, text, lines[:i+1])
		case "?":
			c.check("the origin was sent", c.asked[len(c.asked)-1].Header, text, lines[:i+1])
		}
	}
}

var datePattern = regexp.MustCompile(`\{([+-]?\d+)\}`)

func (c *conversation) fields(text string) http.Header {
	h := http.Header{}
	text = datePattern.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(s[1 : len(s)-1])
		return time.Now().UTC().Add(time.Duration(n) * time.Second).Format(http.TimeFormat)
	})
	for field := range strings.SplitSeq(text, " | ") {
		if name, value, ok := strings.Cut(field, ":"); ok {
			h.Add(name, strings.TrimPrefix(value, " "))
		}
	}
	return h
}

// RoundTrip is the origin.
func (c *conversation) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked = append(c.asked, r)
	answer := c.next
	c.next = ""
	if answer == "error" {
		return nil, errors.New("the origin is down")
	}
	words, fields, _ := strings.Cut(answer, " | ")
	code, err := strconv.Atoi(strings.Fields(words + " 200")[0])
	if err != nil {
		code = 200
	}
	h := c.fields(fields)
	switch h.Get("Date") {
	case "":
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	case "none":
		h.Del("Date")
	}
	c.gave = code
	text := fmt.Sprintf("body %d", len(c.asked))
	resp := &http.Response{Status: strconv.Itoa(code) + " " + http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1, Header: h, ContentLength: int64(len(text)), Request: r}
	switch {
	case answer == "" || !strings.HasPrefix(words, "cut"):
		resp.Body = io.NopCloser(strings.NewReader(text))
	default:
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(text[:3]), errReader{}))
	}
	if code == 304 || code == 204 || r.Method == "HEAD" {
		resp.Body, resp.ContentLength = http.NoBody, -1
	}
	return resp, nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// expect sends req and compares what comes back.
func (c *conversation) expect(req *http.Request, text string, lines []string) {
	c.Helper()
	before := len(c.asked)
	resp, err := c.rt.RoundTrip(req)
	words, fields, _ := strings.Cut(text, " | ")
	want := strings.Fields(words)
	fail := func(format string, args ...any) {
		c.Helper()
		c.Fatalf("%s\n%s", strings.Join(lines, "\n"), fmt.Sprintf(format, args...))
	}
	if err != nil {
		if want[0] != "error" {
			fail("RoundTrip: %v", err)
		}
		return
	}
	if resp.Request != req {
		fail("the response is to another request: %v", resp.Request.Header)
	}
	body, readErr := io.ReadAll(resp.Body)
	resp.Body.Close()
	synctest.Wait() // for what runs in the background
	status, _ := httpcache.StatusOf(resp.Header)
	latest := fmt.Sprintf("body %d", len(c.asked))
	got := "miss"
	switch {
	case len(c.asked) == before || status.Hit:
		got = "hit"
	case c.gave == 304 && resp.StatusCode == 200:
		got = "validated"
	case readErr == nil && string(body) != latest && len(body) > 0:
		fail("the body is %q, want %q", body, latest)
	}
	if want[0] != got {
		fail("this is a %s, want a %s; %s", got, want[0], resp.Header["Cache-Status"])
	}
	for _, w := range want[1:] {
		if b, ok := strings.CutPrefix(w, "body="); ok {
			if b = strings.ReplaceAll(b, "_", " "); b != string(body) {
				fail("the body is %q, want %q", body, b)
			}
		} else if w != strconv.Itoa(resp.StatusCode) {
			fail("the status is %d, want %s", resp.StatusCode, w)
		}
	}
	c.check("the response has", resp.Header, fields, lines)
}

// check compares fields; "!Field" must be absent.
func (c *conversation) check(what string, h http.Header, text string, lines []string) {
	c.Helper()
	for field := range strings.SplitSeq(text, " | ") {
		if name, ok := strings.CutPrefix(field, "!"); ok {
			if h.Get(name) != "" {
				c.Fatalf("%s\n%s %s: %s", strings.Join(lines, "\n"), what, name, h.Get(name))
			}
			continue
		}
		for name, values := range c.fields(field) {
			if got := strings.Join(h[name], ", "); got != values[0] {
				c.Fatalf("%s\n%s %s: %s, want %s", strings.Join(lines, "\n"), what, name, got, values[0])
			}
		}
	}
}
