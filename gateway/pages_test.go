package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

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

func following(_ cursor, page string) (cursor, bool) {
	return cursor{At: page, Tags: []string{"x"}}, page != ""
}

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
	for _, err := range gateway.Pages(t.Context(), endless, 0, func(_, i int) (int, bool) { return i, true }, 0) {
		last = err
	}
	if n != 1000 || !errors.Is(last, gateway.ErrPageLimit) {
		t.Errorf("%d calls, %v", n, last)
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
