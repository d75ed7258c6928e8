package loadbalance_test

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// zone answers lookups.
type zone struct {
	mu    sync.Mutex
	addrs []netip.Addr
	err   error
	at    []time.Duration
	begin time.Time
	asked string
}

func newZone(addrs ...string) *zone {
	z := &zone{begin: time.Now()}
	z.set(nil, addrs...)
	return z
}

func (z *zone) set(err error, addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addrs, z.err = nil, err
	for _, a := range addrs {
		z.addrs = append(z.addrs, netip.MustParseAddr(a))
	}
}

func (z *zone) lookup(_ context.Context, network, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.at = append(z.at, time.Since(z.begin))
	z.asked = network + " " + host
	return z.addrs, z.err
}

// lookups is the times of lookups so far, in whole seconds.
func (z *zone) lookups() (at []int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, d := range z.at {
		at = append(at, int(d.Round(time.Second)/time.Second))
	}
	return at
}

func urls(b *loadbalance.Balancer[*url.URL]) (list []string) {
	for _, e := range b.Stats().Endpoints {
		list = append(list, e.Key)
	}
	return list
}

func TestDNS(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		z := newZone("10.0.0.2", "10.0.0.1", "10.0.0.2", "::ffff:10.0.0.3")
		b := loadbalance.New(&loadbalance.DNS{URL: "https://api.internal:8443/v1", Lookup: z.lookup}, loadbalance.Config{})
		defer b.Close()
		p, err := b.Pick(t.Context())
		if err != nil || !strings.HasPrefix(p.Value().String(), "https://10.0.0.") || !strings.HasSuffix(p.Value().String(), ":8443/v1") {
			t.Errorf("%v, %v", p.Value(), err)
		}
		if want := []string{"10.0.0.1:8443", "10.0.0.2:8443", "10.0.0.3:8443"}; !slices.Equal(urls(b), want) || z.asked != "ip api.internal" {
			t.Errorf("%v, asked for %s", urls(b), z.asked)
		}
		z.set(nil, "10.0.0.4")
		time.Sleep(34 * time.Second)
		synctest.Wait()
		if want := []string{"10.0.0.4:8443"}; urls(b)[0] != want[0] {
			t.Errorf("%v", urls(b))
		}
		if at := z.lookups(); len(at) != 2 || at[1] < 27 || at[1] > 33 {
			t.Errorf("lookups at %v", at)
		}
	})
}

// A host with addresses of both kinds is one host, not two.
func TestDNSDualStack(t *testing.T) {
	for _, tt := range []struct {
		network, addrs, want string
	}{
		{"", "10.0.0.1 fd00::1", "10.0.0.1"},
		{"", "fd00::1 fd00::2", "[fd00::1] [fd00::2]"},
		{"ip6", "fd00::1 fd00::2", "[fd00::1] [fd00::2]"},
		{"ip4", "10.0.0.1", "10.0.0.1"},
	} {
		inBubble(t, func(t *testing.T) {
			z := newZone(strings.Fields(tt.addrs)...)
			b := loadbalance.New(&loadbalance.DNS{URL: "http://api.internal", Network: tt.network, Lookup: z.lookup}, loadbalance.Config{})
			defer b.Close()
			b.Pick(t.Context())
			if got := strings.Join(urls(b), " "); got != tt.want {
				t.Errorf("%+v: %s", tt, got)
			}
			if want := tt.network; want != "" && !strings.HasPrefix(z.asked, want+" ") {
				t.Errorf("asked for %s", z.asked)
			}
		})
	}
}

