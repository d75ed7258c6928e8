package desk

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/service/booking"
	"github.com/belay-go/belay/internal/memhttp"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const evil = `<script>alert("1")</script> & Co`

// service answers as the booking service does, and remembers what it was asked.
type service struct {
	down  bool
	none  bool // nobody comes
	asked []string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Idempotency-Key")))
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /huts/{hut}/{date}", func(w http.ResponseWriter, r *http.Request) {
		answer(200, booking.Night{Hut: "planura", Name: "Planurahütte", Date: domain.Date(r.PathValue("date")), Beds: 20, Free: 13, Price: 42_50})
	})
	of := func(id string, state domain.State, guest string) domain.Booking {
		return domain.Booking{ID: domain.BookingID(id), Hut: "planura", Date: "2000-01-01", Guest: guest, Beds: 2, Price: 85_00, State: state, Why: domain.Cancelled}
	}
	mux.HandleFunc("GET /bookings", func(w http.ResponseWriter, r *http.Request) {
		answer(200, []domain.Booking{of("a1", domain.Paid, "ann"), of("a/2?x#y", domain.AwaitingPayment, "ann"), of("a3", domain.Over, "ann")})
	})
	mux.HandleFunc("GET /huts/{hut}/{date}/bookings", func(w http.ResponseWriter, r *http.Request) {
		if s.none {
			answer(200, []domain.Booking{})
			return
		}
		answer(200, []domain.Booking{of("a1", domain.Paid, "ann"), of("e1", domain.AwaitingPayment, evil)})
	})
	mux.HandleFunc("POST /huts/{hut}/{date}/bookings", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Beds int }
		json.NewDecoder(r.Body).Decode(&in)
		if in.Beds > 20 {
			platform.Refuse(w, platform.Problem{Status: 409, Detail: "planura has 13 beds left on 2000-01-01, not 21"})
			return
		}
		answer(202, of("new/1", domain.AwaitingPayment, "ann"))
	})
	mux.HandleFunc("/huts/{hut}/{date}/bookings/{id}", func(w http.ResponseWriter, r *http.Request) {
		state := map[string]domain.State{"a1": domain.Paid, "a/2?x#y": domain.AwaitingPayment, "a3": domain.Over, "e1": domain.AwaitingPayment}[r.PathValue("id")]
		if r.Method == "DELETE" && state != "" {
			state = domain.Freed
		}
		if state == "" {
			platform.Refuse(w, platform.Problem{Status: 404, Detail: "not found: no booking"})
			return
		}
		guest := "ann"
		if r.PathValue("id") == "e1" {
			guest = evil
		}
		answer(200, of(r.PathValue("id"), state, guest))
	})
	if s.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	mux.ServeHTTP(w, r)
}

// A visitor is a browser, as far as a server sees it.
type visitor struct {
	t       *testing.T
	h       http.Handler
	service *service
	session *http.Cookie
}

var private = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func token(name, hut string) (string, error) {
	claims := jwt.MapClaims{"sub": name, "aud": "huts", "exp": time.Now().Add(time.Hour).Unix()}
	if hut != "" {
		claims["hut"] = hut
	}
	return jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims).SignedString(private)
}

// visit runs f in virtual time, with the desk in front of a booking service.
func visit(t *testing.T, f func(t *testing.T, v *visitor)) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{t: t, service: &service{}}
		base := memhttp.NewServer(t, v.service).Transport()
		defer base.CloseIdleConnections()
		m, err := NewModel("http://booking", base)
		if err != nil {
			t.Fatal(err)
		}
		d := &Desk{
			Model: m, Sessions: platform.NewSessions(platform.NewVerifier(private.Public().(ed25519.PublicKey))),
			Huts: []domain.Hut{{ID: "etzli", Name: "Etzlihütte", Price: 38_00}, {ID: "planura", Name: "Planurahütte", Price: 42_50}},
			SignIn: func(_ context.Context, name, hut string) (string, error) {
				if name == "stranger" {
					return "", errors.New("the identity provider is down")
				}
				return token(name, hut)
			},
		}
		v.h = d.Handler()
		f(t, v)
	})
}

// get asks for a page, and send sends a form, with header fields in pairs.
func (v *visitor) get(path string) *httptest.ResponseRecorder { return v.ask("GET", path, nil) }

func (v *visitor) send(path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	return v.ask("POST", path, form, header...)
}

func (v *visitor) ask(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Host = "127.0.0.1:8080"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if v.session != nil {
		r.AddCookie(v.session)
	}
	w := httptest.NewRecorder()
	v.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.session = c
	}
	return w
}

