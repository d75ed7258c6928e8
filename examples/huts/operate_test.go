package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/world"
	"github.com/belay-go/belay/loadbalance"
	"github.com/belay-go/belay/retry"
)

// link is a question to trips that can be asked again.
func link(base string) string {
	return base + "/graphql?" + url.Values{"query": {`{trip(hut: "planura", date: "2027-07-31") {hut {free}}}`}}.Encode()
}

// load sends requests from a few clients at once, until stop is called. Each client
// takes a new guest now and then, so that no limit is met.
type load struct {
	answered, failed atomic.Int64
	first            atomic.Pointer[string] // of the failures
	running          sync.WaitGroup
	end              context.CancelFunc
}

// loaded starts n clients that do what one does, which returns what was wrong.
func loaded(t *testing.T, n int, one func(client, round int) string) *load {
	ctx, end := context.WithCancel(t.Context())
	l := &load{end: end}
	for i := range n {
		l.running.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				if wrong := one(i, round); wrong != "" {
					l.failed.Add(1)
					l.first.CompareAndSwap(nil, &wrong)
				}
				l.answered.Add(1)
			}
		})
	}
	t.Cleanup(func() { end(); l.running.Wait() })
	return l
}

// more waits until n more requests have been answered, well or not.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	n += l.answered.Load()
	eventually(t, func() string {
		if a := l.answered.Load(); a < n {
			return fmt.Sprintf("%d requests were answered, want %d", a, n)
		}
		return ""
	})
}

// stop ends the load, and tells what failed.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.end()
	l.running.Wait()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, one with %s", n, l.answered.Load(), *l.first.Load())
	}
}

// TestInstanceGone: one of two instances is killed under load, and no GET fails. When it
// is back at its address, it gets requests again.
func TestInstanceGone(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	p := running(t)
	w := p.World
	env := []string{"PAYMENT_URL=" + w.Payment.URL, "WEATHER_URL=" + w.Weather.URL, "MAILSERVER_URL=" + w.Mail.URL, "BULLETIN_URLS=" + w.Bulletins[0].URL,
		tokenKey(w), "BOOKING_URL=" + p.URL, "MAIL_URL=" + p.URL, "TRUSTED_PROXIES=127.0.0.0/8"}
	one, two := begin(t, []string{"-only", "trips"}, env...), begin(t, []string{"-only", "trips"}, env...)
	front, err := start(t.Context(), config{Addr: "127.0.0.1:0", Trips: []string{one.URL, two.URL}}, "front")
	if err != nil {
		t.Fatal(err)
	}
	defer front.close(context.Background())
	tokens := tokens(w, 200)
	l := loaded(t, 4, func(client, round int) string {
		status, body := send(context.Background(), http.MethodGet, link(front.URL), tokens[(round*4+client)%len(tokens)], nil)
		if status != http.StatusOK {
			return fmt.Sprintf("%d %s", status, body)
		}
		return ""
	})
	l.more(t, 100)
	one.cmd.Process.Kill()
	one.cmd.Wait()
	l.more(t, 200)
	back := begin(t, []string{"-only", "trips"}, append(env, "HUTS_ADDR="+one.URL[len("http://"):])...)
	eventually(t, func() string {
		for _, e := range front.before.Balancer.Stats().Endpoints {
			if e.State != loadbalance.Healthy {
				return fmt.Sprintf("%s is %s", e.Key, e.State)
			}
		}
		return ""
	})
	two.cmd.Process.Kill() // so that only the one that is back is left
	two.cmd.Wait()
	l.more(t, 100)
	l.stop(t)
	if back.URL != one.URL {
		t.Errorf("it is back at %s, not %s", back.URL, one.URL)
	}
}

// TestReadiness: a program is ready if its own parts are, whatever those of others do. It
// says so before it ends, and still answers.
func TestReadiness(t *testing.T) {
	p := running(t)
	want := func(path, answer string) {
		t.Helper()
		if got := get(t.Context(), p.URL+path, ""); !strings.HasPrefix(got, answer) {
			t.Errorf("%s: %s, want %s", path, got, answer)
		}
	}
	for _, s := range p.World.Systems() {
		s.Break(world.Failing)
	}
	want("/readyz", "200 ready")
	want("/livez", "200 alive")

	p.health.Needs("mountain", func(context.Context) error { return errors.New("gone") })
	if got := get(t.Context(), p.URL+"/readyz", ""); !strings.HasPrefix(got, "503") || !strings.Contains(got, `"detail":"mountain"`) {
		t.Error(got)
	}
	want("/livez", "200 alive") // a restart would not bring it back

	p.drain(t.Context(), 0)
	if got := get(t.Context(), p.URL+"/readyz", ""); !strings.HasPrefix(got, "503") || !strings.Contains(got, `"detail":"draining"`) {
		t.Error(got)
	}
	want("/livez", "200 alive")
	want("/huts/planura/2027-07-31", "200")
}

// TestNeeds: the parts that a program needs are its databases and its broker.
func TestNeeds(t *testing.T) {
	p := running(t)
	p.bus.Close()
	if got := get(t.Context(), p.URL+"/readyz", ""); !strings.Contains(got, `"detail":"broker"`) {
		t.Error(got)
	}
}

