package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
)

// A machine runs the services' logic by hand, one step at a time, over a real database,
// with a bus and outside systems that are maps. When it crashes, nothing that the
// process still wants to do happens: only what it has done before is left.
type machine struct {
	t      *testing.T
	random *rand.Rand
	store  *store.Store
	nights *store.Nights
	inbox  *store.Store

	crash  int // calls of the outside until the process is dead; negative: it lives on
	charge map[string]int
	refund map[string]int
	closed map[string]bool // refunded before they were charged
	bus    []app.Change
	mails  map[string]int
}

var errDead = errors.New("the process is dead")

// alive ends a step when the process dies.
func (m *machine) alive() error {
	if m.crash == 0 {
		return errDead
	}
	m.crash--
	return nil
}

// The ports of the application. Each can die before it has done anything, and after.

func (m *machine) Load(ctx context.Context, hut domain.HutID, date domain.Date) (*domain.Night, error) {
	return m.nights.Load(ctx, hut, date)
}

func (m *machine) Save(ctx context.Context, n *domain.Night, events ...domain.Event) error {
	if err := m.alive(); err != nil {
		return err
	}
	if err := m.nights.Save(ctx, n, events...); err != nil {
		return err
	}
	return m.alive()
}

func (m *machine) Charge(_ context.Context, b domain.Booking) (string, error) {
	if err := m.alive(); err != nil {
		return "", err
	}
	key := app.RefOf(b).String()
	switch {
	case m.closed[key]:
		return "", errors.New("refunded beforehand")
	case b.Guest == "broke":
		return "", app.ErrDeclined
	case m.random.IntN(4) == 0:
		return "", errors.New("payment is down")
	}
	m.charge[key] = 1 // the provider knows the key
	return "r", m.alive()
}

func (m *machine) Refund(_ context.Context, of app.Ref) error {
	if err := m.alive(); err != nil {
		return err
	}
	if m.random.IntN(4) == 0 {
		return errors.New("payment is down")
	}
	m.closed[of.String()] = true
	m.refund[of.String()] = m.charge[of.String()]
	return m.alive()
}

func (m *machine) publish(c app.Change) error {
	if err := m.alive(); err != nil {
		return err
	}
	m.bus = append(m.bus, c)
	return m.alive()
}

func (m *machine) send(c app.Change) error {
	if err := m.alive(); err != nil {
		return err
	}
	m.mails[c.ID]++
	return m.alive()
}

// The steps that the services take.

func (m *machine) relay(ctx context.Context) error {
	recorded, err := m.store.Unpublished(ctx, 1+m.random.IntN(3))
	if err != nil {
		return err
	}
	for _, r := range recorded {
		c, err := m.nights.Change(ctx, r)
		if err != nil {
			m.t.Fatal(err)
		}
		if err := m.publish(c); err != nil {
			return err
		}
		if err := m.store.Published(ctx, r.Position); err != nil {
			return err
		}
	}
	return nil
}

// deliver hands a message to the mail service: any that there is, as often as it likes.
func (m *machine) deliver(ctx context.Context, c app.Change) error {
	seen, err := m.inbox.Received(ctx, "mail", c.ID)
	if err != nil || seen {
		return err
	}
	if c.Booking.State != domain.Over {
		if err := m.send(c); err != nil {
			return err
		}
	}
	return m.inbox.Once(ctx, "mail", c.ID, func(*sql.Tx) error { return nil })
}

func (m *machine) proceed(ctx context.Context, bookings *app.Bookings) error {
	if err := m.store.CatchUp(ctx); err != nil {
		return err
	}
	return bookings.Proceed(ctx, m.store, time.Now())
}

// TestSchedules runs random orders of commands, steps, crashes and redeliveries. Whatever
// the order: no night is overbooked at any time, and when all is finished each booking
// is charged once or not at all, and there is a mail for each piece of news.
func TestSchedules(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 20
	}
	for seed := range n {
		m := &machine{t: t, random: rand.New(rand.NewPCG(1, uint64(seed))), crash: -1,
			charge: map[string]int{}, refund: map[string]int{}, closed: map[string]bool{}, mails: map[string]int{}}
		if !m.run(seed) {
			return
		}
	}
}

