package breaker_test

import (
	"net/http"
	"testing"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/internal/contract"
)

func TestTransportContract(t *testing.T) {
	contract.Run(t, contract.Traits{Refuses: true, Watches: true}, func(base http.RoundTripper) http.RoundTripper {
		return &breaker.Transport{Base: base}
	})
}
