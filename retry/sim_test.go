package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/sim"
	"github.com/cenkalti/backoff/v4"
)

// What the simulations play are the package's own policies, budgets and schedules:
// their loop decides after each attempt, and only its sleep is an event.

var errSim = errors.New("failed")

// A strategy is a way of retrying.
type strategy struct {
	name   string
	config func(*sim.Rand) Config // of a client's policy
	shared bool                   // one budget or gate for all clients
	gate   func(*sim.Sim) gate    // a peer's rule in place of a budget; nil: none
}

// A gate is a published rule that limits retries.
type gate interface {
	request()
	result(ok bool)
	retry() bool
}

// client is one policy at work.
type client struct {
	policy *Policy
	gate   gate
}

func (st strategy) clients(s *sim.Sim, n int) []client {
	clients := make([]client, n)
	for i := range clients {
		if i > 0 && st.shared {
			clients[i] = clients[0]
			continue
		}
		clients[i].policy = New(st.config(s.Rand))
		if st.gate != nil {
			clients[i].gate = st.gate(s)
		}
	}
	return clients
}

// call makes one call: attempt is told how the attempt ends, sooner or later.
func (c client) call(s *sim.Sim, attempt func(done func(ok bool)), end func(ok bool)) {
	if c.gate != nil {
		c.gate.request()
	}
	l := new(loop)
	l.begin(context.Background(), c.policy)
	var again func()
	again = func() {
		attempt(func(ok bool) {
			if c.gate != nil {
				c.gate.result(ok)
			}
			if ok {
				l.succeed()
				end(true)
				return
			}
			delay, more := l.plan(classify(l.parent, nil, errSim), errSim)
			if !more || c.gate != nil && !c.gate.retry() {
				end(false)
				return
			}
			s.After(delay, again)
		})
	}
	again()
}

// seeded is the schedule of Exponential with a source of its own.
func seeded(r *sim.Rand, base, limit time.Duration, j Jitter) func() backoff.BackOff {
	return func() backoff.BackOff {
		return &exponential{base: base, max: limit, jitter: j, rand: r.Uint64N}
	}
}

func defaultPolicy(r *sim.Rand) Config {
	return Config{Schedule: seeded(r, 100*time.Millisecond, 10*time.Second, FullJitter)}
}

// attemptsOf is n attempts without a budget, after delays of j from base on.
func attemptsOf(n int, base time.Duration, j Jitter) func(*sim.Rand) Config {
	return func(r *sim.Rand) Config {
		return Config{MaxAttempts: n, Budget: NoBudget, Schedule: seeded(r, base, 400*base, j)}
	}
}

func bucketOf(credit int, perRequest bool) func(*sim.Rand) Config {
	return func(r *sim.Rand) Config {
		return Config{
			MaxAttempts: 4, Schedule: Constant(0),
			Budget: NewBudget(BudgetConfig{Credit: credit, Floor: -1, PerRequest: perRequest}),
		}
	}
}

var (
	noRetries   = strategy{name: "no retries", config: attemptsOf(1, 0, NoJitter)}
	threeAtOnce = strategy{name: "3 attempts at once", config: attemptsOf(3, 0, NoJitter)}
	backoffOnly = strategy{name: "3 attempts, 0.1 s backoff, full jitter", config: attemptsOf(3, 100*time.Millisecond, FullJitter)}
	byDefault   = strategy{name: "default Policy", shared: true, config: defaultPolicy}
	eachItsOwn  = strategy{name: "default Policy, a budget for each client", config: defaultPolicy}
	grpcRule    = strategy{name: "gRPC A6 throttle (10 tokens, 0.1)", shared: true, config: backoffOnly.config, gate: newA6}
	finagleRule = strategy{name: "Finagle budget (20 % of requests, 10/s)", shared: true, config: threeAtOnce.config, gate: newFinagle}
	awsRule     = strategy{name: "AWS quota (500 tokens, 14 a retry)", shared: true, config: backoffOnly.config, gate: newAWS}
)

// a6 is the throttle of gRPC's proposal A6: a failure costs a token, a success
// earns a tenth, and half of the tokens must be there for a retry.
type a6 struct{ tokens float64 }

func newA6(*sim.Sim) gate { return &a6{tokens: 10} }
func (g *a6) request()    {}
func (g *a6) retry() bool { return g.tokens > 5 }
func (g *a6) result(ok bool) {
	if ok {
		g.tokens = min(g.tokens+0.1, 10)
	} else {
		g.tokens = max(g.tokens-1, 0)
	}
}

