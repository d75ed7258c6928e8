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

// BearerConfig describes what [Bearer] returns. Token is needed.
type BearerConfig struct {
	// Token returns a token, and when it expires, which is never if that is the zero
	// time. At most one call for an identity is under way at any time. Its context has
	// the values of the call that needs the token and ends after Timeout, not with
	// that call: a refresh token that can be used once must not be lost halfway.
	Token func(ctx context.Context) (token string, expires time.Time, err error) `json:"-"`

	// Identity says whose token a call needs. Each has a token of its own; Token finds
	// out by the same context. nil: there is one for all.
	Identity func(ctx context.Context) string `json:"-"`

	// Early is how long before it expires a token is refreshed, beside the calls,
	// which go on with the old one: at a random time from twice as early on, so
	// that a fleet does not refresh in step. It counts as at most a quarter of a
	// token's life. 0 means 1 minute; negative: not early.
	Early time.Duration

	// Timeout limits a call of Token. 0 means 30 seconds; negative: no limit.
	Timeout time.Duration

	// MaxTokens is the number of identities whose tokens are kept, those used last.
	// 0 means 1,024.
	MaxTokens int
}

// Validate reports everything that is wrong with c, or nil.
func (c BearerConfig) Validate() error {
	var errs []error
	if c.Token == nil {
		errs = append(errs, errors.New("gateway: BearerConfig.Token is nil, want a function"))
	}
	if c.MaxTokens < 0 {
		errs = append(errs, fmt.Errorf("gateway: BearerConfig.MaxTokens is %d, want 1 or more, or 0 for the default", c.MaxTokens))
	}
	return errors.Join(errs...)
}

func (c BearerConfig) withDefaults() BearerConfig {
	c.Early = cmp.Or(c.Early, time.Minute)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.MaxTokens = cmp.Or(c.MaxTokens, 1024)
	return c
}

// Bearer returns an Auth for bearer tokens (RFC 6750) that gets them when they are
// needed, and anew before they expire. A request that is answered with 401 is sent
// once more with a new token, unless that has happened already for the token it
// had. It panics if cfg is not valid.
func Bearer(cfg BearerConfig) Auth {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	b := &bearer{cfg: cfg.withDefaults(), name: rand.Text(), float: mathrand.Float64}
	b.tokens, _ = simplelru.NewLRU[string, token](b.cfg.MaxTokens, nil) // its error is a size below 1
	b.refresh = Flight[string, token]{Share: true, flights: map[string]*flight[token]{}}
	return b
}

type bearer struct {
	cfg     BearerConfig
	name    string // where there is one identity
	float   func() float64
	refresh Flight[string, token]

	mu     sync.Mutex
	tokens *simplelru.LRU[string, token] // by identity
}

type token struct {
	value   string
	expires time.Time // zero: never
	renew   time.Time // from then on it is refreshed beside the calls
}

func (t *token) expired() bool { return !t.expires.IsZero() && time.Until(t.expires) <= 0 }
func (t *token) due() bool     { return !t.renew.IsZero() && time.Until(t.renew) <= 0 }

func (b *bearer) String() string   { return "gateway: bearer tokens" }
func (b *bearer) GoString() string { return b.String() }

func (b *bearer) Identity(ctx context.Context) string {
	if b.cfg.Identity == nil {
		return b.name
	}
	return b.cfg.Identity(ctx)
}

func (b *bearer) Apply(ctx context.Context, req *http.Request) error {
	t, err := b.token(ctx, b.Identity(ctx))
	if err == nil {
		req.Header["Authorization"] = []string{"Bearer " + t.value}
	}
	return err
}

// Stale forgets the token of a request that was answered with 401, unless another
// has come in its place already.
func (b *bearer) Stale(ctx context.Context, sent *http.Request) bool {
	identity := b.Identity(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.tokens.Peek(identity); ok && "Bearer "+t.value == sent.Header.Get("Authorization") {
		b.tokens.Remove(identity)
	}
	return true
}

func (b *bearer) token(ctx context.Context, identity string) (token, error) {
	b.mu.Lock()
	t, ok := b.tokens.Get(identity)
	ok = ok && !t.expired()
	due := ok && t.due()
	if due { // one begins to refresh it, and only later another
		t.renew = time.Now().Add(min(max(time.Second, time.Until(t.expires)/4), b.cfg.Early))
		b.tokens.Add(identity, t)
	}
	b.mu.Unlock()
	fetch := func(ctx context.Context) (token, error) { return b.fetch(ctx, identity, t.value) }
	if due {
		b.refresh.start(ctx, identity, fetch)
	}
	if ok {
		return t, nil
	}
	return b.refresh.join(ctx, identity, fetch, true)
}

// fetch gets a new token in place of old and keeps it.
func (b *bearer) fetch(ctx context.Context, identity, old string) (token, error) {
	b.mu.Lock()
	now, ok := b.tokens.Peek(identity)
	b.mu.Unlock()
	if ok && now.value != old && !now.expired() { // come meanwhile
		return now, nil
	}
	if b.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.cfg.Timeout)
		defer cancel()
	}
	value, expires, err := b.cfg.Token(ctx)
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
	b.tokens.Add(identity, t)
	b.mu.Unlock()
	return t, nil
}
