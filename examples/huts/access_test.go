package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/world"
)

// mux is a router that knows its patterns.
type mux struct {
	*http.ServeMux
	all map[string]bool
}

// patterns returns a router with all patterns that stand in the code of packages.
func patterns(t *testing.T, packages ...string) mux {
	t.Helper()
	m := mux{http.NewServeMux(), map[string]bool{}}
	for _, p := range packages {
		files, err := filepath.Glob(p + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(p, err)
		}
		for _, f := range files {
			code, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range regexp.MustCompile(`"((?:GET|POST|PUT|PATCH|DELETE) /[^"]*)"`).FindAllStringSubmatch(string(code), -1) {
				if pattern := found[1]; !m.all[pattern] && !strings.HasSuffix(f, "_test.go") {
					m.all[pattern] = true
					m.Handle(pattern, http.NotFoundHandler())
				}
			}
		}
	}
	return m
}

// TestWhoMayWhat is the table of who may do what: everybody, with each kind of request.
func TestWhoMayWhat(t *testing.T) {
	p := running(t)
	id := p.World.Identity
	now := time.Now()
	callers := []struct{ name, token string }{
		{"nobody", ""}, // the order is that of the columns below
		{"ann", id.Token("ann", "")},
		{"bob", id.Token("bob", "")},
		{"planura's warden", id.Token("paul", "planura")},
		{"etzli's warden", id.Token("emma", "etzli")},
		{"expired ann", id.Sign(map[string]any{"sub": "ann", "aud": "huts", "exp": now.Add(-time.Minute).Unix()})},
		{"the bakery's ann", id.Sign(map[string]any{"sub": "ann", "aud": "bakery", "exp": now.Add(time.Hour).Unix()})},
		{"another issuer's ann", world.Silent().Identity.Token("ann", "")},
	}
	const (
		night = "/huts/planura/2027-07-31"
		beds  = `{"Beds": 1}`
		query = `{trip(hut: "planura", date: "2027-07-31", booking: "anns") {hut {free} told}}`
	)
	question, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	// Ann has a booking called anns, and one for each caller to cancel.
	if resp, body := request(t, "PUT", p.URL+night+"/bookings/anns", callers[1].token, beds); resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status, body)
	}
	for i := range callers {
		if resp, body := request(t, "PUT", fmt.Sprintf("%s%s/bookings/cancelled-by-%d", p.URL, night, i), callers[1].token, beds); resp.StatusCode != http.StatusCreated {
			t.Fatal(resp.Status, body)
		}
	}
	finished(t, p)

	routes, rows := patterns(t, "service/booking", "service/mail", "service/trips"), map[string]bool{}
	for _, s := range []struct {
		method, path, body                             string
		nobody, ann, bob, planura, etzli, withBadToken int
		secret                                         string // in a good answer to ann or her warden, and to nobody else
	}{
		{"GET", night, "", 200, 200, 200, 200, 200, 401, ""},
		{"GET", "/graphql?query=" + url.QueryEscape(query), "", 200, 200, 200, 200, 200, 401, "paid"},
		{"POST", "/graphql", string(question), 200, 200, 200, 200, 200, 401, "paid"},
		{"GET", night + "/bookings/anns", "", 401, 200, 404, 200, 404, 401, "anns"},
		{"GET", night + "/bookings/none", "", 401, 404, 404, 404, 404, 401, ""},
		{"GET", "/told/planura/2027-07-31/anns", "", 401, 200, 200, 200, 200, 401, "paid"},
		{"GET", "/bookings", "", 401, 200, 200, 200, 200, 401, "anns"},
		{"GET", night + "/bookings", "", 401, 403, 403, 200, 403, 401, ""},
		{"GET", "/huts/etzli/2027-07-31/bookings", "", 401, 403, 403, 403, 200, 401, ""},
		{"PUT", night + "/bookings/anns", beds, 401, 201, 409, 409, 409, 401, `"Guest":"ann"`},
		{"PUT", night + "/bookings/new-%d", beds, 401, 201, 201, 201, 201, 401, ""},
		{"POST", night + "/bookings", beds, 401, 201, 201, 201, 201, 401, ""},
		{"DELETE", night + "/bookings/cancelled-by-%d", "", 401, 200, 404, 200, 404, 401, `"Guest":"ann"`},
		{"DELETE", night + "/bookings/none", "", 401, 404, 404, 404, 404, 401, ""},
		{"DELETE", night, "", 405, 405, 405, 405, 405, 401, ""},
		{"GET", "/nothing", "", 404, 404, 404, 404, 404, 401, ""},
	} {
		_, pattern := routes.Handler(httptest.NewRequest(s.method, strings.ReplaceAll(s.path, "%d", "0"), nil))
		rows[pattern] = true
		want := []int{s.nobody, s.ann, s.bob, s.planura, s.etzli, s.withBadToken, s.withBadToken, s.withBadToken}
		for i, c := range callers {
			path := s.path
			if strings.Contains(path, "%d") {
				path = fmt.Sprintf(path, i)
			}
			resp, body := request(t, s.method, p.URL+path, c.token, s.body, "Idempotency-Key", "k1")
			if resp.StatusCode != want[i] {
				t.Errorf("%s %s by %s: %s %s, want %d", s.method, path, c.name, resp.Status, body, want[i])
			}
			mayKnow := c.name == "ann" || c.name == "planura's warden" && s.path != "/bookings"
			if s.secret != "" && resp.StatusCode < 300 && strings.Contains(body, s.secret) != mayKnow {
				t.Errorf("%s %s by %s shows %s: %t\n%s", s.method, path, c.name, s.secret, !mayKnow, body)
			}
			if (resp.StatusCode == http.StatusUnauthorized) != (resp.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("%s %s by %s: %s with WWW-Authenticate: %q", s.method, path, c.name, resp.Status, resp.Header.Get("WWW-Authenticate"))
			}
		}
	}
	for pattern := range routes.all {
		if !rows[pattern] {
			t.Errorf("%s has no row in the table: who may do it?", pattern)
		}
	}
	// What is another's and what is not there cannot be told apart.
	_, other := request(t, "GET", p.URL+night+"/bookings/anns", callers[2].token, "")
	_, none := request(t, "GET", p.URL+night+"/bookings/none", callers[2].token, "")
	if strings.ReplaceAll(other, "anns", "none") != none {
		t.Errorf("%s differs from %s", other, none)
	}
}