// TestDrainIsBounded: a request that does not end is cut off, and the program says so.
func TestDrainIsBounded(t *testing.T) {
	c, err := read(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	c.Addr, c.Data = "127.0.0.1:0", t.TempDir()
	p, err := start(t.Context(), c, "")
	if err != nil {
		t.Fatal(err)
	}
	p.World.Payment.Break(world.Hanging)
	hangs := make(chan int)
	go func() {
		status, _ := put(context.Background(), p.URL+a1, p.token("ann"), 2)
		hangs <- status
	}()
	eventually(t, func() string {
		if p.World.Payment.Asked() == 0 {
			return "the request is not under way"
		}
		return ""
	})
	over, end := context.WithCancel(t.Context())
	end()
	if err := p.close(over); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("closed with %v", err)
	}
	if status := <-hangs; status != 0 {
		t.Errorf("the request was answered: %d", status)
	}
}

// TestDrain: the program is told to end under load, and another one begins with its data.
// Who asks again, as one may for GET and PUT, notices nothing, and nothing is lost.
func TestDrain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	w, err := world.New()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	env := []string{"PAYMENT_URL=" + w.Payment.URL, "WEATHER_URL=" + w.Weather.URL, "MAILSERVER_URL=" + w.Mail.URL, "BULLETIN_URLS=" + w.Bulletins[0].URL,
		"IDENTITY_URL=" + w.Identity.URL, tokenKey(w), "HUTS_DRAIN=200ms", "HUTS_DATA=" + t.TempDir()}
	p := begin(t, nil, env...)
	base := p.URL // that of all who follow, too
	client := &http.Client{Transport: &retry.Transport{Policy: retry.New(retry.Config{
		MaxAttempts: 1_000, Schedule: retry.Constant(50 * time.Millisecond), Budget: retry.NoBudget, // until the next one is there
	})}}
	tokens := tokens(w, 200)
	var booked sync.Map
	l := loaded(t, 4, func(i, round int) string {
		n := round*4 + i
		at := fmt.Sprintf("%s/huts/etzli/2027-07-%02d/bookings/b%d", base, 1+n%28, n)
		method := http.MethodPut
		if round%2 == 1 {
			method, at = http.MethodGet, fmt.Sprintf("%s/huts/etzli/2027-07-%02d", base, 1+n%28)
		}
		req, err := http.NewRequestWithContext(context.Background(), method, at, strings.NewReader(`{"Beds": 1}`))
		if err != nil {
			return err.Error()
		}
		req.Header.Set("Authorization", "Bearer "+tokens[n%len(tokens)])
		resp, err := client.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 300 && resp.StatusCode != http.StatusConflict { // full is an answer
			return fmt.Sprint(resp.Status, " ", string(body), err)
		}
		if method == http.MethodPut && resp.StatusCode < 300 {
			booked.Store(at, tokens[n%len(tokens)])
		}
		return ""
	})
	l.more(t, 50)
	for range 2 {
		w.Payment.Break(world.Slow)
		asked := w.Payment.Asked()
		under := make(chan int)
		at := fmt.Sprintf("%s/huts/medel/2027-07-31/bookings/under%d", base, asked)
		go func() { // it asks once
			status, _ := put(context.Background(), at, w.Identity.Token("ann", ""), 1)
			under <- status
		}()
		eventually(t, func() string {
			if w.Payment.Asked() < asked+5 {
				return "nothing is under way"
			}
			return ""
		})
		p.stop(t)
		if status := <-under; status != http.StatusCreated && status != http.StatusAccepted {
			t.Errorf("the request under way was answered with %d", status)
		}
		w.Payment.Break(world.Well)
		p = begin(t, nil, append(env, "HUTS_ADDR="+strings.TrimPrefix(base, "http://"))...)
		l.more(t, 50)
	}
	l.stop(t)
	n := 0
	for at, token := range booked.Range {
		n++
		if got := get(t.Context(), at.(string), token.(string)); !strings.HasPrefix(got, "200") {
			t.Errorf("%s was booked, and is lost: %s", at, got)
		}
	}
	if n == 0 {
		t.Error("nobody booked")
	}
	p.stop(t)
}

// tokens returns those of n guests.
func tokens(w *world.World, n int) []string {
	t := make([]string, n)
	for i := range t {
		t[i] = w.Identity.Token(fmt.Sprint("guest", i), "")
	}
	return t
}

// TestFiguresFollow: what is booked and cancelled is in the figures soon after, for everybody.
func TestFiguresFollow(t *testing.T) {
	p := running(t)
	for _, b := range []string{"a", "b"} {
		if status, body := put(t.Context(), p.URL+"/huts/planura/2027-07-31/bookings/"+b, p.token("ann"), 3); status != http.StatusCreated {
			t.Fatal(status, body)
		}
	}
	if status, body := send(t.Context(), http.MethodDelete, p.URL+"/huts/planura/2027-07-31/bookings/b", p.token("ann"), nil); status != http.StatusOK {
		t.Fatal(status, string(body))
	}
	eventually(t, func() string {
		got := get(t.Context(), p.URL+"/occupancy", "")
		if !strings.Contains(got, `"Hut":"planura","Week":"2027-W30","Beds":3,`) || !strings.Contains(got, `"Released":3}],"Bad":0}`) {
			return got
		}
		return ""
	})
}
