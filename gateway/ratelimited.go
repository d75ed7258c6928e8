package gateway

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// RateLimited says for how long to wait after a response with the status 429, or 403
// as GitHub sends it, that comes from a limit: 0 if it does not, or if it gives no time.
// After a 503 it is the time in Retry-After. It is for Config.RetryAfter, and for the
// field of the same name in retry.Transport. The first of these that says something
// counts:
//
//	Retry-After                              (RFC 9110)
//	RateLimit: "default";r=0;t=30            (draft-ietf-httpapi-ratelimit-headers-10)
//	RateLimit: limit=9, remaining=0, reset=9 (its earlier versions)
//	RateLimit-Remaining, RateLimit-Reset     (earlier still)
//	X-RateLimit-Remaining, -Reset-After, -Reset; also with X-Rate-Limit
//
// The fields but Retry-After count if nothing remains; for a 429 also if they do not
// say what remains. A reset is a number of seconds, a Unix time in seconds or
// milliseconds, or a date; times are compared with the Date of the response. A reset
// that is due means one second.
func RateLimited(resp *http.Response) time.Duration {
	h, certain := resp.Header, resp.StatusCode == http.StatusTooManyRequests
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusTooManyRequests:
	case http.StatusServiceUnavailable:
		return max(0, httpfield.RetryAfter(h))
	default:
		return 0
	}
	if d := httpfield.RetryAfter(h); d > 0 {
		return d
	}
	if d := quotaReset(h["Ratelimit"], certain); d > 0 {
		return d
	}
	for _, prefix := range []string{"Ratelimit", "X-Ratelimit", "X-Rate-Limit"} {
		if left := h.Get(prefix + "-Remaining"); left == "" && !certain || left != "" && !isZero(left) {
			continue
		}
		for _, name := range []string{"-Reset-After", "-Reset"} {
			if d := resetIn(h, h.Get(prefix+name)); d > 0 {
				return d
			}
		}
	}
	return 0
}

// quotaReset returns the longest time until a quota of the field RateLimit of which
// nothing is left is reset.
func quotaReset(lines []string, certain bool) (longest time.Duration) {
	quota := func(params []httpfield.Member, remaining, reset string) {
		seconds, timed, spent := int64(0), false, certain
		for _, p := range params {
			n, ok := p.Value.(int64)
			switch {
			case ok && p.Key == remaining:
				spent = n <= 0
			case ok && p.Key == reset:
				seconds, timed = n, true
			}
		}
		if spent && timed {
			longest = max(longest, atLeast(float64(seconds)))
		}
	}
	if items, err := httpfield.ParseList(lines); err == nil && len(items) > 0 && items[0].Params != nil {
		for _, item := range items {
			quota(item.Params, "r", "t")
		}
	} else if members, err := httpfield.ParseDictionary(lines); err == nil && len(members) > 0 {
		quota(members, "remaining", "reset")
	}
	return longest
}

func isZero(s string) bool {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil && n <= 0
}

// resetIn returns how long it is until the reset that s says, 0 if it says none.
func resetIn(h http.Header, s string) time.Duration {
	const (
		times  = 1e8  // from here on a number is a Unix time,
		millis = 1e11 // and from here on in milliseconds
	)
	s = strings.TrimSpace(s)
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			if at, err = http.ParseTime(s); err != nil {
				return 0
			}
		}
		return atLeast(at.Sub(now).Seconds())
	case n >= millis:
		return atLeast(n/1000 - float64(now.UnixMilli())/1000)
	case n >= times:
		return atLeast(n - float64(now.UnixMilli())/1000)
	}
	return atLeast(n)
}

// atLeast returns the seconds until a reset as a duration: one second if it is due, 0 if
// the number cannot be meant.
func atLeast(seconds float64) time.Duration {
	const longest = 1e9 // as for Retry-After
	if !(seconds < longest) || seconds < -longest {
		return 0
	}
	return max(time.Second, time.Duration(math.Ceil(seconds*1000))*time.Millisecond)
}
