package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Middleware returns a wrapper for the handlers of a server, in the form that routers
// such as chi take. It asks take about each request, and answers those that are not
// OK with 429 Too Many Requests and a line of text:
//
//	tenants := ratelimit.NewKeyed(ratelimit.KeyedConfig[string]{Name: "tenant", Rate: 10, Burst: 20})
//	router.Use(ratelimit.Middleware(func(r *http.Request) ratelimit.Decision {
//		return tenants.Take(r.Header.Get("Tenant"), 1)
//	}))
//
// All responses get the fields that [Decision.WriteHeader] sets; the handler may still
// change them. For another answer than a line of text, call WriteHeader yourself.
//
// To try a limit without enforcing it, let take report the limiter's decision and
// return Decision{OK: true}.
func Middleware(take func(*http.Request) Decision) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := take(r)
			d.WriteHeader(w.Header())
			if !d.OK {
				http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// ConcurrencyMiddleware returns a wrapper for the handlers of a server, as [Middleware]
// does. It limits how many requests are under way at once. A request that a refuses is
// answered with 503 Service Unavailable and a Retry-After field: the time that the error
// gives, or one second. The place of a request is free again when its handler has
// returned.
//
// A limit that learns is told Success when the handler returns, Ignored if the client
// has left by then, and Failure if the request's deadline has passed. A panic tells it
// nothing.
func ConcurrencyMiddleware(a Acquirer) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			permit, err := a.Acquire(r.Context())
			if err != nil {
				after := time.Second
				if e, ok := errors.AsType[*Error](err); ok {
					after = max(after, e.RetryAfter())
				}
				w.Header().Set("Retry-After", strconv.FormatInt(seconds(after), 10))
				http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
				return
			}
			defer permit.Done()
			next.ServeHTTP(w, r)
			permit.returned(r.Context(), r.Context().Err())
		})
	}
}

// WriteHeader sets the fields of a response that tell a client about d:
//
//   - Retry-After, if the call was refused and it is known when it can be made,
//   - RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11), which
//     tell what the limit is and what is left, unless the Decision is of no limit.
//
// Fields that other limits have set stay, and get one more item. The item is called
// Name or, without one, "default"; a number tells it from another of the same name.
// Times are in whole seconds, rounded up. Call it before the WriteHeader of the
// [http.ResponseWriter].
func (d Decision) WriteHeader(h http.Header) {
	if !d.OK && d.RetryAfter > 0 {
		after := seconds(d.RetryAfter)
		if other, err := strconv.ParseInt(h.Get("Retry-After"), 10, 64); err != nil || other < after {
			h.Set("Retry-After", strconv.FormatInt(after, 10))
		}
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
	name := d.policy(h)
	addItem(h, "RateLimit-Policy", fmt.Sprintf("%s;q=%d;w=%d", name, min(quota, maxInteger), min(window, maxInteger)))
	addItem(h, "RateLimit", fmt.Sprintf("%s;r=%d;t=%d", name, min(max(0, int64(d.Remaining)), maxInteger), min(seconds(reset), maxInteger)))
}

// policy is the name of the limit as a String of structured fields (RFC 9651, section
// 3.3.3), which h does not have yet.
func (d *Decision) policy(h http.Header) string {
	const field = "Ratelimit-Policy"
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, cmp.Or(d.Name, "default"))
	name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
	taken := strings.Join(h[field], ",")
	item := name + `"`
	for n := 2; strings.Contains(taken, item+";"); n++ {
		item = fmt.Sprintf(`%s-%d"`, name, n)
	}
	return item
}

// addItem adds to a field that is a list.
func addItem(h http.Header, field, item string) {
	if others := h.Values(field); len(others) > 0 {
		item = strings.Join(others, ", ") + ", " + item
	}
	h.Set(field, item)
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
