package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

func TestMiddleware(t *testing.T) {
	const min, day = time.Minute, 24 * time.Hour
	huge := int64(999_999_999_999_999) // the most that a structured field can say
	if math.MaxInt == math.MaxInt32 {
		huge = math.MaxInt32
	}
	for name, tt := range map[string]struct {
		decision             Decision
		limit, policy, retry string
	}{
		"full":           {Decision{OK: true, Remaining: 9, ResetAfter: min, Burst: 10, Window: 10 * min}, `"default";r=9;t=540`, `"default";q=10;w=600`, ""},
		"last":           {Decision{OK: true, Remaining: 0, ResetAfter: 10*min - 30*time.Second, Burst: 10, Window: 10 * min}, `"default";r=0;t=30`, `"default";q=10;w=600`, ""},
		"denied":         {Decision{RetryAfter: 1001 * time.Millisecond, ResetAfter: min, Burst: 10, Window: min}, `"default";r=0;t=2`, `"default";q=10;w=60`, "2"},
		"short window":   {Decision{OK: true, Remaining: 10, Burst: 10, Window: 100 * time.Millisecond}, `"default";r=10;t=1`, `"default";q=100;w=1`, ""},
		"odd window":     {Decision{OK: true, Remaining: 1, Burst: 3, Window: 2500 * time.Millisecond}, `"default";r=1;t=1`, `"default";q=3;w=3`, ""},
		"nanosecond":     {Decision{RetryAfter: 1, Burst: 1, Window: day}, `"default";r=0;t=1`, `"default";q=1;w=86400`, "1"},
		"never":          {Decision{Remaining: 5, Burst: 5, Window: min}, `"default";r=5;t=0`, `"default";q=5;w=60`, ""},
		"no limit":       {Decision{OK: true, Remaining: math.MaxInt}, "", "", ""},
		"just denied":    {Decision{}, "", "", ""},
		"denied foreign": {Decision{RetryAfter: min}, "", "", "60"},
		"huge":           {Decision{OK: true, Remaining: math.MaxInt, Burst: math.MaxInt, Window: 1}, fmt.Sprintf(`"default";r=%d;t=0`, huge), `"default";q=999999999999999;w=1`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			called := false
			h := Middleware(func(*http.Request) Decision { return tt.decision })(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				called = true
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if called != tt.decision.OK || (w.Code == 429) == called {
				t.Errorf("status %d, called %v", w.Code, called)
			}
			for field, want := range map[string]string{"RateLimit": tt.limit, "RateLimit-Policy": tt.policy, "Retry-After": tt.retry} {
				if got := w.Header().Get(field); got != want {
					t.Errorf("%s %q, want %q", field, got, want)
				}
			}
		})
	}
}

var items = regexp.MustCompile(`^"a";[rq]=[0-9]{1,15};[tw]=[0-9]{1,15}, "([ !#-[\]-~]|\\["\\])+";[rq]=[0-9]{1,15};[tw]=[0-9]{1,15}$`)

// FuzzFields: whatever the decision, the fields are well-formed, and no client that
// follows them is told to be faster than the limit.
func FuzzFields(f *testing.F) {
	f.Add("", true, 3, int64(5), int64(7), 10, int64(time.Minute))
	f.Add("a", false, -3, int64(math.MaxInt64), int64(math.MinInt64), math.MaxInt, int64(1))
	f.Add("\x00\"Größe\\", true, 3, int64(5), int64(7), 10, int64(time.Minute))
	f.Fuzz(func(t *testing.T, name string, ok bool, remaining int, retry, reset int64, burst int, window int64) {
		h := http.Header{}
		Decision{Name: "a", OK: true, Burst: 1, Window: 1}.WriteHeader(h)
		first := h.Get("RateLimit")
		Decision{name, ok, remaining, time.Duration(retry), time.Duration(reset), burst, time.Duration(window)}.WriteHeader(h)
		for _, field := range []string{"RateLimit", "RateLimit-Policy"} {
			if v := h.Get(field); h.Get("RateLimit") != first && !items.MatchString(v) {
				t.Errorf("%s: %q", field, v)
			}
		}
		if v := h.Get("Retry-After"); strings.HasPrefix(v, "-") || v == "0" {
			t.Errorf("Retry-After: %q", v)
		}
	})
}

// A client that does what the fields say is not refused.
func TestFieldsArePolite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Rate: rate.Every(3 * time.Second), Burst: 7})
		for range 200 {
			d := l.Take(1)
			if !d.OK {
				t.Fatalf("refused: %+v", d)
			}
			h := http.Header{}
			d.WriteHeader(h)
			if strings.Contains(h.Get("RateLimit"), ";r=0;") {
				_, in, _ := strings.Cut(h.Get("RateLimit"), ";t=")
				wait, err := time.ParseDuration(in + "s")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(wait)
			}
		}
	})
}

