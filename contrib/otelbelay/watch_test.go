package otelbelay_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric"
	"golang.org/x/time/rate"
)

// watching returns an Observer, and what it has of one metric: the values by attributes.
func watching() (o *otelbelay.Observer, values func(name string) map[string]float64) {
	reader := metric.NewManualReader()
	o = otelbelay.New(otelbelay.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	return o, func(name string) map[string]float64 {
		all := map[string]float64{}
		for _, m := range collect(reader) {
			if m.Name == name {
				for _, p := range points(m) {
					all[strings.Join(emit(p.attrs.ToSlice()), " ")] = p.value
				}
			}
		}
		return all
	}
}

func TestWatchNames(t *testing.T) {
	o, values := watching()
	own := ratelimit.New(ratelimit.Config{Name: "own", Rate: 1})
	none, another := ratelimit.New(ratelimit.Config{Rate: 1}), ratelimit.New(ratelimit.Config{Rate: 1})
	for _, l := range []*ratelimit.Limiter{own, none, another} {
		l.Allow()
	}
	o.Watch("shop", own, none)
	o.Watch("shop", another)
	want := map[string]float64{"belay.name=own": 1, "belay.name=shop": 2} // they are added up
	if diff := cmp.Diff(want, values("belay.ratelimit.calls")); diff != "" {
		t.Error(diff)
	}
}

// What two stacks share counts once, until nobody watches it any more.
func TestWatchOnce(t *testing.T) {
	o, values := watching()
	limiter := ratelimit.New(ratelimit.Config{Rate: 1})
	limiter.Allow()
	stopA := o.Watch("a", &ratelimit.Transport{Limiter: limiter}, limiter)
	stopB := o.Watch("b", &http.Client{Transport: &ratelimit.Transport{Limiter: limiter}})
	for i, want := range []map[string]float64{
		{"belay.name=a": 1}, {"belay.name=a": 1}, {},
	} {
		if diff := cmp.Diff(want, values("belay.ratelimit.calls")); diff != "" {
			t.Errorf("after %d stops: %s", i, diff)
		}
		[]func(){stopA, stopB, stopA}[i]()
	}
}

func TestWatchTellsWhatItCannot(t *testing.T) {
	for want, x := range map[string]any{
		`otelbelay: Watch("shop"): there is nothing to watch in a *http.Client`:    &http.Client{},
		`otelbelay: Watch("shop"): there is nothing to watch in a *http.Transport`: &http.Transport{},
		`otelbelay: Watch("shop"): there is nothing to watch in a int`:             1,
		`otelbelay: Watch("shop"): there is nothing to watch in a *retry.Policy`:   (*retry.Policy)(nil),
		`otelbelay: Watch("shop"): there is nothing to watch in a <nil>`:           nil,
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			}()
			o, _ := watching()
			o.Watch("shop", x)
		}()
	}
}

// A stack with nothing in the fields that may be empty, and with what is not ours.
func TestWatchEmptyFields(t *testing.T) {
	o, values := watching()
	o.Watch("shop", &retry.Transport{Base: &ratelimit.Transport{Base: &loadbalance.Transport{Base: &breaker.Transport{
		For:  func(*http.Request) *breaker.Breaker { return nil },
		Base: answers(200),
	}}}})
	if got := values("belay.breaker.state"); len(got) > 0 {
		t.Errorf("breakers that nobody can know: %v", got)
	}
}

// The budgets of a stack are there, each once: that of a policy, those of the hosts, and
// one that hosts share. No budget is none.
func TestWatchBudgets(t *testing.T) {
	shared := retry.NewBudget(retry.BudgetConfig{Name: "shared"})
	hosts := &retry.Transport{Base: answers(200)}
	sharing := &retry.Transport{Base: answers(200), Config: retry.Config{Budget: shared}, Hedger: retry.NewHedger(retry.HedgeConfig{Budget: shared})}
	for _, rt := range []*retry.Transport{hosts, sharing} {
		for _, host := range []string{"a", "b"} {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/", nil)
			if resp, err := rt.RoundTrip(req); err != nil {
				t.Fatal(err)
			} else {
				resp.Body.Close()
			}
		}
	}
	o, values := watching()
	o.Watch("p", retry.New(retry.Config{}), &retry.Transport{Policy: retry.New(retry.Config{Budget: retry.NoBudget})})
	o.Watch("t", hosts, sharing)
	want := map[string]float64{"belay.name=p": 10, "belay.key=a belay.name=t": 10, "belay.key=b belay.name=t": 10, "belay.name=shared": 10}
	if diff := cmp.Diff(want, values("belay.retry.budget.balance")); diff != "" {
		t.Error(diff)
	}
}

// Of many keys always the same ones are shown.
func TestWatchFewKeys(t *testing.T) {
	o, values := watching()
	set := breaker.NewSet(breaker.SetConfig[string]{MaxKeys: 3000})
	for i := range 3000 {
		set.Get(fmt.Sprintf("%04d", 2999-i))
	}
	o.Watch("shards", set.All())
	for range 2 {
		open := map[string]bool{}
		for key := range values("belay.breaker.overdue") {
			open[key] = true
		}
		if len(open) != otelbelay.MaxKeys || !open["belay.key=0000 belay.name=shards"] || !open[fmt.Sprintf("belay.key=%04d belay.name=shards", otelbelay.MaxKeys-1)] {
			t.Errorf("%d keys are shown", len(open))
		}
		set.Get("0000")
	}
}

// Objects come and go while others read.
func TestWatchConcurrently(t *testing.T) {
	o, values := watching()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				b := breaker.New(breaker.Config{})
				stop := o.Watch("b", b, ratelimit.New(ratelimit.Config{Rate: 1}))
				breaker.Run(context.Background(), b, func(context.Context) error { return nil })
				values("belay.breaker.state")
				stop()
			}
		})
	}
	wg.Wait()
	if got := values("belay.ratelimit.calls"); len(got) > 0 {
		t.Errorf("%v is left", got)
	}
}

// A whole stack, a gateway and a facade are observed with at most 12 lines.
func TestExampleIsShort(t *testing.T) {
	text, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(text), "func Example() {\n")
	code, _, _ = strings.Cut(code, "// Output:")
	var lines []string
	for line := range strings.Lines(code) {
		if regexp.MustCompile(`\bo\b|otelbelay`).MatchString(line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 || len(lines) > 12 {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, ""))
	}
}

// A rate that is no limit has no number.
func TestWatchNoLimit(t *testing.T) {
	o, values := watching()
	o.Watch("shop", ratelimit.New(ratelimit.Config{Rate: rate.Inf}))
	for _, name := range []string{"belay.ratelimit.limit", "belay.ratelimit.tokens"} {
		if got := values(name); len(got) > 0 {
			t.Errorf("%s is %v", name, got)
		}
	}
}
