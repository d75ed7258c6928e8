// Package belay is an embeddable toolkit of patterns that stand between a program
// and the systems it calls: an http.Client, a database, a queue, another team's
// service. When those fail, the program stays up, stays polite and stays fast.
//
// This package holds no code. Each pattern is a package of its own that imports
// none of the others; use one, or stack several.
//
//   - Use [github.com/belay-go/belay/retry] when a call fails now and then and the
//     next attempt is likely to succeed. A budget keeps retries from becoming
//     a storm.
//   - Use [github.com/belay-go/belay/breaker] when a backend can go down, and waiting
//     for it would take you down too.
//   - Use [github.com/belay-go/belay/ratelimit] when you have agreed, or been told, how
//     fast you may call.
//   - Use [github.com/belay-go/belay/loadbalance] when a backend has several instances,
//     and some are better than others.
//   - Use [github.com/belay-go/belay/gateway] when calls to one external system are
//     scattered, and should be typed, authorised and cached in one place.
//   - Use [github.com/belay-go/belay/facade] when one answer is put together from many
//     calls, and some of them may fail.
//
// # Layers
//
// Each of the HTTP packages has a Transport, an [net/http.RoundTripper] whose zero
// value is useful. A stack reads from the outside in:
//
//	client := &http.Client{Timeout: timeout, Transport: &loadbalance.Spread{Base:
//		&retry.Transport{Balanced: true, Base:
//			&breaker.Transport{Base:
//				&ratelimit.Transport{Limiter: limiter, Base:
//					&loadbalance.Transport{Balancer: balancer}}}}}}
//
// The order from the outermost layer on: facade, endpoint, cache, retry and
// budget, breaker, limits of rate and concurrency, load balancing, transport. The
// breaker is inside the retry: it sees each attempt, and the retry learns at once
// that it has opened. What must be fresh on each attempt, such as a signature with
// a time in it, belongs at the bottom, as your own RoundTripper. With a balancer
// the breaker judges the service, and the balancer judges its instances. Without
// one there is a breaker for each host. Spread sends the attempts of a call to
// different instances; without a balancer, leave out Spread and Balanced.
//
// For what is not HTTP, four packages have Do for an operation with a value, Run for
// one without, and Wrap, which binds a function once: retry, breaker, ratelimit and
// loadbalance. Every error is a failure there, so a client of a database needs a
// Classify: see the example with database/sql.
//
// # What all packages share
//
// Configuration is a struct whose zero value means documented defaults: 0 is the
// default, a negative value turns off what can be turned off. Validate reports
// everything that is wrong with one: call it for a configuration that comes from a
// file. New panics on an invalid one, since that is a mistake in the program. Three
// constructors return an error instead, because what they take may be known only
// when the program runs: gateway.New a base URL, loadbalance.URLs (and Hosts) a list
// of them, facade.Build a plan.
//
// Errors of your operation come back unchanged, or wrapped so that [errors.Is]
// finds both them and the reason. Each package has sentinels, such as
// breaker.ErrOpen, and one type, *Error, which carries the numbers. Packages tell
// each other what they know through methods on errors, and so can yours:
//
//	Rejected() bool               this process refused the call; nothing was sent
//	Retryable() bool              whether another attempt may help
//	RetryAfter() time.Duration    when; 0 or less is no hint
//	HTTPStatusCode() int          the status that the error stands for
//	Timeout() bool                a deadline was the reason
//
// A rejection says nothing about the backend: the breakers, balancers and budgets
// above ignore it. A retry takes it as final, unless its Retryable reports true. A rate
// limiter says so when it knows how long to wait, and a balancer when other
// instances are left.
//
// A Classify decides about the calls that it knows, and answers Default for all
// others. The rules of the package decide those.
//
// A call that its caller cancels is nobody's failure. A deadline that passes is one,
// whoever has set it: that is how a backend that never answers looks.
//
// Your code may panic or call [runtime.Goexit]. The panic reaches the caller as it
// was, and no permit, place or slot is lost. Observe may panic too. On the caller's
// goroutine, the caller gets the panic, after everything has been given back. On a
// goroutine or timer of the package it is dropped and counted.
//
// Everything that grows has a limit. Few goroutines are started. Some run your own
// operation beside others, as a hedge or a facade does, and end with it. The others
// belong to what has a Close: a balancer that follows a changing set, a cache that
// validates in the background. All types are safe for concurrent use.
//
// # Support
//
// The two latest releases of Go are supported and tested. Until v1.0.0 a minor
// version may change an API; the changelog says how to follow.
package belay
