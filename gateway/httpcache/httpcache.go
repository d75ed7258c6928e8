// Package httpcache is an HTTP cache, as RFC 9111 has it, in front of any client.
//
// A [Cache] stores responses and answers requests with them. It is used through
// [Transport]:
//
//	cache := httpcache.New(httpcache.Config{})
//	defer cache.Close()
//	client := &http.Client{Transport: &httpcache.Transport{Cache: cache}}
//
// In a stack it stands above retries, breakers and limits, so that whatever keeps
// these from an answer is, to the cache, an origin that cannot be reached.
//
// What the origin says about storing and freshness is obeyed strictly: where it
// contradicts itself or is malformed, the stricter reading counts, and without a word
// about freshness there is none, unless Config.Heuristic is set. Stored
// responses are validated when they are stale (If-None-Match, If-Modified-Since),
// selected by Vary, and removed by writes (any method but GET, HEAD, OPTIONS and
// TRACE) to the same URL, to Location and to Content-Location. From a complete
// response the cache answers HEAD, conditions, and single ranges. Requests may
// constrain it by Cache-Control: no-cache, no-store, max-age, max-stale, min-fresh,
// only-if-cached, stale-if-error. As the RFC has it, Set-Cookie does not keep a
// response from being stored.
//
// The cache is private but serves many: requests with credentials (Authorization,
// Cookie, Proxy-Authorization, X-Api-Key, X-Auth-Token, userinfo) are kept in a
// partition of their own, named by a salted hash of these, and no response ever
// crosses from one to another. Config.Partition replaces the rule. A shared
// cache, as that of a reverse proxy, follows the rules for shared caches instead
// (s-maxage, private, Authorization); Config.Targeted adds fields such as
// CDN-Cache-Control (RFC 9213).
//
// A stale response is used while a fresh one is fetched in the background if the
// origin allows that (stale-while-revalidate, RFC 5861): once at a time for each
// response, on a context with the values of the request but its own deadline. It is
// used in place of an error if the origin allows that (stale-if-error), and, where
// nothing is said and the origin cannot be reached at all, for
// Config.StaleIfError. Neither holds for must-revalidate and no-cache. A caller
// whose own context has ended gets that context's error.
//
// Of requests for the same at the same time one goes to the origin. The others wait
// for its response, each with its own context, and use it if it is stored, fresh and
// selected by their Vary fields; otherwise they go by themselves. The one's leaving,
// slow reading, panic or runtime.Goexit does not harm the others: another takes its
// place. An error of the origin is the answer to all of them. Where a response was
// found not to be storable, nobody waits for the next minute.
//
// Bodies stream while they are stored. Those longer than Config.MaxEntryBytes
// pass through, truncated ones are not stored. One that is closed before its end is
// stored nonetheless if its Content-Length was read, or if its rest, up to 64 KiB,
// arrives within 100 ms. CONNECT, Upgrade, and GET with content pass by.
//
// Every response but these has a Cache-Status field (RFC 9211), which [StatusOf]
// reads, and one from the store has an Age; nothing else is added.
//
// # Conformance
//
// Of the tests of the public suite http-tests/cache-tests (at b55b8bd) that concern
// a private cache, the cache passes 143 of the 144 required ones and 77 of the 94
// optimal ones, 86 with Heuristic: 0.1. As a shared cache with a targeted field it
// passes 159 of 160, and 89 of 105. The one that fails needs a transfer coding that
// net/http refuses. CONFORMANCE.md lists the others and says why. To repeat it:
//
//	go -C internal/conformance run . -suite DIR
//
// # Defaults
//
//	Config.Name            belay
//	Config.MaxBytes        67108864
//	Config.MaxEntryBytes   1048576
//	Config.StaleIfError    1h0m0s
//	Config.RefreshTimeout  30s
package httpcache

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
// it with [New] and use it through [Transport]; any number of them, and of
// goroutines, may share it. Close it to end what it does in the background.
//
// The package documentation says what is stored, what is used, and for whom.
type Cache struct {
	cfg      Config
	epoch    time.Time
	salt     [16]byte // of the hashes of credentials
	store    *store
	flights  flights
	counters counters

	ctx     context.Context // of what runs in the background
	cancel  context.CancelFunc
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// New returns an empty Cache. It panics if cfg is not valid.
func New(cfg Config) *Cache {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	c := &Cache{cfg: cfg.withDefaults(), epoch: time.Now()}
	c.store = newStore(c.cfg.MaxBytes)
	c.flights.byID = map[flightKey]*flight{}
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
	return c.invalidated(context.Background(), nil, c.store.invalidate(newTarget(u, "")))
}

// PurgePrefix is [Cache.Purge] for all URLs that begin with prefix, which has a
// scheme and a host. It looks at all keys.
func (c *Cache) PurgePrefix(prefix string) int {
	u, err := url.Parse(prefix)
	if err != nil {
		return 0
	}
	want := newTarget(u, "")
	return c.invalidated(context.Background(), nil, c.store.purge(func(k key) bool { return k.hasPrefix(want) }))
}

// PurgePartition is [Cache.Purge] for all that is stored in a partition, as after a
// user has logged out. [Cache.Partition] returns its name. It looks at all keys.
func (c *Cache) PurgePartition(name string) int {
	return c.invalidated(context.Background(), nil, c.store.purge(func(k key) bool { return k.partition == name }))
}

// invalidated notes that n responses were removed.
func (c *Cache) invalidated(ctx context.Context, req *http.Request, n int) int {
	if n > 0 {
		c.note(ctx, &Event{Kind: Invalidated, Request: req, Entries: n})
	}
	return n
}

var (
	errNotMade    = errors.New("httpcache: Transport: a Cache that was not made by New")
	errNoResponse = errors.New("httpcache: Transport.Base returned neither a response nor an error")
)

// send is base.RoundTrip with a promise: a response or an error.
func send(base http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := base.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, errNoResponse
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
		return nil, errNotMade
	}
	has := fieldsOf(req.Header)
	switch {
	// Tunnels, and what will be one.
	case req.URL == nil || req.URL.Opaque != "" || req.Method == http.MethodConnect || has&hasUpgrade != 0:
		return send(base, req)
	case req.Method == "" || req.Method == http.MethodGet || req.Method == http.MethodHead:
		return c.get(base, req, has)
	}
	return c.write(base, req, has)
}

// bypass sends a request that does not concern the cache.
func (c *Cache) bypass(base http.RoundTripper, req *http.Request, why string) (*http.Response, error) {
	resp, err := send(base, req)
	if err == nil {
		c.bypassed(req, resp, why)
	}
	return resp, err
}

func (c *Cache) bypassed(req *http.Request, resp *http.Response, why string) {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		s := Status{Cache: c.cfg.Name, Forward: why}
		addStatus(resp, s)
		c.note(req.Context(), &Event{Kind: Bypassed, Request: req, Status: s})
	}
}
