package contract

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder stands in for *testing.T, and keeps what is reported to it.
type recorder struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	failures []string
	skipped  string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.mu.Lock()
	r.skipped = fmt.Sprintf(format, args...)
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Context() context.Context { return r.ctx }

// first returns the beginning of the first failure.
func (r *recorder) first() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) == 0 {
		return ""
	}
	line, _, _ := strings.Cut(r.failures[0], "\n")
	return line
}

// protect calls f on a goroutine of its own and waits for its end; a panic is
// a failure.
func (r *recorder) protect(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				r.Errorf("panic: %v", v)
			}
		}()
		f()
	}()
	<-done
}

// record runs one case on one wrapper. It does not wait for a case that hangs
// for good.
func record(t *testing.T, tc testCase, over protocol, traits Traits, wrap func(http.RoundTripper) http.RoundTripper) *recorder {
	r := new(recorder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tc.exec(t, func(*testing.T) {
			r.ctx, r.cancel = context.WithCancel(context.Background())
			r.protect(func() {
				tc.run(&check{tb: r, traits: traits, wrapper: wrap, over: over, patience: tc.patience(3 * time.Second)})
			})
			r.cancel()
			for {
				r.mu.Lock()
				n := len(r.cleanups)
				if n == 0 {
					r.mu.Unlock()
					return
				}
				f := r.cleanups[n-1]
				r.cleanups = r.cleanups[:n-1]
				r.mu.Unlock()
				r.protect(f)
			}
		}, r.Errorf)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		r.Errorf("the case does not end")
	}
	return r
}

// TestRecorder checks that the recorder itself does not fail what is right.
func TestRecorder(t *testing.T) {
	for _, tc := range inBubbles() {
		r := record(t, tc, "", Traits{}, func(base http.RoundTripper) http.RoundTripper { return &identity{base} })
		if r.Failed() || r.skipped != "" {
			t.Errorf("%s: %q, skipped %q", tc.name, r.failures, r.skipped)
		}
	}
}
