// Client-side load balancing: several mirrors, none of which is always there. Not worth
// it where a load balancer stands before them already and knows as much.

package outside

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
)

// Bulletin asks for the avalanche danger. Close it in the end.
type Bulletin struct {
	// The layers, for those who watch them.
	Gateway  *gateway.Gateway
	Retry    *retry.Policy
	Balancer *loadbalance.Balancer[*url.URL]

	get func(ctx context.Context, region string) (Danger, error)
}

// Danger is that of avalanches in a region, from 1 (low) to 5 (very high).
type Danger struct {
	Region string
	Danger int
}

// NewBulletin returns the bulletin that is served by mirrors. One that fails, hangs or
// is slow gets nothing but a trial now and then, and an attempt that failed is repeated
// at another one.
func NewBulletin(base http.RoundTripper, mirrors ...string) (*Bulletin, error) {
	balancer, err := loadbalance.Hosts(mirrors...)
	if err != nil {
		return nil, err
	}
	g, err := gateway.New(gateway.Config{
		Name: "bulletin", BaseURL: "http://bulletin", Timeout: 500 * time.Millisecond,
		Transport: &loadbalance.Transport{Balancer: balancer, Host: "bulletin", Base: base},
	})
	if err != nil {
		return nil, errors.Join(err, balancer.Close())
	}
	get := gateway.NewEndpoint[string, Danger](g, "GET /bulletins/{region}", gateway.EndpointConfig{})
	// The retry is above the endpoint, and not below it as a Transport: so it also sees a
	// body that breaks off, or says what cannot be.
	policy := retry.New(retry.Config{Name: "bulletin", Schedule: retry.Constant(10 * time.Millisecond)})
	return &Bulletin{g, policy, balancer, retry.Wrap(policy, get.Call)}, nil
}

// Danger returns what the bulletin says about a region.
func (b *Bulletin) Danger(ctx context.Context, region string) (Danger, error) {
	return b.get(loadbalance.WithSpread(ctx), region)
}

// Close closes the balancer.
func (b *Bulletin) Close() error { return b.Balancer.Close() }
