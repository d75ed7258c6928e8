package retry

import "context"

// An Attempt describes the attempt that a context was made for.
type Attempt struct {
	Number int  // 2 for the first retry or hedge
	Hedge  bool // the attempt was begun by [Hedge], beside others
}

// attemptKey is the key of an attempt's number, an int. A hedge's is negative. Other
// than an Attempt it costs no allocation of its own.
type attemptKey struct{}

// AttemptFrom returns the attempt that ctx was made for; ok is false outside of
// a retry, and in its first attempt.
func AttemptFrom(ctx context.Context) (a Attempt, ok bool) {
	n, ok := ctx.Value(attemptKey{}).(int)
	return Attempt{Number: max(n, -n), Hedge: n < 0}, ok
}

func withAttempt(ctx context.Context, a Attempt) context.Context {
	n := a.Number
	if a.Hedge {
		n = -n
	}
	return context.WithValue(ctx, attemptKey{}, n)
}
