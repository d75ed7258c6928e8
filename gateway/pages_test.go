package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
)

type cursor struct {
	At   string
	Tags []string // so that it cannot be a key of a map
}

// chain answers a cursor with the one that follows it, "" for none.
func chain(links map[string]string, asked *[]string) func(context.Context, cursor) (string, error) {
	return func(_ context.Context, c cursor) (string, error) {
		*asked = append(*asked, c.At)
		next, ok := links[c.At]
		if !ok {
			return "", errX
		}
		return next, nil
	}
}

func following(_ cursor, page string) (cursor, bool, error) {
	if page == "broken" {
		return cursor{}, false, errNext
	}
	return cursor{At: page, Tags: []string{"x"}}, page != "", nil
}

var errNext = errors.New("gateway: next")

func TestPages(t *testing.T) {
	for _, tt := range []struct {
		name  string
		links map[string]string
		limit int
		asked string
		err   error
	}{
		{"one", map[string]string{"a": ""}, 0, "a", nil},
		{"three", map[string]string{"a": "b", "b": "c", "c": ""}, 3, "a b c", nil},
		{"limit", map[string]string{"a": "b", "b": "c", "c": ""}, 2, "a b", gateway.ErrPageLimit},
		{"same again", map[string]string{"a": "a"}, 0, "a", gateway.ErrPageCycle},
		{"circle", map[string]string{"a": "b", "b": "c", "c": "b"}, 0, "a b c", gateway.ErrPageCycle},
		{"error", map[string]string{"a": "b"}, 0, "a b", errX},
		{"error of next", map[string]string{"a": "b", "b": "broken"}, 0, "a b", errNext},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			pages := gateway.Pages(t.Context(), chain(tt.links, &asked), cursor{At: "a", Tags: []string{"x"}}, following, tt.limit)
			for range 2 { // each loop begins with the first page
				asked = nil
				var last error
				n := 0
				for page, err := range pages {
					if last != nil {
						t.Fatal("it goes on after an error")
					}
					if last = err; err == nil {
						n++
					} else if page != "" {
						t.Errorf("the error comes with %q", page)
					}
				}
				if got := strings.Join(asked, " "); got != tt.asked || !errors.Is(last, tt.err) {
					t.Errorf("asked for %s, ended with %v; want %s, %v", got, last, tt.asked, tt.err)
				}
				if tt.err != errX && n != len(asked) {
					t.Errorf("%d pages of %d", n, len(asked))
				}
				if _, ok := errors.AsType[*gateway.PageError[cursor]](last); ok != (tt.err != nil) {
					t.Errorf("the error is a %T", last)
				}
			}
		})
	}
}

