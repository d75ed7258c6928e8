package main

import (
	"context"
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/world"
	"github.com/google/go-cmp/cmp"
)

const a1 = "/huts/planura/2027-07-31/bookings/a1"

// running starts the program, with a few settings changed.
func running(t *testing.T, change ...func(*config)) *program {
	t.Helper()
	c, err := read(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	c.Addr, c.Data, c.Patience = "127.0.0.1:0", t.TempDir(), 0
	for _, f := range change {
		f(&c)
	}
	p, err := start(t.Context(), c, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.close(ctx); err != nil {
			t.Error(err)
		}
	})
	return p
}

// token returns one for a guest, or "" for nobody.
func (p *program) token(guest string) string {
	if guest == "" {
		return ""
	}
	return p.World.Identity.Token(guest, "")
}

// tokenKey is the setting by which a process knows the tokens of a world.
func tokenKey(w *world.World) string {
	return "TOKEN_KEY=" + base64.StdEncoding.EncodeToString(w.Identity.Key)
}

// finished waits until every booking and mail is where it should be.
func finished(t *testing.T, p *program) result {
	t.Helper()
	var r result
	eventually(t, func() string {
		var err error
		if r, err = check(t.Context(), p); err != nil {
			return err.Error()
		}
		return ""
	})
	return r
}

// TestPaymentOutage: while the provider is down, beds are held and the guest is told so;
// when it is back, the booking is paid without anybody asking again.
func TestPaymentOutage(t *testing.T) {
	p := running(t)
	p.World.Payment.Break(world.Failing)
	status, body := put(t.Context(), p.URL+a1, p.token("ann"), 2)
	if status != http.StatusAccepted || !strings.Contains(body, "awaiting payment") {
		t.Fatalf("%d %s, want it kept", status, body)
	}
	eventually(t, func() string {
		if _, ok := p.World.Mail.Sent()["planura/2027-07-31/a1/awaiting payment"]; !ok {
			return "the guest was not told that the beds are held"
		}
		return ""
	})
	p.World.Payment.Break(world.Well)
	eventually(t, func() string {
		if s := get(t.Context(), p.URL+a1, p.token("ann")); !strings.Contains(s, `"State":"paid"`) {
			return s
		}
		return ""
	})
	if r := finished(t, p); r != (result{bookings: 1, charges: 1, mails: 2, fullest: 2, beds: 20}) {
		t.Errorf("%+v", r)
	}
}

// TestOverHTTP walks through the answers of the booking service.
func TestOverHTTP(t *testing.T) {
	p := running(t)
	for _, s := range []struct {
		method, path, guest string
		beds                int
		want                int
		says                string
	}{
		{"GET", "/huts/planura/2027-07-31", "", 0, 200, `"Free":20`},
		{"GET", "/huts/nowhere/2027-07-31", "", 0, 404, "no hut"},
		{"GET", "/huts/planura/31.7.2027", "", 0, 400, "not a day"},
		{"PUT", a1, "ann", 2, 201, `"State":"paid"`},
		{"PUT", a1, "ann", 2, 201, `"State":"paid"`},
		{"PUT", a1, "ann", 3, 409, "another booking"},
		{"PUT", a1, "", 2, 401, "who are you"},
		{"PUT", "/huts/planura/2027-07-31/bookings/b", "bob", 19, 409, `"free":18`},
		{"PUT", "/huts/planura/2027-07-31/bookings/b", "bob", -1, 400, "at least one bed"},
		{"PUT", "/huts/planura/2027-07-31/bookings/c", "broke", 1, 402, "declined"},
		{"GET", "/huts/planura/2027-07-31", "", 0, 200, `"Free":18`},
		{"GET", a1, "bob", 0, 404, "no booking"},
		{"DELETE", a1, "bob", 0, 404, "no booking"},
		{"DELETE", a1, "ann", 0, 200, `"State":"released"`},
		{"DELETE", a1, "ann", 0, 200, `"State":`},
		{"GET", "/huts/planura/2027-07-31", "", 0, 200, `"Free":20`},
	} {
		status, body := send(t.Context(), s.method, p.URL+s.path, p.token(s.guest), map[string]int{"Beds": s.beds})
		if status != s.want || !strings.Contains(string(body), s.says) {
			t.Errorf("%s %s by %q: %d %s, want %d and %q", s.method, s.path, s.guest, status, body, s.want, s.says)
		}
	}
	if r := finished(t, p); r.bookings != 2 || r.charges != 1 || r.refunds != 1 || r.mails != 5 {
		t.Errorf("%+v", r)
	}
	eventually(t, func() string {
		if s := get(t.Context(), p.URL+"/bookings", p.token("ann")); !strings.Contains(s, `"State":"settled"`) || strings.Contains(s, "broke") {
			return s
		}
		return ""
	})
}

