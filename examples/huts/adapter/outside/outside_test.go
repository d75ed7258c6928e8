package outside

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/world"
	"github.com/belay-go/belay/internal/memhttp"
)

const date = domain.Date("2027-07-31")

// inBubble runs f with a world in virtual time, and a network that reaches its systems
// by the hosts payment, weather, mail, and one, two, three for the mirrors.
func inBubble(t *testing.T, f func(t *testing.T, w *world.World, base http.RoundTripper)) {
	synctest.Test(t, func(t *testing.T) {
		w := world.Silent()
		n := memhttp.Network{
			"payment": memhttp.NewServer(t, w.Payment), "weather": memhttp.NewServer(t, w.Weather), "mail": memhttp.NewServer(t, w.Mail),
		}
		for i, host := range []string{"one", "two", "three"} {
			n[host] = memhttp.NewServer(t, w.Bulletins[i])
		}
		base := n.Transport()
		defer base.CloseIdleConnections()
		f(t, w, base)
	})
}

// TestStaleWeather: while the weather service fails or hangs, an older forecast is
// served, and said to be one.
func TestStaleWeather(t *testing.T) {
	for _, fault := range []world.Fault{world.Failing, world.Hanging} {
		t.Run(string(fault), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world.World, base http.RoundTripper) {
				weather, err := NewWeather("http://weather", base)
				if err != nil {
					t.Fatal(err)
				}
				defer weather.Close()
				first, err := weather.Forecast(t.Context(), "planura", date)
				if err != nil || first.Stale || first.Sky == "" {
					t.Fatalf("%+v, %v", first, err)
				}
				w.Weather.Break(fault)
				time.Sleep(time.Minute)
				old, err := weather.Forecast(t.Context(), "planura", date)
				if err != nil || !old.Stale || old.Sky != first.Sky {
					t.Errorf("%+v, %v, want the forecast of before, stale", old, err)
				}
				if _, err := weather.Forecast(t.Context(), "etzli", date); err == nil {
					t.Error("a forecast that nobody has made")
				}
				w.Weather.Break(world.Well)
				time.Sleep(time.Minute)
				if f, err := weather.Forecast(t.Context(), "planura", date); err != nil || f.Stale {
					t.Errorf("well again: %+v, %v", f, err)
				}
			})
		})
	}
}

// TestMirrorGone: no reader notices that one mirror of three is broken, and soon it is
// hardly asked.
func TestMirrorGone(t *testing.T) {
	for _, fault := range []world.Fault{world.Failing, world.Hanging, world.Cutting} {
		t.Run(string(fault), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world.World, base http.RoundTripper) {
				b, err := NewBulletin(base, "http://one", "http://two", "http://three")
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				w.Bulletins[0].Break(fault)
				for i := range 300 {
					if d, err := b.Danger(t.Context(), "uri"); err != nil || d.Region != "uri" {
						t.Fatalf("reader %d: %+v, %v", i, d, err)
					}
					time.Sleep(20 * time.Millisecond)
				}
				if n := w.Bulletins[0].Asked(); n > 60 {
					t.Errorf("the broken mirror was asked %d times of 300", n)
				}
			})
		})
	}
}

// TestChargedOnce: a charge whose answer is lost, and that is asked for again by another
// process, is one charge; one that comes after the refund is none.
func TestChargedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world.World, base http.RoundTripper) {
		booking := domain.Booking{ID: "a", Hut: "planura", Date: date, Guest: "ann", Price: 85_00}
		process := func() *Payment {
			p, err := NewPayment("http://payment", "payment-secret", base)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		w.Payment.Break(world.Cutting)
		if receipt, err := process().Charge(t.Context(), booking); err == nil {
			t.Errorf("an answer that was cut off is a receipt: %q", receipt)
		}
		w.Payment.Break(world.Well)
		receipt, err := process().Charge(t.Context(), booking)
		if err != nil || receipt == "" {
			t.Errorf("%q, %v", receipt, err)
		}
		want := world.Account{Charges: 1, Charged: 85_00}
		if got := w.Payment.Ledger()["planura/2027-07-31/a"]; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}

		booking.ID = "b"
		if err := process().Refund(t.Context(), app.RefOf(booking)); err != nil {
			t.Fatal(err)
		}
		if receipt, err := process().Charge(t.Context(), booking); err == nil {
			t.Errorf("charged after the refund: %q", receipt)
		}
		booking.Guest, booking.ID = "broke", "c"
		if _, err := process().Charge(t.Context(), booking); !errors.Is(err, app.ErrDeclined) {
			t.Errorf("%v, want %v", err, app.ErrDeclined)
		}
	})
}

// TestPaymentDown: while the provider hangs, guests wait a few times, and then not at
// all; when it is back, so are we.
func TestPaymentDown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world.World, base http.RoundTripper) {
		p, err := NewPayment("http://payment", "payment-secret", base)
		if err != nil {
			t.Fatal(err)
		}
		charge := func(i int) (time.Duration, error) {
			begin := time.Now()
			_, err := p.Charge(t.Context(), domain.Booking{ID: domain.BookingID(fmt.Sprint(i)), Guest: "ann"})
			return time.Since(begin), err
		}
		w.Payment.Break(world.Hanging)
		var waited time.Duration
		for i := range 100 {
			d, err := charge(i)
			if waited += d; err == nil {
				t.Fatal("a charge by a provider that hangs")
			}
		}
		if waited > 20*time.Second || w.Payment.Asked() > 10 {
			t.Errorf("guests have waited %v, the provider was asked %d times", waited, w.Payment.Asked())
		}
		w.Payment.Break(world.Well)
		time.Sleep(time.Minute)
		for i := range 10 {
			if _, err := charge(100 + i); err != nil {
				t.Errorf("well again: %v", err)
			}
		}
	})
}

// TestMailIsPolite: a hundred mails at once are no more than four at once for the
// server, nor more than 50 a second, and each comes, though the server is limited for a
// while.
func TestMailIsPolite(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world.World, base http.RoundTripper) {
		m, err := NewMail("http://mail", base)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		errs := make(chan error)
		for i := range 100 {
			b := domain.Booking{ID: domain.BookingID(fmt.Sprint(i)), Hut: "planura", Date: date, Guest: "ann", State: domain.Paid}
			go func() { errs <- m.Send(t.Context(), app.NewChange(b, begin)) }()
		}
		for range 100 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(begin); d < 1900*time.Millisecond || len(w.Mail.Sent()) != 100 {
			t.Errorf("%d mails in %v", len(w.Mail.Sent()), d)
		}
		if err := m.Send(t.Context(), app.NewChange(domain.Booking{State: domain.Over}, begin)); err != nil || w.Mail.Asked() != 100 {
			t.Errorf("no news, but %d mails, %v", w.Mail.Asked(), err)
		}
		if err := m.Send(t.Context(), app.NewChange(domain.Booking{State: domain.Paid}, begin)); !errors.Is(err, app.ErrNever) {
			t.Errorf("a mail to nobody: %v", err)
		}
	})
}
