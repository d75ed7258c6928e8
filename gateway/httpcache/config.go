package httpcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// Config describes a [Cache]. The zero value is a good one: a private cache.
type Config struct {
	// Name is what the cache calls itself in the Cache-Status field, in Event and in
	// Stats. "" means "belay".
	Name string

	// MaxBytes bounds the memory that the cache takes: stored responses with their
	// headers, and those on their way into it. What was used least recently goes
	// first. 0 means 64 MiB.
	MaxBytes int64
	// MaxEntryBytes is the length of the longest body that is stored. Longer ones
	// pass through without being copied. 0 means 1 MiB, or MaxBytes if that is less.
	MaxEntryBytes int64

	// Shared makes the cache follow the rules for shared caches, as that of a reverse
	// proxy has to: it obeys s-maxage, proxy-revalidate and private, stores responses
	// to requests with Authorization only where the response allows it, and has one
	// partition for all unless Transport.Partition is set.
	Shared bool
	// Targeted lists the fields that the cache obeys in place of Cache-Control and
	// Expires (RFC 9213), the most specific first, such as "CDN-Cache-Control".
	Targeted []string
	// Override returns the Cache-Control that the cache goes by in place of what the
	// origin says, such as "max-age=60"; "" leaves it at that. It is for origins that
	// say nothing, or nothing sensible. It is asked about each response that may be
	// stored, also about one that a 304 has brought up to date. It must not change
	// them or read the body, and callers see the header as the origin sent it.
	Override func(*http.Request, *http.Response) string `json:"-"`

	// StaleIfError is for how long after its freshness a response may be used if the
	// origin cannot be reached, or the layers below refuse the request, and neither
	// side has said anything about that. 0 means 1 hour; negative: not at all.
	StaleIfError time.Duration
	// Heuristic makes the cache guess: a response without explicit freshness is fresh
	// for this share, up to 1, of the time since its Last-Modified, and for a day at
	// most. 0: it does not guess. 0.1 is usual.
	Heuristic float64
	// MaxWait is for how long a request waits for the response to another one for the
	// same, before it goes to the origin by itself. 0 means 5 seconds; negative: no
	// request waits for another.
	MaxWait time.Duration
	// RefreshTimeout bounds a validation in the background. 0 means 30 seconds.
	RefreshTimeout time.Duration

	// Observe is told how each request was answered, and what else happens. It is
	// called while no lock is held, and may use the cache.
	Observe func(context.Context, Event) `json:"-"`

	targeted []string // Targeted, canonical
}

// maxHeuristic bounds freshness that is a guess.
const maxHeuristic = 24 * time.Hour

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("httpcache: Config."+format, args...))
	}
	if items, err := httpfield.ParseList([]string{statusName(c.Name)}); err != nil || len(items) > 1 {
		bad("Name is %q, want printable ASCII", c.Name)
	}
	if c.MaxBytes < 0 {
		bad("MaxBytes is %d, want more than 0, or 0 for the default", c.MaxBytes)
	}
	if c.MaxEntryBytes < 0 {
		bad("MaxEntryBytes is %d, want more than 0, or 0 for the default", c.MaxEntryBytes)
	}
	if d := c.withDefaults(); d.MaxEntryBytes > d.MaxBytes {
		bad("MaxEntryBytes is %d, more than MaxBytes, %d", d.MaxEntryBytes, d.MaxBytes)
	}
	if math.IsNaN(c.Heuristic) || c.Heuristic < 0 || c.Heuristic > 1 {
		bad("Heuristic is %v, want 0 to 1", c.Heuristic)
	}
	if c.RefreshTimeout < 0 {
		bad("RefreshTimeout is %v, want more than 0, or 0 for the default", c.RefreshTimeout)
	}
	for _, name := range c.Targeted {
		if name == "" || tokenLen(name) != len(name) {
			bad("Targeted has %q, want field names", name)
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "belay")
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxEntryBytes = cmp.Or(c.MaxEntryBytes, min(1<<20, c.MaxBytes))
	c.StaleIfError = cmp.Or(c.StaleIfError, time.Hour)
	c.MaxWait = cmp.Or(c.MaxWait, 5*time.Second)
	c.RefreshTimeout = cmp.Or(c.RefreshTimeout, 30*time.Second)
	c.targeted = nil
	for _, name := range c.Targeted {
		c.targeted = append(c.targeted, http.CanonicalHeaderKey(name))
	}
	return c
}
