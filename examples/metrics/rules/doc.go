// Package rules tests the alert rules and the dashboard of the example with the library
// of Prometheus itself. It is a module of its own because that takes long to compile:
//
//	cd examples/metrics/rules && GOWORK=off go test -count=1 .
package rules