// finagle is a bucket into which each request puts a fifth of a retry, and each
// second 10, in all no more than those of the last 10 seconds.
type finagle struct {
	s      *sim.Sim
	earned sim.Bins // in hundredths
	spent  sim.Bins
}

func newFinagle(s *sim.Sim) gate { return &finagle{s: s} }
func (g *finagle) request() {
	for range 20 {
		g.earned.Add(g.s.Now())
	}
}
func (g *finagle) result(bool) {}
func (g *finagle) retry() bool {
	now := g.s.Now()
	from := now - 10*time.Second
	if g.earned.Sum(from, now+time.Second)+100*100-100*g.spent.Sum(from, now+time.Second) < 100 {
		return false
	}
	g.spent.Add(now)
	return true
}

// aws is the quota of the AWS SDKs' 2026 mode: a retry costs 14 tokens of 500, a
// success earns 1.
type aws struct{ tokens int }

func newAWS(*sim.Sim) gate { return &aws{tokens: 500} }
func (g *aws) request()    {}
func (g *aws) result(ok bool) {
	if ok {
		g.tokens = min(g.tokens+1, 500)
	}
}
func (g *aws) retry() bool {
	if g.tokens < 14 {
		return false
	}
	g.tokens -= 14
	return true
}

// failing plays clients whose server fails with a probability that does not depend
// on the load (Brooker, "Fixing retries with token buckets and circuit breakers",
// 2022), and returns the shares of calls that succeed and of attempts per call,
// in percent, after a warm-up without failures.
func failing(t *testing.T, seed uint64, st strategy, clients int, rate, p float64, span time.Duration) (success, load float64) {
	const warm = 10 * time.Second
	calls, attempts, succeeded := 0, 0, 0
	sim.Run(t, seed, func(s *sim.Sim) {
		all := st.clients(s, clients)
		s.Poisson(0, warm+span, rate, func() {
			counts := s.Now() >= warm
			if counts {
				calls++
			}
			all[s.Rand.IntN(clients)].call(s, func(done func(bool)) {
				if counts {
					attempts++
				}
				done(s.Now() < warm || s.Rand.Float64() >= p)
			}, func(ok bool) {
				if counts && ok {
					succeeded++
				}
			})
		})
	})
	return 100 * float64(succeeded) / float64(calls), 100 * float64(attempts) / float64(calls)
}

func TestSimFailureRates(t *testing.T) {
	span, seeds, ps, clients := 10*time.Second, 1, []float64{0.05, 0.1, 1}, []int{1000}
	strategies := []strategy{noRetries, threeAtOnce, byDefault}
	if sim.Full() {
		span, seeds, ps, clients = 30*time.Second, 4, []float64{0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1}, []int{10, 100, 1000}
		strategies = []strategy{
			noRetries, threeAtOnce, byDefault,
			{name: "default Policy, deposits per request", shared: true, config: func(r *sim.Rand) Config {
				c := defaultPolicy(r)
				c.Budget = NewBudget(BudgetConfig{PerRequest: true})
				return c
			}},
			{name: "Brooker's bucket (0.1 a call, 5), each client", config: bucketOf(5, true)},
			grpcRule, finagleRule, awsRule,
		}
	}
	var table sim.Table
	head := []any{"success % / load %"}
	for _, p := range ps {
		head = append(head, fmt.Sprintf("%v %% fail", 100*p))
	}
	table.Row(head...)
	for _, st := range strategies {
		row := []any{st.name}
		for _, p := range ps {
			var success, load float64
			for seed := range seeds {
				a, b := failing(t, uint64(seed), st, 100, 1000, p, span)
				success, load = success+a/float64(seeds), load+b/float64(seeds)
			}
			row = append(row, fmt.Sprintf("%.2f / %.1f", success, load))
			if st.name != byDefault.name {
				continue
			}
			if p == 0.05 && success < 99.9 || p == 0.1 && success < 98.7 || load > 112 {
				t.Errorf("%v of attempts fail: success %.2f %%, load %.1f %%", p, success, load)
			}
		}
		table.Row(row...)
	}
	var shares sim.Table
	shares.Row("load % when all fail", "one budget", "one each")
	for _, n := range clients {
		_, together := failing(t, 1, byDefault, n, 1000, 1, span)
		_, apart := failing(t, 1, eachItsOwn, n, 1000, 1, span)
		if together > 112 {
			t.Errorf("%d clients with one budget: load %.1f %%", n, together)
		}
		if n == 1000 && apart <= together {
			t.Errorf("%d clients: load %.1f %% with a budget each, %.1f %% with one", n, apart, together)
		}
		shares.Row(fmt.Sprint(n, " clients"), fmt.Sprintf("%.1f", together), fmt.Sprintf("%.1f", apart))
	}
	if sim.Full() {
		t.Logf("\n%s\n%s", table.Markdown(), shares.Markdown())
	}
}

