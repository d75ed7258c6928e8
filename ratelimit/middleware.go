package ratelimit

import (
	"fmt"
	"math/bits"
	"net/http"
	"strconv"
	"time"
)

// Middleware returns a wrapper for the handlers of a server, in the form that routers
// such as chi take. It asks take about each request, and answers those that are not
// OK with 429 Too Many Requests, a Retry-After field and no more:
//
//	tenants := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Rate: 10, Burst: 20})
//	router.Use(ratelimit.Middleware(func(r *http.Request) ratelimit.Decision {
//		return tenants.Take(r.Header.Get("Tenant"), 1)
//	}))
//
// All responses get the fields RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers-11), which tell a client what is left, unless
// the Decision is of no limit; the handler may still change them.
//
// To try a limit without enforcing it, take returns Decision{OK: true} whatever the
// limiter's decision is, and reports that.
func Middleware(take func(*http.Request) Decision) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := take(r)
			d.describe(w.Header())
			if !d.OK {
				http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// describe sets the fields that tell a client about d. Times are in whole seconds,
// rounded up.
func (d *Decision) describe(h http.Header) {
	if !d.OK && d.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(seconds(d.RetryAfter), 10))
	}
	if d.Window <= 0 || d.Burst <= 0 {
		return
	}
	// As many as flow in within a window of whole seconds: at least Burst.
	window := max(1, seconds(d.Window))
	quota := mulDiv(int64(d.Burst), window*int64(time.Second), int64(d.Window))
	// The time until the next token or, so that a client that spreads what is left
	// over it is not too fast, the time in which as much flows in.
	reset := d.RetryAfter
	if d.OK {
		interval := d.Window / time.Duration(d.Burst)
		reset = max(d.ResetAfter-d.Window+interval, interval*time.Duration(max(0, d.Remaining)))
	}
	h.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, min(quota, maxInteger), min(window, maxInteger)))
	h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, min(max(0, d.Remaining), maxInteger), min(seconds(reset), maxInteger)))
}

// maxInteger is the greatest Integer of a structured field (RFC 9651, section 3.3.1).
const maxInteger = 999_999_999_999_999

// seconds rounds up.
func seconds(d time.Duration) int64 {
	s := int64(max(0, d) / time.Second)
	if d > time.Duration(s)*time.Second {
		s++
	}
	return s
}

// mulDiv returns a*b/c for what is positive, or maxInteger if that is less.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return maxInteger
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, maxInteger))
}
