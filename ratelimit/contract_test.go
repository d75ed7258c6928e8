package ratelimit_test

import (
	"net/http"
	"testing"

	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/ratelimit"
)

func TestTransportContract(t *testing.T) {
	contract.Run(t, contract.Traits{}, func(base http.RoundTripper) http.RoundTripper {
		return &ratelimit.Transport{Base: base}
	})
}
