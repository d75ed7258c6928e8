package app_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/google/go-cmp/cmp"
)

const date = domain.Date("2027-07-31")

var planura = store.Huts{"planura": {ID: "planura", Beds: 4, Price: 42_50}}

func ref(id string) app.Ref {
	return app.Ref{Hut: "planura", Date: date, Booking: domain.BookingID(id)}
}

func order(id string, beds int) app.Order { return app.Order{Ref: ref(id), Guest: "ann", Beds: beds} }

// bank is an app.Payment that keeps its promises, and does what fail says before and
// after what it is asked.
type bank struct {
	mu       sync.Mutex
	charged  map[string]int
	refunded map[string]int
	closed   map[string]bool
	before   func(verb string) error
	after    func(verb string) error
}

func newBank() *bank {
	return &bank{charged: map[string]int{}, refunded: map[string]int{}, closed: map[string]bool{}}
}

func (b *bank) hook(f func(string) error, verb string) error {
	if f == nil {
		return nil
	}
	return f(verb)
}

func (b *bank) Charge(ctx context.Context, booking domain.Booking) (string, error) {
	if err := b.hook(b.before, "charge"); err != nil {
		return "", err
	}
	key := app.RefOf(booking).String()
	b.mu.Lock()
	closed := b.closed[key]
	if !closed {
		b.charged[key] = 1
	}
	b.mu.Unlock()
	if closed {
		return "", errors.New("refunded beforehand")
	}
	return "r", b.hook(b.after, "charge")
}

func (b *bank) Refund(ctx context.Context, of app.Ref) error {
	if err := b.hook(b.before, "refund"); err != nil {
		return err
	}
	b.mu.Lock()
	b.closed[of.String()] = true
	b.refunded[of.String()] = b.charged[of.String()]
	b.mu.Unlock()
	return b.hook(b.after, "refund")
}

// balance is what the bank has of a booking: 1 or 0 charges.
func (b *bank) balance(at app.Ref) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.charged[at.String()] - b.refunded[at.String()]
}

// all is an app.Unfinished that knows a few bookings.
type all []app.Ref

func (a all) Unfinished(context.Context, time.Time) ([]app.Ref, error) { return a, nil }

func state(t *testing.T, nights app.Nights, at app.Ref) domain.Booking {
	t.Helper()
	n, err := nights.Load(t.Context(), at.Hut, at.Date)
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Booking(at.Booking)
	if err != nil && !errors.Is(err, domain.ErrNotFound) {
		t.Fatal(err)
	}
	return b
}

