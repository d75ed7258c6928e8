package contract_test

import (
	"net/http"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/ratelimit"
	"github.com/belay-go/belay/retry"
)

// Transports that pass one by one must pass as a stack too.
func TestStack(t *testing.T) {
	contract.Run(t, contract.Traits{Repeats: true, Refuses: true, Watches: true}, func(base http.RoundTripper) http.RoundTripper {
		return &retry.Transport{Base: &breaker.Transport{
			// The cases that fail would open it, tried three times as they are.
			Config: breaker.Config{AllFailed: -1, Consecutive: -1, MinCalls: 1000},
			Base:   &ratelimit.Transport{Base: base},
		}}
	})
}
