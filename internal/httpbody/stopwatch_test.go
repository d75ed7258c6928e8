package httpbody

import (
	"context"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// late returns a byte after each of these times, and then fails.
type late []time.Duration

func (l *late) Read(p []byte) (int, error) {
	time.Sleep((*l)[0])
	if *l = (*l)[1:]; len(*l) == 0 {
		return 0, context.DeadlineExceeded
	}
	return 1, nil
}

func TestStopwatch(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name         string
		pause        time.Duration // of the caller, before each read
		reads        late
		slow, events bool // whether it is, as any body and as a stream of events
	}{
		{"silence from the beginning", 0, late{10 * s}, true, true},
		{"silence for half of the time", 0, late{5 * s, 5 * s}, true, true},
		{"bytes that drip until the end", 0, late{3 * s, 3 * s, 4 * s}, true, false},
		{"a reader that comes late", 6 * s, late{4 * s}, false, false},
		{"a reader that is slow", 6 * s, late{0, 0, 0, s}, false, false},
		{"nothing at all", 0, late{0}, true, true},
	} {
		for _, events := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				epoch := time.Now()
				time.Sleep(time.Hour)
				resp := &http.Response{Header: http.Header{}, Body: io.NopCloser(new(slices.Clone(tt.reads)))}
				want := tt.slow
				if events {
					resp.Header.Set("Content-Type", "text/event-stream; charset=utf-8")
					want = tt.events
				}
				var watch Stopwatch
				watch.Watch(resp, epoch)
				for {
					time.Sleep(tt.pause)
					if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
						break
					}
				}
				if watch.Slow() != want {
					t.Errorf("%s, of events: %t: slow is %t", tt.name, events, watch.Slow())
				}
			})
		}
	}
	resp := &http.Response{Body: http.NoBody}
	if new(Stopwatch).Watch(resp, time.Now()); resp.Body != http.NoBody {
		t.Error("http.NoBody is wrapped")
	}
}

func TestOutOfTime(t *testing.T) {
	past, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	soon, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if !OutOfTime(past) || OutOfTime(soon) || OutOfTime(t.Context()) {
		t.Error(OutOfTime(past), OutOfTime(soon), OutOfTime(t.Context()))
	}
}
