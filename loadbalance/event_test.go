package loadbalance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

func collect(events *[]loadbalance.Event) func(context.Context, loadbalance.Event) {
	var mu sync.Mutex // goroutines of the balancer's tell, too
	return func(_ context.Context, e loadbalance.Event) {
		mu.Lock()
		defer mu.Unlock()
		*events = append(*events, e)
	}
}

// Events come in order, without a lock, and with the context of the call.
func TestObserve(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		type key struct{}
		var told []string
		var b *balancer
		src := newFeed()
		b = loadbalance.New(src, loadbalance.Config{EjectAfter: 1, SlowStart: time.Second, Observe: func(ctx context.Context, e loadbalance.Event) {
			s := fmt.Sprint(e.Kind)
			switch e.Kind {
			case loadbalance.Changed:
				s = fmt.Sprintf("%s: %v to %v", e.Key, e.From, e.To)
				if e.Value.(int) > 9 {
					t.Error(e.Value)
				}
			case loadbalance.Updated:
				s += fmt.Sprint(" ", e.Size)
			case loadbalance.Drained:
				s += fmt.Sprint(" ", e.Key, " ", e.Value)
			case loadbalance.SourceFailed, loadbalance.Refused:
				s += fmt.Sprint(": ", e.Err)
			}
			if ctx.Value(key{}) != nil {
				s += ", of the call"
			}
			told = append(told, s)
			if b != nil {
				b.Stats()
			}
		}})
		src.set(numbers(2)...)
		ctx := context.WithValue(t.Context(), key{}, 1)
		loadbalance.Run(ctx, b, func(context.Context, int) error { return failed.Err })
		ejected := "0"
		if stats(t, b, "1").State == loadbalance.Ejected {
			ejected = "1"
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		due(t, b)
		one(t, b, good)
		time.Sleep(time.Second)
		synctest.Wait()
		src.fail(failed.Err)
		p := picked(t, b)
		gone := p.Endpoint().Key
		other := map[string]int{"0": 1, "1": 0}[gone]
		src.set(numbers(2)[other])
		p.Done(good)
		_, err := b.PickWith(ctx, loadbalance.Hint{Exclude: []string{"0", "1"}})
		b.Close()
		want := []string{
			"updated 2",
			ejected + ": healthy to ejected, of the call",
			ejected + ": ejected to half-open",
			ejected + ": half-open to slow start",
			ejected + ": slow start to healthy",
			"source failed: it failed",
			gone + ": healthy to draining",
			"updated 1",
			"drained " + gone + " " + gone,
			"refused: " + err.Error() + ", of the call",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q\nwant %q", told, want)
		}
	})
}

// An Observe that panics does not keep the next events from coming.
func TestObservePanics(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls := 0
		b := fixed(2, loadbalance.Config{EjectAfter: 1, Panic: -1, Observe: func(_ context.Context, e loadbalance.Event) {
			if calls++; e.Kind == loadbalance.Changed && e.To == loadbalance.Ejected {
				panic("observed")
			}
		}})
		func() {
			defer func() { recover() }()
			one(t, b, failed)
		}()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if calls != 3 { // updated, ejected, half-open
			t.Errorf("%d events", calls)
		}
	})
}

func TestStrings(t *testing.T) {
	for _, v := range []any{
		loadbalance.Healthy, loadbalance.Draining, loadbalance.Draining + 1, loadbalance.Changed, loadbalance.Refused, loadbalance.Refused + 1,
		loadbalance.PeakEWMA, loadbalance.First, loadbalance.First + 1, loadbalance.Default, loadbalance.Ignored, loadbalance.Ignored + 1,
	} {
		if s := fmt.Sprint(v); s == "" || s == fmt.Sprint(int(0)) {
			t.Errorf("%T %v", v, s)
		}
	}
	if s := fmt.Sprint(loadbalance.SlowStart, loadbalance.HalfOpen, loadbalance.Overload, loadbalance.First+1); s != "slow start half-open overload Policy(7)" {
		t.Error(s)
	}
	text, err := json.Marshal(map[string]any{"kind": loadbalance.SourceFailed, "state": loadbalance.SlowStart})
	if want := `{"kind":"source failed","state":"slow start"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// Logs show what applies, and nothing else.
func TestLogValue(t *testing.T) {
	why := errors.New("why")
	for want, v := range map[string]slog.LogValuer{
		"kind=changed name=orders key=a from=healthy to=ejected reason=slow": loadbalance.Event{Kind: loadbalance.Changed, Name: "orders", Key: "a", Value: 7, To: loadbalance.Ejected, Reason: "slow"},
		"kind=updated size=3":                      loadbalance.Event{Kind: loadbalance.Updated, Size: 3},
		"kind=drained key=a":                       loadbalance.Event{Kind: loadbalance.Drained, Key: "a", Value: 7},
		"kind=panicked panic=true":                 loadbalance.Event{Kind: loadbalance.Panicked, Panic: true},
		`kind="source failed" err=why`:             loadbalance.Event{Kind: loadbalance.SourceFailed, Err: why},
		`name=orders err="no endpoints" cause=why`: &loadbalance.Error{Name: "orders", Err: loadbalance.ErrNoEndpoints, Cause: why},
		"err=closed":                               &loadbalance.Error{Err: loadbalance.ErrClosed},
		"name=orders panic=true err=why panics=1 calls=9 failed=8 refused=7 ejected=6 " +
			"a.state=ejected a.reason=slow a.for=1s a.weight=2 a.in_flight=3 a.latency=2ms a.failure_rate=0.5 " +
			"a.calls=9 a.failed=5 a.overloaded=4 a.ignored=3 a.trials=2 a.ejected=1": loadbalance.Stats{
			Name: "orders", Panic: true, Err: why, Panics: 1, Calls: 9, Failed: 8, Refused: 7, Ejected: 6, Endpoints: []loadbalance.EndpointStats{
				{Key: "a", State: loadbalance.Ejected, Reason: "slow", For: time.Second, Weight: 2, InFlight: 3, Latency: 2 * time.Millisecond, FailureRate: 0.5,
					Calls: 9, Failed: 5, Overloaded: 4, Ignored: 3, Trials: 2, Ejected: 1}}},
		"calls=0 a.state=healthy a.in_flight=0 a.calls=0": loadbalance.Stats{Endpoints: []loadbalance.EndpointStats{{Key: "a", Weight: 1}}},
	} {
		var buf strings.Builder
		handler := slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key != "x" {
				return slog.Attr{}
			}
			return a
		}})
		slog.New(handler).Info("", "x", v)
		if got := strings.ReplaceAll(strings.TrimSpace(buf.String()), "x.", ""); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// The name is in events, statistics and errors.
func TestName(t *testing.T) {
	var events []loadbalance.Event
	b := fixed(2, loadbalance.Config{Name: "orders", Observe: collect(&events)})
	b.Close()
	_, err := b.Pick(t.Context())
	if s := err.Error(); s != "loadbalance orders: closed" {
		t.Errorf("%q", s)
	}
	if name := b.Stats().Name; name != "orders" {
		t.Errorf("%q", name)
	}
	for _, e := range events {
		if e.Name != "orders" {
			t.Errorf("%+v", e)
		}
	}
	if len(events) != 2 { // updated, refused
		t.Errorf("%+v", events)
	}
}
