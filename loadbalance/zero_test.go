package loadbalance_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// A Balancer that was not made by New refuses every pick, and says why.
func TestZeroBalancer(t *testing.T) {
	const want = "loadbalance: no endpoints: a Balancer that was not made by New"
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), loadbalance.WithSpread(t.Context()), ended} {
		var b balancer
		_, err := b.Pick(ctx)
		if e, ok := errors.AsType[*loadbalance.Error](err); !ok || !e.Rejected() || e.Error() != want {
			t.Error(err)
		}
		if err := loadbalance.Run(ctx, &b, func(context.Context, int) error { t.Error("it was called"); return nil }); err == nil || err.Error() != want {
			t.Error(err)
		}
		if s := b.Stats(); len(s.Endpoints) != 0 || s.Refused != 2 {
			t.Errorf("%+v", s)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	var p pick
	p.Answered(good)
	p.Done(failed)
	if p.Value() != 0 || p.Endpoint().Key != "" {
		t.Error("a zero Pick has an endpoint")
	}
	defer func() {
		if v, _ := recover().(string); !strings.HasPrefix(v, "loadbalance: Check: a Balancer") {
			t.Error(v)
		}
	}()
	var b balancer
	b.Check(func(context.Context, int) error { return nil })
}

// Times that are as long as can be are no shorter than others.
func TestLongestTimes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		src := newFeed()
		const day = 24 * time.Hour
		b := loadbalance.New(src, loadbalance.Config{SlowStart: math.MaxInt64, TrialLease: math.MaxInt64, EjectFor: 400 * day, MaxEjectFor: 800 * day})
		defer b.Close()
		src.set(numbers(2)...)
		src.set(numbers(3)...)
		inState(t, b, "2", loadbalance.SlowStart, "it has joined")
		for i := range 20 {
			for stats(t, b, "0").State != loadbalance.Ejected {
				at(t, b, "0", failed)
			}
			time.Sleep(time.Duration(min(i+1, 2))*400*day - 1)
			inState(t, b, "0", loadbalance.Ejected, "")
			time.Sleep(time.Nanosecond)
			inState(t, b, "0", loadbalance.HalfOpen, "")
		}
	})
}
