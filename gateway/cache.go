package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A Cache stores responses and answers requests with them, as RFC 9111 has it. Make
// it with [NewCache] and use it through [Transport]; any number of them, and of
// goroutines, may share it. Close it to end what it does in the background.
//
// The package documentation says what is stored, what is used, and for whom.
type Cache struct {
	cfg      CacheConfig
	epoch    time.Time
	salt     [16]byte // of the hashes of credentials
	store    *cacheStore
	flights  cacheFlights
	counters cacheCounters

	ctx     context.Context // of what runs in the background
	cancel  context.CancelFunc
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// NewCache returns an empty Cache. It panics if cfg is not valid.
func NewCache(cfg CacheConfig) *Cache {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	c := &Cache{cfg: cfg.withDefaults(), epoch: time.Now()}
	c.store = newCacheStore(c.cfg.MaxBytes)
	c.flights.byID = map[cacheFlightKey]*cacheFlight{}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	rand.Read(c.salt[:])
	return c
}

// Close cancels the validations that run in the background, waits for them, and
// starts no more. The cache goes on answering requests. It always returns nil.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	return nil
}

// Purge removes what is stored for a URL, all variants in all partitions, and
// returns how many responses that were. Responses that are being received are not
// stored any more. A URL that is none has nothing stored for it.
func (c *Cache) Purge(rawURL string) int {
	u, err := url.Parse(rawURL)
	if err != nil {
		return 0
	}
	return c.invalidated(context.Background(), nil, c.store.invalidate(newCacheTarget(u, "")))
}

// PurgePrefix is [Cache.Purge] for all URLs that begin with prefix, which has a
// scheme and a host. It looks at all keys.
func (c *Cache) PurgePrefix(prefix string) int {
	u, err := url.Parse(prefix)
	if err != nil {
		return 0
	}
	want := newCacheTarget(u, "")
	return c.invalidated(context.Background(), nil, c.store.purge(func(k cacheKey) bool { return k.hasPrefix(want) }))
}

// PurgePartition is [Cache.Purge] for all that is stored in a partition, as after a
// user has logged out. [Cache.Partition] returns its name. It looks at all keys.
func (c *Cache) PurgePartition(name string) int {
	return c.invalidated(context.Background(), nil, c.store.purge(func(k cacheKey) bool { return k.partition == name }))
}

// invalidated notes that n responses were removed.
func (c *Cache) invalidated(ctx context.Context, req *http.Request, n int) int {
	if n > 0 {
		c.note(ctx, &CacheEvent{Kind: CacheInvalidated, Request: req, Entries: n})
	}
	return n
}

var (
	errCacheNotMade    = errors.New("gateway: Transport: a Cache that was not made by NewCache")
	errCacheNoResponse = errors.New("gateway: Transport.Base returned neither a response nor an error")
)

// cacheSend is base.RoundTrip with a promise: a response or an error.
func cacheSend(base http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := base.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errCacheNoResponse
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	return resp, nil
}

// roundTrip answers req, or has base do it.
func (c *Cache) roundTrip(base http.RoundTripper, req *http.Request) (*http.Response, error) {
	if c.store == nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errCacheNotMade
	}
	has := cacheFieldsOf(req.Header)
	switch {
	// Tunnels, and what will be one.
	case req.URL == nil || req.URL.Opaque != "" || req.Method == http.MethodConnect || has&hasUpgrade != 0:
		return cacheSend(base, req)
	case req.Method == "" || req.Method == http.MethodGet || req.Method == http.MethodHead:
		return c.get(base, req, has)
	}
	return c.write(base, req, has)
}

// bypass sends a request that does not concern the cache.
func (c *Cache) bypass(base http.RoundTripper, req *http.Request, why string) (*http.Response, error) {
	resp, err := cacheSend(base, req)
	if err == nil {
		c.bypassed(req, resp, why)
	}
	return resp, err
}

func (c *Cache) bypassed(req *http.Request, resp *http.Response, why string) {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		s := Status{Cache: c.cfg.Name, Forward: why}
		addCacheStatus(resp, s)
		c.note(req.Context(), &CacheEvent{Kind: CacheBypassed, Request: req, Status: s})
	}
}
