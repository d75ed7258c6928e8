// Package httpcache is an HTTP cache, as RFC 9111 has it, in front of any client.
//
// A [Cache] stores responses and answers requests with them. It is used through
// [Transport]:
//
//	cache := httpcache.New(httpcache.Config{})
//	defer cache.Close()
//	client := &http.Client{Transport: &httpcache.Transport{Cache: cache}}
//
// In a stack it stands above retries, breakers and limits. Whatever keeps these from
// an answer is, to the cache, an origin that cannot be reached.
//
// # What is stored and used
//
// The cache does what the origin says about storing and freshness. Where the origin
// contradicts itself or is malformed, the stricter reading counts. Without a word about
// freshness there is none, unless Config.Heuristic or Config.Override is set. Stored
// responses are validated when they are stale (If-None-Match, If-Modified-Since) and
// selected by Vary. From a complete response the cache answers HEAD, conditions, and
// single ranges. Requests may constrain it by Cache-Control: no-cache, no-store,
// max-age, max-stale, min-fresh, only-if-cached, stale-if-error; [WithCacheControl]
// does so for a context.
//
// A response is removed by a write to the same URL, or to one that the response to the
// write names in Location or Content-Location. A write is any method but GET, HEAD and
// those that are registered as safe. A write whose answer was lost counts too, unless
// it is certain that it was not sent.
//
// A response is also removed by an answer of the origin that takes it back: 401, 403,
// 404, 410 and 451 remove all variants. Any other full answer to a validation removes
// the variant that was validated. Errors of the server remove nothing, and neither do 408,
// 425, 429, and a 403 that speaks of a limit: it has a Retry-After, or nothing is left by
// X-RateLimit-Remaining or RateLimit-Remaining. Responses with the status 401, 407 or 206
// are never stored.
//
// # What is never shared
//
// The cache is private, as that of a browser, but serves many users, as a browser does
// not. Each user has a partition, and no response, stored, awaited or stale, ever
// crosses from one to another. There are three ways to say whose a request is:
//
//   - You say nothing. Then [Credentials] is the name of the partition: the identity
//     that the Auth of a gateway has, Authorization, cookies, userinfo, and each field
//     whose name has a part such as auth, key, token, secret or session, or a word such
//     as user, account, tenant or org, in whatever case it is written. A token that
//     a gateway refreshes does not lose what is stored.
//   - Transport.Partition is [By] some fields or cookies. It is for requests in which
//     others change while the user stays the same: By("Cookie:session").
//   - Transport.Partition is a function of your own. It is for requests that do not say
//     it: credentials are added below the cache, or a client certificate is one. A
//     program that has one user returns a constant.
//
// A request without a name belongs to nobody in particular. Of the responses to such
// requests those that are private or set a cookie are neither stored nor given to others
// who wait. So what the rule does not see costs a miss, if the origin says that its
// responses are private. The rest is shared by the requests of one Transport only. So a
// Partition is needed for an origin that tells users apart by what the cache cannot see,
// and does not say that its responses are private.
//
// Layers below may add credentials too. Unless a Partition has named whose a request is,
// the request that was sent to Base is compared with Response.Request, and what differs
// decides what may be stored of the responses, and given to others who wait:
//
//	the method, the path, the query, Host,      nothing: it is another's answer
//	  userinfo, or Base has followed a redirect
//	a field, or the name of the server          what is public (Cache-Control: public)
//	  there is no Response.Request              the same
//	the server's name is now an IP address      all: so do resolvers and balancers
//	User-Agent, Accept-Encoding, traces         all
//
// A layer that gives its caller's request back as Response.Request, whatever the layers
// below it have sent, hides what they add: a Partition is needed then. Those of this
// module do not. Errors show
// nothing of the request. They are given to others who wait only if a Partition has
// named both. If nothing that is added below tells users apart, say so, for all requests
// that have credentials themselves:
//
//	Partition: httpcache.Credentials
//
// A response that is not stored for one of these reasons has the detail
// "needs-partition" in its [Status].
//
// In short:
//
//	request, Transport                        whose the response is
//	no credentials                            nobody's: what is private is not stored
//	Authorization, Private-Token, cookies     theirs who have the same
//	a Bearer of a gateway                     the identity's, whatever its token is
//	no credentials, but a layer adds some     nobody's: what is not public is not stored
//	Partition: By("Cookie:session")           the session's
//	Partition: func(..) string { "me" }       the program's
//	two Transports, one Cache                 shared if the partition has the same name
//
// [Cache.PurgePartition] removes what somebody has, as after a log-out. Stats.Partitions
// counts the partitions. If each request makes a new one, a credential changes each
// time, such as a signature: then By is needed.
//
// A shared cache (Config.Shared), as that of a reverse proxy, follows the rules for
// shared caches instead (s-maxage, private, Authorization) and has one partition for
// all, which sets no cookies, unless Transport.Partition is set. Config.Targeted adds
// fields such as CDN-Cache-Control (RFC 9213).
//
// # Stale responses
//
// A stale response is used while a fresh one is fetched in the background if the
// origin allows that (stale-while-revalidate, RFC 5861): once at a time for each
// response, on a context with the values of the request but its own deadline. One that
// has not ended by then counts as failed, and another may begin; when 16 hang, callers
// have to ask for themselves.
//
// A stale response is used in place of an error if the origin allows that
// (stale-if-error), and, where nothing is said and the origin cannot be reached at all,
// for Config.StaleIfError.
// Neither holds for must-revalidate and no-cache. After a failure the origin is not
// asked again for one second, after the next for two, and so on up to 30; until then the
// stale response is used at once. A caller whose own context has ended gets that
// context's error.
//
// # Requests for the same
//
// Of requests for the same at the same time one goes to the origin. The others wait
// for its response, each with its own context and for Config.MaxWait at most, and use it
// if it is stored, fresh and selected by their Vary fields; otherwise they go by
// themselves. So 50 requests for a page that cannot be stored, such as a 404 without
// freshness, are 50 requests, and so are 50 for what has to be validated each time
// (no-cache, max-age=0). The leader's leaving, slow reading, panic or runtime.Goexit
// does not harm the others: another takes its place. An error of the origin is the
// answer to all of them if Transport.Partition says that they are the same; otherwise
// each asks for itself then. Where a response was found not to be storable, nobody waits for
// the next minute, or for ten times as long as it took.
//
// Bodies stream while they are stored. Those longer than Config.MaxEntryBytes
// pass through, truncated ones are not stored. One that is closed before its end is
// stored nonetheless if its Content-Length was read, or if its rest, up to 64 KiB,
// arrives within 100 ms. CONNECT, Upgrade, and GET with content pass by.
//
// Every response but these has a Cache-Status field (RFC 9211), which [StatusOf]
// reads, and one from the store has an Age; nothing else is added. The 504 for
// only-if-cached is made here, without asking anybody: its Cache-Status has neither hit
// nor fwd, and the detail "only-if-cached". A gateway takes it for a refusal.
//
// # Conformance
//
// Of the tests of the public suite http-tests/cache-tests (at b55b8bd) that concern
// a private cache, the cache passes 143 of the 144 required ones and 77 of the 94
// optimal ones, 86 with Heuristic: 0.1. As a shared cache with a targeted field it
// passes 159 of 160, and 89 of 105. The suite has one user, and so has the Partition
// that it is run with; CONFORMANCE.md says what it costs to have none. The required
// test that fails needs a transfer coding that net/http refuses. To repeat it:
//
//	go -C internal/conformance run . -suite DIR
//
// # Defaults
//
//	Config.Name            belay
//	Config.MaxBytes        67108864
//	Config.MaxEntryBytes   1048576
//	Config.StaleIfError    1h0m0s
//	Config.MaxWait         5s
//	Config.RefreshTimeout  30s
package httpcache

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A Cache stores responses and answers requests with them, as RFC 9111 has it. Make
// it with [New] and use it through [Transport]; any number of them, and of goroutines,
// may share it. Close it to end what it does in the background.
//
// The package documentation says what is stored, what is used, and for whom.
type Cache struct {
	cfg      Config
	epoch    time.Time
	salt     [16]byte // of the names of partitions
	sums     atomic.Pointer[map[string][16]byte]
	store    *store
	flights  flights
	passes   passes
	counters counters

	plainMiss string // the status of a response that is stored for the first time

	late atomic.Int64 // refreshes that have not ended though their time is over

	ctx     context.Context // of what runs in the background
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// New returns an empty Cache. It panics if cfg is not valid.
func New(cfg Config) *Cache {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	c := &Cache{cfg: cfg.withDefaults(), epoch: time.Now()}
	c.store = newStore(c.cfg.MaxBytes)
	c.plainMiss = Status{Cache: c.cfg.Name, Forward: "uri-miss", Stored: true}.String()
	c.flights.byHash, c.flights.ahead = map[uint64]*flight{}, map[*tee]bool{}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	rand.Read(c.salt[:])
	return c
}

// Close cancels the validations that run in the background and waits for them, but not
// for longer than Config.RefreshTimeout. It reads no body ahead of its reader any more,
// and starts none of these again. The cache goes on answering requests. It always
// returns nil.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.flights.close()
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
	return c.invalidated(context.Background(), nil, c.store.invalidate(newTarget(u, "")), 0)
}

