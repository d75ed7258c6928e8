package main

import (
	"bytes"
	"context"
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

// TestWorldIsLocal: what breaks things, and what gives tokens to everybody, answers this
// machine only, and no name that somebody else has pointed to it. A page that is watching
// does not hold up the end of the program.
func TestWorldIsLocal(t *testing.T) {
	p := running(t)
	for _, s := range []struct{ method, path string }{{"GET", "/world"}, {"GET", "/world/events"}, {"POST", "/world/payment"}, {"POST", "/token"}} {
		r, err := http.NewRequestWithContext(t.Context(), s.method, p.URL+s.path, strings.NewReader("fault=failing&name=ann"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "huts.evil.example"
		r.Header.Set("Content-Type", form[1])
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: %s", s.method, s.path, resp.Status)
		}
	}
	if f := p.World.Payment.Fault(); f != world.Well {
		t.Errorf("payment is %s", f)
	}
	r, err := http.NewRequest("GET", p.URL+"/world/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() }) // after the program has ended
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil || resp.StatusCode != 200 {
		t.Error(resp.Status, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		t.Errorf("the stream goes on: %v", err)
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
