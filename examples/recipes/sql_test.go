package recipes

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/ratelimit"
)

func openDB(t *testing.T) *sql.DB {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, statement := range []string{
		"CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT UNIQUE)",
		"INSERT INTO products VALUES ('tea', 'Green tea')",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestSQL(t *testing.T) {
	db := openDB(t)
	find := func(id string) func(context.Context) error {
		return func(ctx context.Context) error {
			var name string
			return db.QueryRowContext(ctx, "SELECT name FROM products WHERE id = ?", id).Scan(&name)
		}
	}
	exec := func(statement string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := db.ExecContext(ctx, statement); return err }
	}
	closed := openDB(t)
	closed.Close()
	for _, tt := range []struct {
		name string
		op   func(context.Context) error
		want result
	}{
		{"a row that is there", find("tea"), fine},
		{"one that is not", find("coffee"), answer},
		{"a primary key that is taken", exec("INSERT INTO products VALUES ('tea', 'Black tea')"), answer},
		{"a unique value that is taken", exec("INSERT INTO products VALUES ('green', 'Green tea')"), answer},
		{"a database that is closed", func(ctx context.Context) error { return closed.PingContext(ctx) }, theirs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := judge(t, SQLDecision, SQLOutcome, tt.op); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A database whose rows are not there is well: without a Classify the breaker opens.
func TestMissingRowsOpenNoBreaker(t *testing.T) {
	db := openDB(t)
	for _, tt := range []struct {
		name     string
		classify func(context.Context, error) breaker.Outcome
		want     breaker.State
	}{{"with", SQLOutcome, breaker.Closed}, {"without", nil, breaker.Open}} {
		b := breaker.New(breaker.Config{Classify: tt.classify})
		for range 10 {
			breaker.Run(ctx, b, func(ctx context.Context) error {
				var name string
				return db.QueryRowContext(ctx, "SELECT name FROM products WHERE id = 'coffee'").Scan(&name)
			})
		}
		if got := b.State(); got != tt.want {
			t.Errorf("%s a Classify: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A pool that this process has exhausted looks like a database that does not answer. A
// Bulkhead of its size, inside the breaker, says who it was.
func TestBulkheadTellsAPoolFromADatabase(t *testing.T) {
	db := openDB(t)
	db.SetMaxOpenConns(1)
	held, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	places := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Limit: 1, Queue: -1})
	place, err := places.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer place.Done()

	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	ping := func(context.Context) error { return db.PingContext(short) }
	if got := judge(t, SQLDecision, SQLOutcome, ping); got.outcome != "failure" {
		t.Errorf("the pool alone: %+v, want a failure", got)
	}
	bounded := func(ctx context.Context) error { return ratelimit.Run(ctx, places, ping) }
	if got := judge(t, SQLDecision, SQLOutcome, bounded); got != ours {
		t.Errorf("with a Bulkhead: %+v, want %+v", got, ours)
	}
}