func (v *visitor) signin(name, hut string) {
	v.t.Helper()
	if w := v.send("/desk/signin", url.Values{"name": {name}, "hut": {hut}}); w.Code != http.StatusSeeOther {
		v.t.Fatalf("sign in: %d %s", w.Code, w.Body)
	}
}

// TestPages holds each page against a golden file, as a browser without script gets it.
func TestPages(t *testing.T) {
	order := url.Values{"key": {"k1"}, "hut": {"planura"}, "date": {"2000-01-01"}, "beds": {"21"}}
	for _, s := range []struct {
		golden, name, hut string // who has signed in
		path              string
		form              url.Values
		with              service
		status            int
	}{
		{"signin", "", "", "/desk/signin", nil, service{}, 200},
		{"signin-down", "", "", "/desk/signin", url.Values{"name": {"stranger"}, "hut": {"etzli"}}, service{}, 503},
		{"bookings", "ann", "", "/desk/", nil, service{}, 200},
		{"bookings-full", "ann", "", "/desk/bookings", order, service{}, 409},
		{"bookings-incomplete", "ann", "", "/desk/bookings", url.Values{"hut": {"planura"}, "beds": {evil}}, service{}, 422},
		{"bookings-down", "ann", "", "/desk/bookings", order, service{down: true}, 503},
		{"booking-paid", "ann", "", "/desk/bookings/planura/2000-01-01/a1", nil, service{}, 200},
		{"booking-awaiting", "paul", "planura", "/desk/bookings/planura/2000-01-01/e1", nil, service{}, 200},
		{"booking-over", "ann", "", "/desk/bookings/planura/2000-01-01/a3", nil, service{}, 200},
		{"booking-another", "bob", "", "/desk/bookings/planura/2000-01-01/none", nil, service{}, 404},
		{"arrivals", "paul", "planura", "/desk/arrivals", nil, service{}, 200},
		{"arrivals-none", "paul", "planura", "/desk/arrivals?date=2000-03-01", nil, service{none: true}, 200},
		{"arrivals-guest", "ann", "", "/desk/arrivals", nil, service{}, 403},
		{"arrivals-no-day", "paul", "planura", "/desk/arrivals?date=" + url.QueryEscape(evil), nil, service{}, 400},
		{"no-page", "", "", "/desk/" + url.PathEscape(evil), nil, service{}, 404},
	} {
		t.Run(s.golden, func(t *testing.T) {
			visit(t, func(t *testing.T, v *visitor) {
				if s.name != "" {
					v.signin(s.name, s.hut)
				}
				*v.service = s.with
				w := v.get(s.path)
				if s.form != nil {
					w = v.send(s.path, s.form)
				}
				if w.Code != s.status || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
					t.Errorf("%d %s, want %d", w.Code, w.Header().Get("Content-Type"), s.status)
				}
				if p := w.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "script-src") {
					t.Errorf("the policy allows too much: %s", p)
				}
				got := regexp.MustCompile(`(name="key" value=")[A-Z0-9]{26}"`).ReplaceAllString(w.Body.String(), `$1(random)"`)
				if strings.Contains(got, "<script") {
					t.Error("a guest's name is a script")
				}
				golden(t, s.golden, got)
			})
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-update writes it anew (-want +got):\n%s", diff)
	}
}

// TestBookAndCancel follows the forms: each leads to the page of the booking, whatever
// its name, and the booking service is asked once.
func TestBookAndCancel(t *testing.T) {
	visit(t, func(t *testing.T, v *visitor) {
		v.signin("ann", "")
		w := v.send("/desk/bookings", url.Values{"key": {"k1"}, "hut": {"planura"}, "date": {"2000-01-01"}, "beds": {"2"}})
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/desk/bookings/planura/2000-01-01/new%2F1" {
			t.Errorf("booked: %d %v", w.Code, w.Header())
		}
		const odd = "/desk/bookings/planura/2000-01-01/a%2F2%3Fx%23y"
		page := v.get(odd).Body.String()
		if !strings.Contains(page, `action="`+odd+`/cancel"`) {
			t.Fatalf("no form to cancel:\n%s", page)
		}
		if w := v.send(odd+"/cancel", url.Values{}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != odd {
			t.Errorf("cancelled: %d %v", w.Code, w.Header())
		}
		want := []string{"POST /huts/planura/2000-01-01/bookings k1", "GET /huts/planura/2000-01-01/bookings/a%2F2%3Fx%23y", "DELETE /huts/planura/2000-01-01/bookings/a%2F2%3Fx%23y"}
		if diff := cmp.Diff(want, v.service.asked); diff != "" {
			t.Errorf("the booking service (-want +got):\n%s", diff)
		}
	})
}

