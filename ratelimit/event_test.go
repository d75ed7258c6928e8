package ratelimit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "caller")
		var got []Event
		var with []any
		observe := func(ctx context.Context, e Event) {
			got = append(got, e)
			with = append(with, ctx.Value(key{}))
		}
		l := New(Config{Rate: 1, Burst: 2, Queue: -1, Observe: observe, Name: "l"})
		b := NewBulkhead(BulkheadConfig{Name: "b", Limit: 1, Queue: -1, Observe: observe})
		k := NewKeyed(KeyedConfig[int]{Name: "k", Rate: 1, Observe: observe})
		l.Allow()
		l.Take(2)
		l.WaitN(ctx, 3)
		l.Wait(ctx)
		l.Wait(ctx)
		b.Acquire(ctx)
		b.Allow()
		b.Acquire(ctx)
		k.Allow(1)
		k.Take(1, 1)
		k.Wait(ctx, 1)
		All(l).Wait(ctx)
		want := []Event{
			{Kind: Admitted, Name: "l", N: 1},
			{Kind: Refused, Name: "l", N: 2, Cause: ErrLimited},
			{Kind: Refused, Name: "l", N: 3, Cause: ErrTooLarge},
			{Kind: Admitted, Name: "l", N: 1},
			{Kind: Refused, Name: "l", N: 1, Cause: ErrFull},
			{Kind: Admitted, Name: "b", N: 1},
			{Kind: Refused, Name: "b", N: 1, Cause: ErrFull},
			{Kind: Refused, Name: "b", N: 1, Cause: ErrFull},
			{Kind: Admitted, Name: "k", N: 1},
			{Kind: Refused, Name: "k", N: 1, Cause: ErrLimited},
			{Kind: Admitted, Name: "k", N: 1, Waited: time.Second},
			{Kind: Admitted, Name: "l", N: 1},
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]any{nil, nil, "caller", "caller", "caller", "caller", nil, "caller", nil, nil, "caller", "caller"}, with); diff != "" {
			t.Errorf("contexts: %s", diff)
		}
	})
}

func TestEnumsHaveTexts(t *testing.T) {
	got := fmt.Sprint(Admitted, Refused, Kind(9), Default, Success, Failure, Overload, Ignored, Outcome(9))
	if want := "admitted refused Kind(9) default success failure overload ignored Outcome(9)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if text, err := json.Marshal(map[Kind]Kind{Refused: Admitted}); err != nil || string(text) != `{"refused":"admitted"}` {
		t.Errorf("%s, %v", text, err)
	}
}

// What is logged shows what applies, and no more.
func TestLogValues(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want string
	}{
		{Event{Kind: Admitted, N: 1}, "v.kind=admitted v.n=1"},
		{Event{Kind: Refused, Name: "api", N: 2, Waited: time.Second, Cause: ErrFull},
			`v.name=api v.kind=refused v.n=2 v.waited=1s v.cause="ratelimit: no place is free"`},
		{&Error{Cause: ErrTooLarge}, `v.cause="ratelimit: more than the limit holds"`},
		{&Error{Name: "api", Cause: ErrDeadline, after: time.Second},
			`v.name=api v.cause="ratelimit: no token before the deadline" v.retry_after=1s`},
		{Event{Kind: Admitted, Key: "a", N: 1}, "v.kind=admitted v.key=a v.n=1"},
		{BulkheadStats{Limit: 3, InUse: 2, Waiting: 1}, "v.limit=3 v.in_use=2 v.waiting=1 v.calls=0 v.waited=0 v.refused=0"},
		{NewBulkhead(BulkheadConfig{Name: "db", Limit: 3}).Stats(), "v.name=db v.limit=3 v.in_use=0 v.waiting=0 v.calls=0 v.waited=0 v.refused=0"},
		{Stats{Name: "api", Limit: 10, Burst: 2, Tokens: 1.5, Calls: 7}, "v.name=api v.limit=10 v.burst=2 v.tokens=1.5 v.waiting=0 v.calls=7 v.waited=0 v.refused=0"},
		{KeyedStats{Keys: 3, Evicted: 1}, "v.keys=3 v.waiting=0 v.calls=0 v.waited=0 v.refused=0 v.evicted=1"},
	} {
		var buf bytes.Buffer
		log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		}}))
		log.Info("", "v", tt.v)
		if diff := cmp.Diff(tt.want+"\n", buf.String()); diff != "" {
			t.Errorf("%T: %s", tt.v, diff)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		`ratelimit: no place is free`:                                          &Error{Cause: ErrFull},
		`ratelimit "api": no token before the deadline, try again in 1s`:       &Error{Name: "api", Cause: ErrDeadline, after: time.Second},
		`ratelimit "api": more than the limit holds`:                           &Error{Name: "api", Cause: ErrTooLarge},
		`ratelimit: refused: context canceled`:                                 &Error{Cause: context.Canceled},
		`ratelimit: refused: ratelimit "api": no place is free: as we thought`: &Error{Cause: fmt.Errorf("%w: as we thought", &Error{Name: "api", Cause: ErrFull})},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err.Error(), want)
		}
	}
}

// A retry takes a refusal for final unless it is known when the call can be made.
func TestErrorIsRetryableWhenItKnowsWhen(t *testing.T) {
	known := &Error{Cause: ErrFull, after: time.Second}
	for _, tt := range []struct {
		err  *Error
		want bool
	}{
		{&Error{Cause: ErrDeadline, after: 1}, true},
		{known, true},
		{&Error{Cause: ErrFull}, false},
		{&Error{Cause: ErrTooLarge}, false},
		{&Error{Cause: context.DeadlineExceeded}, false},
		{&Error{Cause: fmt.Errorf("foreign: %w", known)}, true},
		{&Error{Cause: errors.New("foreign")}, false},
	} {
		if got := tt.err.Retryable(); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}