// TestTrip asks all services at once.
func TestTrip(t *testing.T) {
	p := running(t)
	if status, body := put(t.Context(), p.URL+a1, p.token("ann"), 2); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	finished(t, p)
	query := `{trip(hut: "planura", date: "2027-07-31", booking: "a1") {hut {name free price} weather {stale} danger {region} told}}`
	want := `{"data":{"trip":{"hut":{"name":"Planurahütte","free":18,"price":"CHF 42.50"},"weather":{"stale":false},"danger":{"region":"glarus"},"told":["awaiting payment","paid"]}}}`
	eventually(t, func() string { // that a mail was sent is noted a moment later
		_, body := send(t.Context(), http.MethodPost, p.URL+"/graphql", p.token("ann"), map[string]string{"query": query})
		return cmp.Diff(want, strings.TrimSpace(string(body)))
	})
}

// TestMailOnce: a change that is delivered again, by the relay or by the bus, is one mail.
func TestMailOnce(t *testing.T) {
	p := running(t)
	if status, body := put(t.Context(), p.URL+a1, p.token("ann"), 2); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	finished(t, p)
	recorded, err := p.store.After(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recorded {
		c, err := p.nights.Change(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the bus stores one; a consumer that had crashed would see it again
			if err := p.bus.Publish(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := p.mailer.Handle(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"planura/2027-07-31/a1/awaiting payment": 1, "planura/2027-07-31/a1/paid": 1}, p.World.Mail.Came()); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
}

// TestCrashAtEachStep kills the program between any two steps of a booking and of its
// cancellation. The next start goes on from the log.
func TestCrashAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	for _, step := range []string{
		"before charge", "after charge", "before refund", "after refund", "before publish", "after publish", "before mail", "after mail",
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel() // one of them waits for the broker to send a message again
			w, err := world.New()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			env := []string{"PAYMENT_URL=" + w.Payment.URL, "WEATHER_URL=" + w.Weather.URL, "MAILSERVER_URL=" + w.Mail.URL, "BULLETIN_URLS=" + w.Bulletins[0].URL,
				"IDENTITY_URL=" + w.Identity.URL, tokenKey(w)}
			data := t.TempDir()
			dies := begin(t, []string{"-data", data}, append(env, "HUTS_DIES_AT="+step)...)
			put(t.Context(), dies.URL+a1, w.Identity.Token("ann", ""), 2)
			send(t.Context(), http.MethodDelete, dies.URL+a1, w.Identity.Token("ann", ""), nil)
			err = dies.cmd.Wait()
			if dies.cmd.ProcessState.ExitCode() != 3 {
				t.Fatalf("did not die at its step: %v\n%s", err, (*output)(dies))
			}

			c, err := read(func(name string) string {
				for _, e := range env {
					if n, v, _ := strings.Cut(e, "="); n == name {
						return v
					}
				}
				return ""
			})
			if err != nil {
				t.Fatal(err)
			}
			c.Addr, c.Data, c.Patience = "127.0.0.1:0", data, 0
			p, err := start(t.Context(), c, "")
			if err != nil {
				t.Fatal(err)
			}
			p.World = w
			defer p.close(context.Background())
			if r := finished(t, p); r.bookings != 1 || r.charges > 1 || r.mails < 2 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestCrashBetweenCommitAndPublish: what was committed is published by the next process,
// and what was published twice is one message.
func TestCrashBetweenCommitAndPublish(t *testing.T) {
	p := running(t)
	ctx := t.Context()
	recorded, err := p.store.Unpublished(ctx, 10)
	if err != nil || len(recorded) > 0 {
		t.Fatal(recorded, err)
	}
	// One process ends between commit and publish, and one between that and noting it.
	ids := []domain.BookingID{"unpublished", "published"}
	for _, id := range ids {
		n, err := p.nights.Load(ctx, "planura", "2027-07-31")
		if err != nil {
			t.Fatal(err)
		}
		events, err := n.Reserve(id, "broke", 1)
		if err != nil {
			t.Fatal(err)
		}
		if id == "published" {
			n.Apply(events...)
			b, err := n.Booking(id)
			if err == nil {
				err = p.bus.Publish(ctx, app.NewChange(b, time.Now()))
			}
			if err != nil {
				t.Fatal(err)
			}
			if n, err = p.nights.Load(ctx, "planura", "2027-07-31"); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.nights.Save(ctx, n, events...); err != nil {
			t.Fatal(err)
		}
	}
	finished(t, p)
	for _, id := range ids {
		key := "planura/2027-07-31/" + string(id) + "/awaiting payment"
		if n := p.World.Mail.Came()[key]; n != 1 {
			t.Errorf("%s: %d mails, want 1", key, n)
		}
	}
}

// TestThreeProcesses: booking, mail and trips as processes of their own, over loopback
// and a broker of its own. Mail can be away, and hears of everything when it is back.
func TestThreeProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts several programs")
	}
	w, err := world.New()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	env := []string{"NATS_URL=" + nats(t), "PAYMENT_URL=" + w.Payment.URL, "WEATHER_URL=" + w.Weather.URL, "MAILSERVER_URL=" + w.Mail.URL,
		"BULLETIN_URLS=" + w.Bulletins[0].URL + "," + w.Bulletins[1].URL, tokenKey(w)}
	booking := begin(t, []string{"-only", "booking"}, env...)
	if status, body := put(t.Context(), booking.URL+a1, w.Identity.Token("ann", ""), 2); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	data := t.TempDir()
	mail := begin(t, []string{"-only", "mail", "-data", data}, env...)
	trips := begin(t, []string{"-only", "trips"}, append(env, "BOOKING_URL="+booking.URL, "MAIL_URL="+mail.URL)...)
	told := func() string {
		_, body := send(t.Context(), http.MethodPost, trips.URL+"/graphql", w.Identity.Token("ann", ""),
			map[string]string{"query": `{trip(hut: "planura", date: "2027-07-31", booking: "a1") {hut {free} danger {level} told}}`})
		return strings.TrimSpace(string(body))
	}
	expect := func(want string) {
		t.Helper()
		eventually(t, func() string {
			if s := told(); !regexp.MustCompile(want).MatchString(s) {
				return s
			}
			return ""
		})
	}
	expect(`"free":18.*"level":[1-5].*"told":\["awaiting payment","paid"\]`)

	mail.stop(t)
	if status, body := send(t.Context(), http.MethodDelete, booking.URL+a1, w.Identity.Token("ann", ""), nil); status != http.StatusOK {
		t.Fatal(status, string(body))
	}
	expect(`"path":\["trip","told"\].*"free":20.*"told":null`)
	mail = begin(t, []string{"-only", "mail", "-data", data}, env...)
	eventually(t, func() string {
		if s := get(t.Context(), mail.URL+"/told/planura/2027-07-31/a1", w.Identity.Token("ann", "")); !strings.Contains(s, "released") {
			return s
		}
		return ""
	})
	mail.stop(t)
	trips.stop(t)
	booking.stop(t)
	if len(w.Mail.Sent()) != 3 {
		t.Errorf("%d mails: %v", len(w.Mail.Sent()), w.Mail.Sent())
	}
}

// TestDependencies: the domain knows the standard library only, and the application no
// adapter.
func TestDependencies(t *testing.T) {
	deps := func(pkg string) []string {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	const module = "github.com/belay-go/belay/examples/huts/"
	if got := deps("./domain"); !cmp.Equal(got, []string{module + "domain"}) {
		t.Errorf("domain depends on %v", got)
	}
	for _, d := range deps("./app") {
		if inside, ours := strings.CutPrefix(d, module); ours && inside != "app" && inside != "domain" {
			t.Errorf("app depends on %s", d)
		}
	}
}

// TestArchitectureIsThere: every file and every test that ARCHITECTURE.md names exists.
func TestArchitectureIsThere(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{$d := .Dir}}{{range .TestGoFiles}}{{$d}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$d}}/{{.}}
{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for file := range strings.FieldsSeq(string(out)) {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`).FindAllStringSubmatch(string(code), -1) {
			tests[m[1]] = true
		}
	}
	files := regexp.MustCompile("`([a-z/]+\\.go)`").FindAllStringSubmatch(string(text), -1)
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
	if len(files) < 10 || len(named) < 10 {
		t.Fatalf("it names %d files and %d tests", len(files), len(named))
	}
	for _, m := range files {
		if _, err := os.Stat(m[1]); err != nil {
			t.Error(err)
		}
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// TestDemo runs the demo, short.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of real time")
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"-demo", "-duration", "6s"}, func(string) string { return "" }, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "Nothing was lost") {
		t.Error(out.String())
	}
}

// TestConfigSaysAllFaults: everything that is wrong with the environment is said at once.
func TestConfigSaysAllFaults(t *testing.T) {
	_, err := read(func(name string) string {
		return map[string]string{"NATS_URL": "localhost", "PAYMENT_URL": "::", "BULLETIN_URLS": "http://one,two",
			"IDENTITY_URL": "id.example", "TOKEN_KEY": "c2hvcnQ=", "TRUSTED_PROXIES": "10.0.0.1", "HUTS_OPEN": "maybe",
			"TRIPS_URLS": "http://one,", "HUTS_DRAIN": "soon"}[name]
	})
	for _, name := range []string{"NATS_URL", "PAYMENT_URL", "BULLETIN_URLS", "IDENTITY_URL", "TOKEN_KEY", "TRUSTED_PROXIES", "HUTS_OPEN", "TRIPS_URLS", "HUTS_DRAIN"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v says nothing of %s", err, name)
		}
	}
	for only, want := range map[string][]string{"warden": {"warden", "trips"}, "trips": {"BOOKING_URL", "MAIL_URL", "TOKEN_KEY"}, "desk": {"BOOKING_URL", "IDENTITY_URL"}, "booking": {"NATS_URL", "PAYMENT_URL"}, "front": {"TRIPS_URLS"}} {
		_, err := start(t.Context(), config{}, only)
		for _, name := range want {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s alone: %v says nothing of %s", only, err, name)
			}
		}
	}
}

// TestEachFileSaysItsPattern: the first line of each file names a pattern, and a line
// below says when it is not worth its price.
func TestEachFileSaysItsPattern(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		head, _, _ := strings.Cut(string(text), "\n\n")
		if !regexp.MustCompile(`^// [A-Z][^:.]*[:,]|^// [A-Z][^:.]* of `).MatchString(head) || !strings.Contains(strings.ReplaceAll(head, "\n// ", " "), "Not worth") {
			t.Errorf("%s begins with\n%s", path, head)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
