//go:build !race

package grpcbelay_test

const raceEnabled = false
