package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
)

// environment is what the figures depend on.
type environment struct {
	goVersion string // with operating system and architecture
	cpu       string
	procs     int      // GOMAXPROCS of this process, hence what the machine has
	peers     []string // modules with their versions
	rounds    int
	benchtime string
}

func describe(ctx context.Context, opts options) (environment, error) {
	version, err := output(goCommand(ctx, "env", "GOVERSION"))
	if err != nil {
		return environment{}, err
	}
	mods, err := output(goCommand(ctx, "list", "-m", "-f", "{{if not (or .Main .Indirect .Replace)}}{{.Path}} {{.Version}}{{end}}", "all"))
	if err != nil {
		return environment{}, err
	}
	return environment{
		goVersion: fmt.Sprintf("%s %s/%s", strings.TrimSpace(version), runtime.GOOS, runtime.GOARCH),
		procs:     runtime.GOMAXPROCS(0),
		peers:     strings.Split(strings.TrimSpace(mods), "\n"),
		rounds:    opts.rounds,
		benchtime: opts.benchtime,
	}, nil
}

// median returns the median of values, which it sorts; NaN if there are none.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// paired returns the median over the rounds of f of the ns/op of two
// implementations in the same round; NaN unless every round has both.
func paired(x []map[string]figures, xImpl string, y []map[string]figures, yImpl string, f func(x, y float64) float64) float64 {
	values := make([]float64, 0, len(x))
	for i := range min(len(x), len(y)) {
		a, okA := x[i][xImpl]
		b, okB := y[i][yImpl]
		if !okA || !okB {
			return math.NaN()
		}
		values = append(values, f(a.ns, b.ns))
	}
	return median(values)
}

func quotient(x, y float64) float64   { return x / y }
func difference(x, y float64) float64 { return x - y }

// markdown returns the whole report.
func markdown(env environment, groups []*group) string {
	var s strings.Builder
	fmt.Fprintf(&s, "# Benchmarks\n\n")
	fmt.Fprintf(&s, "%s on %s, %d processors; GOMAXPROCS 1, and 2 in paths ending in -par; %d rounds of %s.\n",
		env.goVersion, env.cpu, env.procs, env.rounds, env.benchtime)
	fmt.Fprintf(&s, "Peers: %s.\n\n", strings.Join(env.peers, ", "))
	s.WriteString("Figures are medians over the rounds. Ratios and differences are of ns/op and taken within a round: " +
		"\"/ belay\" says how many times belay's time the implementation takes, \"/ floor\" and \"- floor\" compare it " +
		"with the floor, \"/ serial\" with itself on one processor.\n")
	pkg := ""
	for _, g := range groups {
		if g.pkg != pkg {
			pkg = g.pkg
			fmt.Fprintf(&s, "\n## %s\n", pkg)
		}
		g.table(&s, groups)
	}
	return s.String()
}

// table writes the table of g. The serial form of a parallel path is looked for
// among all.
func (g *group) table(s *strings.Builder, all []*group) {
	fmt.Fprintf(s, "\n### %s\n\n", g.path)
	serial := &group{}
	if path, ok := strings.CutSuffix(g.path, "-par"); ok {
		if i := slices.IndexFunc(all, func(h *group) bool { return h.pkg == g.pkg && h.path == path }); i >= 0 {
			serial = all[i]
		}
	}
	s.WriteString("| implementation | ns/op [min..max] | B/op | allocs/op | / belay | / floor | - floor, ns |")
	if serial.path != "" {
		s.WriteString(" / serial |")
	}
	s.WriteString("\n|---|--:|--:|--:|--:|--:|--:|")
	if serial.path != "" {
		s.WriteString("--:|")
	}
	s.WriteString("\n")
	for _, impl := range g.impls {
		var ns, bytes, allocs []float64
		for _, round := range g.rounds {
			ns = append(ns, round[impl].ns)
			bytes = append(bytes, round[impl].bytes)
			allocs = append(allocs, round[impl].allocs)
		}
		fmt.Fprintf(s, "| %s | %s [%s..%s] | %s | %s | %s | %s | %s |", impl,
			number(median(ns)), number(slices.Min(ns)), number(slices.Max(ns)),
			number(median(bytes)), number(median(allocs)),
			number(paired(g.rounds, impl, g.rounds, "belay", quotient)),
			number(paired(g.rounds, impl, g.rounds, "floor", quotient)),
			number(paired(g.rounds, impl, g.rounds, "floor", difference)))
		if serial.path != "" {
			fmt.Fprintf(s, " %s |", number(paired(g.rounds, impl, serial.rounds, impl, quotient)))
		}
		s.WriteString("\n")
	}
}

// number returns v with three digits, more only before the point, and a dash for
// what cannot be told.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v == math.Trunc(v) || abs >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case abs >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