// TestKeyOfTheForm: while nobody knows whether a booking was made, the form keeps its key;
// after a clear no it gets another one.
func TestKeyOfTheForm(t *testing.T) {
	key := regexp.MustCompile(`name="key" value="([^"]*)"`)
	for beds, kept := range map[string]bool{"21": false, "2": true} {
		visit(t, func(t *testing.T, v *visitor) {
			v.signin("ann", "")
			v.service.down = kept
			w := v.send("/desk/bookings", url.Values{"key": {"k1"}, "hut": {"planura"}, "date": {"2000-01-01"}, "beds": {beds}})
			if m := key.FindStringSubmatch(w.Body.String()); m == nil || (m[1] == "k1") != kept || m[1] == "" {
				t.Errorf("%d, key %q, want the old one: %t", w.Code, m, kept)
			}
		})
	}
}

// TestCSRF: what another site lets the browser send is refused, with the visitor's session
// and all, and nothing happens.
func TestCSRF(t *testing.T) {
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"}, {"Origin", "null"},
	} {
		visit(t, func(t *testing.T, v *visitor) {
			v.signin("ann", "")
			session := v.session
			for _, path := range []string{"/desk/bookings", "/desk/bookings/planura/2000-01-01/a1/cancel", "/desk/signout", "/desk/signin"} {
				w := v.send(path, url.Values{"key": {"k1"}, "hut": {"planura"}, "date": {"2000-01-01"}, "beds": {"2"}, "name": {"eve"}}, header...)
				if w.Code != http.StatusForbidden {
					t.Errorf("%v: %s: %d", header, path, w.Code)
				}
			}
			if len(v.service.asked) != 0 || v.session != session || v.get("/desk/").Code != 200 {
				t.Errorf("%v: it had an effect: %v", header, v.service.asked)
			}
		})
	}
}

// TestSession: nobody who has not signed in sees a page; a session has a name that cannot
// be guessed or chosen, is out of reach of scripts, and ends when it is ended, or with its
// token.
func TestSession(t *testing.T) {
	visit(t, func(t *testing.T, v *visitor) {
		for _, path := range []string{"/desk/", "/desk/arrivals", "/desk/bookings/planura/2000-01-01/a1"} {
			if w := v.get(path); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/desk/signin" {
				t.Errorf("%s: %d %v", path, w.Code, w.Header())
			}
		}
		if w := v.send("/desk/bookings/planura/2000-01-01/a1/cancel", url.Values{}); w.Code != http.StatusSeeOther || len(v.service.asked) != 0 {
			t.Errorf("cancelled by nobody: %d, %v", w.Code, v.service.asked)
		}

		planted := &http.Cookie{Name: "huts", Value: "planted-by-eve"}
		v.session = planted
		v.signin("ann", "")
		first := v.session
		if first.Value == planted.Value || len(first.Value) < 26 || !first.HttpOnly || first.SameSite != http.SameSiteLaxMode || first.Path != "/" {
			t.Errorf("%+v", first)
		}
		v.session = planted
		if w := v.get("/desk/"); w.Code != http.StatusSeeOther {
			t.Errorf("a session that eve has named: %d", w.Code)
		}

		v.session = first
		v.signin("bob", "") // another session, and the end of the first
		second := v.session
		v.session = first
		if w := v.get("/desk/"); w.Code != http.StatusSeeOther {
			t.Errorf("the session before: %d", w.Code)
		}
		v.session = second
		if w := v.send("/desk/signout", nil); w.Code != http.StatusSeeOther || v.session.MaxAge >= 0 {
			t.Errorf("signed out: %d, %+v", w.Code, v.session)
		}
		v.session = second
		if w := v.get("/desk/"); w.Code != http.StatusSeeOther {
			t.Errorf("a session that was ended: %d", w.Code)
		}

		v.signin("ann", "")
		time.Sleep(2 * time.Hour)
		if w := v.get("/desk/"); w.Code != http.StatusSeeOther {
			t.Errorf("a session whose token is over: %d", w.Code)
		}
	})
}

// TestSecureCookie: off this machine, a session never travels in the clear.
func TestSecureCookie(t *testing.T) {
	s := platform.NewSessions(platform.NewVerifier(private.Public().(ed25519.PublicKey)))
	for host, secure := range map[string]bool{"huts.example": true, "huts.example:8080": true, "127.0.0.1:8080": false, "localhost:8080": false} {
		tok, err := token("ann", "")
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if err := s.Begin(w, r, tok); err != nil || w.Result().Cookies()[0].Secure != secure {
			t.Errorf("%s: %v, %v", host, w.Result().Cookies(), err)
		}
	}
}
