package retry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/retry"
	"github.com/google/go-cmp/cmp"
)

// Labels are few, known words.
func TestWords(t *testing.T) {
	for _, tt := range []struct {
		value interface{ String() string }
		want  string
	}{
		{retry.Succeeded, "succeeded"}, {retry.Retrying, "retrying"}, {retry.GaveUp, "gave up"},
		{retry.Hedging, "hedging"}, {retry.Refused, "refused"}, {retry.Panicked, "panicked"}, {retry.Kind(99), "Kind(99)"},
		{retry.Default, "default"}, {retry.Retry, "retry"}, {retry.Stop, "stop"}, {retry.Decision(99), "Decision(99)"},
		{retry.FullJitter, "full"}, {retry.NoJitter, "none"}, {retry.EqualJitter, "equal"}, {retry.Jitter(99), "Jitter(99)"},
	} {
		if got := tt.value.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if text, err := json.Marshal(retry.GaveUp); string(text) != `"gave up"` || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	if retry.Default != 0 {
		t.Error("the zero Decision is not Default")
	}
}

// A log shows the fields that apply, and no others.
func TestLogValues(t *testing.T) {
	for _, tt := range []struct {
		value slog.LogValuer
		want  string
	}{
		{retry.Event{Kind: retry.Succeeded, Attempt: 1, Elapsed: time.Second}, "v.kind=succeeded v.attempt=1 v.elapsed=1s"},
		{retry.Event{Kind: retry.Retrying, Name: "db", Attempt: 1, Delay: time.Second, Err: errOp}, `v.kind=retrying v.name=db v.attempt=1 v.elapsed=0s v.delay=1s v.err="operation failed"`},
		{retry.Event{Kind: retry.GaveUp, Attempt: 2, Err: errOp, Cause: errOther}, `v.kind="gave up" v.attempt=2 v.elapsed=0s v.err="operation failed" v.cause="other failure"`},
		{retry.Event{Kind: retry.Refused}, "v.kind=refused v.elapsed=0s"},
		{&retry.Error{Attempts: 1, Err: errOp}, `v.attempts=1 v.elapsed=0s v.err="operation failed"`},
		{&retry.Error{Attempts: 2, Err: errOp, Cause: errOther, Earlier: []error{errReset}}, `v.attempts=2 v.elapsed=0s v.err="operation failed" v.cause="other failure" v.earlier="read tcp: connection reset by peer"`},
		{retry.Stats{Name: "db", Retried: 2, Retries: 3, Recovered: 1, GaveUp: 1}, "v.name=db v.retried=2 v.retries=3 v.recovered=1 v.gave_up=1 v.refused=0 v.expired=0"},
		{retry.BudgetStats{Balance: 9.5, Granted: 1}, "v.balance=9.5 v.granted=1 v.refused=0"},
		{retry.HedgeStats{Delay: time.Second, Hedges: 2, Wins: 1}, "v.delay=1s v.hedges=2 v.wins=1 v.refused=0"},
		{retry.HedgeStats{Name: "db", Panics: 1}, "v.name=db v.hedges=0 v.wins=0 v.refused=0 v.panics=1"},
	} {
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", tt.value)
		if _, got, _ := strings.Cut(strings.TrimSpace(b.String()), "msg=m "); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestNamesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		observe := func(_ context.Context, e retry.Event) { names = append(names, e.Kind.String()+" by "+e.Name) }
		budget := retry.NewBudget(retry.BudgetConfig{Name: "shared"})
		p := retry.New(retry.Config{Name: "policy", Observe: observe, Budget: budget})
		h := retry.NewHedger(retry.HedgeConfig{Name: "hedger", Observe: observe, Inline: true, Budget: budget})
		retry.Run(t.Context(), p, func(context.Context) error { return nil })
		retry.Hedge(t.Context(), h, func(context.Context) (int, error) { return 0, nil }, nil)
		if diff := cmp.Diff([]string{"succeeded by policy", "succeeded by hedger"}, names); diff != "" {
			t.Error(diff)
		}
		if p.Stats().Name != "policy" || h.Stats().Name != "hedger" || budget.Stats().Name != "shared" {
			t.Errorf("%+v, %+v, %+v", p.Stats(), h.Stats(), budget.Stats())
		}
	})
}

// Each counter counts what it says, for Do and for a Transport.
func TestStats(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name  string
		cfg   retry.Config
		until time.Duration // the context's deadline; 0: none
		steps []any         // an error or a status for each attempt; 200 at the end
		want  retry.Stats
	}{
		{name: "success at first", want: retry.Stats{}},
		{name: "a final error at first", steps: []any{404}, want: retry.Stats{}},
		{name: "recovered", steps: []any{503, 503}, want: retry.Stats{Retried: 1, Retries: 2, Recovered: 1}},
		{name: "exhausted", steps: []any{503, 503, 503}, want: retry.Stats{Retried: 1, Retries: 2, GaveUp: 1}},
		{name: "refused by the budget", cfg: retry.Config{Budget: retry.NewBudget(retry.BudgetConfig{Credit: 1, Floor: -1})}, steps: []any{503, 503}, want: retry.Stats{Retried: 1, Retries: 1, GaveUp: 1, Refused: 1}},
		{name: "no time", until: 3 * s / 2, steps: []any{503, 503}, want: retry.Stats{Retried: 1, Retries: 1, GaveUp: 1, Expired: 1}},
		{name: "refused below", steps: []any{503, open}, want: retry.Stats{Retried: 1, Retries: 1, GaveUp: 1}},
		{name: "refused below at first", steps: []any{open}, want: retry.Stats{}},
	} {
		for _, through := range []string{"Do", "Transport"} {
			t.Run(tt.name+"/"+through, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx := t.Context()
					if tt.until > 0 {
						deadline, cancel := context.WithTimeout(ctx, tt.until)
						defer cancel()
						ctx = deadline
					}
					cfg := tt.cfg
					if cfg.Budget != nil {
						cfg.Budget = retry.NewBudget(retry.BudgetConfig{Credit: 1, Floor: -1})
					}
					p := everySecond(cfg)
					n := 0
					step := func() any {
						if n++; n <= len(tt.steps) {
							return tt.steps[n-1]
						}
						return 200
					}
					if through == "Do" {
						retry.Run(ctx, p, func(context.Context) error {
							switch s := step().(type) {
							case error:
								return s
							case int:
								if s != 200 {
									return status(s)
								}
							}
							return nil
						})
					} else {
						rt := &retry.Transport{Policy: p, Base: roundTrip(func(req *http.Request) (*http.Response, error) {
							switch s := step().(type) {
							case int:
								return answer(req, s, ""), nil
							case error:
								return nil, s
							}
							return nil, errors.New("no step")
						})}
						req, _ := http.NewRequestWithContext(ctx, "GET", "http://a.test/", nil)
						rt.RoundTrip(req)
					}
					if diff := cmp.Diff(tt.want, p.Stats()); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}
