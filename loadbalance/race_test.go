//go:build race

package loadbalance_test

// raced says that a sync.Pool loses things on purpose, so that allocations say nothing.
const raced = true
