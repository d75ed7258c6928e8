package main

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A watched run is a live one in virtual time.
type watched struct {
	*live
	t *testing.T
}

func watch(t *testing.T, rate float64, look func(w watched)) {
	synctest.Test(t, func(t *testing.T) {
		l, stop, err := newLive(&memory{}, rate, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.run(ctx); close(done) }()
		defer func() {
			cancel()
			<-done
			time.Sleep(serversDone)
			stop()
			synctest.Wait()
		}()
		look(watched{l, t})
	})
}

// after returns the frame that everybody sees when some time has passed.
func (w watched) after(d time.Duration) (f frame) {
	time.Sleep(d)
	synctest.Wait()
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	_, data := parseEvents(w.t, string(w.feed.past[len(w.feed.past)-1]))
	if err := json.Unmarshal([]byte(data[0]), &f); err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (w watched) press(server, name string) {
	if !w.board.press(server, name) {
		w.t.Fatalf("no button %s for %s", name, server)
	}
}

// rate is the share of calls that succeeded.
func (r reading) rate() float64 { return float64(r.OK) / float64(r.Ended) }

const plainColumn, naiveColumn, belayColumn = 0, 1, 3

// Whatever is wrong with one server, belay soon answers everything, and sends it little; when it is mended it gets calls again.
func TestOneServerFails(t *testing.T) {
	for _, p := range presses[:len(presses)-1] {
		if testing.Short() && p.fault != hung {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			watch(t, 20, func(w watched) {
				for _, r := range w.after(5 * time.Second).Clients {
					if r.rate() != 1 || r.Wait > 200 || r.Sent > r.Ended+5 {
						t.Errorf("before: %+v", r)
					}
				}
				w.press("B", p.Name)
				f := w.after(10 * time.Second)
				plain, belay := f.Clients[plainColumn], f.Clients[belayColumn]
				if plain.rate() > 0.9 || plain.rate() < 0.5 || belay.rate() < 0.95 {
					t.Errorf("plain %+v, belay %+v", plain, belay)
				}
				if f.Faults[0] != "mend" || f.Faults[1] != p.Name || f.Belay.Breaker.State != "closed" {
					t.Errorf("%+v", f)
				}
				if b := f.Belay.Endpoints[1]; b.Sent > 3 || f.States[0] != used || b.Sent == 0 && f.States[1] != out && f.States[1] != passed {
					t.Errorf("belay sends %d requests a second to the server; states %v", b.Sent, f.States)
				}
				w.press("B", "mend")
				w.after(50 * time.Second)
				sent, usedAgain := 0, false // a single second may bring none
				for range 10 {
					f = w.after(time.Second)
					sent += f.Belay.Endpoints[1].Sent
					usedAgain = usedAgain || f.States[1] == used
				}
				if b := f.Belay.Endpoints[1]; b.State != "healthy" || sent < 10 || !usedAgain {
					t.Errorf("a minute after it has been mended: %+v, %d requests in ten seconds", b, sent)
				}
			})
		})
	}
}

// When all fail, belay's breaker opens and its servers are left alone; when all are mended, it closes.
func TestAllServersFail(t *testing.T) {
	for _, p := range presses[:len(presses)-1] {
		if testing.Short() && p.fault != hung {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			watch(t, 20, func(w watched) {
				w.press("all", p.Name)
				opened := false
				for range 40 {
					f := w.after(frameEvery)
					opened = opened || f.Belay.Breaker.State == "open" && f.Belay.Breaker.Seconds > 0 && !slices.Contains(f.States, used)
				}
				f := w.after(10 * time.Second)
				naive, belay := f.Clients[naiveColumn], f.Clients[belayColumn]
				if !opened || belay.OK > 0 || belay.Sent > 10 || naive.OK > 0 || naive.Sent < 10 {
					t.Errorf("opened %v, naive %+v, belay %+v", opened, naive, belay)
				}
				w.press("all", "mend")
				f = w.after(30 * time.Second)
				if f.Belay.Breaker.State != "closed" || f.Clients[belayColumn].rate() < 0.99 || f.States[4] != used {
					t.Errorf("after it was mended: %+v, %+v", f.Belay, f.Clients)
				}
			})
		})
	}
}

// In a rush nobody but belay answers anything in time, and it answers what its limiter lets through.
func TestRush(t *testing.T) {
	watch(t, 20, func(w watched) {
		w.board.call("rush")
		f := w.after(8 * time.Second)
		plain, belay := f.Clients[plainColumn], f.Clients[belayColumn]
		const seconds = 10
		answered := 0 // a single second may have one or two more or less than the limit
		for range seconds {
			answered += w.after(time.Second).Clients[belayColumn].OK
		}
		if most := int(seconds * f.Belay.Limiter.Rate); answered < most-most/100 {
			t.Errorf("%d answers in %d seconds, want all that the limit lets through, %d", answered, seconds, most)
		}
		if !f.Rush || plain.rate() > 0.5 || belay.Sent > 110 || f.Belay.Limiter.Refused == 0 {
			t.Errorf("plain %+v, belay %+v, limiter %+v", plain, belay, f.Belay.Limiter)
		}
		w.board.call("usual")
		f = w.after(12 * time.Second)
		for i, r := range f.Clients {
			if r.rate() < 0.99 {
				t.Errorf("client %d after the rush: %+v", i, r)
			}
		}
	})
}

// What a run remembers does not grow with its length.
func TestLiveIsBounded(t *testing.T) {
	watch(t, 20, func(w watched) {
		w.after((remembered + 20) * frameEvery)
		w.feed.mu.Lock()
		defer w.feed.mu.Unlock()
		if n := len(w.feed.past); n != remembered {
			t.Errorf("%d frames, want %d", n, remembered)
		}
		for _, c := range w.columns {
			if n := len(c.finished()); n > 100 {
				t.Errorf("%s: %d calls", c.name, n)
			}
			for _, instance := range c.received() {
				if len(instance) > 100 {
					t.Errorf("%s: %d arrivals", c.name, len(instance))
				}
			}
		}
	})
}

func TestLiveServersThatCannotStart(t *testing.T) {
	if _, _, err := newLive(&broken{}, 50, 1); err == nil {
		t.Error("no error")
	}
}
