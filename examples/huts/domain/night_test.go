package domain

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var planura = Hut{ID: "planura", Name: "Planurahütte", Beds: 4, Price: 42_50}

func TestNight(t *testing.T) {
	type step struct {
		do   func(n *Night) ([]Event, error)
		want []Event
		err  error // in the tree of the refusal
	}
	reserve := func(id BookingID, guest string, beds int) func(*Night) ([]Event, error) {
		return func(n *Night) ([]Event, error) { return n.Reserve(id, guest, beds) }
	}
	confirm := func(id BookingID) func(*Night) ([]Event, error) {
		return func(n *Night) ([]Event, error) { return n.Confirm(id, "r1") }
	}
	release := func(id BookingID, why Why) func(*Night) ([]Event, error) {
		return func(n *Night) ([]Event, error) { return n.Release(id, why) }
	}
	settle := func(id BookingID) func(*Night) ([]Event, error) {
		return func(n *Night) ([]Event, error) { return n.Settle(id) }
	}
	for name, steps := range map[string][]step{
		"booked and paid": {
			{reserve("a", "ann", 2), []Event{Reserved{"a", "ann", 2, 85_00}}, nil},
			{confirm("a"), []Event{Confirmed{"a", "r1"}}, nil},
		},
		"sent again": {
			{reserve("a", "ann", 2), []Event{Reserved{"a", "ann", 2, 85_00}}, nil},
			{reserve("a", "ann", 2), nil, nil},
			{confirm("a"), []Event{Confirmed{"a", "r1"}}, nil},
			{confirm("a"), nil, nil},
			{release("a", Cancelled), []Event{Released{"a", Cancelled}}, nil},
			{release("a", Declined), nil, nil},
			{settle("a"), []Event{Settled{"a"}}, nil},
			{settle("a"), nil, nil},
			{release("a", Declined), nil, nil},
			{reserve("a", "ann", 2), nil, nil},
		},
		"an ID of another": {
			{reserve("a", "ann", 2), []Event{Reserved{"a", "ann", 2, 85_00}}, nil},
			{reserve("a", "bob", 2), nil, ErrTaken},
			{reserve("a", "ann", 1), nil, ErrTaken},
		},
		"released beds are free": {
			{reserve("a", "ann", 4), []Event{Reserved{"a", "ann", 4, 170_00}}, nil},
			{release("a", Declined), []Event{Released{"a", Declined}}, nil},
			{confirm("a"), nil, ErrReleased},
			{reserve("b", "bob", 4), []Event{Reserved{"b", "bob", 4, 170_00}}, nil},
		},
		"nothing to do it to": {
			{confirm("a"), nil, ErrNotFound},
			{release("a", Cancelled), nil, ErrNotFound},
			{settle("a"), nil, ErrNotFound},
			{reserve("", "ann", 1), nil, ErrInvalid},
			{reserve("a", "", 1), nil, ErrInvalid},
			{reserve("a", "ann", 0), nil, ErrInvalid},
			{reserve("a", "ann", 1), []Event{Reserved{"a", "ann", 1, 42_50}}, nil},
			{settle("a"), nil, ErrInvalid},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := NewNight(planura, "2027-07-31")
			for i, s := range steps {
				events, err := s.do(n)
				if diff := cmp.Diff(s.want, events); diff != "" || !errors.Is(err, s.err) || (err != nil) != (s.err != nil) {
					t.Fatalf("step %d: %v, want %v; events (-want +got):\n%s", i+1, err, s.err, diff)
				}
				n.Apply(events...)
			}
		})
	}
}

func TestFullSaysWhatIsLeft(t *testing.T) {
	n := NewNight(planura, "2027-07-31")
	events, _ := n.Reserve("a", "ann", 3)
	n.Apply(events...)
	_, err := n.Reserve("b", "bob", 2)
	full, ok := errors.AsType[*FullError](err)
	if diff := cmp.Diff(&FullError{"planura", "2027-07-31", 2, 1}, full); !ok || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// FuzzNight sends commands in any order: the beds are never overbooked, what is held
// is what the events say, and a night that is told again is the same.
func FuzzNight(f *testing.F) {
	f.Add([]byte{0x01, 0x12, 0x05, 0x09, 0x0d})
	f.Fuzz(func(t *testing.T, commands []byte) {
		n, again := NewNight(planura, "2027-07-31"), NewNight(planura, "2027-07-31")
		held := map[BookingID]int{}
		for _, c := range commands {
			id := BookingID(fmt.Sprint(c >> 5))
			var events []Event
			var err error
			switch c & 3 {
			case 0:
				events, err = n.Reserve(id, "ann", int(c>>2&7))
			case 1:
				events, err = n.Confirm(id, "r")
			case 2:
				events, err = n.Release(id, Cancelled)
			case 3:
				events, err = n.Settle(id)
			}
			if err != nil && events != nil {
				t.Fatalf("a refusal with events: %v, %v", err, events)
			}
			for _, e := range events {
				switch e := e.(type) {
				case Reserved:
					held[e.Booking] = e.Beds
				case Released:
					delete(held, e.Booking)
				}
			}
			n.Apply(events...)
			again.Apply(events...)
			sum := 0
			for _, beds := range held {
				sum += beds
			}
			if n.Taken() != sum || sum > planura.Beds {
				t.Fatalf("%d beds of %d taken, the events say %d", n.Taken(), planura.Beds, sum)
			}
		}
		if diff := cmp.Diff(n, again, cmp.AllowUnexported(Night{})); diff != "" {
			t.Fatalf("told again, the night differs:\n%s", diff)
		}
	})
}

func TestMoneyAndDate(t *testing.T) {
	for m, want := range map[Money]string{0: "CHF 0.00", 5: "CHF 0.05", 42_50: "CHF 42.50", -1_00: "-CHF 1.00"} {
		if m.String() != want {
			t.Errorf("%d: %s, want %s", int64(m), m, want)
		}
	}
	for _, s := range []string{"", "2027-02-29", "2027-7-1", "31.7.2027", "2027-07-31T00:00:00Z"} {
		if d, err := ParseDate(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %q, %v", s, d, err)
		}
	}
	if d, err := ParseDate("2028-02-29"); d != "2028-02-29" || err != nil {
		t.Error(d, err)
	}
}
