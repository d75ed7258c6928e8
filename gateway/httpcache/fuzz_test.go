package httpcache

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/belay-go/belay/internal/httpfield"
	"github.com/google/go-cmp/cmp"
)

// epoch is when the fuzz tests take place.
var epoch = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// What is read of a Cache-Control field can be written down again, and reading it
// in pieces or with noise in between makes no difference.
func FuzzDirectives(f *testing.F) {
	for _, s := range []string{
		"", "max-age=60", `max-age="60", no-cache="a, b"`, "private=a,public", ",, no-store ,", `x="\",no-store"`, `no-cache="`,
		"max-age =60", "s-maxage=99999999999999999999", "max-stale", "max-age=1, max-age=2", "stale-if-error=5;x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		private := cmp.AllowUnexported(directives{})
		d := parseCacheControl([]string{s})
		for _, v := range []time.Duration{d.maxAge, d.sMaxAge, d.maxStale, d.minFresh, d.staleWhileRevalidate, d.staleIfError} {
			if v < absent || v > forever || v > 0 && v%time.Second != 0 {
				t.Fatalf("%q: %v", s, v)
			}
		}
		for _, name := range append(d.noCacheFields, d.privateFields...) {
			if tokenLen(name) != len(name) || name == "" {
				t.Fatalf("%q: field %q", s, name)
			}
		}
		lower := parseCacheControl([]string{strings.Map(func(r rune) rune {
			if r < 0x80 {
				return unicode.ToLower(r)
			}
			return r
		}, s)})
		if noisy := parseCacheControl([]string{"", "foo=bar", s, ",x"}); !cmp.Equal(d, noisy, private) || !cmp.Equal(d, lower, private) {
			t.Fatalf("%q is %+v, with noise %+v, in small letters %+v", s, d, noisy, lower)
		}
		// A strict directive cannot be hidden by what stands before it and is closed.
		if strings.Count(s, `"`) == 0 {
			if d := parseCacheControl([]string{s + ",no-store"}); !d.noStore {
				t.Fatalf("%q hides no-store", s)
			}
		}
	})
}

// Where our dates are dates, they are the same as net/http's; and it takes all of ours.
func FuzzDate(f *testing.F) {
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"sun, 06 nov 1994 08:49:37 gmt", "Sun, 6 Nov 1994 08:49:37 GMT", "0", "", "Sunday, 29-Feb-00 08:49:37 GMT", ",",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseDate(s, epoch())
		if !ok {
			return
		}
		std := s
		if zone := len(s) - 3; strings.EqualFold(s[zone:], "GMT") {
			std = s[:zone] + "GMT"
		}
		want, err := http.ParseTime(std)
		if err != nil {
			t.Fatalf("%q: %v, but net/http says %v", s, got, err)
		}
		if strings.Contains(s, "-") { // of the years that two digits may mean, net/http takes another
			if got.Year()%100 != want.Year()%100 || got.After(epoch().AddDate(50, 0, 0)) || got.Before(epoch().AddDate(-51, 0, 0)) {
				t.Fatalf("%q: %v, in net/http %v", s, got, want)
			}
			return
		}
		if !got.Equal(want) || got.Location() != time.UTC {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
		again, ok := parseDate(got.Format(http.TimeFormat), epoch())
		if got.Year() < 10000 && (!ok || !again.Equal(got)) {
			t.Fatalf("%q: written and read again it is %v", s, again)
		}
	})
}

// A response always matches the request that it was stored for, and one without the
// field only if that had none.
func FuzzVary(f *testing.F) {
	f.Add("A", "1", "1")
	f.Add("accept-language, B", "en, de;q=0.5", "DE;q=0.5,en")
	f.Add("*", "x", "x")
	f.Add(", A ,, a", "", "x")
	f.Add(`Accept`, `text/x;v="a b"`, `text/x;v="ab"`)
	f.Fuzz(func(t *testing.T, vary, a, b string) {
		name, _, _ := strings.Cut(vary, ",")
		name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
		first, second := http.Header{name: {a}}, http.Header{name: {b}}
		fields, ok := newVary([]string{vary}, first)
		if star := strings.Contains(","+strings.NewReplacer(" ", "", "\t", "").Replace(vary)+",", ",*,"); ok == star && !strings.ContainsAny(vary, " \t") {
			t.Fatalf("%q: usable %v", vary, ok)
		}
		if !ok {
			return
		}
		if !varyMatches(fields, first) || varyKey(fields, first) != varyKey(fields, first.Clone()) {
			t.Fatalf("%q does not match its own request %q", vary, first)
		}
		matches := varyMatches(fields, second)
		if same := varyKey(fields, first) == varyKey(fields, second); same != matches {
			t.Fatalf("%q: %q and %q match %v, have the same key %v", vary, a, b, matches, same)
		}
		if back, _ := newVary([]string{vary}, second); varyMatches(back, first) != matches {
			t.Fatalf("%q: %q and %q match one way only", vary, a, b)
		}
		if len(fields) > 0 && name != "" && varyMatches(fields, http.Header{}) {
			t.Fatalf("%q: %q matches nothing", vary, a)
		}
	})
}

