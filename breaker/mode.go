package breaker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Mode says who decides about the state.
type Mode uint8

const (
	// Auto: the breaker does. It is the mode at first.
	Auto Mode = iota
	// ForcedOpen refuses all calls.
	ForcedOpen
	// ForcedClosed admits all calls and still counts them.
	ForcedClosed
	// Disabled admits all calls and only counts them in the counters of Stats.
	Disabled
)

func (m Mode) String() string {
	if m > Disabled {
		return fmt.Sprintf("Mode(%d)", uint8(m))
	}
	return [...]string{"auto", "forced open", "forced closed", "disabled"}[m]
}

// MarshalText returns what String does.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

var (
	errForced = errors.New("forced open")
	errByHand = errors.New("tripped by hand")
)

// Force changes the mode. The breaker begins anew in it, with empty counts and
// without a slow start. Force(Auto) therefore also closes a breaker that has opened
// by itself. Force panics if m is not a mode.
func (b *Breaker) Force(m Mode) {
	if m > Disabled {
		panic(fmt.Sprintf("breaker: Force: %v is not a mode", m))
	}
	b.mu.Lock()
	b.mode, b.streak = m, 0
	now := time.Since(b.epoch)
	if m == ForcedOpen {
		b.openLocked(context.Background(), now, 0, errForced, errForced.Error())
	} else {
		b.beginLocked(context.Background(), b.closed(m), now, "set to "+m.String())
	}
	b.mu.Unlock()
	b.deliver()
}

// Trip opens the breaker for d. Then it makes its trials, as after any opening. The
// errors of the calls that it refuses wrap cause. A d of 0 or less means OpenFor. In
// a mode other than Auto, Trip does nothing.
func (b *Breaker) Trip(d time.Duration, cause error) {
	if d <= 0 {
		d = b.cfg.OpenFor
	}
	if cause == nil {
		cause = errByHand
	}
	why := cause.Error()
	b.mu.Lock()
	if b.mode == Auto {
		b.openLocked(context.Background(), time.Since(b.epoch), d, cause, why)
	}
	b.mu.Unlock()
	b.deliver()
}
