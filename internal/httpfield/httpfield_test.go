package httpfield

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryAfter(t *testing.T) {
	const date = "Fri, 31 Dec 1999 23:59:00 GMT"
	for _, tt := range []struct {
		field, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"1", "", time.Second},
		{" 120 ", "", 2 * time.Minute},
		{"0005", "", 5 * time.Second},
		{"999999999", "", 999999999 * time.Second},

		// Nonsense is no hint.
		{"-1", "", 0},
		{"+1", "", 0},
		{"1.5", "", 0},
		{"1e9", "", 0},
		{"1 s", "", 0},
		{"soon", "", 0},
		{"1743400000", "", 0}, // a Unix time
		{"99999999999999999999", "", 0},

		// A date, in each of the three formats, against the response's own.
		{"Fri, 31 Dec 1999 23:59:59 GMT", date, 59 * time.Second},
		{"Friday, 31-Dec-99 23:59:59 GMT", date, 59 * time.Second},
		{"Fri Dec 31 23:59:59 1999", date, 59 * time.Second},
		{"Fri, 31 Dec 1999 23:58:59 GMT", date, 0}, // past
		{"Fri, 31 Dec 9999 23:59:59 GMT", date, 0}, // absurd

		// Without a date of its own, against the clock, which in a bubble begins in 2000.
		{"Sat, 01 Jan 2000 00:00:07 GMT", "", 7 * time.Second},
		{"Sat, 01 Jan 2000 00:00:07 GMT", "yesterday", 7 * time.Second},
	} {
		t.Run(tt.field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := http.Header{"Retry-After": {tt.field}, "Date": {tt.date}}
				if got := RetryAfter(h); got != tt.want {
					t.Errorf("RetryAfter(%q, Date %q) = %v, want %v", tt.field, tt.date, got, tt.want)
				}
			})
		})
	}
	if got := RetryAfter(nil); got != 0 {
		t.Errorf("RetryAfter(nil) = %v", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "1743400000", "Fri, 31 Dec 1999 23:59:59 GMT", "1e3", "٣"} {
		f.Add(s, "")
		f.Add(s, "Fri, 31 Dec 1999 23:59:00 GMT")
	}
	f.Fuzz(func(t *testing.T, field, date string) {
		got := RetryAfter(http.Header{"Retry-After": {field}, "Date": {date}})
		if got < 0 || got >= maxDelay*time.Second {
			t.Errorf("RetryAfter(%q, %q) = %v", field, date, got)
		}
		if n, err := strconv.Atoi(field); err == nil && field[0] != '+' {
			want := time.Duration(0)
			if n >= 0 && n < maxDelay {
				want = time.Duration(n) * time.Second
			}
			if got != want {
				t.Errorf("RetryAfter(%q) = %v, want %v", field, got, want)
			}
		}
	})
}
