// Chaos experiment: what must hold is stated, systems are broken, and then it is looked
// at. Not worth it before somebody has said what must hold.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/world"
)

// An outage breaks a system for a part of the demo.
type outage struct {
	system   string
	fault    world.Fault
	from, to float64 // of the duration
}

var outages = []outage{
	{"payment", world.Hanging, 0.05, 0.25},
	{"weather", world.Failing, 0.20, 0.40},
	{"bulletin-1", world.Hanging, 0.35, 0.55},
	{"mail", world.Limited, 0.45, 0.60},
	{"payment", world.Cutting, 0.55, 0.70},
	{"mail", world.Failing, 0.65, 0.85},
	{"payment", world.Failing, 0.75, 0.90},
}

// tally is what guests saw.
type tally struct {
	mu sync.Mutex

	Paid, Kept, Declined, Full, Cancelled, Failed int // bookings
	Trips, Partial, Stale, TripsFailed            int
}

func (t *tally) add(n *int) {
	t.mu.Lock()
	*n++
	t.mu.Unlock()
}

// demonstrate has guests book while systems break, one after another, mends them, and
// checks that nothing was lost.
func demonstrate(ctx context.Context, p *program, d time.Duration, out io.Writer) error {
	if p.World == nil || p.store == nil {
		return errors.New("huts: the demo needs all services and the simulated world in one process")
	}
	begin := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(out, "%5.1f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	say("guests book at %s", p.URL)
	saw := &tally{}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var guests sync.WaitGroup
	for i := range 12 {
		guests.Go(func() { guest(ctx, p, fmt.Sprint("guest", i), rand.New(rand.NewPCG(1, uint64(i))), saw) })
	}
	guests.Go(func() { guest(ctx, p, "broke", rand.New(rand.NewPCG(2, 0)), saw) })
	var breaking sync.WaitGroup
	for _, o := range outages {
		breaking.Go(func() {
			s := p.system(o.system)
			if wait(ctx, time.Duration(o.from*float64(d))); ctx.Err() != nil {
				return
			}
			s.Break(o.fault)
			say("%s is %s", o.system, o.fault)
			wait(ctx, time.Duration((o.to-o.from)*float64(d)))
			s.Break(world.Well)
			say("%s is well again", o.system)
		})
	}
	breaking.Wait()
	guests.Wait()
	say("the guests leave; what is unfinished is finished")
	r, err := settle(context.WithoutCancel(ctx), p)
	fmt.Fprintf(out, `
What guests saw      %d bookings paid at once, %d kept and paid later, %d declined, %d full, %d cancelled, %d failed
                     %d trips answered, %d of them without a part, %d with an older forecast, %d failed
What was asked of    %s
What came of it      %d bookings, %d charges, %d refunds, %d mails; the fullest night has %d of %d beds taken
`, saw.Paid, saw.Kept, saw.Declined, saw.Full, saw.Cancelled, saw.Failed,
		saw.Trips, saw.Partial, saw.Stale, saw.TripsFailed,
		p.asked(), r.bookings, r.charges, r.refunds, r.mails, r.fullest, r.beds)
	if err == nil && (saw.Paid == 0 || saw.Kept == 0 || saw.Cancelled == 0 || saw.Trips == 0) {
		err = errors.New("huts: the demo is too short to show anything")
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Nothing was lost: no night overbooked, every booking charged once or not at all, one mail for each news.")
	return nil
}

// guest books, asks and cancels until ctx ends.
func guest(ctx context.Context, p *program, name string, random *rand.Rand, saw *tally) {
	token := p.World.Identity.Token(name, "")
	for n := 0; ctx.Err() == nil; n++ {
		at := fmt.Sprintf("planura/2027-07-%02d", 10+random.IntN(20))
		id := fmt.Sprintf("%s-%d", name, n)
		url := fmt.Sprintf("%s/huts/%s/bookings/%s", p.URL, at, id)
		// A request that is under way when the demo ends is not given up.
		status, _ := send(context.WithoutCancel(ctx), http.MethodPut, url, token, map[string]int{"Beds": 1 + random.IntN(2)})
		switch status {
		case http.StatusCreated:
			saw.add(&saw.Paid)
		case http.StatusAccepted:
			saw.add(&saw.Kept)
		case http.StatusPaymentRequired:
			saw.add(&saw.Declined)
		case http.StatusConflict:
			saw.add(&saw.Full)
		default:
			saw.add(&saw.Failed)
		}
		ask(ctx, p, token, at, id, saw)
		if status < 300 && random.IntN(3) == 0 {
			if status, _ := send(context.WithoutCancel(ctx), http.MethodDelete, url, token, nil); status == http.StatusOK {
				saw.add(&saw.Cancelled)
			}
		}
		wait(ctx, time.Duration(random.IntN(200))*time.Millisecond)
	}
}

// ask asks what there is to know before a trip.
func ask(ctx context.Context, p *program, token, at, id string, saw *tally) {
	hut, date, _ := strings.Cut(at, "/")
	query := fmt.Sprintf(`{trip(hut: %q, date: %q, booking: %q) {hut {free} weather {sky stale} danger {level} told}}`, hut, date, id)
	status, body := send(context.WithoutCancel(ctx), http.MethodPost, p.URL+"/graphql", token, map[string]string{"query": query})
	var answer struct {
		Data *struct {
			Trip struct{ Weather struct{ Stale bool } }
		}
		Errors []any
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || answer.Data == nil {
		saw.add(&saw.TripsFailed)
		return
	}
	saw.add(&saw.Trips)
	if len(answer.Errors) > 0 {
		saw.add(&saw.Partial)
	}
	if answer.Data.Trip.Weather.Stale {
		saw.add(&saw.Stale)
	}
}

// send sends a request of whoever has the token, and returns status 0 if there is no answer.
func send(ctx context.Context, method, url, token string, body any) (status int, answer []byte) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return 0, nil
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return 0, nil
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// A result is what is left when everything is finished.
type result struct{ bookings, charges, refunds, mails, fullest, beds int }

// settle waits until nothing is unfinished, and returns what came of it, or what was
// lost.
func settle(ctx context.Context, p *program) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		r, err := check(ctx, p)
		if err == nil || ctx.Err() != nil {
			return r, err
		}
		wait(ctx, 200*time.Millisecond)
	}
}

// check holds the log of events against what the payment provider and the mail server
// remember.
func check(ctx context.Context, p *program) (r result, err error) {
	type stay struct {
		hut  domain.HutID
		date domain.Date
	}
	nights := map[stay]*domain.Night{}
	told := map[string]bool{}
	var errs []error
	recorded, err := p.store.After(ctx, 0, 1<<30)
	if err != nil {
		return r, err
	}
	ledger, sent := p.World.Payment.Ledger(), p.World.Mail.Sent()
	for _, e := range recorded {
		at := stay{e.Hut, e.Date}
		if nights[at] == nil {
			nights[at] = domain.NewNight(huts[e.Hut], e.Date)
		}
		n := nights[at]
		n.Apply(e.Event)
		if n.Taken() > n.Hut.Beds {
			errs = append(errs, fmt.Errorf("huts: %s on %s was overbooked: %d of %d beds", e.Hut, e.Date, n.Taken(), n.Hut.Beds))
		}
		if n.Taken() > r.fullest {
			r.fullest, r.beds = n.Taken(), n.Hut.Beds
		}
		b, err := n.Booking(e.Event.Of())
		if err != nil {
			return r, err
		}
		if b.State != domain.Over {
			told[app.NewChange(b, e.At).ID] = true
		}
	}
	for id := range told {
		if _, ok := sent[id]; !ok {
			errs = append(errs, fmt.Errorf("huts: nobody was told of %s", id))
		}
	}
	for id := range sent {
		if !told[id] {
			errs = append(errs, fmt.Errorf("huts: a guest was told of %s, which never was", id))
		}
	}
	known := map[string]bool{}
	for _, n := range nights {
		for b := range n.Bookings() {
			r.bookings++
			ref := app.RefOf(b).String()
			known[ref] = true
			a := ledger[ref]
			r.charges += a.Charges
			r.refunds += a.Refunds
			switch {
			case b.State != domain.Paid && b.State != domain.Over:
				errs = append(errs, fmt.Errorf("huts: %s is %s, and stays so", ref, b.State))
			case a.Charges > 1 || a.Refunds > 1:
				errs = append(errs, fmt.Errorf("huts: %s was charged %d times and refunded %d times", ref, a.Charges, a.Refunds))
			case b.State == domain.Paid && (a.Charged != int64(b.Price) || a.Refunded != 0):
				errs = append(errs, fmt.Errorf("huts: %s is paid, but %d was charged and %d refunded", ref, a.Charged, a.Refunded))
			case b.State == domain.Over && a.Charged != a.Refunded:
				errs = append(errs, fmt.Errorf("huts: %s is over, but %d was charged and %d refunded", ref, a.Charged, a.Refunded))
			}
		}
	}
	for ref, a := range ledger {
		if !known[ref] && a.Charged != a.Refunded {
			errs = append(errs, fmt.Errorf("huts: %s was charged, and nobody knows it", ref))
		}
	}
	r.mails = len(sent)
	return r, errors.Join(errs...)
}
