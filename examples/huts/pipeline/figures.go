// Checkpoint: how far the figures have come is written with them, in one transaction, so that
// each line counts once, wherever the process dies. Not worth it for loads that can be
// repeated, such as those that replace a row.

package pipeline

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
)

var migrations = []string{`
CREATE TABLE checkpoint (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	position INTEGER NOT NULL                  -- of the last line that counts
);
INSERT INTO checkpoint VALUES (1, 0);
CREATE TABLE occupancy (
	hut      TEXT    NOT NULL,
	week     TEXT    NOT NULL,
	beds     INTEGER NOT NULL DEFAULT 0,       -- for a night each
	clear    INTEGER NOT NULL DEFAULT 0,       -- of them, under a clear sky
	released INTEGER NOT NULL DEFAULT 0,       -- had been taken
	PRIMARY KEY (hut, week)
) WITHOUT ROWID;
CREATE TABLE held (                            -- what a release needs to know
	hut     TEXT    NOT NULL,
	date    TEXT    NOT NULL,
	booking TEXT    NOT NULL,
	beds    INTEGER NOT NULL,
	sky     TEXT    NOT NULL,
	PRIMARY KEY (hut, date, booking)
) WITHOUT ROWID;
CREATE TABLE bad (
	position INTEGER PRIMARY KEY,
	why      TEXT    NOT NULL
);
`}

// Figures are what the pipeline makes, in a database of their own. They are safe for
// concurrent use, by several processes too. Close them in the end.
type Figures struct {
	db *sql.DB
}

// Open opens the figures in the file at path, and makes it if there is none.
func Open(path string) (*Figures, error) {
	db, err := store.OpenDB(path, migrations)
	if err != nil {
		return nil, err
	}
	return &Figures{db}, nil
}

// Close closes the file.
func (f *Figures) Close() error { return f.db.Close() }

// Ping returns nil if the file can be read.
func (f *Figures) Ping(ctx context.Context) error {
	_, err := f.Checkpoint(ctx)
	return err
}

// Checkpoint is the position of the last line that counts.
func (f *Figures) Checkpoint(ctx context.Context) (position int64, err error) {
	err = f.db.QueryRowContext(ctx, `SELECT position FROM checkpoint`).Scan(&position)
	return position, err
}

// A Week is one at a hut.
type Week struct {
	Hut      domain.HutID
	Week     string
	Beds     int // taken, for a night each
	Clear    int // of them, under a clear sky
	Released int // had been taken
}

// Occupancy returns the figures, and how many lines were set aside.
func (f *Figures) Occupancy(ctx context.Context) (weeks []Week, bad int, err error) {
	if err := f.db.QueryRowContext(ctx, `SELECT count(*) FROM bad`).Scan(&bad); err != nil {
		return nil, 0, err
	}
	rows, err := f.db.QueryContext(ctx, `SELECT hut, week, beds, clear, released FROM occupancy ORDER BY hut, week`)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	weeks = []Week{}
	for rows.Next() {
		var w Week
		if err := rows.Scan(&w.Hut, &w.Week, &w.Beds, &w.Clear, &w.Released); err != nil {
			return nil, 0, err
		}
		weeks = append(weeks, w)
	}
	return weeks, bad, rows.Err()
}

// Handler answers GET with the figures in JSON.
func (f *Figures) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		weeks, bad, err := f.Occupancy(r.Context())
		if err != nil {
			slog.ErrorContext(r.Context(), "pipeline: failed", "err", err)
			platform.Refuse(w, platform.Problem{Status: http.StatusInternalServerError})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(struct {
			Weeks []Week
			Bad   int // lines of the log that could not be used
		}{weeks, bad})
	})
}

// Reset forgets everything: the next run makes the figures anew, with the same code.
func (f *Figures) Reset(ctx context.Context) error {
	_, err := f.db.ExecContext(ctx, `BEGIN IMMEDIATE; DELETE FROM occupancy; DELETE FROM held; DELETE FROM bad; UPDATE checkpoint SET position = 0; COMMIT`)
	return err
}

// load adds facts to the figures, if they have not come further than from meanwhile.
func (f *Figures) load(ctx context.Context, from int64, facts []fact) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing after a commit
	r, err := tx.ExecContext(ctx, `UPDATE checkpoint SET position = ? WHERE position = ?`, facts[len(facts)-1].position, from)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return err // another process was first
	}
	for _, fact := range facts {
		if fact.bad == nil {
			fact.bad, err = fact.count(ctx, tx)
			if err != nil {
				return err
			}
		}
		if fact.bad != nil {
			if _, err := tx.ExecContext(ctx, `INSERT INTO bad (position, why) VALUES (?, ?)`, fact.position, fact.bad.Error()); err != nil {
				return err
			}
		}
		at("in the middle")
	}
	at("before commit")
	return tx.Commit()
}

// count adds one fact. What does not follow from those before is bad.
func (f fact) count(ctx context.Context, tx *sql.Tx) (bad, err error) {
	n := f.night
	switch f.kind {
	case taken:
		r, err := tx.ExecContext(ctx, `INSERT INTO held (hut, date, booking, beds, sky) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, n.Hut, n.Date, f.booking, f.beds, f.sky)
		if err != nil {
			return nil, err
		}
		if rows, err := r.RowsAffected(); err != nil || rows == 0 {
			return fmt.Errorf("booking %q has taken beds before", f.booking), err
		}
		return nil, f.add(ctx, tx, f.beds, 0)
	case released:
		err := tx.QueryRowContext(ctx, `DELETE FROM held WHERE hut = ? AND date = ? AND booking = ? RETURNING beds, sky`, n.Hut, n.Date, f.booking).Scan(&f.beds, &f.sky)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("booking %q has no beds", f.booking), nil
		}
		if err != nil {
			return nil, err
		}
		return nil, f.add(ctx, tx, -f.beds, f.beds)
	}
	return nil, nil
}

func (f fact) add(ctx context.Context, tx *sql.Tx, beds, released int) error {
	clear := 0
	if f.sky == "clear" {
		clear = beds
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO occupancy (hut, week, beds, clear, released) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT DO UPDATE SET beds = beds + ?3, clear = clear + ?4, released = released + ?5`, f.night.Hut, f.week, beds, clear, released)
	return err
}
