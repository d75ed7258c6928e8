package httpcache

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
)

// A Kind says what an [Event] tells.
type Kind uint8

const (
	// Hit: a stored response was fresh, or was allowed to be used stale.
	Hit Kind = iota
	// Miss: the request went to the origin, or waited for one that did. It has ended
	// with Err if there was no answer.
	Miss
	// Validated: it went there, and the origin said that what is stored is good.
	Validated
	// Stale: a stale response was used because the origin failed with Err, or
	// with an error status, now or a moment ago.
	Stale
	// Bypassed: the request does not concern the cache. It has ended with Err if there
	// was no answer.
	Bypassed
	// Refused: nobody was asked, because the request was for what is stored only, and
	// nothing was, or because its context had ended before, with Err.
	Refused
	// Refreshed: a validation in the background has ended, with Err if it failed.
	Refreshed
	// Invalidated: a write, a purge, or an answer of the origin with the status
	// Status.ForwardStatus, such as 403, has removed Entries responses.
	Invalidated
	// Evicted: Entries keys had to make room.
	Evicted
	kinds
)

func (k Kind) String() string {
	if k >= kinds {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"hit", "miss", "validated", "stale", "bypassed", "refused", "refreshed", "invalidated", "evicted"}[k]
}

// MarshalText returns what String does.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is what Config.Observe is told. It says nothing of URLs, which may have
// secrets in them; Request does.
type Event struct {
	Kind    Kind          // says which of the others are set
	Name    string        // of the cache
	Request *http.Request // the caller's, if there is one; not to be changed
	Status  Status        // of the answer, in the kinds up to Refused
	Entries int           // Invalidated, Evicted
	Err     error         // Miss, Stale, Bypassed, Refused, Refreshed
}

// LogValue shows what applies to the kind.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("kind", e.Kind.String()), slog.String("name", e.Name)}
	switch {
	case e.Status.Cache != "":
		attrs = append(attrs, slog.String("status", e.Status.String()))
	case e.Status.ForwardStatus != 0:
		attrs = append(attrs, slog.Int("origin", e.Status.ForwardStatus))
	}
	if e.Kind == Invalidated || e.Kind == Evicted {
		attrs = append(attrs, slog.Int("entries", e.Entries))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("err", e.Err.Error()))
	}
	return slog.GroupValue(attrs...)
}

// note counts an event, and tells it.
func (c *Cache) note(ctx context.Context, e *Event) {
	c.counters.kinds[e.Kind].Add(1)
	if e.Status.Collapsed {
		c.counters.collapsed.Add(1)
	}
	switch {
	case e.Kind == Invalidated:
		c.counters.invalidated.Add(uint64(e.Entries))
	case e.Kind == Refreshed && e.Err != nil:
		c.counters.failed.Add(1)
	}
	if c.cfg.Observe != nil {
		e.Name = c.cfg.Name
		c.cfg.Observe(ctx, *e)
	}
}

// noteApart is note on a goroutine of the cache's: a panic of Observe is dropped, and
// counted.
func (c *Cache) noteApart(e *Event) {
	returned := false
	defer func() {
		if !returned {
			recover()
			c.counters.panics.Add(1)
		}
	}()
	c.note(context.Background(), e)
	returned = true
}
