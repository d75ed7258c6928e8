package httpcache

import (
	"strings"
	"time"
)

// The three forms of an HTTP-date (RFC 9110, section 5.6.7), digits as 0, names as
// they may vary.
const (
	imfDate    = "ddd, 00 mmm 0000 00:00:00 GMT"
	ansiCDate  = "ddd mmm _0 00:00:00 0000"
	rfc850Date = ", 00-mmm-00 00:00:00 GMT" // after the day's full name
)

// parseDate parses an HTTP-date. It takes names in any case, as RFC 9111,
// section 4.2, asks of caches, and is as strict as the grammar otherwise, where
// [net/http.ParseTime] is not: what is no date has to count as expired. A year of two
// digits is at most 50 years after now.
func parseDate(s string, now time.Time) (t time.Time, ok bool) {
	layout := "Monday, 02-Jan-06 15:04:05 GMT"
	switch {
	case hasForm(s, imfDate):
		layout = "Mon, 02 Jan 2006 15:04:05 GMT"
	case hasForm(s, ansiCDate):
		layout = time.ANSIC
	case !hasForm(s[max(0, strings.IndexByte(s, ',')):], rfc850Date):
		return t, false
	}
	if layout != time.ANSIC {
		s = s[:len(s)-len("GMT")] + "GMT"
	}
	t, err := time.Parse(layout, s)
	if err != nil {
		return t, false
	}
	if strings.Contains(s, "-") {
		t = t.AddDate(now.Year()/100*100+t.Year()%100-t.Year(), 0, 0)
		if t.After(now.AddDate(50, 0, 0)) {
			t = t.AddDate(-100, 0, 0)
		}
	}
	return t.UTC(), true
}

// hasForm reports whether s has the form of layout.
func hasForm(s, layout string) bool {
	if len(s) != len(layout) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		digit := '0' <= c && c <= '9'
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		switch l := layout[i]; l {
		case '0':
			if !digit {
				return false
			}
		case '_':
			if !digit && c != ' ' {
				return false
			}
		case 'd', 'm':
			if !letter {
				return false
			}
		default:
			if c != l && !(letter && c&^0x20 == l) {
				return false
			}
		}
	}
	return true
}
