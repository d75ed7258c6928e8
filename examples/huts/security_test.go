package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/world"
)

// request sends a request, and returns the answer with its body.
func request(t *testing.T, method, url, token, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // no redirects are followed
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
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
		query = `{"query": "{trip(hut: \"planura\", date: \"2027-07-31\", booking: \"anns\") {hut {free} told}}"}`
	)
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

	for _, s := range []struct {
		method, path, body                             string
		nobody, ann, bob, planura, etzli, withBadToken int
		secret                                         string // in a good answer to ann or her warden, and to nobody else
	}{
		{"GET", night, "", 200, 200, 200, 200, 200, 401, ""},
		{"POST", "/graphql", query, 200, 200, 200, 200, 200, 401, "paid"},
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
	// What is another's and what is not there cannot be told apart.
	_, other := request(t, "GET", p.URL+night+"/bookings/anns", callers[2].token, "")
	_, none := request(t, "GET", p.URL+night+"/bookings/none", callers[2].token, "")
	if strings.ReplaceAll(other, "anns", "none") != none {
		t.Errorf("%s differs from %s", other, none)
	}
}

// TestIdempotencyKey: a POST that is sent again is one booking, at once or later; a key
// that is used for something else is refused; two guests may use the same.
func TestIdempotencyKey(t *testing.T) {
	p := running(t)
	const bookings = "/huts/planura/2027-07-31/bookings"
	ann := p.token("ann")
	if resp, body := request(t, "POST", p.URL+bookings, ann, `{"Beds": 2}`); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Idempotency-Key") {
		t.Errorf("without a key: %s %s", resp.Status, body)
	}
	var mu sync.Mutex
	places := map[string]int{}
	var guests sync.WaitGroup
	for range 10 {
		guests.Go(func() {
			resp, body := request(t, "POST", p.URL+bookings, ann, `{"Beds": 2}`, "Idempotency-Key", "k1")
			if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusAccepted {
				t.Errorf("%s %s", resp.Status, body)
			}
			mu.Lock()
			places[resp.Header.Get("Location")]++
			mu.Unlock()
		})
	}
	guests.Wait()
	if len(places) != 1 {
		t.Fatalf("one key, %d bookings: %v", len(places), places)
	}
	for at := range places {
		if resp, body := request(t, "GET", p.URL+at, ann, ""); resp.StatusCode != 200 || !strings.Contains(body, `"Beds":2`) {
			t.Errorf("%s: %s %s", at, resp.Status, body)
		}
	}
	if resp, body := request(t, "POST", p.URL+bookings, ann, `{"Beds": 3}`, "Idempotency-Key", "k1"); resp.StatusCode != http.StatusUnprocessableEntity || resp.Header.Get("Location") != "" {
		t.Errorf("the key of another request: %s %s", resp.Status, body)
	}
	if resp, body := request(t, "POST", p.URL+bookings, p.token("bob"), `{"Beds": 3}`, "Idempotency-Key", "k1"); resp.StatusCode != http.StatusCreated {
		t.Errorf("the key of another guest: %s %s", resp.Status, body)
	}
	if r := finished(t, p); r.bookings != 2 || r.charges != 2 || r.fullest != 5 {
		t.Errorf("%+v", r)
	}
}

// TestBodiesAreBounded: nobody can fill the memory, or learn what stands behind.
func TestBodiesAreBounded(t *testing.T) {
	p := running(t)
	long := `{"Beds": 1, "Name": "` + strings.Repeat("x", 1<<20) + `"}`
	if resp, body := request(t, "PUT", p.URL+a1, p.token("ann"), long); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s %.200s", resp.Status, body)
	}
	if resp, body := request(t, "GET", p.URL+a1, p.token("ann"), "", "Long", strings.Repeat("x", 1<<20)); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s %.200s", resp.Status, body)
	}
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
	if resp, body := request(t, "GET", p.URL+a1, p.token("ann"), ""); resp.StatusCode != 500 || strings.Contains(body, "sql") || strings.Contains(body, "detail") {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// lines is a log that many write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var form = []string{"Content-Type", "application/x-www-form-urlencoded"}

// TestLogsHaveNoSecrets: whatever goes wrong, neither the log nor an answer shows a token
// or a password.
func TestLogsHaveNoSecrets(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	var log lines
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))

	const password = "provider-pass-5ecret" // the provider knows another one
	var c config
	p := running(t, func(set *config) {
		set.PaymentToken = platform.NewSecret(password)
		c = *set
	})
	ann, expired := p.token("ann"), p.World.Identity.Sign(map[string]any{"sub": "ann", "aud": "huts", "exp": 1})
	signin, _ := request(t, "POST", p.URL+"/desk/signin", "", "name=ann", form...)
	session, _, _ := strings.Cut(strings.TrimPrefix(signin.Header.Get("Set-Cookie"), "huts="), ";")
	if len(session) < 20 {
		t.Fatal(signin.Status, signin.Header)
	}
	var seen strings.Builder
	ask := func(method, path, token, body string, header ...string) {
		resp, answer := request(t, method, p.URL+path, token, body, header...)
		fmt.Fprintln(&seen, resp.Status, resp.Header, answer)
	}
	for _, fault := range []world.Fault{world.Failing, world.Cutting, world.Limited, world.Well} {
		for _, s := range p.World.Systems() {
			s.Break(fault)
		}
		ask("PUT", a1+string(fault), ann, `{"Beds": 1}`)
		ask("PUT", a1, expired, `{"Beds": 1}`)
		ask("PUT", a1, ann, `{"Beds": "`+ann+`"}`)
		ask("POST", "/graphql", ann, `{"query": "{trip(hut: \"planura\", date: \"2027-07-31\", booking: \"a1\") {weather {sky} danger {level} told}}"}`)
		ask("POST", "/desk/bookings", "", "key=k"+string(fault)+"&hut=planura&date=2027-07-31&beds=1", append(form, "Cookie", "huts="+session)...)
		ask("POST", "/graphql", ann, `{"query": "{trip(hut: \"`+ann+`\", date: \"2027-07-31\") {hut {free}}}"`)
	}
	eventually(t, func() string { // the process manager tries in vain
		if s := log.String(); !strings.Contains(s, "tried again soon") || !strings.Contains(s, "401 Unauthorized") {
			return "the log says nothing of the payment provider:\n" + s[max(0, len(s)-2_000):]
		}
		return ""
	})
	p.store.Close()
	ask("GET", a1, ann, "")
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&seen, "%s %+v %#v", config, c, c)

	all := log.String() + seen.String()
	for _, want := range []string{"booking: failed", "an answer is missing", "not valid"} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing went wrong: %q is not there", want)
		}
	}
	for name, secret := range map[string]string{"the provider's password": password, "a token": ann, "an expired token": expired, "a session": session,
		"a signature": ann[strings.LastIndex(ann, ".")+1:]} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s is there: ...%s...", name, all[max(0, i-200):i+len(secret)])
		}
	}
}