func TestClientIP(t *testing.T) {
	one := []string{"10.0.0.0/8", "2001:db8:ffff::/48"}
	for name, tt := range map[string]struct {
		trusted []string
		remote  string
		fields  []string
		want    string
	}{
		"peer":                     {nil, "192.0.2.1:80", nil, "192.0.2.1"},
		"field of a stranger":      {one, "192.0.2.1:80", []string{"198.51.100.1"}, "192.0.2.1"},
		"nobody is trusted":        {nil, "10.0.0.1:80", []string{"198.51.100.1"}, "10.0.0.1"},
		"proxy":                    {one, "10.0.0.1:80", []string{"198.51.100.1"}, "198.51.100.1"},
		"invented before":          {one, "10.0.0.1:80", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		"two proxies":              {one, "10.0.0.1:80", []string{"203.0.113.9,198.51.100.1 , 10.2.3.4"}, "198.51.100.1"},
		"two fields":               {one, "10.0.0.1:80", []string{"203.0.113.9, 198.51.100.1", "10.2.3.4"}, "198.51.100.1"},
		"only proxies":             {one, "10.0.0.1:80", []string{"10.2.3.4"}, "10.2.3.4"},
		"no field":                 {one, "10.0.0.1:80", nil, "10.0.0.1"},
		"empty field":              {one, "10.0.0.1:80", []string{""}, "10.0.0.1"},
		"garbage":                  {one, "10.0.0.1:80", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		"garbage before":           {one, "10.0.0.1:80", []string{"unknown, 198.51.100.1"}, "198.51.100.1"},
		"port":                     {one, "10.0.0.1:80", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		"IPv6":                     {nil, "[2001:db8:1:2:3:4:5:6]:80", nil, "2001:db8:1:2::"},
		"IPv6 behind a proxy":      {one, "[2001:db8:ffff::1]:80", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::"},
		"IPv6 in brackets":         {one, "10.0.0.1:80", []string{"[2001:db8:1:2:3:4:5:6]"}, "2001:db8:1:2::"},
		"IPv6 with port":           {one, "10.0.0.1:80", []string{"[2001:db8:1:2:3:4:5:6]:99"}, "2001:db8:1:2::"},
		"IPv4 in IPv6":             {nil, "[::ffff:192.0.2.1]:80", nil, "192.0.2.1"},
		"trusted IPv4 in IPv6":     {one, "[::ffff:10.0.0.1]:80", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"zone":                     {nil, "[fe80::1%eth0]:80", nil, "fe80::"},
		"Unix socket":              {one, "@", []string{"198.51.100.1"}, "invalid IP"},
		"all but the zero address": {one, "", nil, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			var trusted []netip.Prefix
			for _, p := range tt.trusted {
				trusted = append(trusted, netip.MustParsePrefix(p))
			}
			r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{}}
			if tt.fields != nil {
				r.Header["X-Forwarded-For"] = tt.fields
			}
			if got := ClientIP(trusted...)(r).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// FuzzClientIP: a stranger's field is not looked at; otherwise the key is an address
// that does not depend on what stands before it.
func FuzzClientIP(f *testing.F) {
	f.Add("1.2.3.4", "5.6.7.8")
	f.Add(",,[::1", "[2001:db8::1]:80")
	f.Fuzz(func(t *testing.T, before, last string) {
		key := ClientIP(netip.MustParsePrefix("10.0.0.0/8"))
		ask := func(remote, field string) netip.Addr {
			return key(&http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {field}}})
		}
		if got := ask("192.0.2.1:1", before+","+last); got.String() != "192.0.2.1" {
			t.Errorf("a stranger has become %v", got)
		}
		if strings.Contains(last, ",") {
			return
		}
		alone := ask("10.0.0.1:1", last)
		if !alone.IsValid() || alone.Zone() != "" || alone.Is4In6() {
			t.Errorf("%q gives %v", last, alone)
		}
		if got := ask("10.0.0.1:1", before+","+last); got != alone && !netip.MustParsePrefix("10.0.0.0/8").Contains(alone) {
			t.Errorf("%q before %q makes %v of %v", before, last, got, alone)
		}
	})
}

// Two limits on one route both show, each by its name, whichever refuses.
func TestLimitsOnOneRouteAllShow(t *testing.T) {
	const min = time.Minute
	ok, no := Decision{OK: true, Remaining: 3, Burst: 10, Window: min}, Decision{RetryAfter: 3 * time.Second, Burst: 10, Window: min}
	named := func(d Decision, name string) Decision { d.Name = name; return d }
	for name, tt := range map[string]struct {
		outer, inner         Decision
		limit, policy, retry string
	}{
		"named": {named(ok, "host"), named(ok, "user"),
			`"host";r=3;t=18, "user";r=3;t=18`, `"host";q=10;w=60, "user";q=10;w=60`, ""},
		"without names": {ok, ok, `"default";r=3;t=18, "default-2";r=3;t=18`, `"default";q=10;w=60, "default-2";q=10;w=60`, ""},
		"the same name": {named(ok, "a"), named(no, "a"), `"a";r=3;t=18, "a-2";r=0;t=3`, `"a";q=10;w=60, "a-2";q=10;w=60`, "3"},
		"one begins with the other": {named(ok, "ab"), named(ok, "a"), `"ab";r=3;t=18, "a";r=3;t=18`,
			`"ab";q=10;w=60, "a";q=10;w=60`, ""},
		"the outer refuses": {named(no, "host"), named(ok, "user"), `"host";r=0;t=3`, `"host";q=10;w=60`, "3"},
		"the inner refuses": {named(ok, "host"), named(no, "user"), `"host";r=3;t=18, "user";r=0;t=3`, `"host";q=10;w=60, "user";q=10;w=60`, "3"},
		"odd names": {named(ok, `a"b\c`), named(ok, "Größe\n"), `"a\"b\\c";r=3;t=18, "Gr??e?";r=3;t=18`,
			`"a\"b\\c";q=10;w=60, "Gr??e?";q=10;w=60`, ""},
		"one without a limit": {Decision{OK: true, Name: "none"}, named(ok, "user"), `"user";r=3;t=18`, `"user";q=10;w=60`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			middleware := func(d Decision) func(http.Handler) http.Handler {
				return Middleware(func(*http.Request) Decision { return d })
			}
			w := httptest.NewRecorder()
			middleware(tt.outer)(middleware(tt.inner)(http.NotFoundHandler())).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			got := []string{w.Header().Get("RateLimit"), w.Header().Get("RateLimit-Policy"), w.Header().Get("Retry-After")}
			if diff := cmp.Diff([]string{tt.limit, tt.policy, tt.retry}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Of several refusals the longest wait counts.
func TestRetryAfterIsTheLongest(t *testing.T) {
	h := http.Header{}
	for _, s := range []time.Duration{3, 60, 5} {
		Decision{RetryAfter: s * time.Second}.WriteHeader(h)
	}
	if got := h.Get("Retry-After"); got != "60" {
		t.Errorf("Retry-After %q", got)
	}
}

func TestDecisionsHaveNames(t *testing.T) {
	l, k := New(Config{Name: "l", Rate: 1}), NewKeyed(KeyedConfig[int]{Name: "k", Rate: 1})
	for range 2 {
		if got := l.Take(1).Name + k.Take(1, 1).Name; got != "lk" {
			t.Errorf("names %q", got)
		}
	}
}

type acquire func(context.Context) (Permit, error)

func (a acquire) Acquire(ctx context.Context) (Permit, error) { return a(ctx) }

type answers []string

func (a *answers) Answered(_ uint64, o Outcome) { *a = append(*a, o.String()) }
func (a *answers) Done(uint64)                  { *a = append(*a, "done") }

func TestConcurrencyMiddleware(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	errForeign := errors.New("foreign")
	for name, tt := range map[string]struct {
		refusal error
		ctx     context.Context
		panics  bool
		status  int
		retry   string
		want    answers
	}{
		"answered":           {status: 200, want: answers{"success", "done"}},
		"client has left":    {ctx: gone, status: 200, want: answers{"ignored", "done"}},
		"panic":              {panics: true, status: 200, want: answers{"done"}},
		"full":               {refusal: &Error{Cause: ErrFull}, status: 503, retry: "1"},
		"full for some time": {refusal: fmt.Errorf("no: %w", &Error{Cause: ErrFull, after: 1500 * time.Millisecond}), status: 503, retry: "2"},
		"refused by another": {refusal: errForeign, status: 503, retry: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			var got answers
			limit := acquire(func(context.Context) (Permit, error) {
				if tt.refusal != nil {
					return Permit{}, tt.refusal
				}
				return NewPermit(&got, 0), nil
			})
			h := ConcurrencyMiddleware(limit)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				if tt.panics {
					panic("handler")
				}
			}))
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/", nil)
			if tt.ctx != nil {
				r = r.WithContext(tt.ctx)
			}
			func() {
				defer func() {
					if (recover() != nil) != tt.panics {
						t.Error("the panic did not pass")
					}
				}()
				h.ServeHTTP(w, r)
			}()
			if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retry {
				t.Errorf("status %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
