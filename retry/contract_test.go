package retry_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/contract"
	"github.com/belay-go/belay/retry"
)

func TestTransportContractWithEverything(t *testing.T) {
	contract.Run(t, contract.Traits{Repeats: true, Watches: true}, func(base http.RoundTripper) http.RoundTripper {
		budget := retry.NewBudget(retry.BudgetConfig{Credit: 1000})
		return &retry.Transport{
			Base: base,
			Policy: retry.New(retry.Config{
				Schedule: retry.Constant(0), Budget: budget,
				AttemptTimeout: time.Minute,
				Observe:        func(context.Context, retry.Event) {},
			}),
			Hedger:  retry.NewHedger(retry.HedgeConfig{Delay: time.Second, Max: 3, Budget: budget}),
			MaxBody: 1 << 20,
		}
	})
}

func TestTransportContractInline(t *testing.T) {
	contract.Run(t, contract.Traits{Repeats: true, Watches: true}, func(base http.RoundTripper) http.RoundTripper {
		budget := retry.NewBudget(retry.BudgetConfig{Credit: 1000})
		return &retry.Transport{
			Base:   base,
			Policy: retry.New(retry.Config{Schedule: retry.Constant(0), Budget: budget}),
			Hedger: retry.NewHedger(retry.HedgeConfig{Delay: time.Second, Inline: true, Budget: budget}),
		}
	})
}

func TestTransportContract(t *testing.T) {
	contract.Run(t, contract.Traits{Repeats: true, Watches: true}, func(base http.RoundTripper) http.RoundTripper {
		return &retry.Transport{Base: base, Policy: retry.New(retry.Config{Schedule: retry.Constant(0)})}
	})
}
