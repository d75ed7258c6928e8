package recipes

import (
	"context"
	"errors"
	"strings"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/retry"
	"github.com/redis/go-redis/v9"
)

// RedisAnswered reports whether err is an answer of a server that is well: there is no
// such key, or the command does not fit what is there. LOADING, OOM, READONLY and the
// like are no answers.
func RedisAnswered(err error) bool {
	e, ok := errors.AsType[redis.Error](err)
	return ok && (e == redis.Nil || strings.HasPrefix(e.Error(), "WRONGTYPE ") || strings.HasPrefix(e.Error(), "ERR "))
}

// RedisOutcome is a breaker.Config.Classify. A pool that is exhausted by this process
// says nothing about the server: the calls that hold its connections do.
func RedisOutcome(_ context.Context, err error) breaker.Outcome {
	switch {
	case RedisAnswered(err):
		return breaker.Success
	case errors.Is(err, redis.ErrPoolTimeout):
		return breaker.Ignored
	}
	return breaker.Default
}

// RedisDecision is a retry.Config.Classify. The client retries too: set MaxRetries to
// -1 in its options, so that one layer does it.
func RedisDecision(_ context.Context, err error) retry.Decision {
	if RedisAnswered(err) || errors.Is(err, redis.ErrPoolTimeout) {
		return retry.Stop
	}
	return retry.Default
}
