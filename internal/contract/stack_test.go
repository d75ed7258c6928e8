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
	contract.Run(t, contract.Traits{Repeats: true, Refuses: true}, func(base http.RoundTripper) http.RoundTripper {
		return &retry.Transport{Base: &breaker.Transport{Base: &ratelimit.Transport{Base: base}}}
	})
}
