package loadbalance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/sim"
)

// TestSimFleet compares rules on the test bed of Prequal.
func TestSimFleet(t *testing.T) {
	bed := fleet{size: 24, measure: 5 * time.Second, length: 15 * time.Second}
	if sim.Full() {
		bed = fleet{size: 100, measure: 15 * time.Second, length: 45 * time.Second}
	}
	all := append([]contender{{"weighted by goodput per core", newWeighted}}, contenders()...)
	for _, load := range []float64{0.70, 0.90, 1.27} {
		bed.load = load
		runs := map[string]*ran{}
		var table sim.Table
		table.Row(fmt.Sprintf("load %.2f", load), "p50", "p90", "p99", "p99.9", "unanswered, %", "p99 in flight on a replica", "most")
		for _, c := range all {
			var r ran
			for seed := range uint64(5) {
				sim.Run(t, seed, func(s *sim.Sim) { r.add(bed.play(s, c)) })
			}
			runs[c.name] = &r
			table.Row(c.name, r.took.Quantile(0.5), r.took.Quantile(0.9), r.took.Quantile(0.99), r.took.Quantile(0.999),
				100*float64(r.failed)/float64(len(r.took)), int(r.inFlight.Quantile(0.99)), r.mostAtOne)
		}
		show(t, table)
		ours := runs["belay"]
		for _, c := range all {
			for _, q := range []float64{0.99, 0.999} {
				if c.name != "belay" && c.name != "Finagle peak EWMA" && ours.took.Quantile(q) >= runs[c.name].took.Quantile(q) {
					t.Errorf("load %v: p%v is %v, with %s %v", load, 100*q, ours.took.Quantile(q), c.name, runs[c.name].took.Quantile(q))
				}
			}
		}
	}
}
