package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

func limitedBy(status int, fields ...string) time.Duration {
	h := http.Header{}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	return gateway.RateLimited(&http.Response{StatusCode: status, Header: h})
}

// Limits as the APIs of the world announce them. In a bubble it is 2000-01-01 00:00 UTC.
func TestRateLimited(t *testing.T) {
	const (
		now     = "Date: Sat, 01 Jan 2000 00:00:00 GMT"
		hour    = 946688400 // an hour later
		github0 = "X-RateLimit-Remaining: 0"
	)
	for _, tt := range []struct {
		name   string
		status int
		fields []string
		want   time.Duration
	}{
		{"GitHub, nothing left", 403, []string{now, "X-RateLimit-Limit: 60", github0, fmt.Sprint("X-RateLimit-Reset: ", hour)}, time.Hour},
		{"GitHub, the clock here is wrong", 403, []string{"Date: Fri, 31 Dec 1999 23:59:00 GMT", github0, fmt.Sprint("X-RateLimit-Reset: ", hour)}, 61 * time.Minute},
		{"GitHub, without a Date", 403, []string{github0, fmt.Sprint("X-RateLimit-Reset: ", hour)}, time.Hour},
		{"GitHub, due", 403, []string{now, github0, fmt.Sprint("X-RateLimit-Reset: ", hour-3600)}, time.Second},
		{"GitHub, secondary limit", 403, []string{"Retry-After: 30", "X-RateLimit-Remaining: 4000", fmt.Sprint("X-RateLimit-Reset: ", hour)}, 30 * time.Second},
		{"GitHub, no permission", 403, []string{"X-RateLimit-Remaining: 4000", fmt.Sprint("X-RateLimit-Reset: ", hour)}, 0},
		{"another system, no permission", 403, nil, 0},
		{"no permission, with a reset", 403, []string{"X-RateLimit-Reset: 60"}, 0},
		{"Twitter", 429, []string{"X-Rate-Limit-Remaining: 0", fmt.Sprint("X-Rate-Limit-Reset: ", hour)}, time.Hour},
		{"Discord", 429, []string{"X-RateLimit-Remaining: 0", fmt.Sprint("X-RateLimit-Reset: ", hour, ".250"), "X-RateLimit-Reset-After: 1.25"}, 1250 * time.Millisecond},
		{"seconds", 429, []string{"X-RateLimit-Reset: 17"}, 17 * time.Second},
		{"milliseconds", 429, []string{fmt.Sprint("X-RateLimit-Reset: ", hour, "500")}, time.Hour + 500*time.Millisecond},
		{"a date", 429, []string{now, "X-RateLimit-Reset: 2000-01-01T00:00:09Z"}, 9 * time.Second},
		{"an HTTP date", 429, []string{now, "X-RateLimit-Reset: Sat, 01 Jan 2000 00:00:09 GMT"}, 9 * time.Second},
		{"429, this limit is not spent", 429, []string{"X-RateLimit-Remaining: 9", "X-RateLimit-Reset: 17"}, 0},
		{"429 and nothing more", 429, nil, 0},
		{"the draft", 429, []string{`RateLimit: "minute";r=0;t=12`}, 12 * time.Second},
		{"the draft, several quotas", 429, []string{`RateLimit: "minute";r=0;t=12, "day";r=0;t=600, "hour";r=5;t=900`}, 10 * time.Minute},
		{"the draft, nothing is spent", 403, []string{`RateLimit: "minute";r=3;t=12`}, 0},
		{"the draft, 403", 403, []string{`RateLimit: "minute";r=0;t=12`}, 12 * time.Second},
		{"the draft, no time", 429, []string{`RateLimit: "minute";r=0`}, 0},
		{"an earlier draft", 429, []string{"RateLimit: limit=100, remaining=0, reset=50"}, 50 * time.Second},
		{"an earlier draft, 403", 403, []string{"RateLimit: limit=100, remaining=1, reset=50"}, 0},
		{"the first draft", 429, []string{"RateLimit-Limit: 100", "RateLimit-Remaining: 0", "RateLimit-Reset: 50"}, 50 * time.Second},
		{"an overload", 503, []string{"Retry-After: 3", github0, "X-RateLimit-Reset: 60"}, 3 * time.Second},
		{"an overload, no time", 503, []string{github0, "X-RateLimit-Reset: 60"}, 0},
		{"Retry-After comes first", 429, []string{"Retry-After: 3", `RateLimit: "minute";r=0;t=12`}, 3 * time.Second},
		{"not a limit", 500, []string{"Retry-After: 3", github0, "X-RateLimit-Reset: 17"}, 0},
		{"success", 200, []string{github0, "X-RateLimit-Reset: 17"}, 0},
		{"nonsense", 429, []string{"X-RateLimit-Reset: soon"}, 0},
		{"nonsense", 429, []string{"X-RateLimit-Reset: NaN"}, 0},
		{"nonsense", 429, []string{"X-RateLimit-Reset: 1e300"}, 0},
		{"nonsense", 429, []string{"RateLimit: ;;;", "X-RateLimit-Reset: -1e300"}, 0},
		{"nonsense", 403, []string{"X-RateLimit-Remaining: none", "X-RateLimit-Reset: 17"}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			if got := limitedBy(tt.status, tt.fields...); got != tt.want {
				t.Errorf("%s: %v, want %v (%d %q)", tt.name, got, tt.want, tt.status, tt.fields)
			}
		})
	}
}

// Whatever the fields say, a wait is none, or from one second to some thirty years.
func FuzzRateLimited(f *testing.F) {
	for _, s := range []string{"0", "17", "946688400", "1e12", "-1", "NaN", "+Inf", "2000-01-01T00:00:09Z", `"a";r=0;t=9`, "remaining=0, reset=9"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, status := range []int{403, 429} {
			for _, fields := range [][]string{
				{"X-RateLimit-Remaining: 0", "X-RateLimit-Reset: " + one, "Date: " + two},
				{"X-RateLimit-Remaining: " + one, "X-RateLimit-Reset-After: " + two},
				{"RateLimit: " + one, "RateLimit: " + two}, {"Retry-After: " + one},
			} {
				if d := limitedBy(status, fields...); d != 0 && (d < time.Second || d > 1e9*time.Second) {
					t.Errorf("%q: %v", fields, d)
				}
			}
		}
	})
}