// Nothing is asked for that is not wanted.
func TestPagesAreLazy(t *testing.T) {
	var asked []string
	pages := gateway.Pages(t.Context(), chain(map[string]string{"a": "b", "b": "c"}, &asked), cursor{At: "a"}, following, 0)
	if len(asked) != 0 {
		t.Errorf("asked for %v before the loop", asked)
	}
	for range pages {
		if len(asked) == 2 {
			break
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked for %v", asked)
	}
	// And by default there is a limit.
	n := 0
	endless := func(_ context.Context, i int) (int, error) { n++; return i + 1, nil }
	var last error
	for _, err := range gateway.Pages(t.Context(), endless, 0, func(_, i int) (int, bool, error) { return i, true, nil }, 0) {
		last = err
	}
	if n != 1000 || !errors.Is(last, gateway.ErrPageLimit) {
		t.Errorf("%d calls, %v", n, last)
	}
}

// Whoever gets an error can go on with the page that it is about.
func TestPageError(t *testing.T) {
	links := map[string]string{"a": "b", "c": "d", "d": ""}
	var asked []string
	got, err := "", error(nil)
	walk := func(from cursor, limit int) {
		for page, e := range gateway.Pages(t.Context(), chain(links, &asked), from, following, limit) {
			if err = e; e == nil {
				got += page
			}
		}
	}
	walk(cursor{At: "a"}, 0)
	e, _ := errors.AsType[*gateway.PageError[cursor]](err)
	if e == nil || e.Page != 2 || e.Request.At != "b" || e.Err != errX || err.Error() != "gateway: page 2: x" || fmt.Sprintf("%#v", e) != err.Error() {
		t.Fatalf("%#v", err)
	}
	links["b"] = "c"
	walk(e.Request, 1)
	e, _ = errors.AsType[*gateway.PageError[cursor]](err)
	if e == nil || e.Page != 2 || e.Request.At != "c" || !errors.Is(err, gateway.ErrPageLimit) || err.Error() != "gateway: page 2: more pages than the limit of 1" {
		t.Fatalf("%#v", err)
	}
	if walk(e.Request, 0); err != nil || got != "bcd" {
		t.Errorf("%q, %v", got, err)
	}
	links["d"] = "broken"
	walk(cursor{At: "c"}, 0)
	if e, _ = errors.AsType[*gateway.PageError[cursor]](err); e == nil || e.Page != 2 || e.Request.At != "d" || err.Error() != "gateway: page 2: next" {
		t.Errorf("%#v", err)
	}
	// The error of a call is still what it was, to the layers above.
	api := mustNew(t, gateway.Config{Transport: reply(503, "", "Retry-After: 7")})
	list := gateway.NewEndpoint[gateway.None, string](api, "GET /x", gateway.EndpointConfig{})
	for _, err := range gateway.Pages(t.Context(), list.Call, none, func(gateway.None, string) (gateway.None, bool, error) { return none, true, nil }, 0) {
		if e := asError(t, err, gateway.BadStatus); !e.Retryable() || e.RetryAfter() != 7*time.Second {
			t.Errorf("%v", err)
		}
	}
}

func TestItems(t *testing.T) {
	var asked []string
	links := map[string]string{"a": "bcd", "bcd": "", "": ""}
	letters := func(page string) []rune { return []rune(page) }
	collect := func(stop rune) (got string, err error) {
		asked = nil
		pages := gateway.Pages(t.Context(), chain(links, &asked), cursor{At: "a"}, following, 0)
		for r, err := range gateway.Items(pages, letters) {
			if err != nil {
				return got, err
			}
			if got += string(r); r == stop {
				break
			}
		}
		return got, nil
	}
	if got, err := collect('-'); got != "bcd" || err != nil || len(asked) != 2 {
		t.Errorf("%q, %v, asked for %v", got, err, asked)
	}
	if got, err := collect('c'); got != "bc" || err != nil || len(asked) != 1 {
		t.Errorf("stopped: %q, %v, asked for %v", got, err, asked)
	}
	links["bcd"] = "e"
	if got, err := collect('-'); got != "bcde" || !errors.Is(err, errX) {
		t.Errorf("with an error: %q, %v", got, err)
	}
}

// RFC 8288, with what servers make of it.
func TestLink(t *testing.T) {
	for _, tt := range []struct{ field, rel, want string }{
		{`<https://a.example/x?page=2>; rel="next"`, "next", "https://a.example/x?page=2"},
		{`<https://a.example/x?page=2>; rel="next"`, "NEXT", "https://a.example/x?page=2"},
		{`<https://a.example/x?page=2>; rel="next"`, "last", ""},
		{`</x>; rel=next`, "next", "/x"},
		{`</x>;rel = next ;a="b"`, "next", "/x"},
		{`</x>; REL="first  next"`, "next", "/x"},
		{`</1>; rel=prev, </2>; rel=next, </3>; rel=next`, "next", "/2"},
		{`</a,b;c>; title="x, y; rel=\"no\""; rel=next`, "next", "/a,b;c"},
		{`</1>; rel=prev; rel=next`, "next", ""}, // the first rel counts
		{`</1>; rel=next; anchor="/other"`, "next", ""},
		{`</1>; rel*=next`, "next", ""},
		{`</1>, </2>; rel=next`, "next", "/2"},
		{`junk, </2>; rel=next`, "next", "/2"},
		{`</1>; rel="next`, "next", ""},
		{`</1; rel=next`, "next", ""},
		{`</1>; rel="nex\t"`, "next", "/1"},
		{`<%zz>; rel=next, </2>; rel=next`, "next", "/2"},
		{`,, ,</2>;rel=next,`, "next", "/2"},
		{`<>; rel=next`, "next", ""},
		{``, "next", ""},
		{`</1>; rel="nextish"`, "next", ""},
	} {
		u, ok := gateway.Link(http.Header{"Link": {tt.field}}, tt.rel)
		got := ""
		if ok {
			got = u.String()
		}
		if got != tt.want || ok != (u != nil) || tt.want != "" && !ok {
			t.Errorf("%s, %s: %q, %t, want %q", tt.field, tt.rel, got, ok, tt.want)
		}
	}
	h := http.Header{}
	h.Add("Link", "</1>; rel=prev")
	h.Add("Link", "</2>; rel=next")
	if u, ok := gateway.Link(h, "next"); !ok || u.String() != "/2" {
		t.Errorf("two lines: %v, %t", u, ok)
	}
}

func FuzzLink(f *testing.F) {
	f.Add(`</x>; rel="a next"; title="x, y", <b>; anchor=c`, "next")
	f.Add(`<x>;rel=next,`, "next")
	f.Fuzz(func(t *testing.T, field, rel string) {
		u, ok := gateway.Link(http.Header{"Link": {field}}, rel)
		if ok && (u == nil || !strings.Contains(strings.ToLower(field), "rel") || !strings.Contains(field, "<")) {
			t.Errorf("%v", u)
		}
		// What comes before a well-formed link, if it ends with its comma, and after it does not
		// matter, unless it is a link or a string of its own.
		if strings.ContainsAny(field, "<\"") {
			return
		}
		around := fmt.Sprintf(`%s, </found?x=1>; rel=wanted, %s`, field, field)
		if u, ok := gateway.Link(http.Header{"Link": {around}}, "wanted"); !ok || u.String() != "/found?x=1" {
			t.Errorf("%q: %v, %t", around, u, ok)
		}
	})
}
