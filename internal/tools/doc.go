// Package tools pins the developer tools in its go.mod. From the directory of any module of this repository, run one with
// its packages, here from the root (the go command refuses -modfile in workspace mode, so GOWORK=off is needed everywhere):
//
//	GOWORK=off go tool -modfile=internal/tools/go.mod staticcheck ./...
//
// GOTOOLCHAIN, when set, holds for the tool as well: it is built by that Go, which it must be to check code under a newer one.
package tools
