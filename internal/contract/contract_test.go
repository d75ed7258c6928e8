package contract

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestBareTransport(t *testing.T) {
	Run(t, Traits{}, func(base http.RoundTripper) http.RoundTripper { return base })
}

func TestIdentity(t *testing.T) {
	Run(t, Traits{}, func(base http.RoundTripper) http.RoundTripper { return &identity{base} })
}

// TestTraitsAreNoDuty runs a wrapper that makes no use of what it may do.
func TestTraitsAreNoDuty(t *testing.T) {
	runCases(t, Traits{Repeats: true, Answers: true, Refuses: true}, func(base http.RoundTripper) http.RoundTripper { return &identity{base} }, inBubbles())
}

func TestRepeating(t *testing.T) {
	runCases(t, Traits{Repeats: true}, func(base http.RoundTripper) http.RoundTripper { return &repeating{identity{base}} }, overOne())
}

func TestRefusing(t *testing.T) {
	runCases(t, Traits{Refuses: true}, func(base http.RoundTripper) http.RoundTripper { return &refusing{identity: identity{base}} }, overOne())
}

func TestRefusingEverything(t *testing.T) {
	runCases(t, Traits{Refuses: true}, func(base http.RoundTripper) http.RoundTripper {
		r := &refusing{identity: identity{base}}
		r.failures.Store(1 << 20)
		r.lastFailure.Store(time.Now().Add(1000 * time.Hour).UnixNano())
		return r
	}, overOne())
}

func TestAnswering(t *testing.T) {
	runCases(t, Traits{Answers: true}, func(base http.RoundTripper) http.RoundTripper { return &answering{identity: identity{base}} }, overOne())
}

func inBubbles() (cases []testCase) {
	for _, tc := range table() {
		if tc.over == nil {
			cases = append(cases, tc)
		}
	}
	return cases
}

// overOne returns the cases with no more than one protocol each, to save time.
func overOne() []testCase {
	cases := table()
	for i, tc := range cases {
		cases[i].over = tc.over[:min(1, len(tc.over))]
	}
	return cases
}

// TestTable checks that the cases can be told apart and say what they are for.
func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, tc := range table() {
		if seen[tc.name] {
			t.Errorf("there are two cases %s", tc.name)
		}
		seen[tc.name] = true
		if tc.doc == "" || strings.Contains(tc.doc, "\n") || tc.run == nil {
			t.Errorf("case %s is not complete", tc.name)
		}
	}
	t.Logf("%d cases", len(seen))
}

type identity struct{ base http.RoundTripper }

func (w *identity) RoundTrip(r *http.Request) (*http.Response, error) { return w.base.RoundTrip(r) }

func (w *identity) CloseIdleConnections() {
	(&http.Client{Transport: w.base}).CloseIdleConnections()
}

// repeating sends idempotent requests, and all that cannot connect, up to
// three times.
type repeating struct{ identity }

func (w *repeating) RoundTrip(r *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		sent := r
		if attempt > 1 {
			sent = r.Clone(r.Context())
			sent.Trailer = r.Trailer
			if r.Body != nil && r.Body != http.NoBody {
				body, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				sent.Body = body
			}
		}
		resp, err := w.base.RoundTrip(sent)
		if resp != nil && resp.Request == sent {
			resp.Request = r
		}
		if attempt == 3 || !w.again(r, resp, err) {
			return resp, err
		}
		if r.GetBody != nil {
			// Ask while there is still a response to come back with.
			body, e := r.GetBody()
			if e != nil {
				return resp, err
			}
			body.Close()
		}
		if resp != nil {
			discard(resp.Body)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

func (w *repeating) again(r *http.Request, resp *http.Response, err error) bool {
	if r.Context().Err() != nil {
		return false
	}
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	idempotent := r.Method == "GET" || r.Method == "HEAD" || r.Method == "PUT" || r.Method == "DELETE" || r.Method == "OPTIONS"
	switch {
	case err == nil:
		return idempotent && resp.StatusCode >= 500 && resp.StatusCode <= 599
	case errors.Is(err, syscall.ECONNREFUSED):
		return true
	}
	// A short list of what is worth it: the contract has a long one of what is
	// not.
	return idempotent && (errors.Is(err, syscall.ECONNRESET) || err.Error() == "connection reset")
}

// discard reads what is left of a body if that is little and comes soon.
func discard(body io.ReadCloser) {
	stop := time.AfterFunc(time.Second, func() { body.Close() })
	defer stop.Stop()
	io.CopyN(io.Discard, body, 4096)
	body.Close()
}

var errRefused = &refusal{}

type refusal struct{}

func (*refusal) Error() string  { return "refused" }
func (*refusal) Rejected() bool { return true }

// refusing refuses for ten seconds after five failures in a row, and if more
// than fifty calls are under way.
type refusing struct {
	identity
	failures    atomic.Int64
	lastFailure atomic.Int64
	calls       atomic.Int64
}

func (w *refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	full := w.calls.Add(1) > 50
	defer w.calls.Add(-1)
	if full || w.failures.Load() >= 5 && time.Now().UnixNano()-w.lastFailure.Load() < int64(10*time.Second) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, errRefused
	}
	failed := true // unless it returns
	defer func() {
		if failed {
			w.failures.Add(1)
			w.lastFailure.Store(time.Now().UnixNano())
		} else {
			w.failures.Store(0)
		}
	}()
	resp, err := w.base.RoundTrip(r)
	failed = err != nil && r.Context().Err() == nil
	return resp, err
}

// answering keeps small responses that may be kept.
type answering struct {
	identity
	mu    sync.Mutex
	known map[string]*kept
}

type kept struct {
	resp http.Response
	body string
}

func (w *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != "GET" || r.URL == nil {
		return w.base.RoundTrip(r)
	}
	key := r.URL.String()
	w.mu.Lock()
	k := w.known[key]
	w.mu.Unlock()
	if k != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		resp := k.resp
		resp.Header = k.resp.Header.Clone()
		resp.Body = io.NopCloser(strings.NewReader(k.body))
		resp.Request = r
		return &resp, nil
	}
	resp, err := w.base.RoundTrip(r)
	if err != nil || resp.Header.Get("Cache-Control") == "" || resp.ContentLength < 0 || resp.ContentLength > 4096 {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	k = &kept{resp: *resp, body: string(body)}
	k.resp.Header = resp.Header.Clone()
	w.mu.Lock()
	if w.known == nil {
		w.known = make(map[string]*kept)
	}
	w.known[key] = k
	w.mu.Unlock()
	resp.Body = io.NopCloser(strings.NewReader(k.body))
	return resp, nil
}
