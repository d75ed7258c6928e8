// Package httpfield reads HTTP header fields.
package httpfield

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxDelay is where a delay, in seconds, stops being one: some servers send the
// time of day as seconds since 1970 instead.
const maxDelay = 1_000_000_000

// RetryAfter returns how long the Retry-After field of h (RFC 9110, section
// 10.2.3) asks to wait, or 0 when it gives no hint: absent, malformed, negative,
// in the past, or absurdly far off, as when a Unix time stands in place of a delay. A
// date is measured against the Date field of the same response, so that a clock that is
// off here or there does not matter, and against the local clock if there is none.
func RetryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if v[0] >= '0' && v[0] <= '9' {
		// ParseUint refuses signs, spaces and fractions, as the grammar does.
		s, err := strconv.ParseUint(v, 10, 64)
		if err != nil || s >= maxDelay {
			return 0
		}
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	if d := at.Sub(now); d > 0 && d < maxDelay*time.Second {
		return d
	}
	return 0
}
