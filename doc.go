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
//	client := &http.Client{Transport: &loadbalance.Spread{Base:
//		&retry.Transport{Base:
//			&breaker.Transport{Base:
//				&ratelimit.Transport{Limiter: limiter, Base:
//					&loadbalance.Transport{Balancer: balancer}}}}}}
//
// The Spread around the retry sends each attempt of a request to another instance.
//
// The order from the outermost layer on: facade, endpoint, cache, retry and
// budget, breaker, limits of rate and concurrency, load balancing, transport. The
// breaker is inside of the retry so that it sees every attempt, and so that the
// retry learns at once from a refusal. What must be fresh on every attempt, such as
// a signature with a time in it, belongs at the bottom, as your own RoundTripper.
// With a balancer the breaker judges the service, and the balancer its instances;
// without one there is a breaker for each host.
//
// For what is not HTTP, each package has Do for an operation with a value, Run for
// one without, and Wrap, which binds a function once.
//
// # What all packages share
//
// Configuration is a struct whose zero value means documented defaults: 0 is the
// default, a negative value turns off what can be turned off. Validate reports
// everything that is wrong with one; New panics on it.
//
// Errors of your operation come back unchanged, or wrapped so that [errors.Is]
// finds both them and the reason. Each package has sentinels, such as
// breaker.ErrOpen, and one type, *Error, which carries the numbers. Packages tell
// each other what they know through methods on errors, and so can yours:
//
//	Rejected() bool               this process refused the call; nothing was sent
//	Retryable() bool              another attempt may, or will not, help
//	RetryAfter() time.Duration    when; 0 or less is no hint
//	HTTPStatusCode() int          the status that the error stands for
//	Timeout() bool                a deadline was the reason
//
// A rejection is no outcome for the layers above: it opens no breaker and costs no
// budget, and a retry does not wait for it.
//
// A context that its owner cancels is nobody's failure. A deadline is one, whoever
// has set it: that is how a backend that never answers looks.
//
// Your code may panic or call [runtime.Goexit]: the panic reaches you as it was, and
// no permit, place or slot is lost.
//
// Everything that grows has a limit. The packages start no goroutines, but for those
// that run your own operation beside others, as a hedge or a facade does, which end with
// it, and those of what has a Close: a balancer that follows a changing set, a cache
// that validates in the background.
// All types are safe for concurrent use.
//
// # Support
//
// The two latest releases of Go are supported and tested. Until v1.0.0 a minor
// version may change an API; the changelog says how to follow.
package belay
