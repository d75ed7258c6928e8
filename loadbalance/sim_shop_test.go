package loadbalance_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/sim"
	"github.com/belay-go/belay/loadbalance"
)

// The policies, and the rules of gRPC and Envoy beside them.
var (
	detectors = []contender{
		{"gRPC round robin", newOutlier(false, false, false)},
		{"gRPC least request", newOutlier(true, false, false)},
		{"the same with outlier detection", newOutlier(true, true, false)},
		{"Envoy least request with outlier detection", newOutlier(true, true, true)},
	}
	ours = []contender{
		{"belay, round robin", belay(loadbalance.Config{Policy: loadbalance.RoundRobin})},
		{"belay, least loaded", belay(loadbalance.Config{Policy: loadbalance.LeastLoaded})},
		byP2C, byDefault,
	}
)

// plays is what a contender makes of a shop, over all seeds.
func (f shop) plays(t *testing.T, seeds uint64, c contender) (calls []served) {
	for seed := range seeds {
		sim.Run(t, seed, func(s *sim.Sim) { calls = append(calls, f.play(s, c)...) })
	}
	return calls
}

// took are the times of calls, and how many per cent of them have failed.
func took(calls []served) (times sim.Samples, failed float64) {
	for _, c := range calls {
		times = append(times, c.took)
		if c.err != nil {
			failed += 100 / float64(len(calls))
		}
	}
	return times, failed
}

// short is how long a simulation is.
func short(full, short time.Duration) time.Duration {
	if sim.Full() {
		return full
	}
	return short
}

// TestSimBlackHole has ten servers of eight workers, of which one is ten times as slow
// as the others and one fails at once, always or at times.
func TestSimBlackHole(t *testing.T) {
	for _, tt := range []struct {
		clients int
		rate    float64
		fails   float64
	}{{1, 3000, 1}, {100, 3000, 1}, {100, 3000, 0.4}, {100, 5000, 0.4}} {
		if !sim.Full() && tt.rate > 3000 {
			continue
		}
		hole := shop{servers: 10, workers: 8, clients: tt.clients, rate: tt.rate, warm: short(5*time.Second, 3*time.Second),
			length: short(20*time.Second, 4*time.Second), deadline: time.Second,
			serve: func(r *sim.Rand, _ time.Duration, server int, _ time.Duration) (time.Duration, error) {
				switch d := r.Exp(10 * time.Millisecond); {
				case server == 0 && r.Float64() < tt.fails:
					return time.Millisecond, errSim
				case server == 1:
					return 10 * d, nil
				default:
					return d, nil
				}
			}}
		all := slices.Concat(detectors, ours, []contender{{"belay, least loaded, without ejection",
			belay(loadbalance.Config{Policy: loadbalance.LeastLoaded, EjectAfter: -1, EjectRate: -1})}})
		if !sim.Full() {
			all = []contender{detectors[2], byDefault}
		}
		p99, failed := map[string]time.Duration{}, map[string]float64{}
		var table sim.Table
		table.Row(fmt.Sprintf("%d clients, %.0f calls a second, %.0f %% fail there", tt.clients, tt.rate, 100*tt.fails), "p50", "p99", "failed, %", "share of the one that fails, %")
		for _, c := range all {
			calls := hole.plays(t, 1, c)
			times, bad := took(calls)
			there := 0
			for _, c := range calls {
				if c.server == 0 {
					there++
				}
			}
			p99[c.name], failed[c.name] = times.Quantile(0.99), bad
			table.Row(c.name, times.Quantile(0.5), p99[c.name], bad, 100*float64(there)/float64(len(calls)))
		}
		show(t, table)
		for _, c := range all {
			if p99[c.name] < p99[byDefault.name]*9/10 {
				t.Errorf("%v: %s has a p99 of %v, belay of %v", tt, c.name, p99[c.name], p99[byDefault.name])
			}
		}
		if failed[byDefault.name] > 1 {
			t.Errorf("%v: %.2f %% fail", tt, failed[byDefault.name])
		}
	}
}

