package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
	"github.com/relock-go/relock/fence/sqlfence/test/internal/servers"
)

func TestMain(m *testing.M) {
	status := m.Run()
	servers.Stop()
	os.Exit(status)
}

var bg = context.Background()

// full is whether each claim is shown as often as it is about.
var full = os.Getenv("RELOCK_FULL") != ""

// A base is one database, empty but for a table of accounts.
type base struct {
	name    string
	driver  string
	dsn     string
	dialect sqlfence.Dialect
}

// A system is where a base can be had.
type system struct {
	name    string
	dialect sqlfence.Dialect
	base    func(testing.TB) *base
}

var systems = []system{
	{"postgresql", sqlfence.PostgreSQL, func(tb testing.TB) *base {
		return &base{"postgresql", "pgx", servers.PostgreSQL.Database(tb), sqlfence.PostgreSQL}
	}},
	{"mariadb", sqlfence.MySQL, func(tb testing.TB) *base {
		return &base{"mariadb", "mysql", servers.MariaDB.Database(tb), sqlfence.MySQL}
	}},
	{"sqlite", sqlfence.SQLite, func(tb testing.TB) *base {
		dsn := "file:" + (&url.URL{Path: filepath.Join(tb.TempDir(), "db")}).EscapedPath() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"
		return &base{"sqlite", "sqlite", dsn, sqlfence.SQLite}
	}},
}

// onEach runs check on a base of every system.
func onEach(t *testing.T, check func(t *testing.T, b *base)) {
	t.Helper()
	for _, s := range systems {
		t.Run(s.name, func(t *testing.T) { check(t, s.base(t)) })
	}
}

// open opens a pool, with more in its data source name.
func (b *base) open(tb testing.TB, more ...string) *sql.DB {
	tb.Helper()
	dsn := b.dsn
	for i, m := range more {
		switch {
		case b.driver == "pgx":
			dsn += " " + m
		case strings.Contains(b.dsn, "?") || i > 0:
			dsn += "&" + m
		default:
			dsn += "?" + m
		}
	}
	db, err := sql.Open(b.driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// fence opens a pool with a fence, and an account of 0.
func (b *base) fence(tb testing.TB, opts ...sqlfence.Option) (*sql.DB, *sqlfence.Fence) {
	tb.Helper()
	db := b.open(tb)
	f := newFence(tb, db, b.dialect, opts...)
	if err := f.Migrate(bg); err != nil {
		tb.Fatal(err)
	}
	run(tb, db, "CREATE TABLE account (id bigint NOT NULL PRIMARY KEY, balance bigint NOT NULL)")
	run(tb, db, "INSERT INTO account VALUES (1, 0), (2, 0)")
	return db, f
}

func newFence(tb testing.TB, db *sql.DB, d sqlfence.Dialect, opts ...sqlfence.Option) *sqlfence.Fence {
	tb.Helper()
	f, err := sqlfence.New(db, d, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

var placeholder = regexp.MustCompile(`\$(\d)`)

// sql writes a statement, in which $1 stands once and before $2, as the base
// wants it.
func (b *base) sql(text string) string {
	if b.driver == "pgx" {
		return text
	}
	return placeholder.ReplaceAllString(text, "?")
}

// execer is what both a database and a transaction are.
type execer interface {
	sqlfence.Tx
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func run(tb testing.TB, on execer, text string, args ...any) {
	tb.Helper()
	if _, err := on.ExecContext(bg, text, args...); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
}

// balance reads an account.
func balance(tb testing.TB, on execer, id int) (n int64) {
	tb.Helper()
	if err := on.QueryRowContext(bg, fmt.Sprintf("SELECT balance FROM account WHERE id = %d", id)).Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// deposit reads an account and writes what it read and amount.
func (b *base) deposit(ctx context.Context, on execer, amount int64) error {
	var n int64
	if err := on.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = 1").Scan(&n); err != nil {
		return err
	}
	_, err := on.ExecContext(ctx, b.sql("UPDATE account SET balance = $1 WHERE id = 1"), n+amount)
	return err
}

// depositing is deposit for Do.
func (b *base) depositing(amount int64) func(*sql.Tx) error {
	return func(tx *sql.Tx) error { return b.deposit(bg, tx, amount) }
}

func nothing(*sql.Tx) error { return nil }

// at is the holder of a token.
func at(token int64, owner relock.Owner) relock.Sequencer {
	return relock.Sequencer{Name: "accounts", Token: relock.Token(token), Owner: owner}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if want == nil && got != nil || want != nil && !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// within bounds a wait; it is no expectation of speed.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