// TestWhoMaySeeWhat is the same table for the pages: the desk has no rights of its own.
func TestWhoMaySeeWhat(t *testing.T) {
	p := running(t)
	ann := p.token("ann")
	for _, id := range []string{"anns", "by-ann", "by-bob", "by-paul", "by-emma", "by-nobody"} {
		if resp, body := request(t, "PUT", p.URL+"/huts/planura/2027-07-31/bookings/"+id, ann, `{"Beds": 1}`); resp.StatusCode != http.StatusCreated {
			t.Fatal(resp.Status, body)
		}
	}
	const booking = "/desk/bookings/planura/2027-07-31/"
	for _, c := range []struct {
		name, hut                        string
		home, booking, arrivals, cancels int
		sees                             bool // that the booking is ann's
	}{
		{"nobody", "", 303, 303, 303, 303, false}, // to the sign-in
		{"ann", "", 200, 200, 403, 303, true},
		{"bob", "", 200, 404, 403, 404, false},
		{"paul", "planura", 200, 200, 200, 303, true},
		{"emma", "etzli", 200, 404, 200, 404, false},
	} {
		header := form
		if c.name != "nobody" {
			resp, body := request(t, "POST", p.URL+"/desk/signin", "", "name="+c.name+"&hut="+c.hut, form...)
			if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
				t.Fatal(resp.Status, body)
			}
			header = append(form, "Cookie", "huts="+resp.Cookies()[0].Value)
		}
		for _, s := range []struct {
			method, path string
			want         int
		}{
			{"GET", "/desk/", c.home}, {"GET", booking + "anns", c.booking}, {"GET", "/desk/arrivals?date=2027-07-31", c.arrivals},
			{"POST", booking + "by-" + c.name + "/cancel", c.cancels},
		} {
			resp, body := request(t, s.method, p.URL+s.path, "", "", header...)
			if resp.StatusCode != s.want {
				t.Errorf("%s %s by %s: %s, want %d\n%s", s.method, s.path, c.name, resp.Status, s.want, body)
			}
			if !c.sees && strings.Contains(body, ">ann<") {
				t.Errorf("%s %s by %s tells of ann:\n%s", s.method, s.path, c.name, body)
			}
		}
		_, body := request(t, "GET", p.URL+booking+"by-"+c.name, "", "", header...)
		if cancelled := strings.Contains(body, "released") || strings.Contains(body, "settled"); cancelled != c.sees {
			t.Errorf("cancelled by %s: %t\n%s", c.name, cancelled, body)
		}
	}
}