// spike is a time of more arrivals than usual.
type spike struct {
	rate float64
	long time.Duration
}

// collapse plays a server that gets slower with each call it is at, and that
// finishes what nobody waits for any more (after Brooker's model of metastable
// failure). It returns the share of calls from the spike on that succeed, in
// percent, the peak of attempts in a second, and the time from the end of the spike
// until things are well again, a minute at most.
func collapse(t *testing.T, seed uint64, st strategy, sp spike) (success, peak float64, recovery time.Duration) {
	const (
		start, end      = 20 * time.Second, 80 * time.Second
		usual           = 40.0
		timeout         = 3 * time.Second
		latency, slower = time.Second, 10 * time.Millisecond
		network         = 100 * time.Millisecond
	)
	var arrivals, successes, attempts sim.Bins
	sim.Run(t, seed, func(s *sim.Sim) {
		c := st.clients(s, 1)[0]
		working := 0
		attempt := func(done func(bool)) {
			attempts.Add(s.Now())
			over := false
			finish := func(ok bool) {
				if !over {
					over = true
					done(ok)
				}
			}
			s.After(timeout, func() { finish(false) })
			s.After(s.Rand.Exp(network), func() {
				working++
				s.After(latency+time.Duration(working)*slower, func() {
					working--
					s.After(s.Rand.Exp(network), func() { finish(true) })
				})
			})
		}
		arrive := func() {
			at := s.Now()
			arrivals.Add(at)
			c.call(s, attempt, func(ok bool) {
				if ok {
					successes.Add(at)
				}
			})
		}
		s.Poisson(0, start, usual, arrive)
		s.Poisson(start, start+sp.long, sp.rate, arrive)
		s.Poisson(start+sp.long, end, usual, arrive)
	})
	success = 100 * float64(successes.Sum(start, end)) / float64(arrivals.Sum(start, end))
	for _, n := range attempts {
		peak = max(peak, float64(n))
	}
	recovery, ok := sim.Recovery(arrivals, successes, start+sp.long, 5, 0.95)
	if !ok {
		recovery = time.Minute
	}
	return success, peak, recovery
}

func TestSimCollapse(t *testing.T) {
	spikes := []spike{{80, 10 * time.Second}}
	seeds, strategies := 3, []strategy{noRetries, threeAtOnce, backoffOnly, byDefault}
	if sim.Full() {
		spikes = []spike{{80, 5 * time.Second}, {80, 10 * time.Second}, {120, 10 * time.Second}}
		seeds, strategies = 40, append(strategies, grpcRule, finagleRule, awsRule)
	}
	var table sim.Table
	head := []any{"success % / peak attempts a second / recovery s"}
	for _, sp := range spikes {
		head = append(head, fmt.Sprintf("%v/s for %v", sp.rate, sp.long))
	}
	table.Row(head...)
	recovered := map[string][]float64{}
	for _, st := range strategies {
		row := []any{st.name}
		for _, sp := range spikes {
			var success, peak, recovery float64
			for seed := range seeds {
				a, b, c := collapse(t, uint64(seed), st, sp)
				success, peak, recovery = success+a, peak+b, recovery+c.Seconds()
			}
			n := float64(seeds)
			row = append(row, fmt.Sprintf("%.0f / %.0f / %.1f", success/n, peak/n, recovery/n))
			recovered[st.name] = append(recovered[st.name], recovery/n)
		}
		table.Row(row...)
	}
	for i, sp := range spikes {
		none, ours := recovered[noRetries.name][i], recovered[byDefault.name][i]
		if ours > 1.2*none {
			t.Errorf("%v: mean recovery %.1f s with the default Policy, %.1f s without retries", sp, ours, none)
		}
		for _, worse := range []strategy{threeAtOnce, backoffOnly} {
			if r := recovered[worse.name][i]; r < 2*ours {
				t.Errorf("%v: mean recovery %.1f s with %s, %.1f s with the default Policy", sp, r, worse.name, ours)
			}
		}
	}
	if sim.Full() {
		t.Logf("\n%s", table.Markdown())
	}
}