func TestBook(t *testing.T) {
	nights, bank := &store.MemoryNights{Huts: planura}, newBank()
	bookings := app.New(nights, bank)
	want := domain.Booking{ID: "a", Hut: "planura", Date: date, Guest: "ann", Beds: 2, Price: 85_00, State: domain.Paid, Receipt: "r"}
	for range 2 { // sent again, it is the same booking
		got, err := bookings.Book(t.Context(), order("a", 2))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	}
	if _, err := bookings.Book(t.Context(), order("b", 3)); err == nil {
		t.Error("three of two beds were booked")
	} else if full, ok := errors.AsType[*domain.FullError](err); !ok || full.Free != 2 {
		t.Error(err)
	}
	if bank.balance(ref("a")) != 1 || bank.balance(ref("b")) != 0 {
		t.Error("charged:", bank.charged)
	}
	if _, err := bookings.Cancel(t.Context(), ref("a"), app.Person{Name: "bob"}); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("another guest cancels: %v", err)
	}
	if b, err := bookings.Cancel(t.Context(), ref("a"), app.Person{Name: "ann"}); err != nil || b.State != domain.Freed {
		t.Error(b, err)
	}
	if err := bookings.Proceed(t.Context(), all{ref("a")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if b := state(t, nights, ref("a")); b.State != domain.Over || bank.balance(ref("a")) != 0 {
		t.Errorf("%+v, %d with the bank", b, bank.balance(ref("a")))
	}
}

// TestChargeFailsReleasesBed: a saga whose second step fails takes back the first.
func TestChargeFailsReleasesBed(t *testing.T) {
	nights, bank := &store.MemoryNights{Huts: planura}, newBank()
	bank.before = func(verb string) error {
		if verb == "charge" {
			return fmt.Errorf("%w: no money", app.ErrDeclined)
		}
		return nil
	}
	bookings := app.New(nights, bank)
	if _, err := bookings.Book(t.Context(), order("a", 4)); !errors.Is(err, app.ErrDeclined) {
		t.Fatalf("%v, want %v", err, app.ErrDeclined)
	}
	if b := state(t, nights, ref("a")); b.State != domain.Freed || b.Why != domain.Undone {
		t.Errorf("%+v, want it released", b)
	}
	bank.before = nil
	if b, err := bookings.Book(t.Context(), order("b", 4)); err != nil || b.State != domain.Paid {
		t.Errorf("the beds are not free: %+v, %v", b, err)
	}
}

// TestPanicAndCancelUndo: a saga takes back what it did, also when a step panics after it
// was done, and when its caller leaves.
func TestPanicAndCancelUndo(t *testing.T) {
	for name, end := range map[string]func(cancel func()) error{
		"panic":  func(func()) error { panic("bank") },
		"cancel": func(cancel func()) error { cancel(); return context.Canceled },
	} {
		t.Run(name, func(t *testing.T) {
			nights, bank := &store.MemoryNights{Huts: planura}, newBank()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			bank.after = func(verb string) error {
				if verb == "charge" {
					return end(cancel)
				}
				return nil
			}
			bookings := app.New(nights, bank)
			func() {
				defer func() { recover() }()
				if _, err := bookings.Book(ctx, order("a", 4)); err == nil {
					t.Error("the booking succeeded")
				}
			}()
			if b := state(t, nights, ref("a")); b.State != domain.Freed || bank.balance(ref("a")) != 0 {
				t.Errorf("%+v, %d with the bank, want it released and refunded", b, bank.balance(ref("a")))
			}
		})
	}
}

// TestUnknownChargeIsKept: when nobody knows whether the guest was charged, the booking
// is kept, and the process manager finds out.
func TestUnknownChargeIsKept(t *testing.T) {
	nights, bank := &store.MemoryNights{Huts: planura}, newBank()
	bank.after = func(string) error { return errors.New("connection reset") } // after the charge
	bookings := app.New(nights, bank)
	b, err := bookings.Book(t.Context(), order("a", 1))
	if err != nil || b.State != domain.AwaitingPayment {
		t.Fatalf("%+v, %v", b, err)
	}
	if err := bookings.Proceed(t.Context(), all{ref("a")}, time.Now()); err == nil {
		t.Error("the process manager does not say what stands in its way")
	}
	bank.after = nil
	if err := bookings.Proceed(t.Context(), all{ref("a")}, time.Now()); err != nil {
		t.Error(err)
	}
	if b := state(t, nights, ref("a")); b.State != domain.Paid || bank.charged[ref("a").String()] != 1 {
		t.Errorf("%+v, charged %v", b, bank.charged)
	}
}

// TestCancelWhileCharged: a booking that is cancelled while it is charged ends without a
// Rappen with us, whichever comes first.
func TestCancelWhileCharged(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			nights, bank := &store.MemoryNights{Huts: planura}, newBank()
			bookings := app.New(nights, bank)
			if _, err := bookings.Reserve(t.Context(), order("a", 1)); err != nil {
				t.Fatal(err)
			}
			cancelled := false
			cancel := func(verb string) error {
				if verb != "charge" || cancelled {
					return nil
				}
				cancelled = true
				_, err := bookings.Cancel(t.Context(), ref("a"), app.Person{Name: "ann"})
				return err
			}
			if when == "before" {
				bank.before = cancel
			} else {
				bank.after = cancel
			}
			for range 2 {
				bookings.Proceed(t.Context(), all{ref("a")}, time.Now())
			}
			if b := state(t, nights, ref("a")); b.State != domain.Over || bank.balance(ref("a")) != 0 {
				t.Errorf("%+v, %d with the bank", b, bank.balance(ref("a")))
			}
		})
	}
}
