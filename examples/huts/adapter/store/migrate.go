// Migrations, forward only: what a released program has written is never changed, only
// followed. Not worth it for what can be thrown away and made anew.

package store

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations are the steps from an empty file to the schema of today. Steps are added at
// the end, and none is ever changed: databases that have taken it are out there. There is
// no way back; who wants one restores a backup. A step must leave what the program before
// it needs, since the two run side by side while one drains.
var migrations = []string{
	0: schema,
	1: `ALTER TABLE outbox ADD COLUMN trace TEXT NOT NULL DEFAULT ''`, // what the event belongs to
}

// migrate takes the steps that the database has not taken, all or none. It refuses one of a
// later program, whose steps it does not know.
func migrate(ctx context.Context, db *sql.DB, steps []string) error {
	return write(ctx, db, func(tx *sql.Tx) error { // programs that start at once wait for each other here
		var taken int
		if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&taken); err != nil {
			return err
		}
		if taken > len(steps) {
			return fmt.Errorf("the database is of a later version of the program: it has taken %d migrations, and %d are known", taken, len(steps))
		}
		for i, step := range steps[taken:] {
			if _, err := tx.ExecContext(ctx, step); err != nil {
				return fmt.Errorf("migration %d: %w", taken+i, err)
			}
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, len(steps)))
		return err
	})
}
