package retry_test

import (
	"net/http"
	"testing"

	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/retry"
)

func TestTransportContract(t *testing.T) {
	contract.Run(t, contract.Traits{Repeats: true}, func(base http.RoundTripper) http.RoundTripper {
		return &retry.Transport{Base: base, Policy: retry.New(retry.Config{Schedule: retry.Constant(0)})}
	})
}
