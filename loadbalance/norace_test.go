//go:build !race

package loadbalance_test

const raced = false
