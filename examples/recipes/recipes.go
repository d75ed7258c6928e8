// Package recipes shows what retry and breaker need to know about clients that are
// not HTTP: database/sql, Redis, gRPC, gRPC-web and connect. Copy what you need; it
// is a few lines each, and the tests run it against the real thing.
//
// Both packages take every error for a failure of the backend. That is wrong for the
// errors by which a backend that is well gives an answer: a row that is not there, a
// constraint that is violated, an argument that is wrong. Such an answer is a success
// for a breaker, and final for a retry. A Classify says so, and leaves the rest to the
// rules by returning Default.
package recipes
