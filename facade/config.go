package facade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Config describes a [Plan]. The zero value means the defaults.
type Config struct {
	// Name stands in errors and events.
	Name string

	// Limit is the largest number of parts of one call that run at a time. Parts
	// that wait for others, and parts that were left behind, do not count. 0 means
	// no limit.
	Limit int

	// UndoTimeout bounds the time for undoing a call that has failed. Each undo gets
	// an equal share of what is left of it. 0 means 10 seconds.
	UndoTimeout time.Duration

	// Context, if not nil, makes the context that a part's function gets, of the one
	// that it would get: it can begin a trace span, or add a logger. It is called on
	// the function's goroutine, and what it does badly the function does. What it
	// returns must come from ctx.
	Context func(ctx context.Context, part string) context.Context `json:"-"`

	// Observe is called when a call ends, on the caller's goroutine, and when
	// something ends that a call has left behind, on the goroutine of that. Its
	// context is the caller's. A panic of it is dropped on that goroutine, and
	// counted in Stats; on the caller's it is the caller's. nil means that nobody is
	// told.
	Observe func(context.Context, Event) `json:"-"`
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	var errs []error
	if c.Limit < 0 {
		errs = append(errs, fmt.Errorf("facade: Config.Limit is %d, want 1 or more, or 0 for none", c.Limit))
	}
	if c.UndoTimeout < 0 {
		errs = append(errs, fmt.Errorf("facade: Config.UndoTimeout is %v, want more than 0, or 0 for the default", c.UndoTimeout))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.UndoTimeout = cmp.Or(c.UndoTimeout, 10*time.Second)
	return c
}
