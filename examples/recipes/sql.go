package recipes

import (
	"context"
	"database/sql"
	"errors"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/retry"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLAnswered reports whether err is an answer of a database that is well: there is no
// such row, or a constraint is violated. Other drivers have other error types: with pgx
// ask for a *pgconn.PgError whose Code begins with 23, with MySQL for a
// *mysql.MySQLError with the Number 1062.
func SQLAnswered(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return errors.Is(err, sql.ErrNoRows) || ok && e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}

// SQLOutcome is a breaker.Config.Classify.
func SQLOutcome(_ context.Context, err error) breaker.Outcome {
	if SQLAnswered(err) {
		return breaker.Success
	}
	return breaker.Default
}

// SQLDecision is a retry.Config.Classify.
func SQLDecision(_ context.Context, err error) retry.Decision {
	if SQLAnswered(err) {
		return retry.Stop
	}
	return retry.Default
}
