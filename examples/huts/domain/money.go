// Value objects: compared by what they hold, made valid or not at all. Not worth
// it for what is only passed through.

package domain

import (
	"errors"
	"fmt"
	"time"
)

// Money is an amount in Rappen, hundredths of a Swiss franc: whole, so that sums are
// exact.
type Money int64

// String is the amount as people write it, such as "CHF 42.50".
func (m Money) String() string {
	if m < 0 {
		return "-" + (-m).String()
	}
	return fmt.Sprintf("CHF %d.%02d", m/100, m%100)
}

// A Date is a day of the calendar, such as "2027-07-31". It has no time zone: a
// hut's night is a night at the hut.
type Date string

// ParseDate returns the date that s says, or an error if there is no such day.
func ParseDate(s string) (Date, error) {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return "", fmt.Errorf("%w: %q is not a day such as 2027-07-31", ErrInvalid, s)
	}
	return Date(s), nil
}

// ErrInvalid is in the tree of each error about a command that makes no sense,
// whatever the state of the night.
var ErrInvalid = errors.New("invalid")
