// Package bench holds benchmarks of belay beside its peers, in one folder for each
// package. It is a module of its own, so that the peers stay out of belay's go.mod,
// and outside the workspace: run it from its own directory with GOWORK=off.
//
//	GOWORK=off go test -run=NONE -bench=. ./...
//	GOWORK=off go run ./report -bench=Breaker/open -rounds=10
//
// The first runs all benchmarks, the second measures the chosen ones in rounds and
// prints tables. On a machine that does other work as well, figures are best
// compared within one run of the report: by its ratios, each the median over the
// rounds of the quotient of two figures of the same round.
//
// A benchmark is named Benchmark<Package>/<path>/<implementation>. A path ending in
// -par is the same path under RunParallel. The implementation is belay, a peer, or
// floor: the cheapest thing that could conceivably do it. Each checks beforehand
// that it measures what its name says. The bodies are written out in the loops,
// long as that is: a shared helper would be measured as well.
package bench