// TestSimRareSlow has ten equal servers, where one call in 5,000 takes a second more,
// wherever it goes.
func TestSimRareSlow(t *testing.T) {
	for _, rate := range []float64{400, 4000, 5600} {
		if !sim.Full() && rate != 4000 {
			continue
		}
		rare := shop{servers: 10, workers: 8, clients: 1, rate: rate, warm: 5 * time.Second, length: short(60*time.Second, 15*time.Second),
			serve: func(r *sim.Rand, _ time.Duration, _ int, _ time.Duration) (time.Duration, error) {
				d := r.Exp(10 * time.Millisecond)
				if r.Float64() < 0.0002 {
					d += time.Second
				}
				return d, nil
			}}
		p99 := map[string]time.Duration{}
		var table sim.Table
		table.Row(fmt.Sprintf("%.0f calls a second", rate), "p50", "p90", "p99", "most calls to one server in a second, of a fair share")
		for _, c := range []contender{byP2C, ours[1], byDefault} {
			var times sim.Samples
			most := 0
			for seed := range map[bool]uint64{true: 4, false: 1}[sim.Full()] {
				sim.Run(t, seed, func(s *sim.Sim) {
					calls := rare.play(s, c)
					some, _ := took(calls)
					times, most = append(times, some...), max(most, busiest(calls, 10))
				})
			}
			p99[c.name] = times.Quantile(0.99)
			table.Row(c.name, times.Quantile(0.5), times.Quantile(0.9), p99[c.name], fmt.Sprintf("%.1f", float64(most)/(rate/10)))
		}
		show(t, table)
		if p99[byDefault.name] > p99[byP2C.name]*5/4 {
			t.Errorf("at %.0f calls a second the p99 is %v, with P2C %v", rate, p99[byDefault.name], p99[byP2C.name])
		}
	}
}

// busiest is how many calls a server has had at most in one second.
func busiest(calls []served, servers int) (most int) {
	bins := make([]sim.Bins, servers)
	for _, c := range calls {
		bins[c.server].Add(c.at)
	}
	for _, b := range bins {
		if len(b) > 0 {
			most = max(most, slices.Max(b))
		}
	}
	return most
}

// TestSimFewCalls has ten equal servers and few calls: no server should have most of
// them.
func TestSimFewCalls(t *testing.T) {
	few := shop{servers: 10, workers: 8, clients: 1, rate: 50, length: 30 * time.Second,
		serve: func(r *sim.Rand, _ time.Duration, _ int, _ time.Duration) (time.Duration, error) {
			return r.Exp(10 * time.Millisecond), nil
		}}
	median := map[string]int{}
	var table sim.Table
	table.Row("rule", "calls to one server in its busiest second, of 50: the median", "the most")
	for _, c := range slices.Concat(ours[:2], []contender{byP2C, byDefault}) {
		var most []int
		for seed := range uint64(20) {
			sim.Run(t, seed, func(s *sim.Sim) { most = append(most, busiest(few.play(s, c), 10)) })
		}
		slices.Sort(most)
		median[c.name] = most[10]
		table.Row(c.name, most[10], most[19])
	}
	show(t, table)
	if median[byDefault.name] > median[byP2C.name]*4/3 {
		t.Errorf("the busiest second has %d calls, with P2C %d", median[byDefault.name], median[byP2C.name])
	}
}

