// Outbox: what is to be published is written in the transaction of what has happened,
// and published afterwards, at least once. Not worth it for messages that may be lost.

package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
)

// Unpublished returns at most limit events that have not been published, oldest first.
func (s *Store) Unpublished(ctx context.Context, limit int) ([]Recorded, error) {
	return s.query(ctx, `SELECT position, hut, date, at, type, data FROM outbox JOIN events USING (position) ORDER BY position LIMIT ?`, limit)
}

// Caused returns a context in the trace of whatever caused an unpublished event.
func (s *Store) Caused(ctx context.Context, position int64) (context.Context, error) {
	var name string
	err := s.db.QueryRowContext(ctx, `SELECT trace FROM outbox WHERE position = ?`, position).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil // another process has published it meanwhile
	}
	return platform.WithTrace(ctx, name), err
}

// Change returns what others are told of an event: the booking as it was with it.
func (n *Nights) Change(ctx context.Context, r Recorded) (app.Change, error) {
	night, err := n.Huts.night(r.Hut, r.Date)
	if err != nil {
		return app.Change{}, err
	}
	recorded, err := n.Store.Events(ctx, r.Hut, r.Date)
	if err != nil {
		return app.Change{}, err
	}
	for _, e := range recorded {
		if e.Position <= r.Position {
			night.Apply(e.Event)
		}
	}
	b, err := night.Booking(r.Event.Of())
	return app.NewChange(b, r.At), err
}

// Published takes the event at position out of the outbox. Who crashes before it is
// called publishes the event again.
func (s *Store) Published(ctx context.Context, position int64) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM outbox WHERE position = ?`, position)
	return err
}

// Received tells whether a consumer has received a message.
func (s *Store) Received(ctx context.Context, consumer, message string) (found bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM inbox WHERE consumer = ? AND message = ?)`, consumer, message).Scan(&found)
	return found, err
}

// Once runs f for a message, unless consumer has received it before, and remembers it
// in the same transaction. It is the inbox, the outbox's other end: what f writes
// through tx happens once, however often the message comes.
func (s *Store) Once(ctx context.Context, consumer, message string, f func(tx *sql.Tx) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO inbox (consumer, message) VALUES (?, ?) ON CONFLICT DO NOTHING`, consumer, message)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return f(tx)
	})
}

// Tell notes in a transaction of [Store.Once] that a guest has been told of a change.
func Tell(ctx context.Context, tx *sql.Tx, c app.Change) error {
	b := c.Booking
	_, err := tx.ExecContext(ctx, `INSERT INTO told (hut, date, id, state, guest) VALUES (?, ?, ?, ?, ?)`, b.Hut, b.Date, b.ID, b.State, b.Guest)
	return err
}

// Told returns the bookings that at means, as their guests have been told of them: only
// their names, their guests and their states are known here.
func (s *Store) Told(ctx context.Context, at app.Ref) ([]domain.Booking, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT guest, state FROM told WHERE hut = ? AND date = ? AND id = ? ORDER BY state`, at.Hut, at.Date, at.Booking)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []domain.Booking
	for rows.Next() {
		b := domain.Booking{Hut: at.Hut, Date: at.Date, ID: at.Booking}
		if err := rows.Scan(&b.Guest, &b.State); err != nil {
			return nil, err
		}
		found = append(found, b)
	}
	return found, rows.Err()
}
