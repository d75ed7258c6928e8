package main

import (
	"fmt"
	"strconv"
	"strings"
)

// figures are what one run of one benchmark gives.
type figures struct {
	ns, bytes, allocs float64 // per operation
}

// A result is a line of a benchmark's output.
type result struct {
	pkg, path, impl string
	figures
}

// parse returns the results in what a test binary printed when it ran on procs
// processors, in their order, and the processor's model, "" if there is none.
func parse(out string, procs int) (results []result, cpu string, err error) {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if model, ok := strings.CutPrefix(line, "cpu: "); ok {
			cpu = model
		}
		// A name alone is on a line when the benchmark has printed something.
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		r, err := parseResult(fields, procs)
		if err != nil {
			return nil, "", fmt.Errorf("cannot read the result %q: %w", line, err)
		}
		results = append(results, r)
	}
	return results, cpu, nil
}

// parseResult reads a name, the number of iterations, and pairs of value and unit.
func parseResult(fields []string, procs int) (result, error) {
	name := strings.TrimPrefix(fields[0], "Benchmark")
	if procs > 1 { // on one, no suffix is printed
		name = strings.TrimSuffix(name, fmt.Sprint("-", procs))
	}
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return result{}, fmt.Errorf("the name is not Benchmark<Package>/<path>/<implementation>")
	}
	r := result{pkg: parts[0], path: parts[1], impl: parts[2]}
	units := make(map[string]bool)
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return result{}, err
		}
		unit := fields[i+1]
		switch unit {
		case "ns/op":
			r.ns = v
		case "B/op":
			r.bytes = v
		case "allocs/op":
			r.allocs = v
		}
		units[unit] = true
	}
	for _, unit := range []string{"ns/op", "B/op", "allocs/op"} {
		if !units[unit] {
			return result{}, fmt.Errorf("there is no %s", unit)
		}
	}
	return r, nil
}
