// Package grpcbelay gives gRPC clients and servers the patterns of Belay.
//
// Each is a struct whose methods Unary and Stream are interceptors. A client with all of
// them, the outermost first:
//
//	retries := &grpcbelay.Retry{}
//	breakers := &grpcbelay.Breaker{}
//	limits := &grpcbelay.Limit{Concurrency: ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 50})}
//	conn, err := grpc.NewClient("dns:///orders.internal:443",
//		grpc.WithTransportCredentials(creds),
//		grpc.WithChainUnaryInterceptor(retries.Unary, breakers.Unary, limits.Unary),
//		grpc.WithChainStreamInterceptor(retries.Stream, breakers.Stream, limits.Stream),
//		grpc.WithDisableRetry())
//
// The zero values are good ones: a breaker and a budget of retries for each authority.
// For gives each method or service one of its own. What a caller sees of a call is the
// same as without this package: headers, trailers, peers, statuses and their details.
//
// [Server] has the interceptors of a server that sheds load, and [NewBalancer] makes the
// policy by which gRPC chooses among the endpoints of a target.
//
// # What a code means
//
// The packages take every error for a failure. In gRPC most codes are answers of a server
// that is well. "Twice" is short for a call that may be made twice: see [Retry].
//
//	code                       breaker   retry          balancer   why
//	OK, InvalidArgument,       success   final          success    an answer: what was asked for,
//	NotFound, AlreadyExists,                                       or what is wrong with the request
//	PermissionDenied,
//	FailedPrecondition,
//	OutOfRange, Unauthenticated
//	Aborted                    success   final          success    a conflict: begin where you have read
//	Unimplemented              success   final          success    it speaks of the request
//	ResourceExhausted          ignored   twice, waits   ignored    the caller's quota, as 429 in HTTP
//	Unavailable                failure   twice, waits   failure    overload for the balancer, with a RetryInfo
//	DeadlineExceeded           failure   twice          failure    how a server that hangs looks
//	Unknown, Internal,         failure   final          failure    as 500 in HTTP: it may have had effects,
//	DataLoss                                                       and would fail again
//	Canceled by the caller     ignored   final          ignored    nobody's failure, in a back-off too
//	Canceled by the server     failure   final          failure    it has given up
//	a refusal of this process  ignored   if Retryable   ignored    nothing was sent
//	what cannot be sent        ignored   final          ignored    an invalid message or header, or one
//	                                                               that is larger than a limit
//
// A limit that learns from answers takes ResourceExhausted for an overload, too.
// [BreakerOutcome], [RetryDecision], [BalancerOutcome] and [LimitOutcome] are this table
// for code that calls Do of those packages by itself.
//
// # Errors
//
// A refusal is found with errors.Is, as everywhere in Belay: breaker.ErrOpen,
// ratelimit.ErrLimited. Its code is Unavailable or ResourceExhausted, so that a handler
// can return it as it is: see [Status].
package grpcbelay