func (m *machine) run(seed int) bool {
	t, ctx := m.t, m.t.Context()
	dir := t.TempDir()
	var err error
	if m.store, err = store.Open(filepath.Join(dir, "booking.db")); err != nil {
		t.Fatal(err)
	}
	defer m.store.Close()
	if m.inbox, err = store.Open(filepath.Join(dir, "mail.db")); err != nil {
		t.Fatal(err)
	}
	defer m.inbox.Close()
	hut := domain.Hut{ID: "planura", Beds: 5, Price: 10_00}
	m.nights = &store.Nights{Huts: store.Huts{"planura": hut}, Store: m.store}

	bookings := app.New(m, m)
	for range 40 {
		if m.random.IntN(3) == 0 {
			m.crash = m.random.IntN(6)
		}
		guest := []string{"ann", "bob", "broke"}[m.random.IntN(3)]
		at := app.Ref{Hut: "planura", Date: domain.Date(fmt.Sprintf("2027-07-0%d", 1+m.random.IntN(2))),
			Booking: domain.BookingID(fmt.Sprint(guest, m.random.IntN(4)))}
		switch m.random.IntN(6) {
		case 0, 1:
			bookings.Book(ctx, app.Order{Ref: at, Guest: guest, Beds: 1 + m.random.IntN(3)})
		case 2:
			bookings.Cancel(ctx, at, app.Person{Name: guest})
		case 3:
			m.proceed(ctx, bookings)
		case 4:
			m.relay(ctx)
		case 5:
			if len(m.bus) > 0 {
				m.deliver(ctx, m.bus[m.random.IntN(len(m.bus))])
			}
		}
		if m.crash >= 0 { // it dies now, if it has not; the next one begins with what is on disk
			m.crash = -1
			bookings = app.New(m, m)
		}
	}
	for range 100 { // everything is finished in the end
		if m.proceed(ctx, bookings) == nil && m.relay(ctx) == nil {
			if todo, err := m.store.Unfinished(ctx, time.Now()); err == nil && len(todo) == 0 {
				break
			}
		}
	}
	for {
		if left, err := m.store.Unpublished(ctx, 1); err != nil || len(left) == 0 {
			break
		}
		if err := m.relay(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range m.bus {
		if err := m.deliver(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	return m.check(seed)
}

func (m *machine) check(seed int) bool {
	m.t.Helper()
	recorded, err := m.store.After(m.t.Context(), 0, 1_000_000)
	if err != nil {
		m.t.Fatal(err)
	}
	nights := map[domain.Date]*domain.Night{}
	news := map[string]bool{}
	for _, r := range recorded {
		n := nights[r.Date]
		if n == nil {
			n = domain.NewNight(m.nights.Huts[r.Hut], r.Date)
			nights[r.Date] = n
		}
		n.Apply(r.Event)
		if n.Taken() > n.Hut.Beds {
			m.t.Errorf("seed %d: %s is overbooked: %d beds", seed, r.Date, n.Taken())
		}
		if b, _ := n.Booking(r.Event.Of()); b.State != domain.Over {
			news[app.NewChange(b, r.At).ID] = true
		}
	}
	for _, n := range nights {
		for b := range n.Bookings() {
			key := app.RefOf(b).String()
			balance := m.charge[key] - m.refund[key]
			if b.State == domain.Paid && balance != 1 || b.State == domain.Over && balance != 0 || b.State != domain.Paid && b.State != domain.Over {
				m.t.Errorf("seed %d: %s is %s, charged %d times, refunded %d times", seed, key, b.State, m.charge[key], m.refund[key])
			}
		}
	}
	if want, got := slices.Sorted(maps.Keys(news)), slices.Sorted(maps.Keys(m.mails)); !slices.Equal(want, got) {
		m.t.Errorf("seed %d: mails %v, want %v", seed, got, want)
	}
	return !m.t.Failed()
}
