package loadbalance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strings"
)

// An Endpoint is something that calls can go to: a URL, a connection, a replica.
type Endpoint[T any] struct {
	// Key names the endpoint. What is known about it survives a new set, and a new
	// Value, as long as the Key stays.
	Key string
	// Value is what the call needs: a *url.URL, a connection, a name.
	Value T
	// Weight is its share relative to the others, for the policies that use weights.
	// 0 means 1; at most 3.4e38.
	Weight float64
}

// A Source says which endpoints there are.
type Source[T any] interface {
	// Watch calls set with each new set of endpoints, as a whole. If it cannot get
	// one it calls set with the error, and the last set stays. An empty set counts as
	// a mistake, and the last one stays as well.
	//
	// Watch returns nil when the last set is final. It returns an error to be called
	// again, after a pause that grows from one second to thirty. It must return when
	// ctx ends.
	//
	// A Source with a method Refresh() is told when endpoints are in trouble, so
	// that it can look for others.
	Watch(ctx context.Context, set func([]Endpoint[T], error)) error
}

type static[T any] []Endpoint[T]

// Static returns a Source of a set that never changes. A [Balancer] with it starts
// no goroutine.
func Static[T any](endpoints ...Endpoint[T]) Source[T] { return static[T](endpoints) }

// Watch implements [Source].
func (s static[T]) Watch(_ context.Context, set func([]Endpoint[T], error)) error {
	set(s, nil)
	return nil
}

// URLs returns a Source of the servers at urls, which never changes, for a [Transport].
// Each URL has a scheme, http or https, a host, and perhaps a path. The Key of an
// endpoint is its URL as it is given; of URLs that mean the same server and path only
// the first counts. It returns an error that says everything that is wrong.
func URLs(urls ...string) (Source[*url.URL], error) {
	var (
		set  static[*url.URL]
		errs []error
	)
	seen := map[string]bool{}
	for _, s := range urls {
		u, err := parseHost(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if key := normal(u); !seen[key] {
			seen[key] = true
			set = append(set, Endpoint[*url.URL]{Key: s, Value: u})
		}
	}
	if len(urls) == 0 {
		errs = append(errs, errEmpty)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return set, nil
}

// normal is the same for all ways to write a URL (RFC 3986, section 6.2).
func normal(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port) + strings.TrimSuffix(u.EscapedPath(), "/")
}

// checkSet reports everything that is wrong with a set.
func checkSet[T any](set []Endpoint[T]) error {
	var errs []error
	seen := make(map[string]bool, len(set))
	for _, e := range set {
		if seen[e.Key] {
			errs = append(errs, fmt.Errorf("%w: %q", ErrDuplicateKey, e.Key))
		}
		seen[e.Key] = true
		if w := cmp.Or(e.Weight, 1); !(w > 0 && w <= math.MaxFloat32) {
			errs = append(errs, fmt.Errorf("%w: %q has %v", ErrBadWeight, e.Key, e.Weight))
		}
	}
	return errors.Join(errs...)
}
