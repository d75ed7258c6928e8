// Event store: an append-only log with one writer at a time for each stream, on SQLite.
// Not worth it before a second reader of the log is wanted; then, better than a table
// of what is now and a table of what has changed that do not agree.

// Package store keeps what has happened, in SQLite: the events of nights, what is to
// be published, what was received, and views that are made of the events.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// schema is the first of the migrations. Databases from before migrations were counted
// have it, so it does not mind what is there.
const schema = `
CREATE TABLE IF NOT EXISTS events (
	position INTEGER PRIMARY KEY AUTOINCREMENT, -- writers wait for each other, so positions appear in order
	hut      TEXT    NOT NULL,
	date     TEXT    NOT NULL,
	version  INTEGER NOT NULL,                  -- of the night, with this event
	type     TEXT    NOT NULL,
	data     BLOB    NOT NULL,
	at       INTEGER NOT NULL,                  -- milliseconds since 1970
	UNIQUE (hut, date, version)
);
CREATE TABLE IF NOT EXISTS outbox (
	position INTEGER PRIMARY KEY REFERENCES events (position)
);
CREATE TABLE IF NOT EXISTS inbox (
	consumer TEXT NOT NULL,
	message  TEXT NOT NULL,
	PRIMARY KEY (consumer, message)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS views (
	name     TEXT    PRIMARY KEY,
	position INTEGER NOT NULL                   -- of the last event that the view has seen
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bookings (
	hut   TEXT NOT NULL,
	date  TEXT NOT NULL,
	id    TEXT NOT NULL,
	guest TEXT NOT NULL,
	beds  INTEGER NOT NULL,
	price INTEGER NOT NULL,
	state TEXT NOT NULL,
	at    INTEGER NOT NULL,                     -- of the last event, as there
	PRIMARY KEY (hut, date, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bookings_by_state ON bookings (state);
CREATE INDEX IF NOT EXISTS bookings_by_guest ON bookings (guest);
CREATE TABLE IF NOT EXISTS told (
	hut   TEXT NOT NULL,
	date  TEXT NOT NULL,
	id    TEXT NOT NULL,
	state TEXT NOT NULL,
	guest TEXT NOT NULL,
	PRIMARY KEY (hut, date, id, state)
) WITHOUT ROWID;
`

// A Store is an event log and what hangs on it. It is safe for concurrent use, by
// several processes too. Close it in the end.
type Store struct {
	db *sql.DB
}

// Open opens the store in the file at path, and makes it if there is none.
func Open(path string) (*Store, error) {
	db, err := OpenDB(path, migrations)
	if err != nil {
		return nil, err
	}
	return &Store{db}, nil
}

// OpenDB opens the database in the file at path, and takes it through the migrations that
// it has not seen. Transactions that write wait for each other.
func OpenDB(path string, migrations []string) (*sql.DB, error) {
	// Writers take their turn from the beginning of a transaction on, so that none
	// has to be undone because another was faster.
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=foreign_keys(on)")
	if err != nil {
		return nil, err
	}
	if err := migrate(context.Background(), db, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), db.Close())
	}
	return db, nil
}

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }

// Ping returns nil if the store answers.
func (s *Store) Ping(ctx context.Context) error {
	var n int
	return s.db.QueryRowContext(ctx, `SELECT count(*) FROM views`).Scan(&n)
}

// A Recorded is an event with its place in the log.
type Recorded struct {
	Position int64
	Hut      domain.HutID
	Date     domain.Date
	At       time.Time
	Event    domain.Event
}

// A Line is an event as it is written, whether it can be read or not.
type Line struct {
	Position int64
	Hut      domain.HutID
	Date     domain.Date
	At       time.Time
	Type     string
	Data     []byte
}

// Event returns the event, or says why it cannot be read.
func (l Line) Event() (domain.Event, error) { return decode(l.Type, l.Data) }

// Append adds events to a night that has seen version events, all or none, and puts
// them into the outbox in the same transaction. It returns [app.ErrConflict] if the
// night has seen others since.
func (s *Store) Append(ctx context.Context, hut domain.HutID, date domain.Date, version int, events ...domain.Event) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for i, e := range events {
			name, data, err := encode(e)
			if err != nil {
				return err
			}
			r, err := tx.ExecContext(ctx, `INSERT INTO events (hut, date, version, type, data, at) VALUES (?, ?, ?, ?, ?, ?)`,
				hut, date, version+i+1, name, data, time.Now().UnixMilli())
			if failure, ok := errors.AsType[*sqlite.Error](err); ok && failure.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE {
				return fmt.Errorf("%w: %s on %s", app.ErrConflict, hut, date)
			}
			if err != nil {
				return err
			}
			position, err := r.LastInsertId()
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO outbox (position, trace) VALUES (?, ?)`, position, platform.TraceOf(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Events returns what has happened to a night.
func (s *Store) Events(ctx context.Context, hut domain.HutID, date domain.Date) ([]Recorded, error) {
	return s.query(ctx, `SELECT position, hut, date, at, type, data FROM events WHERE hut = ? AND date = ? ORDER BY version`, hut, date)
}

// After returns at most limit events that come after a position, of all nights.
func (s *Store) After(ctx context.Context, position int64, limit int) ([]Recorded, error) {
	return s.query(ctx, after, position, limit)
}

// Lines is After for those who go on when one of the events cannot be read.
func (s *Store) Lines(ctx context.Context, position int64, limit int) ([]Line, error) {
	return s.lines(ctx, after, position, limit)
}

const after = `SELECT position, hut, date, at, type, data FROM events WHERE position > ? ORDER BY position LIMIT ?`

func (s *Store) query(ctx context.Context, query string, args ...any) ([]Recorded, error) {
	lines, err := s.lines(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var found []Recorded
	for _, l := range lines {
		e, err := l.Event()
		if err != nil {
			return nil, err
		}
		found = append(found, Recorded{l.Position, l.Hut, l.Date, l.At, e})
	}
	return found, nil
}

func (s *Store) lines(ctx context.Context, query string, args ...any) ([]Line, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []Line
	for rows.Next() {
		var l Line
		var at int64
		if err := rows.Scan(&l.Position, &l.Hut, &l.Date, &at, &l.Type, &l.Data); err != nil {
			return nil, err
		}
		l.At = time.UnixMilli(at)
		found = append(found, l)
	}
	return found, rows.Err()
}

// write runs f in a transaction.
func (s *Store) write(ctx context.Context, f func(*sql.Tx) error) error { return write(ctx, s.db, f) }

func write(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing after a commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