// PurgePrefix is [Cache.Purge] for all URLs that begin with prefix, which has a
// scheme and a host. It looks at all keys.
func (c *Cache) PurgePrefix(prefix string) int {
	u, err := url.Parse(prefix)
	if err != nil {
		return 0
	}
	want := newTarget(u, "")
	return c.invalidated(context.Background(), nil, c.store.purge(func(k *key) bool { return k.hasPrefix(want) }), 0)
}

// PurgePartition is [Cache.Purge] for all that is stored for somebody, as after a
// log-out. The name is what Transport.Partition, or else [Credentials], returns for
// their requests as the cache sees them, such as Event.Request; "": all that is stored
// for nobody in particular. Where the Auth of a gateway has identities, let a Partition
// return the identity: then it is the name. It looks at all keys.
func (c *Cache) PurgePartition(name string) int {
	var sum [16]byte
	if name != "" {
		sum = c.sum([]byte(name))
	}
	return c.invalidated(context.Background(), nil, c.store.purge(func(k *key) bool { return k.sum == sum }), 0)
}

// invalidated notes that n responses were removed, because of an answer of the
// origin's with this status, if there was one.
func (c *Cache) invalidated(ctx context.Context, req *http.Request, n, status int) int {
	if n > 0 {
		c.note(ctx, &Event{Kind: Invalidated, Request: req, Entries: n, Status: Status{ForwardStatus: status}})
	}
	return n
}

var (
	errNotMade    = errors.New("httpcache: Transport: a Cache that was not made by New")
	errNoResponse = errors.New("httpcache: Transport.Base returned neither a response nor an error")
)