// A range lies within the body, and is what net/http would serve.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-1", "bytes=1-", "bytes=5-2", "bytes=-0", "bytes= 0-1 ", "bytes=99999999999999999999-", "x", "bytes=0-1,2-3", "bytes=--1"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, size int) {
		if size < 0 || size > 1000 {
			return
		}
		from, to, kind := parseRange([]string{s}, int64(size))
		if kind == rangePart && (from < 0 || from >= to || to > int64(size)) {
			t.Fatalf("%q of %d: %d to %d", s, size, from, to)
		}
		if kind == rangeWhole {
			return // net/http also serves several ranges, and complains of what is none
		}
		req, err := http.NewRequest("GET", pageURL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", strings.ToLower(s))
		body := bytes.Repeat([]byte("0123456789"), 100)[:size]
		_, suffix, _ := strings.Cut(strings.ReplaceAll(s, " ", ""), "=")
		w := &recorder{header: http.Header{}}
		http.ServeContent(w, req, "x.txt", time.Time{}, bytes.NewReader(body))
		switch {
		case kind == rangePart && (w.code != 206 || !bytes.Equal(w.body.Bytes(), body[from:to])):
			t.Fatalf("%q of %d: %d to %d, net/http %d %q", s, size, from, to, w.code, w.body.String())
		case kind == rangeNone && w.code != 416 && size > 0 && !strings.HasPrefix(suffix, "-"): // it takes -0
			t.Fatalf("%q of %d: not satisfiable, net/http %d", s, size, w.code)
		}
	})
}

const pageURL = "http://service.test/"

type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// Whatever an origin sends, what is stored is what it sent.
func FuzzEntry(f *testing.F) {
	f.Add("max-age=60", "A", "1", "Vary", "B", "body")
	f.Add("no-cache, max-age=1", "Etag", `"a"`, "Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT", "")
	f.Add("max-age=60", "Connection", "Date", "Date", "x", "x")
	f.Fuzz(func(t *testing.T, control, name1, value1, name2, value2, body string) {
		h := http.Header{}
		h.Add("Cache-Control", control)
		h.Add(name1, value1)
		h.Add(name2, value2)
		sent := h.Clone()
		c := New(Config{})
		base := baseFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{Status: "200 OK", StatusCode: 200, Header: h, Request: r,
				Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
		})
		var got [2]*http.Response
		for i := range got {
			req, _ := http.NewRequest("GET", pageURL, nil)
			resp, err := (&Transport{Base: base, Cache: c}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); string(b) != body || err != nil {
				t.Fatalf("%d: %q, %v, want %q", i, b, err, body)
			}
			resp.Body.Close()
			got[i] = resp
		}
		if diff := cmp.Diff(sent, h); diff != "" {
			t.Fatal("the origin's header has changed: " + diff)
		}
		if s, ok := StatusOf(got[1].Header); !ok && sent["Cache-Status"] == nil {
			t.Fatalf("no status: %v", got[1].Header)
		} else if !s.Hit || s.Forward != "" {
			return
		}
		for name, values := range got[1].Header {
			if name != "Age" && name != "Cache-Status" && name != "Date" && !cmp.Equal(values, sent[name]) {
				t.Fatalf("%s is %q, was %q", name, values, sent[name])
			}
		}
	})
}

type baseFunc func(*http.Request) (*http.Response, error)

func (f baseFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A status can be read back from the field that it was written to.
func FuzzStatus(f *testing.F) {
	f.Add("belay", true, int64(5), "detail")
	f.Add(`my "cache"`, false, int64(-5), "")
	f.Fuzz(func(t *testing.T, name string, hit bool, ttl int64, detail string) {
		want := Status{Cache: name, Hit: hit, TTL: time.Duration(ttl%1000) * time.Second}
		if (Config{Name: name}).Validate() != nil || name == "" {
			return
		}
		resp := &http.Response{Header: http.Header{"Cache-Status": {detail}}}
		if _, err := httpfield.ParseList([]string{detail}); err != nil {
			delete(resp.Header, "Cache-Status")
		}
		addStatus(resp, want.String())
		if got, ok := StatusOf(resp.Header); !ok || got != want {
			t.Fatalf("%q is %+v, %v, want %+v", resp.Header["Cache-Status"], got, ok, want)
		}
	})
}