// TestSimDead has four of ten servers fail at once, one more than may be ejected.
func TestSimDead(t *testing.T) {
	dead := shop{servers: 10, workers: 8, clients: 1, rate: 2000, warm: 5 * time.Second, length: short(20*time.Second, 10*time.Second),
		serve: func(r *sim.Rand, _ time.Duration, server int, _ time.Duration) (time.Duration, error) {
			if server < 4 {
				return time.Millisecond, errSim
			}
			return r.Exp(10 * time.Millisecond), nil
		}}
	var table sim.Table
	table.Row("rule", "failed, %")
	for _, c := range ours {
		_, failed := took(dead.plays(t, 1, c))
		table.Row(c.name, failed)
		if c.name != ours[0].name && failed > 0.2 {
			t.Errorf("%s: %.2f %% fail", c.name, failed)
		}
	}
	show(t, table)
}

// TestSimReplacement replaces one server after the other, every two seconds. A new one
// takes five times as long at first, and is warm after four seconds.
func TestSimReplacement(t *testing.T) {
	rolling := shop{servers: 10, workers: 8, clients: 1, rate: 4000, warm: 5 * time.Second, length: short(20*time.Second, 8*time.Second), replaced: 2 * time.Second,
		serve: func(r *sim.Rand, now time.Duration, _ int, age time.Duration) (time.Duration, error) {
			d := r.Exp(10 * time.Millisecond)
			if age < now { // it has been replaced
				d = time.Duration(float64(d) * max(1, 5-age.Seconds()))
			}
			return d, nil
		}}
	p99 := map[string]time.Duration{}
	var table sim.Table
	table.Row("rule", "p50", "p99", "p99.9")
	for _, c := range slices.Concat(detectors[:2], ours) {
		times, _ := took(rolling.plays(t, map[bool]uint64{true: 4, false: 1}[sim.Full()], c))
		p99[c.name] = times.Quantile(0.99)
		table.Row(c.name, times.Quantile(0.5), p99[c.name], times.Quantile(0.999))
	}
	show(t, table)
	for name, other := range p99 {
		if p99[byDefault.name] > other+other/20 {
			t.Errorf("the p99 is %v, with %s %v", p99[byDefault.name], name, other)
		}
	}
}

// TestSimZone has two zones of five servers. All of the client's own zone fail at once
// from the fifth second to the eighth.
func TestSimZone(t *testing.T) {
	const from, until = 5 * time.Second, 8 * time.Second
	zones := shop{servers: 10, workers: 8, clients: 1, rate: 1000, length: short(40*time.Second, 30*time.Second),
		serve: func(r *sim.Rand, now time.Duration, server int, _ time.Duration) (time.Duration, error) {
			if server < 5 && now >= from && now < until {
				return time.Millisecond, errSim
			}
			return r.Exp(10 * time.Millisecond), nil
		}}
	var table sim.Table
	table.Row("rule", "failed in the outage, %", "in the zone before it, %", "in the last five seconds, %", "the zone has nine tenths again after")
	for _, policy := range []loadbalance.Policy{loadbalance.RoundRobin, loadbalance.P2C, loadbalance.LeastLoaded, loadbalance.PeakEWMA} {
		name := fmt.Sprintf("belay, %v", policy)
		calls := zones.plays(t, 1, contender{name, local(loadbalance.Config{Policy: policy, MaxEjected: 0.5})})
		var all, here, failed sim.Bins
		for _, c := range calls {
			all.Add(c.at)
			if c.server < 5 {
				here.Add(c.at)
			}
			if c.err != nil {
				failed.Add(c.at)
			}
		}
		share := func(b sim.Bins, from, until time.Duration) float64 {
			return 100 * float64(b.Sum(from, until)) / float64(all.Sum(from, until))
		}
		back := until
		for back < zones.length && share(here, back, back+time.Second) < 90 {
			back += time.Second
		}
		last := share(here, zones.length-5*time.Second, zones.length)
		bad := share(failed, from, until)
		table.Row(name, bad, share(here, 0, from), last, back-until)
		if last < 99 || back-until > 20*time.Second || bad > 5 {
			t.Errorf("%s: %.1f %% of the calls fail in the outage, the zone is back after %v and has %.1f %% at the end", name, bad, back-until, last)
		}
	}
	show(t, table)
}
