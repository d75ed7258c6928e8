package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// BearerConfig describes what [Bearer] returns. Only Token is needed.
type BearerConfig struct {
	// Name tells these tokens from those of other Bearers, which may be for the same
	// users and other rights: a cache keeps their responses apart. "" is a name of
	// its own in each process; a cache that processes share needs one that they share.
	Name string

	// Token returns a token for an identity, and when it expires; the zero time is
	// never. identity is what Identity returned, or "" if that is nil. At most one
	// call for an identity is under way at any time. It does not end with the request
	// that began it: a refresh token that can be used once must not be lost. Its
	// context ends after Timeout, and has the values of the request if Identity is
	// set. Without Identity it has none, so that nobody's token can become everybody's.
	Token func(ctx context.Context, identity string) (token string, expires time.Time, err error) `json:"-"`

	// Identity says whose token a request needs. Each identity has a token of its
	// own. nil: there is one token for all.
	Identity func(ctx context.Context) string `json:"-"`

	// Early is how long before it expires a token is refreshed in the background,
	// while requests use the old one. The time is random, between Early and twice
	// Early before the end, so that the instances of a program do not refresh at the
	// same moment. At most a quarter of a token's life counts as Early. 0 means 1
	// minute; negative: not early.
	Early time.Duration

	// Timeout limits a call of Token. A call that has not returned one second later
	// is left to itself, and the next request calls Token again. 0 means 30 seconds;
	// negative: no limit.
	Timeout time.Duration

	// MaxKeys is the number of identities whose tokens are kept: those that were used
	// last. 0 means 1,024.
	MaxKeys int
}

// Validate reports everything that is wrong with c, or nil.
func (c BearerConfig) Validate() error {
	var errs []error
	if c.Token == nil {
		errs = append(errs, errors.New("gateway: BearerConfig.Token is nil, want a function"))
	}
	if c.MaxKeys < 0 {
		errs = append(errs, fmt.Errorf("gateway: BearerConfig.MaxKeys is %d, want 1 or more, or 0 for the default", c.MaxKeys))
	}
	return errors.Join(errs...)
}

func (c BearerConfig) withDefaults() BearerConfig {
	c.Early = cmp.Or(c.Early, time.Minute)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.MaxKeys = cmp.Or(c.MaxKeys, 1024)
	return c
}

// Bearer returns an Auth for bearer tokens (RFC 6750). It gets a token when a request
// needs one, and a new one before that expires. A request that is answered with 401
// is sent once more with a new token, which simultaneous requests share. Bearer panics
// if cfg is not valid.
func Bearer(cfg BearerConfig) Auth {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	b := &bearer{cfg: cfg.withDefaults(), name: cmp.Or(cfg.Name, rand.Text()), float: mathrand.Float64}
	b.tokens, _ = simplelru.NewLRU[string, token](b.cfg.MaxKeys, nil) // its error is a size below 1
	b.refresh = Flight[string, token]{Share: true, flights: map[string]*flight[token]{}}
	if b.cfg.Timeout > 0 {
		b.refresh.limit = b.cfg.Timeout + time.Second
	}
	return b
}

type bearer struct {
	cfg     BearerConfig
	name    string
	float   func() float64
	refresh Flight[string, token]

	mu     sync.Mutex
	tokens *simplelru.LRU[string, token] // by identity
}

type token struct {
	value   string
	expires time.Time // zero: never
	renew   time.Time // when the refresh in the background is due; zero: never
}

func (t *token) expired() bool { return !t.expires.IsZero() && time.Until(t.expires) <= 0 }
func (t *token) due() bool     { return !t.renew.IsZero() && time.Until(t.renew) <= 0 }

func (b *bearer) String() string   { return "gateway: bearer tokens" }
func (b *bearer) GoString() string { return b.String() }

// Identity tells those of two Bearers apart, even if they call them the same.
func (b *bearer) Identity(ctx context.Context) string {
	if b.cfg.Identity == nil {
		return b.name
	}
	return b.name + "\x00" + b.cfg.Identity(ctx)
}

// key returns whose token a request needs.
func (b *bearer) key(ctx context.Context) string {
	if b.cfg.Identity == nil {
		return ""
	}
	return b.cfg.Identity(ctx)
}

func (b *bearer) Apply(ctx context.Context, req *http.Request) error {
	t, err := b.token(ctx, b.key(ctx))
	if err == nil {
		req.Header["Authorization"] = []string{"Bearer " + t.value}
	}
	return err
}

// Stale forgets the token of a request that was answered with 401, unless it has been
// replaced already.
func (b *bearer) Stale(ctx context.Context, sent *http.Request) bool {
	key := b.key(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.tokens.Peek(key); ok && "Bearer "+t.value == sent.Header.Get("Authorization") {
		b.tokens.Remove(key)
	}
	return true
}

// token returns the token for an identity: the one that is kept, or a new one.
func (b *bearer) token(ctx context.Context, key string) (token, error) {
	t, ok, due := b.kept(key)
	fetch := func(ctx context.Context) (token, error) { return b.fetch(ctx, key, t.value) }
	if due {
		b.refresh.start(ctx, key, fetch)
	}
	if ok {
		return t, nil
	}
	return b.refresh.join(ctx, key, fetch, true)
}

// kept returns the token that is kept. due is true for one caller, who begins to
// refresh it; if that fails, some time later for another.
func (b *bearer) kept(key string) (t token, ok, due bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, ok = b.tokens.Get(key)
	ok = ok && !t.expired()
	if due = ok && t.due(); due {
		t.renew = time.Now().Add(min(max(time.Second, time.Until(t.expires)/4), b.cfg.Early))
		b.tokens.Add(key, t)
	}
	return t, ok, due
}

// fetch gets a new token in place of old, and keeps it.
func (b *bearer) fetch(ctx context.Context, key, old string) (token, error) {
	if now, ok := b.replaced(key, old); ok {
		return now, nil
	}
	if b.cfg.Identity == nil { // nothing of the caller's but the flight that this is
		ctx = context.WithValue(context.Background(), flightKey{}, ctx.Value(flightKey{}))
	}
	if b.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.cfg.Timeout)
		defer cancel()
	}
	value, expires, err := b.cfg.Token(ctx, key)
	if err == nil && (value == "" || !validValue(value)) {
		err = errors.New("the token is empty or has a control character")
	}
	if err != nil {
		return token{}, err
	}
	t := token{value: value, expires: expires}
	if life := time.Until(expires); !expires.IsZero() && b.cfg.Early > 0 {
		early := min(b.cfg.Early, life/4)
		t.renew = expires.Add(-early - time.Duration(b.float()*float64(early)))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now, ok := b.replacedLocked(key, old); ok { // this call was given up
		return now, nil
	}
	b.tokens.Add(key, t)
	return t, nil
}

// replaced returns the token that another call has put in the place of old.
func (b *bearer) replaced(key, old string) (token, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.replacedLocked(key, old)
}

func (b *bearer) replacedLocked(key, old string) (token, bool) {
	now, ok := b.tokens.Peek(key)
	return now, ok && now.value != old && !now.expired()
}
