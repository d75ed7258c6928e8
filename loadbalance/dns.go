package loadbalance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"
)

// DNS is a [Source] of the addresses of a host, each as a URL with the address in
// the host's place. A literal with a URL is ready for use; its fields must not
// change afterwards. It is for one [Balancer].
//
// The addresses are looked up again after Interval, or when [DNS.Refresh] is
// called, as a Balancer does when endpoints are in trouble, but not sooner than
// five seconds after the last time. Failed lookups are repeated sooner, with a
// back-off from one second to thirty; the last addresses stay meanwhile.
type DNS struct {
	// URL is where the requests go, such as "https://api.internal:8443/v1".
	URL string
	// Interval is the time between lookups, give or take a tenth. 0 means 30
	// seconds; the least is 5.
	Interval time.Duration
	// Network is "ip4" or "ip6" for addresses of that kind. Empty: those for IPv4
	// or, only if there is none, those for IPv6; a host that has both is one host.
	Network string
	// Lookup returns the addresses of a host; network is "ip", "ip4" or "ip6". nil
	// means that of [net.DefaultResolver].
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	mu   sync.Mutex
	wake chan struct{}
}

// minInterval is the time that must pass between lookups.
const minInterval = 5 * time.Second

// Refresh asks for a lookup soon.
func (d *DNS) Refresh() {
	select {
	case d.waker() <- struct{}{}:
	default: // asked already
	}
}

func (d *DNS) waker() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wake == nil {
		d.wake = make(chan struct{}, 1)
	}
	return d.wake
}

// Watch implements [Source].
func (d *DNS) Watch(ctx context.Context, set func([]Endpoint[*url.URL], error)) error {
	u, err := parseHost(d.URL)
	if err != nil {
		return err
	}
	interval := max(minInterval, cmp.Or(d.Interval, 30*time.Second))
	pause := minPause
	for {
		addrs, err := d.lookup(ctx, u.Hostname())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			set(nil, err)
			if !sleep(ctx, jitter(pause, 0.1), nil) {
				return ctx.Err()
			}
			pause = min(2*pause, maxPause)
			continue
		}
		set(endpoints(u, addrs), nil)
		pause = minPause
		if !sleep(ctx, minInterval, nil) || !sleep(ctx, jitter(interval, 0.1)-minInterval, d.waker()) {
			return ctx.Err()
		}
	}
}

func (d *DNS) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	lookup := d.Lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	addrs, err := lookup(ctx, cmp.Or(d.Network, "ip"), host)
	if err != nil {
		return nil, err
	}
	addrs = slices.Clone(addrs)
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	if d.Network == "" && slices.ContainsFunc(addrs, netip.Addr.Is4) {
		addrs = slices.DeleteFunc(addrs, netip.Addr.Is6)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	if addrs = slices.Compact(addrs); len(addrs) == 0 {
		return nil, fmt.Errorf("loadbalance: %s has no address", host)
	}
	return addrs, nil
}

// endpoints returns one for each address.
func endpoints(u *url.URL, addrs []netip.Addr) []Endpoint[*url.URL] {
	set := make([]Endpoint[*url.URL], len(addrs))
	for i, a := range addrs {
		at := *u
		at.Host = a.String()
		if a.Is6() {
			at.Host = "[" + at.Host + "]"
		}
		if port := u.Port(); port != "" {
			at.Host += ":" + port
		}
		set[i] = Endpoint[*url.URL]{Key: at.Host, Value: &at}
	}
	return set
}

// parseHost returns the URL of a server: a scheme, a host, and perhaps a path. An
// error does not show what might be secret.
func parseHost(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("loadbalance: the URL of an endpoint does not parse")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("loadbalance: the URL of the endpoint at %q has more than a scheme, a host and a path", u.Host)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, fmt.Errorf("loadbalance: %q is not the URL of an HTTP server", s)
	}
	return u, nil
}
