package loadbalance_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/sim"
	"github.com/belay-go/belay/loadbalance"
)

// The rules of others, and what a Balancer does that nobody has configured.
var (
	peers = []contender{
		{"round robin", newRoundRobin},
		{"least loaded", newLeastLoaded},
		{"less loaded of two", newPairs},
		{"kratos p2c", newKratos},
		{"go-zero p2c", newGoZero},
		{"Finagle peak EWMA", newFinagle},
	}
	byDefault = contender{"belay", belay(loadbalance.Config{})}
	byP2C     = contender{"belay, P2C", belay(loadbalance.Config{Policy: loadbalance.P2C})}
)

// contenders are the peers and belay, in full length with another policy.
func contenders() []contender {
	c := slices.Clone(peers)
	if sim.Full() {
		c = append(c, byP2C)
	}
	return append(c, byDefault)
}

// seeds are how many runs a contender has. The peers are here to compare with, and
// in short form do with one.
func (c contender) seeds() uint64 {
	switch {
	case sim.Full():
		return 20
	case slices.ContainsFunc(peers, func(p contender) bool { return p.name == c.name }):
		return 1
	}
	return 5
}

func show(t *testing.T, table sim.Table) {
	t.Helper()
	if sim.Full() {
		t.Logf("\n%s", table.Markdown())
	} else {
		t.Logf("\n%s", table)
	}
}

// realistic are the latencies of the Finagle benchmark, by their quantiles.
var realistic = curve{{0, 164.1}, {0.5, 167.5}, {0.9, 176.7}, {0.99, 192.3}, {0.999, 198.8}, {1, 200}}

// TestSimSlowServer is the experiment of "Beyond Round Robin: Load Balancing for
// Latency" (Linkerd, 2016): one of eleven servers takes 2 seconds, for half of the
// time.
func TestSimSlowServer(t *testing.T) {
	slow := farm{servers: 11, rate: 1000, length: time.Minute,
		answer: func(r *sim.Rand, now time.Duration, server, _ int) (time.Duration, error) {
			if d := realistic.draw(r); server > 0 || now < 15*time.Second || now >= 45*time.Second {
				return d, nil
			}
			return 2 * time.Second, nil
		}}
	success := map[string]float64{}
	var table sim.Table
	table.Row("rule", "success at 1 s, %", "calls a run that took longer", "p99", "p99.9", "p99.99")
	for _, c := range contenders() {
		var took sim.Samples
		late := 0
		for seed := range c.seeds() {
			sim.Run(t, seed, func(s *sim.Sim) {
				for _, call := range slow.play(s, c) {
					took = append(took, call.took)
					if call.took > time.Second {
						late++
					}
				}
			})
		}
		success[c.name] = 100 - 100*float64(late)/float64(len(took))
		table.Row(c.name, success[c.name], fmt.Sprintf("%.1f", float64(late)/float64(c.seeds())),
			took.Quantile(0.99), took.Quantile(0.999), took.Quantile(0.9999))
	}
	show(t, table)
	for _, want := range []struct {
		name     string
		min, max float64
	}{
		// What is published is "about 95", "about 99" and "about 99.9".
		{"round robin", 95.4, 95.5},
		{"least loaded", 99.4, 99.7},
		{"Finagle peak EWMA", 99.9, 99.93},
		{"belay", 99.945, 100},
	} {
		if got := success[want.name]; got < want.min || got > want.max {
			t.Errorf("%s: %.3f %% of the calls take at most a second, want %v to %v", want.name, got, want.min, want.max)
		}
	}
}

// TestSimJoin has an eleventh server come to ten that are as busy as they can be
// without getting slow. It is five times as slow at first, and warm after 10 s.
func TestSimJoin(t *testing.T) {
	const joins = 15 * time.Second
	cold := farm{servers: 10, joins: joins, rate: 1250, length: 36 * time.Second,
		answer: func(r *sim.Rand, now time.Duration, server, inFlight int) (time.Duration, error) {
			ms := 165 + 5*r.ExpFloat64()
			if server == 10 {
				ms *= min(5, max(1, 10/max(1e-9, (now-joins).Seconds())))
			}
			ms *= 1 + max(0, float64(inFlight-20))/40
			return time.Duration(ms * float64(time.Millisecond)), nil
		}}
	p99 := map[string]time.Duration{}
	first := map[string]float64{}
	var table sim.Table
	table.Row("rule", "calls to the new server in its first second", "in its fifth", "in its twentieth", "most in flight there", "p99 of all in its first 10 s")
	for _, c := range contenders() {
		var took sim.Samples
		var seconds sim.Bins
		most := 0
		for seed := range c.seeds() {
			sim.Run(t, seed, func(s *sim.Sim) {
				for _, call := range cold.play(s, c) {
					if call.server == 10 {
						most = max(most, call.inFlight)
						seconds.Add(call.at - joins)
					}
					if call.at >= joins && call.at < joins+10*time.Second {
						took = append(took, call.took)
					}
				}
			})
		}
		second := func(n time.Duration) float64 {
			return float64(seconds.Sum((n-1)*time.Second, n*time.Second)) / float64(c.seeds())
		}
		first[c.name], p99[c.name] = second(1), took.Quantile(0.99)
		table.Row(c.name, fmt.Sprintf("%.0f", second(1)), fmt.Sprintf("%.0f", second(5)), fmt.Sprintf("%.0f", second(20)), most, p99[c.name])
	}
	show(t, table)
	const fair = 1250.0 / 11
	if n := first["belay"]; n == 0 || n > fair/2 {
		t.Errorf("a new server gets %.0f calls in its first second, want some, but less than half of %.0f", n, fair)
	}
	if ours, best := p99["belay"], p99["Finagle peak EWMA"]; ours > best+best/20 {
		t.Errorf("p99 is %v, with Finagle's rule %v", ours, best)
	}
	for _, name := range []string{"round robin", "least loaded", "less loaded of two", "kratos p2c", "go-zero p2c"} {
		if p99["belay"] > p99[name] {
			t.Errorf("p99 is %v, with %s %v", p99["belay"], name, p99[name])
		}
	}
}

// TestSimSinkhole has one of ten servers fail, in a millisecond.
func TestSimSinkhole(t *testing.T) {
	sinkhole := farm{servers: 10, rate: 1000, length: 15 * time.Second,
		answer: func(r *sim.Rand, _ time.Duration, server, _ int) (time.Duration, error) {
			if d := r.Exp(50 * time.Millisecond); server > 0 {
				return d, nil
			}
			return time.Millisecond, errSim
		}}
	off := loadbalance.Config{EjectAfter: -1, EjectRate: -1}
	all := append(contenders(), contender{"belay, without ejection", belay(off)})
	var table sim.Table
	table.Row("rule", "share of the failing server, %")
	for _, c := range all {
		calls, failed := 0, 0
		for seed := range c.seeds() {
			sim.Run(t, seed, func(s *sim.Sim) {
				for _, call := range sinkhole.play(s, c) {
					calls++
					if call.err != nil {
						failed++
					}
				}
			})
		}
		share := 100 * float64(failed) / float64(calls)
		table.Row(c.name, share)
		switch {
		case c.name == "least loaded" && share < 50:
			t.Errorf("the server that fails is no sinkhole: least loaded sends it %.1f %% of the calls", share)
		case c.name == "belay" && share > 1, c.name == "belay, without ejection" && share > 10:
			t.Errorf("%s sends %.1f %% of the calls to a server that only fails", c.name, share)
		}
	}
	show(t, table)
}
