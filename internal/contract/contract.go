// Package contract is a conformance kit for anything that wraps an
// [http.RoundTripper].
//
// The model: a caller hands a request to the wrapper, the wrapper hands it to
// a base, and an answer comes back the same way. Whatever a wrapper adds
// (retries, a circuit, a limit, a choice of hosts), neither side may notice
// that it is there, except through what [Traits] permits. The caller gets back
// the request it gave, a response that still streams and still carries its
// trailers, or an error in which the base's own can be found. The base gets
// the caller's body untouched and a context that lives as long as the body of
// its response. Nothing stays behind afterwards: no body left open, no
// goroutine, no permit.
//
// [Run] checks this case by case, each as a subtest and each with a fresh
// wrapper. Cases with a stub for a base run in a testing/synctest bubble, so
// that a wrapper which waits between attempts costs no time there; a bubble
// also ends with an error if a goroutine is left in it. Cases that need a
// network use loopback sockets, and fail in no way that a sane wrapper would
// answer by waiting.
//
// Where the protocol matters, the name of a case ends in http1, https1, http2
// (over TLS) or h2c. The other names never change, so that -run can be used on
// them. README.md lists all cases; TestPage writes it.
package contract

import (
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Traits says where a wrapper may differ from its base. The zero value is a
// wrapper that sends each request once and answers with what came back.
type Traits struct {
	// Repeats: the wrapper may send a request again where that is safe: the
	// method is idempotent or nothing was sent, and the body, if there is
	// one, can be had again.
	Repeats bool

	// Answers: the wrapper may answer without asking its base, as a cache
	// does.
	Answers bool

	// Refuses: the wrapper may return, without sending anything, an error
	// that has a method Rejected() bool somewhere in its tree that reports
	// true. A case ends early, as skipped, once a call of it was refused
	// where the case needs an answer. One that needs a call to come through
	// after others have failed waits for an hour (of a bubble's time) first.
	Refuses bool

	// Watches: the wrapper may follow the reads of a body that has no GetBody,
	// which only a caller's own reader has, and so pass on a body of its own.
	Watches bool
}

// Run checks the wrapper that wrap makes around a base. It calls wrap afresh
// for each case, inside the bubble if the case has one, so that no state leaks
// from one case to the next. If what wrap returns has a method Close() error,
// it is called at the end of the case; it must not close the base.
//
//	func TestTransportContract(t *testing.T) {
//		contract.Run(t, contract.Traits{Repeats: true}, func(base http.RoundTripper) http.RoundTripper {
//			return &retry.Transport{Base: base}
//		})
//	}
func Run(t *testing.T, traits Traits, wrap func(base http.RoundTripper) http.RoundTripper) {
	t.Helper()
	runCases(t, traits, wrap, table())
}

func runCases(t *testing.T, traits Traits, wrap func(http.RoundTripper) http.RoundTripper, cases []testCase) {
	t.Helper()
	for _, tc := range cases {
		for _, over := range tc.protocols() {
			t.Run(tc.title(over), func(t *testing.T) {
				t.Log(tc.doc)
				tc.exec(t, func(t *testing.T) {
					tc.run(&check{tb: t, traits: traits, wrapper: wrap, over: over, patience: tc.patience(20 * time.Second)})
				}, t.Errorf)
			})
		}
	}
}

// testCase is one obligation of a wrapper, and how it is checked.
type testCase struct {
	name string
	doc  string     // the obligation, in one line of README.md
	over []protocol // with sockets, once for each; nil: no sockets, in a bubble
	run  func(c *check)
}

// protocol is what a case's server speaks.
type protocol string

const (
	http1  protocol = "http1"
	https1 protocol = "https1"
	http2  protocol = "http2"
	h2c    protocol = "h2c"
)

// Protocols for the over field. A case whose server is hand-made, or for which
// the protocol makes no difference, has one protocol, and a name without it.
var (
	overAll   = []protocol{http1, https1, http2, h2c}
	overBoth  = []protocol{http1, http2}
	overPlain = []protocol{http1}
	overTLS   = []protocol{https1}
	overH2C   = []protocol{h2c}
)

// table returns all cases.
func table() []testCase {
	return slices.Concat(
		requestCases, bodyCases, closeCases, responseCases, streamCases, trailerCases, upgradeCases, halfCloseCases, informationalCases,
		contextCases, cancelCases, errorCases, http2Cases, repeatCases, refuseCases, concurrencyCases, leakCases,
	)
}

func (tc *testCase) protocols() []protocol {
	if tc.over == nil {
		return []protocol{""}
	}
	return tc.over
}

func (tc *testCase) title(over protocol) string {
	if len(tc.over) < 2 {
		return tc.name
	}
	return tc.name + "/" + string(over)
}

// patience is how long a case waits for something that should happen: not long
// in real time, but for as long as a wrapper may want to wait in a bubble.
func (tc *testCase) patience(realTime time.Duration) time.Duration {
	if tc.over == nil {
		return time.Hour
	}
	return realTime
}

// exec calls run where the case belongs: in a bubble, or not. A bubble that
// cannot end, because goroutines in it are blocked for good, panics; that
// becomes an error here, so that the other cases are still run.
func (tc *testCase) exec(t *testing.T, run func(*testing.T), errorf func(string, ...any)) {
	if tc.over != nil {
		run(t)
		return
	}
	var bubble atomic.Value // a string; of a goroutine that may never end
	defer func() {
		if r := recover(); r != nil {
			errorf("goroutines were left behind: %v\n%s", r, stacksOf(bubble.Load()))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		bubble.Store(bubbleName())
		run(t)
	})
}

// bubbleName returns what the stack traces of this goroutine's bubble have in
// their first lines.
func bubbleName() string {
	trace := make([]byte, 256)
	line, _, _ := strings.Cut(string(trace[:runtime.Stack(trace, false)]), "\n")
	if i := strings.Index(line, "synctest bubble "); i >= 0 {
		return strings.TrimSuffix(line[i:], ":")
	}
	return "synctest bubble"
}

// stacksOf returns the stack traces of the goroutines in a bubble.
func stacksOf(bubble any) string {
	trace := make([]byte, 1<<20)
	trace = trace[:runtime.Stack(trace, true)]
	var list []string
	for stack := range strings.SplitSeq(string(trace), "\n\n") {
		if line, _, _ := strings.Cut(stack, "\n"); strings.Contains(line, bubble.(string)) {
			list = append(list, stack)
		}
	}
	return strings.Join(list, "\n\n")
}

// check is what a case works with: the test, the wrapper and the helpers.
type check struct {
	tb
	traits   Traits
	wrapper  func(http.RoundTripper) http.RoundTripper
	over     protocol
	patience time.Duration // how long anything may take before it counts as hanging
}

// wrap returns a fresh wrapper around base.
func (c *check) wrap(base http.RoundTripper) http.RoundTripper {
	c.Helper()
	rt := c.wrapper(base)
	if rt == nil {
		c.Fatalf("wrap returned nil")
	}
	if closer, ok := rt.(io.Closer); ok {
		c.Cleanup(func() { closer.Close() })
	}
	return rt
}
