package contract

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write README.md")

// chapter is a part of README.md: the cases whose names begin with one of the words.
type chapter struct{ title, text, words string }

const preface = `# What a Transport must keep

A Transport that stands between an ` + "`http.Client`" + ` and another ` + "`http.RoundTripper`" + ` must not be noticed, except by what it is there
for. This page lists what that means: one rule for each case of the conformance kit in this folder, which every Transport of
this module passes. *The caller* calls RoundTrip. *The wrapper* is the Transport under test. *The base* is the RoundTripper
that the wrapper calls.

Each rule begins with the name of its case. Run a single one, of a single package, with

    go test -run 'Contract/request/unchanged' ./retry

Each case is itself tested by a wrapper that breaks its rule.

This page is written by a test: ` + "`go test -run TestPage ./internal/contract -update`" + `.
`

var chapters = []chapter{
	{"The request", "", "request"},
	{"The request's body", "", "body expect"},
	{"The response", "", "response"},
	{"Trailers", "", "trailers"},
	{"Connections that change their protocol", "", "upgrade"},
	{"Hooks", "", "informational trace"},
	{"Contexts, deadlines and cancellation", "", "cancel"},
	{"Errors", "", "errors"},
	{"Broken connections, and what net/http sends again by itself", "", "http1 http2"},
	{"Connection pools", "", "pool"},
	{"Many calls at once", "", "concurrency"},
	{"Panics, and what is left behind", "", "panic leak"},
	{"Attempts", "For a wrapper that may send a request more than once.", "repeat"},
	{"Refusals and answers of its own", "For a wrapper that may refuse a call, or answer it without asking its base.", "refuse answer"},
}

// TestPage checks that README.md is what the cases say.
func TestPage(t *testing.T) {
	want := page(t)
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("README.md is out of date; run this test with -update (-cases +README.md):\n%s", diff)
	}
}

func page(t *testing.T) string {
	var b strings.Builder
	b.WriteString(preface)
	listed := 0
	for _, ch := range chapters {
		fmt.Fprintf(&b, "\n## %s\n\n", ch.title)
		if ch.text != "" {
			fmt.Fprintf(&b, "%s\n\n", ch.text)
		}
		for word := range strings.FieldsSeq(ch.words) {
			for _, tc := range table() {
				if strings.HasPrefix(tc.name, word+"/") {
					fmt.Fprintf(&b, "- **%s**%s %s\n", tc.name, tc.protocolNames(), tc.doc)
					listed++
				}
			}
		}
	}
	if all := len(table()); listed != all {
		t.Errorf("the chapters have %d of the %d cases", listed, all)
	}
	return b.String()
}

func (tc *testCase) protocolNames() string {
	if len(tc.over) < 2 {
		return ""
	}
	var names []string
	for _, p := range tc.over {
		names = append(names, string(p))
	}
	return " (" + strings.Join(names, ", ") + ")"
}
