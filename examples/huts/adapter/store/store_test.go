package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/google/go-cmp/cmp"
)

var huts = Huts{"planura": {ID: "planura", Name: "Planurahütte", Beds: 4, Price: 42_50}}

const date = domain.Date("2027-07-31")

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "huts.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRepository holds both repositories to one contract.
func TestRepository(t *testing.T) {
	for name, nights := range map[string]app.Nights{
		"memory": &MemoryNights{Huts: huts},
		"sqlite": &Nights{Huts: huts, Store: open(t)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			load := func() *domain.Night {
				t.Helper()
				n, err := nights.Load(ctx, "planura", date)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			if _, err := nights.Load(ctx, "nowhere", date); !errors.Is(err, domain.ErrNotFound) {
				t.Errorf("a hut that is not there: %v", err)
			}
			empty, late := load(), load()
			if empty.Version() != 0 || empty.Taken() != 0 {
				t.Errorf("nobody has booked, but version %d, %d taken", empty.Version(), empty.Taken())
			}
			events := []domain.Event{domain.Reserved{Booking: "a", Guest: "ann", Beds: 2, Price: 85_00}, domain.Confirmed{Booking: "a", Receipt: "r1"}}
			if err := nights.Save(ctx, empty, events...); err != nil {
				t.Fatal(err)
			}
			want := domain.NewNight(huts["planura"], date)
			want.Apply(events...)
			if diff := cmp.Diff(want, load(), cmp.AllowUnexported(domain.Night{})); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			if err := nights.Save(ctx, late, domain.Reserved{Booking: "b", Guest: "bob", Beds: 2}); !errors.Is(err, app.ErrConflict) {
				t.Errorf("saved over another's events: %v", err)
			}
			if diff := cmp.Diff(want, load(), cmp.AllowUnexported(domain.Night{})); diff != "" {
				t.Errorf("a conflict has left something (-want +got):\n%s", diff)
			}
			now := load()
			if err := nights.Save(ctx, now, domain.Released{Booking: "a", Why: domain.Cancelled}, domain.Settled{Booking: "a"}); err != nil {
				t.Fatal(err)
			}
			if n := load(); n.Version() != 4 || n.Taken() != 0 {
				t.Errorf("version %d, %d taken, want 4 and 0", n.Version(), n.Taken())
			}
			if n, err := nights.Load(ctx, "planura", "2027-08-01"); err != nil || n.Version() != 0 {
				t.Errorf("another night: %v, %v", n, err)
			}
		})
	}
}

