package contract_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
)

// rows are those of the table of responses in the README of the root, by how they
// begin, each with what it stands for.
var rows = map[string][]answer{
	"below 400": {{status: 200}, {status: 204}, {status: 302}, {status: 304}, {status: 400}, {status: 401}, {status: 404}, {status: 409}, {status: 425}, {status: 499}},
	"408":       {{status: 408}},
	"429":       {{status: 429}, {status: 429, after: "1"}},
	"500,":      {{status: 500}, {status: 506}, {status: 507}, {status: 511}, {status: 599}},
	"501,":      {{status: 501}, {status: 505}},
	"502,":      {{status: 502}, {status: 504}},
	"503":       {{status: 503}, {status: 503, after: "1"}},
	"none: an":  {{err: errors.New("connection reset")}, {err: os.ErrDeadlineExceeded}},
	"none: the": {{cancels: true, err: context.Canceled}},
	"none: a l": {{err: refusal{}}, {err: refusal{retryable: true}}},
}

type answer struct {
	status int
	after  string // Retry-After
	err    error

	cancels bool // the caller cancels, before the answer
}

type canceler struct{}

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.cancels {
		r.Context().Value(canceler{}).(context.CancelFunc)()
	}
	if a.err != nil {
		return nil, a.err
	}
	resp := &http.Response{StatusCode: a.status, Header: http.Header{}, Body: http.NoBody, Request: r}
	if a.after != "" {
		resp.Header.Set("Retry-After", a.after)
	}
	return resp, nil
}

type refusal struct{ retryable bool }

func (refusal) Error() string     { return "refused" }
func (refusal) Rejected() bool    { return true }
func (r refusal) Retryable() bool { return r.retryable }

func TestReadmeTellsWhatResponsesCount(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| response |")
	table, _, _ = strings.Cut(table, "\n\n")
	checked := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		for begin, answers := range rows {
			if len(cells) < 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), begin) {
				continue
			}
			checked++
			for _, a := range answers {
				name := strconv.Itoa(a.status) + a.after
				if a.err != nil {
					name = a.err.Error()
				}
				inBubble(t, name, func(t *testing.T) {
					for i, got := range []string{a.retried(t), a.breaks(t), a.balances(t)} {
						want := strings.TrimSpace(cells[i+2])
						word, but, _ := strings.Cut(want, "; ")
						if strings.HasPrefix(but, got) && a.after != "" || strings.HasPrefix(word, got) {
							continue
						}
						if got == "retried" && strings.HasSuffix(want, "unless it is `Retryable`") && a.err != nil {
							continue
						}
						t.Errorf("%s, the README says %q", got, want)
					}
				})
			}
		}
	}
	if checked != len(rows) {
		t.Errorf("found %d of %d rows", checked, len(rows))
	}
}

func (a answer) retried(t *testing.T) string {
	sent := 0
	rt := &retry.Transport{
		Policy: retry.New(retry.Config{MaxAttempts: 2}),
		Base:   roundTripper(func(r *http.Request) (*http.Response, error) { sent++; return a.RoundTrip(r) }),
	}
	call(t, rt)
	return map[int]string{1: "final", 2: "retried"}[sent]
}

func (a answer) breaks(t *testing.T) string {
	b := breaker.New(breaker.Config{})
	call(t, &breaker.Transport{Breaker: b, Base: a})
	switch w := b.Stats().Window; {
	case w.Failed == 1:
		return "failure"
	case w.Calls == 0:
		return "ignored"
	}
	return "success"
}

func (a answer) balances(t *testing.T) string {
	b := loadbalance.New(loadbalance.Static(loadbalance.Endpoint[*url.URL]{
		Key: "a", Value: &url.URL{Scheme: "http", Host: "a.test"},
	}), loadbalance.Config{})
	for _, before := range []answer{{status: 200}, {status: 500}} {
		call(t, &loadbalance.Transport{Balancer: b, Base: before})
	}
	was := b.Stats().Endpoints[0].FailureRate
	call(t, &loadbalance.Transport{Balancer: b, Base: a})
	switch is := b.Stats().Endpoints[0]; {
	case is.State != loadbalance.Healthy:
		return "overload"
	case is.FailureRate > was:
		return "failure"
	case is.FailureRate == was:
		return "ignored"
	}
	return "success"
}

func inBubble(t *testing.T, name string, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func call(t *testing.T, rt http.RoundTripper) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(context.WithValue(ctx, canceler{}, cancel), "GET", "http://a.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := rt.RoundTrip(req); err == nil {
		resp.Body.Close()
	}
}
