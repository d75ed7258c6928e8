// Projection, the reading half of CQRS: tables that are made of the events, a little
// later, and can be made anew at any time. Not worth it while the aggregate itself
// answers what is asked.

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
)

// CatchUp brings the view of all bookings up to date: events and the position are
// written in one transaction, so that none is seen twice and none is left out.
func (s *Store) CatchUp(ctx context.Context) error {
	for {
		n, err := s.catchUp(ctx, 500)
		if err != nil || n == 0 {
			return err
		}
	}
}

func (s *Store) catchUp(ctx context.Context, limit int) (n int, err error) {
	position, err := s.Position(ctx)
	if err != nil {
		return 0, err
	}
	recorded, err := s.After(ctx, position, limit)
	if err != nil || len(recorded) == 0 {
		return 0, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO views (name, position) VALUES ('bookings', ?2)
			ON CONFLICT DO UPDATE SET position = ?2 WHERE position = ?1`, position, recorded[len(recorded)-1].Position)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err // another process was first
		}
		for _, r := range recorded {
			if err := project(ctx, tx, r); err != nil {
				return fmt.Errorf("store: event %d: %w", r.Position, err)
			}
		}
		return nil
	})
	return len(recorded), err
}

func project(ctx context.Context, tx *sql.Tx, r Recorded) error {
	var err error
	switch e := r.Event.(type) {
	case domain.Reserved:
		_, err = tx.ExecContext(ctx, `INSERT INTO bookings (hut, date, id, guest, beds, price, state, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Hut, r.Date, e.Booking, e.Guest, e.Beds, e.Price, domain.AwaitingPayment, r.At.UnixMilli())
	case domain.Confirmed:
		err = move(ctx, tx, r, domain.Paid)
	case domain.Released:
		err = move(ctx, tx, r, domain.Freed)
	case domain.Settled:
		err = move(ctx, tx, r, domain.Over)
	}
	return err
}

func move(ctx context.Context, tx *sql.Tx, r Recorded, to domain.State) error {
	_, err := tx.ExecContext(ctx, `UPDATE bookings SET state = ?, at = ? WHERE hut = ? AND date = ? AND id = ?`, to, r.At.UnixMilli(), r.Hut, r.Date, r.Event.Of())
	return err
}

// Position is that of the last event that the view has seen.
func (s *Store) Position(ctx context.Context) (int64, error) {
	var position int64
	err := s.db.QueryRowContext(ctx, `SELECT position FROM views WHERE name = 'bookings'`).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return position, err
}

// Rebuild makes the view anew, from the first event on.
func (s *Store) Rebuild(ctx context.Context) error {
	if err := s.forget(ctx); err != nil {
		return err
	}
	return s.CatchUp(ctx)
}

func (s *Store) forget(ctx context.Context) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM bookings; DELETE FROM views WHERE name = 'bookings'`)
		return err
	})
}

// Unfinished is that of [app.Unfinished], as far as the view has come.
func (s *Store) Unfinished(ctx context.Context, since time.Time) ([]app.Ref, error) {
	found, err := s.bookings(ctx, `state IN (?, ?) AND at <= ? ORDER BY date, hut, id`, domain.AwaitingPayment, domain.Freed, since.UnixMilli())
	var refs []app.Ref
	for _, b := range found {
		refs = append(refs, app.RefOf(b))
	}
	return refs, err
}

// BookingsOf returns a guest's bookings, as far as the view has come.
func (s *Store) BookingsOf(ctx context.Context, guest string) ([]domain.Booking, error) {
	return s.bookings(ctx, `guest = ? ORDER BY date, hut, id`, guest)
}

// Latest returns the bookings with which something has happened last, as far as the view
// has come, the newest first.
func (s *Store) Latest(ctx context.Context, limit int) ([]domain.Booking, error) {
	return s.bookings(ctx, `TRUE ORDER BY at DESC, hut, date, id LIMIT ?`, limit)
}

// Taken returns how many beds are held at a hut, as far as the view has come.
func (s *Store) Taken(ctx context.Context, hut domain.HutID, date domain.Date) (int, error) {
	var beds int
	err := s.db.QueryRowContext(ctx, `SELECT coalesce(sum(beds), 0) FROM bookings WHERE hut = ? AND date = ? AND state IN (?, ?)`,
		hut, date, domain.AwaitingPayment, domain.Paid).Scan(&beds)
	return beds, err
}

func (s *Store) bookings(ctx context.Context, where string, args ...any) ([]domain.Booking, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, hut, date, guest, beds, price, state FROM bookings WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []domain.Booking
	for rows.Next() {
		var b domain.Booking
		if err := rows.Scan(&b.ID, &b.Hut, &b.Date, &b.Guest, &b.Beds, &b.Price, &b.State); err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	return found, rows.Err()
}