// Failed lookups keep the last addresses, and are repeated by a back-off of their
// own: not at once, and long before the next poll.
func TestDNSFails(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		z := newZone("10.0.0.1")
		b := loadbalance.New(&loadbalance.DNS{URL: "http://api.internal", Lookup: z.lookup, Interval: time.Hour}, loadbalance.Config{})
		defer b.Close()
		synctest.Wait()
		lost := errors.New("no such host")
		z.set(lost)
		time.Sleep(2 * time.Hour)
		if _, err := b.Pick(t.Context()); err != nil || !errors.Is(b.Stats().Err, lost) {
			t.Errorf("%v, %v", err, b.Stats().Err)
		}
		at := z.lookups()
		for i, want := range []int{1, 2, 4, 8, 16, 30, 30} {
			if d := at[i+2] - at[i+1]; d < want-3 || d > want+3 {
				t.Errorf("pause %d was %d s, want about %d", i, d, want)
			}
		}
		z.set(nil, "10.0.0.2")
		time.Sleep(34 * time.Second)
		synctest.Wait()
		if got := urls(b); got[0] != "10.0.0.2" || b.Stats().Err != nil {
			t.Errorf("%v, %v", got, b.Stats().Err)
		}
	})
}

// Refresh looks again soon, but not sooner than five seconds after the last time;
// the Balancer does it when endpoints are in trouble.
func TestDNSRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		z := newZone("10.0.0.1", "10.0.0.2")
		src := &loadbalance.DNS{URL: "http://api.internal", Lookup: z.lookup, Interval: time.Hour}
		b := loadbalance.New(src, loadbalance.Config{EjectAfter: 1})
		defer b.Close()
		synctest.Wait()
		time.Sleep(time.Second)
		for range 3 {
			src.Refresh()
			synctest.Wait()
		}
		time.Sleep(20 * time.Second)
		if at := z.lookups(); !slices.Equal(at, []int{0, 5}) {
			t.Errorf("lookups at %v", at)
		}
		src.Refresh()
		time.Sleep(time.Minute)
		p, _ := b.Pick(t.Context())
		p.Done(failed)
		time.Sleep(time.Minute)
		if at := z.lookups(); !slices.Equal(at, []int{0, 5, 21, 81}) {
			t.Errorf("lookups at %v", at)
		}
	})
}

// No interval is shorter than the least.
func TestDNSFloor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		z := newZone("10.0.0.1")
		b := loadbalance.New(&loadbalance.DNS{URL: "http://api.internal", Lookup: z.lookup, Interval: 1}, loadbalance.Config{})
		defer b.Close()
		time.Sleep(time.Minute + time.Second)
		if at := z.lookups(); len(at) > 13 {
			t.Errorf("lookups at %v", at)
		}
	})
}

func TestDNSEmpty(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, src := range []*loadbalance.DNS{
			{URL: "http://api.internal", Lookup: newZone().lookup}, {URL: "api.internal"}, {URL: "http://u:secret@api.internal"}, {},
		} {
			b := loadbalance.New(src, loadbalance.Config{})
			_, err := b.Pick(t.Context())
			if !errors.Is(err, loadbalance.ErrNoEndpoints) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
			b.Close()
		}
	})
}

func keysOf(b *loadbalance.Balancer[*url.URL]) (keys []string) {
	for _, e := range b.Stats().Endpoints {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestHosts(t *testing.T) {
	b, err := loadbalance.Hosts("http://a:1", "https://b/v1")
	if err != nil || !slices.Equal(urls(b), []string{"http://a:1", "https://b/v1"}) {
		t.Errorf("%v, %v", urls(b), err)
	}
	for _, bad := range []string{"", "a:1", "http://", "http://u:secret@a", "http://a?secret=1", "ftp://a", "http://a\x7f", "http://a#secret", "http://:80"} {
		if _, err := loadbalance.Hosts("http://a", bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	b, err = loadbalance.Hosts("http://a:80", "http://a", "HTTP://A:80/", "http://a/v1", "http://a:8080", "https://a", "http://[::1]", "http://[::1]:80/")
	want := []string{"http://a:80", "http://a/v1", "http://a:8080", "https://a", "http://[::1]"}
	if err != nil || !slices.Equal(keysOf(b), want) {
		t.Errorf("%v, %v, want one endpoint for each server: %v", keysOf(b), err, want)
	}
	if _, err := loadbalance.Hosts(); err == nil {
		t.Error("no hosts are no error")
	}
}