// TestReplay reads back every type of event as it was written, in its place.
func TestReplay(t *testing.T) {
	s, ctx := open(t), t.Context()
	events := []domain.Event{
		domain.Reserved{Booking: "a", Guest: "ann", Beds: 2, Price: 85_00},
		domain.Confirmed{Booking: "a", Receipt: "r1"},
		domain.Released{Booking: "a", Why: domain.Cancelled},
		domain.Settled{Booking: "a"},
	}
	for i, e := range events {
		if err := s.Append(ctx, "planura", date, i, e); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := s.After(ctx, 1, 2)
	if err != nil || len(recorded) != 2 || recorded[0].Position != 2 || recorded[1].Position != 3 {
		t.Errorf("after 1, two at most: %v, %v", recorded, err)
	}
	recorded, err = s.Events(ctx, "planura", date)
	var got []domain.Event
	for _, r := range recorded {
		got = append(got, r.Event)
	}
	if diff := cmp.Diff(events, got); err != nil || diff != "" {
		t.Errorf("%v (-written +read):\n%s", err, diff)
	}
	if _, err := decode("renamed", nil); err == nil {
		t.Error("an event of an unknown type was read")
	}
}

// TestLastBed has fifty guests want the last bed at the same time: one gets it, and the
// others are told that it is gone.
func TestLastBed(t *testing.T) {
	s := open(t)
	bookings := app.New(&Nights{Huts: Huts{"planura": {ID: "planura", Beds: 1}}, Store: s}, nil)
	var got, full atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, err := bookings.Reserve(t.Context(), app.Order{Guest: "ann", Beds: 1,
				Ref: app.Ref{Hut: "planura", Date: date, Booking: domain.BookingID(fmt.Sprint(i))}})
			switch {
			case err == nil:
				got.Add(1)
			default:
				if _, ok := errors.AsType[*domain.FullError](err); !ok {
					t.Error(err)
				}
				full.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 || full.Load() != 49 {
		t.Errorf("%d got the bed, %d were told that it is gone", got.Load(), full.Load())
	}
}

// some appends a few bookings in every state.
func some(t *testing.T, s *Store, date domain.Date, n int) {
	t.Helper()
	nights := &Nights{Huts: Huts{"planura": {ID: "planura", Beds: 1_000, Price: 42_50}}, Store: s}
	for i := range n {
		id := domain.BookingID(fmt.Sprint("b", i))
		for _, ask := range []func(*domain.Night) ([]domain.Event, error){
			func(n *domain.Night) ([]domain.Event, error) { return n.Reserve(id, "ann", 1+i%3) },
			func(n *domain.Night) ([]domain.Event, error) { return n.Confirm(id, "r") },
			func(n *domain.Night) ([]domain.Event, error) { return n.Release(id, domain.Cancelled) },
			func(n *domain.Night) ([]domain.Event, error) { return n.Settle(id) },
		}[:1+i%4] {
			night, err := nights.Load(t.Context(), "planura", date)
			if err != nil {
				t.Fatal(err)
			}
			events, err := ask(night)
			if err == nil {
				err = nights.Save(t.Context(), night, events...)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func rows(t *testing.T, s *Store) []domain.Booking {
	t.Helper()
	found, err := s.bookings(t.Context(), `true`)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestReadModelCatchesUp: what a view says is what the events say, once it has seen
// them; eight that catch up at the same time count nothing twice.
func TestReadModelCatchesUp(t *testing.T) {
	s := open(t)
	some(t, s, date, 8)
	if found := rows(t, s); found != nil {
		t.Errorf("before it has caught up: %v", found)
	}
	for range 20 {
		if err := s.forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				<-begin
				if err := s.CatchUp(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		wg.Wait()
	}
	n, err := (&Nights{Huts: huts, Store: s}).Load(t.Context(), "planura", date)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range rows(t, s) {
		want, err := n.Booking(b.ID)
		want.Receipt, want.Why = "", "" // the view leaves them out
		if diff := cmp.Diff(want, b); err != nil || diff != "" {
			t.Errorf("%v (-events +view):\n%s", err, diff)
		}
	}
	if taken, err := s.Taken(t.Context(), "planura", date); err != nil || taken != n.Taken() {
		t.Errorf("%d beds taken, %v, want %d", taken, err, n.Taken())
	}
	if refs, err := s.Unfinished(t.Context(), time.Now()); err != nil || len(refs) != 4 {
		t.Errorf("unfinished: %v, %v, want 4", refs, err)
	}
	if found, err := s.BookingsOf(t.Context(), "bob"); err != nil || found != nil {
		t.Errorf("another guest's bookings: %v, %v", found, err)
	}
}

// TestRebuildIsEqual: a view that is made anew from the first event is the one that has
// grown with them, whatever has become of the old one.
func TestRebuildIsEqual(t *testing.T) {
	s := open(t)
	for i := range 5 {
		some(t, s, domain.Date(fmt.Sprintf("2027-07-0%d", i+1)), 6)
		if err := s.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	live := rows(t, s)
	if _, err := s.db.Exec(`UPDATE bookings SET beds = 99 WHERE id = 'b1'`); err != nil {
		t.Fatal(err)
	}
	if err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live, rows(t, s)); diff != "" || len(live) != 30 {
		t.Errorf("%d bookings (-live +rebuilt):\n%s", len(live), diff)
	}
}

// TestOutbox: what has happened is to be published, and only that; in order, until it
// is said to be published.
func TestOutbox(t *testing.T) {
	s, ctx := open(t), t.Context()
	if err := s.Append(ctx, "planura", date, 0, domain.Reserved{Booking: "a"}, domain.Confirmed{Booking: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, "planura", date, 1, domain.Reserved{Booking: "b"}); !errors.Is(err, app.ErrConflict) {
		t.Fatal(err)
	}
	for want := int64(1); want <= 2; want++ {
		recorded, err := s.Unpublished(ctx, 1)
		if err != nil || len(recorded) != 1 || recorded[0].Position != want {
			t.Fatalf("%v, %v, want event %d", recorded, err, want)
		}
		if err := s.Published(ctx, want); err != nil {
			t.Fatal(err)
		}
	}
	if recorded, err := s.Unpublished(ctx, 10); err != nil || recorded != nil {
		t.Errorf("published, but still there: %v, %v", recorded, err)
	}
}

// TestInbox: what a message does is done once for each consumer, and not at all if it
// fails.
func TestInbox(t *testing.T) {
	s, ctx := open(t), t.Context()
	done := 0
	receive := func(consumer string, fails error) error {
		return s.Once(ctx, consumer, "m1", func(*sql.Tx) error { done++; return fails })
	}
	down := errors.New("down")
	if err := receive("mail", down); err != down || done != 1 {
		t.Fatal(err, done)
	}
	for range 3 {
		if err := receive("mail", nil); err != nil {
			t.Fatal(err)
		}
	}
	if done != 2 {
		t.Errorf("done %d times, want once after the failure", done)
	}
	if err := receive("figures", nil); err != nil || done != 3 {
		t.Errorf("another consumer: %v, done %d times", err, done)
	}
}

// TestSurvivesRestart: what was appended is there when the file is opened again.
func TestSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huts.db")
	for i := range 3 {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(context.Background(), "planura", date, i, domain.Reserved{Booking: domain.BookingID(fmt.Sprint(i))}); err != nil {
			t.Error(err)
		}
		if recorded, err := s.After(context.Background(), 0, 10); err != nil || len(recorded) != i+1 {
			t.Errorf("%v, %v", recorded, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMigrations: a database takes the steps that are new to it, once, and one that is newer
// than the program is left alone.
func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	taken := func() (n int) {
		t.Helper()
		if err := s.db.QueryRow(`PRAGMA user_version`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if taken() != len(migrations) {
		t.Fatalf("a new database has taken %d migrations", taken())
	}
	more := append(slices.Clone(migrations), `CREATE TABLE stars (hut TEXT)`, `INSERT INTO stars VALUES ('planura')`)
	for range 2 {
		if err := migrate(ctx, s.db, more); err != nil {
			t.Fatal(err)
		}
	}
	var stars int
	if err := s.db.QueryRow(`SELECT count(*) FROM stars`).Scan(&stars); err != nil || stars != 1 || taken() != len(more) {
		t.Errorf("%d stars after %d migrations, %v", stars, taken(), err)
	}
	bad := append(slices.Clone(more), `CREATE TABLE half (a)`, `not SQL`)
	if err := migrate(ctx, s.db, bad); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("migration %d", len(more)+1)) || taken() != len(more) {
		t.Errorf("%v after %d migrations, want all or none", err, taken())
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "later version") {
		t.Errorf("a database of a later program was opened: %v", err)
	}
}

// TestBeforeMigrations: a database from before they were counted keeps what it has.
func TestBeforeMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	db, err := OpenDB(path, migrations[:1])
	if err == nil {
		_, err = db.Exec(`PRAGMA user_version = 0; INSERT INTO inbox VALUES ('mail', 'm')`)
	}
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if found, err := s.Received(t.Context(), "mail", "m"); !found || err != nil {
		t.Error(found, err)
	}
}