// contend plays clients that all want to change one record: read it, write it, and
// again if another has changed it in the meantime (after the AWS backoff
// simulator). It returns the writes tried and the time until all are done.
func contend(t *testing.T, seed uint64, clients int, schedule func(*sim.Rand) func() backoff.BackOff) (writes int, last time.Duration) {
	sim.Run(t, seed, func(s *sim.Sim) {
		c := client{policy: New(Config{MaxAttempts: math.MaxInt32, Budget: NoBudget, Schedule: schedule(s.Rand)})}
		trip := func(then func()) { s.After(s.Rand.Normal(10*time.Millisecond, 2*time.Millisecond), then) }
		version := 0
		for range clients {
			c.call(s, func(done func(bool)) {
				trip(func() {
					seen := version
					trip(func() {
						trip(func() {
							writes++
							ok := version == seen
							if ok {
								version++
							}
							trip(func() { done(ok) })
						})
					})
				})
			}, func(bool) { last = s.Now() })
		}
	})
	return writes, last
}

// drift is a schedule that grows by chance: each delay is drawn evenly from base to
// three times the one before (Brooker, "Exponential Backoff And Jitter", 2015).
type drift struct {
	r               *sim.Rand
	base, max, last time.Duration
}

func (d *drift) Reset() { d.last = d.base }

func (d *drift) NextBackOff() time.Duration {
	d.last = d.base + time.Duration(d.r.Uint64N(uint64(min(3*d.last, d.max)-d.base)+1))
	return d.last
}

func decorrelated(r *sim.Rand) func() backoff.BackOff {
	return func() backoff.BackOff { return &drift{r: r, base: 5 * time.Millisecond, max: 2 * time.Second} }
}

func TestSimContention(t *testing.T) {
	numbers, rounds := []int{50}, 3
	if sim.Full() {
		numbers, rounds = []int{10, 50, 100, 200}, 20
	}
	exponentially := func(j Jitter) func(*sim.Rand) func() backoff.BackOff {
		return func(r *sim.Rand) func() backoff.BackOff { return seeded(r, 5*time.Millisecond, 2*time.Second, j) }
	}
	schedules := []struct {
		name string
		make func(*sim.Rand) func() backoff.BackOff
	}{
		{"no delay", func(*sim.Rand) func() backoff.BackOff { return Constant(0) }},
		{"NoJitter", exponentially(NoJitter)},
		{"EqualJitter", exponentially(EqualJitter)},
		{"FullJitter", exponentially(FullJitter)},
		{"decorrelated jitter", decorrelated},
	}
	var table sim.Table
	head := []any{"writes / ms until all are done"}
	for _, n := range numbers {
		head = append(head, fmt.Sprint(n, " clients"))
	}
	table.Row(head...)
	writes, took := map[string]float64{}, map[string]float64{} // by the name of the schedule, for the largest number
	for _, sc := range schedules {
		row := []any{sc.name}
		for _, n := range numbers {
			var w, ms float64
			for seed := range rounds {
				writes, last := contend(t, uint64(seed), n, sc.make)
				w, ms = w+float64(writes)/float64(rounds), ms+float64(last.Milliseconds())/float64(rounds)
			}
			row = append(row, fmt.Sprintf("%.0f / %.0f", w, ms))
			writes[sc.name], took[sc.name] = w, ms
		}
		table.Row(row...)
	}
	for _, jitter := range []string{"EqualJitter", "FullJitter", "decorrelated jitter"} {
		if !(writes[jitter] < writes["NoJitter"] && writes["NoJitter"] < writes["no delay"]) {
			t.Errorf("%s makes %.0f writes, NoJitter %.0f, no delay %.0f", jitter, writes[jitter], writes["NoJitter"], writes["no delay"])
		}
		if took[jitter] > took["NoJitter"]/2 {
			t.Errorf("%s takes %.0f ms, NoJitter %.0f", jitter, took[jitter], took["NoJitter"])
		}
	}
	if sim.Full() {
		t.Logf("\n%s", table.Markdown())
	}
}
