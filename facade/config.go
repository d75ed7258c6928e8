package facade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Config describes a [Plan]. The zero value is a good one.
type Config struct {
	// Name stands in errors and events.
	Name string

	// Limit is the largest number of parts of one call that run at a time. A part
	// that waits for others does not count, nor does one left behind. 0 means no
	// limit.
	Limit int

	// UndoTimeout bounds the undoing of a call that has failed. Each undo gets an
	// equal share of what is left of it. 0 means 10 seconds.
	UndoTimeout time.Duration

	// Observe is called when a call ends, on the caller's goroutine and with its
	// context, and when a function that a call has left behind returns, on its
	// goroutine. nil means not at all.
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
