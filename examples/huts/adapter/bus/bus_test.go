package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/google/go-cmp/cmp"
)

func embed(t *testing.T) *Bus {
	t.Helper()
	b, err := Embed(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// consume runs a consumer until the test ends, and returns what it was told.
func consume(t *testing.T, b *Bus, c Consumer) <-chan app.Change {
	t.Helper()
	seen := make(chan app.Change, 100)
	handle := c.Handle
	c.Wait = time.Millisecond
	c.Handle = func(ctx context.Context, change app.Change) error {
		seen <- change
		if handle == nil {
			return nil
		}
		return handle(ctx, change)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Consume(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return seen
}

func change(id string) app.Change {
	return app.Change{ID: id, Booking: domain.Booking{ID: "a", Hut: "planura", Date: "2027-07-31", Guest: "ann", Beds: 2, State: domain.Paid},
		At: time.UnixMilli(1_800_000_000_000).UTC()}
}

func publish(t *testing.T, b *Bus, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := b.Publish(t.Context(), change(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func next(t *testing.T, seen <-chan app.Change) app.Change {
	t.Helper()
	select {
	case c := <-seen:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("no message within 20 s")
		return app.Change{}
	}
}

// TestEveryConsumerGetsEveryChange: each name receives what was published, whether it
// was there at the time or not, and what is published twice comes once.
func TestEveryConsumerGetsEveryChange(t *testing.T) {
	b := embed(t)
	early := consume(t, b, Consumer{Name: "early"})
	publish(t, b, "1", "1", "2")
	late := consume(t, b, Consumer{Name: "late"})
	for _, seen := range []<-chan app.Change{early, late} {
		got := map[string]app.Change{}
		for range 2 {
			c := next(t, seen)
			got[c.ID] = c
		}
		if diff := cmp.Diff(map[string]app.Change{"1": change("1"), "2": change("2")}, got); diff != "" {
			t.Errorf("(-published +received):\n%s", diff)
		}
	}
	publish(t, b, "3")
	if c := next(t, early); c.ID != "3" {
		t.Errorf("after 1 and 2 comes %s: something came twice", c.ID)
	}
}

// TestRedelivery: a message that could not be handled comes again, and lets others pass.
func TestRedelivery(t *testing.T) {
	b := embed(t)
	var mu sync.Mutex
	failures := map[string]int{"1": 3}
	seen := consume(t, b, Consumer{Name: "mail", AtOnce: 1, Handle: func(_ context.Context, c app.Change) error {
		mu.Lock()
		defer mu.Unlock()
		failures[c.ID]--
		if failures[c.ID] >= 0 {
			return errors.New("down")
		}
		return nil
	}})
	publish(t, b, "1", "2")
	count := map[string]int{}
	for range 5 {
		count[next(t, seen).ID]++
	}
	if diff := cmp.Diff(map[string]int{"1": 4, "2": 1}, count); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	if letters, err := b.Letters(t.Context()); err != nil || letters != nil {
		t.Errorf("dead letters: %v, %v", letters, err)
	}
}

// TestPoisonGoesToTheDeadLetters: what fails each time, or can never be handled, is put
// aside with the reason, and can be replayed when its cause is mended.
func TestPoisonGoesToTheDeadLetters(t *testing.T) {
	b := embed(t)
	var mu sync.Mutex
	mended := false
	seen := consume(t, b, Consumer{Name: "mail", Tries: 3, Handle: func(_ context.Context, c app.Change) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case mended:
			return nil
		case c.ID == "panics":
			panic("nil map")
		case c.ID == "permanent":
			return fmt.Errorf("%w: no such guest", app.ErrNever)
		case c.ID == "fails":
			return errors.New("down")
		}
		return nil
	}})
	if _, err := b.stream.Publish(t.Context(), subject, []byte("{")); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "panics", "permanent", "fails", "good")
	var letters []Letter
	for deadline := time.Now().Add(20 * time.Second); len(letters) < 4 && time.Now().Before(deadline); {
		next := make(chan struct{})
		time.AfterFunc(5*time.Millisecond, func() { close(next) })
		<-next
		var err error
		if letters, err = b.Letters(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	why := map[string]string{}
	for _, l := range letters {
		why[l.ID] = l.Why
	}
	want := map[string]string{"": "can never be handled: unexpected end of JSON input", "panics": "can never be handled: panic: nil map",
		"permanent": "can never be handled: no such guest", "fails": "down"}
	if diff := cmp.Diff(want, why); diff != "" {
		t.Fatalf("dead letters (-want +got):\n%s", diff)
	}
	count := map[string]int{}
	for len(seen) > 0 {
		count[(<-seen).ID]++
	}
	if diff := cmp.Diff(map[string]int{"panics": 1, "permanent": 1, "fails": 3, "good": 1}, count); diff != "" {
		t.Errorf("tries (-want +got):\n%s", diff)
	}

	mu.Lock()
	mended = true
	mu.Unlock()
	for _, l := range letters {
		if l.ID == "" {
			continue
		}
		if err := b.Replay(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if c := next(t, seen); c.ID != l.ID {
			t.Errorf("%s came, want %s", c.ID, l.ID)
		}
	}
	if letters, err := b.Letters(t.Context()); err != nil || len(letters) != 1 {
		t.Errorf("%v, %v, want the one that was not replayed", letters, err)
	}
}

// TestBrokerKeepsMessages: what was published before the broker was stopped is delivered
// by the next one in the same directory.
func TestBrokerKeepsMessages(t *testing.T) {
	dir := t.TempDir()
	first, err := Embed(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, first, "1")
	first.Close()
	second, err := Embed(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	ctx, cancel := context.WithCancel(t.Context())
	err = second.Consume(ctx, Consumer{Name: "mail", Handle: func(_ context.Context, c app.Change) error {
		if c.ID != "1" {
			t.Errorf("got %s", c.ID)
		}
		cancel()
		return nil
	}})
	if err != nil {
		t.Error(err)
	}
}
