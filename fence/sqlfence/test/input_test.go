package test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
	"github.com/relock-go/relock/fence/sqlfence"
)

func TestADialectIsNamedOrFound(t *testing.T) {
	pool := func(driver, dsn string) *sql.DB {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	for _, tc := range []struct {
		db    *sql.DB
		names []sqlfence.Dialect
		has   string // what its Schema alone has
	}{
		{pool("pgx", ""), []sqlfence.Dialect{sqlfence.FromDriver, sqlfence.PostgreSQL, "postgres", "pgx", "PostgreSQL"}, "timestamptz"},
		{pool("mysql", "/x"), []sqlfence.Dialect{sqlfence.FromDriver, sqlfence.MySQL, "mariadb", "MariaDB", "MySQL"}, "InnoDB"},
		{pool("sqlite", ":memory:"), []sqlfence.Dialect{sqlfence.FromDriver, sqlfence.SQLite, "sqlite3", "SQLite"}, "ROWID"},
	} {
		for _, name := range tc.names {
			f, err := sqlfence.New(tc.db, name)
			if err != nil || !strings.Contains(f.Schema(), tc.has) {
				t.Errorf("%T as %q: %v", tc.db.Driver(), name, err)
			}
		}
	}
	wrapped := sql.OpenDB(connector{stdlib.GetConnector(*configOf(t, "host=nowhere"))})
	defer wrapped.Close()
	_, err := sqlfence.New(wrapped, sqlfence.FromDriver)
	wantErr(t, "a driver in another", err, relock.ErrInvalid)
	_, err = sqlfence.New(wrapped, sqlfence.PostgreSQL)
	wantErr(t, "a driver in another, and a name", err, nil)
}

func TestNewRefusesWhatCannotBeUsed(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	long := strings.Repeat("x", 64)
	for name, opts := range map[string][]sqlfence.Option{
		"no table":                {sqlfence.WithTable("")},
		"a table with a quote":    {sqlfence.WithTable(`a"b`)},
		"a table with a point":    {sqlfence.WithTable("a.b")},
		"a table with a digit":    {sqlfence.WithTable("1a")},
		"a long table":            {sqlfence.WithTable(long)},
		"no schema":               {sqlfence.WithSchema("")},
		"a schema with a space":   {sqlfence.WithSchema("a b")},
		"a schema with umlauts":   {sqlfence.WithSchema("ä")},
		"a negative timeout":      {sqlfence.WithIdleTimeout(-1)},
		"a short timeout":         {sqlfence.WithIdleTimeout(time.Microsecond)},
		"a long timeout":          {sqlfence.WithIdleTimeout(25 * time.Hour)},
		"a nil option":            {nil},
		"the first of two faults": {nil, sqlfence.WithTable("ok")},
	} {
		f, err := sqlfence.New(db, sqlfence.PostgreSQL, opts...)
		wantErr(t, name, err, relock.ErrInvalid)
		if f != nil {
			t.Errorf("%s: there is a Fence nevertheless", name)
		}
	}
	for _, d := range []sqlfence.Dialect{"oracle", "sql server", " postgres"} {
		_, err := sqlfence.New(db, d)
		wantErr(t, "dialect "+string(d), err, relock.ErrInvalid)
	}
	_, err = sqlfence.New(nil, sqlfence.SQLite)
	wantErr(t, "no database", err, relock.ErrInvalid)
	for _, d := range []sqlfence.Dialect{sqlfence.SQLite, sqlfence.MySQL} {
		_, err = sqlfence.New(db, d, sqlfence.WithIdleTimeout(time.Second))
		wantErr(t, "a timeout that "+string(d)+" does not have", err, relock.ErrInvalid)
	}
}

func TestWhatCannotBeClaimedIsNot(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		good := at(1, "a")
		with := func(change func(*relock.Sequencer)) relock.Sequencer {
			s := good
			change(&s)
			return s
		}
		for name, tc := range map[string]struct {
			resource string
			s        relock.Sequencer
		}{
			"no resource":                {"", good},
			"a long resource":            {strings.Repeat("x", sqlfence.MaxResource+1), good},
			"a resource that is no text": {"\xff", good},
			"a resource with a zero":     {"a\x00b", good},
			"no sequencer":               {"r", relock.Sequencer{}},
			"a token of 0":               {"r", with(func(s *relock.Sequencer) { s.Token = 0 })},
			"a negative token":           {"r", with(func(s *relock.Sequencer) { s.Token = -5 })},
			"a token from the future":    {"r", with(func(s *relock.Sequencer) { s.Token = relock.Token(time.Now().Add(61 * time.Minute).UnixMicro()) })},
			"no owner":                   {"r", with(func(s *relock.Sequencer) { s.Owner = "" })},
			"a long owner":               {"r", with(func(s *relock.Sequencer) { s.Owner = relock.Owner(strings.Repeat("x", relock.MaxOwner+1)) })},
			"an owner that is no text":   {"r", with(func(s *relock.Sequencer) { s.Owner = "\xc3" })},
			"no lock":                    {"r", with(func(s *relock.Sequencer) { s.Name = "" })},
			"a long lock":                {"r", with(func(s *relock.Sequencer) { s.Name = strings.Repeat("x", relock.MaxName+1) })},
		} {
			wantErr(t, "Do: "+name, f.Do(bg, tc.resource, tc.s, func(*sql.Tx) error {
				t.Errorf("%s: fn runs", name)
				return nil
			}), relock.ErrInvalid)
			wantErr(t, "Claim: "+name, inTx(t, db, nil, func(tx *sql.Tx) error { return f.Claim(bg, tx, tc.resource, tc.s) }), relock.ErrInvalid)
		}
		wantErr(t, "no function", f.Do(bg, "r", good, nil), relock.ErrInvalid)
		wantErr(t, "nothing to claim", f.DoAll(bg, nil, nothing), relock.ErrInvalid)
		wantErr(t, "no transaction", f.Claim(bg, nil, "r", good), relock.ErrInvalid)
		wantErr(t, "a nil transaction", f.Claim(bg, (*sql.Tx)(nil), "r", good), relock.ErrInvalid)
		wantErr(t, "no transaction but the database", f.Claim(bg, db, "r", good), relock.ErrInvalid)
		wantErr(t, "the same in another", f.Claim(bg, sqlx.NewDb(db, b.driver), "r", good), relock.ErrInvalid)
		conn, err := db.Conn(bg)
		wantErr(t, "a connection", err, nil)
		wantErr(t, "no transaction but a connection", f.Claim(bg, conn, "r", good), relock.ErrInvalid)
		wantErr(t, "its end", conn.Close(), nil)
		var rows int
		if err := db.QueryRow("SELECT count(*) FROM relock_fence").Scan(&rows); err != nil || rows != 0 {
			t.Errorf("there are %d rows, %v", rows, err)
		}
		at512 := with(func(s *relock.Sequencer) {
			s.Name, s.Owner = strings.Repeat("n", relock.MaxName), relock.Owner(strings.Repeat("o", relock.MaxOwner))
		})
		wantErr(t, "the longest of all", f.Do(bg, strings.Repeat("r", sqlfence.MaxResource), at512, nothing), nil)
		wantErr(t, "and again", f.Do(bg, strings.Repeat("r", sqlfence.MaxResource), at512, nothing), nil)
	})
}

// The database may be a replica, or may have become one: that is no fault of whoever
// claims by Do, and may pass.
func TestAReadOnlyDatabaseIsNoFaultOfTheClaims(t *testing.T) {
	for system, setting := range map[string]string{
		"postgresql": "default_transaction_read_only=on", "mariadb": "tx_read_only=1", "sqlite": "_pragma=query_only(1)",
	} {
		t.Run(system, func(t *testing.T) {
			b := baseOf(t, system)
			b.fence(t)
			f := newFence(t, b.open(t, setting), b.dialect)
			for name, err := range map[string]error{"Do": f.Do(bg, "r", at(1, "a"), nothing), "Claimer": f.Claimer().Claim(bg, "r", at(1, "a"))} {
				if err == nil || !strings.Contains(err.Error(), "read-only") || fence.Status(err) != http.StatusServiceUnavailable {
					t.Errorf("%s says %v, want read-only, which is 503 to a caller", name, err)
				}
			}
		})
	}
}

// What begins transactions and is none, in an ORM that has a type of its own for it.
func TestAnORMOutsideOfATransactionCannotClaim(t *testing.T) {
	b := baseOf(t, "postgresql")
	db, f := b.fence(t)
	orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{PrepareStmt: true})
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "outside", f.Claim(bg, orm.Statement.ConnPool, "r", at(1, "a")), relock.ErrInvalid)
	if got, err := f.Last(bg, "r"); got.Token != 0 || err != nil {
		t.Errorf("claimed nevertheless: %v, %v", got, err)
	}
	wantErr(t, "inside", withGORM(bg, orm, f, at(2, "b"), func(*gorm.DB) error { return nil }), nil)
}

// inTx runs fn in a transaction and rolls it back.
func inTx(t *testing.T, db *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	t.Helper()
	tx, err := db.BeginTx(bg, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	return fn(tx)
}

func TestAMissingTableIsNamedWithMigrate(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db := b.open(t)
		f := newFence(t, db, sqlfence.FromDriver, sqlfence.WithTable("claims"))
		_, last := f.Last(bg, "r")
		_, forget := f.Forget(bg, time.Now().Add(-1000*time.Hour))
		for name, err := range map[string]error{
			"Do":     f.Do(bg, "r", at(1, "a"), nothing),
			"Claim":  inTx(t, db, nil, func(tx *sql.Tx) error { return f.Claim(bg, tx, "r", at(1, "a")) }),
			"Last":   last,
			"Forget": forget,
		} {
			if err == nil || !strings.Contains(err.Error(), "Migrate") || !strings.Contains(err.Error(), "claims") || errors.Unwrap(err) == nil {
				t.Errorf("%s says %v, want a word of Migrate, and the table's name", name, err)
			}
		}
		wantErr(t, "Migrate", f.Migrate(bg), nil)
		wantErr(t, "a claim", f.Do(bg, "r", at(1, "a"), nothing), nil)
	})
}

func TestAReadOnlyTransactionCannotClaim(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		claim := func(tx *sql.Tx) error { return f.Claim(bg, tx, "r", at(1, "a")) }
		var err error
		if b.name == "sqlite" {
			ro := b.open(t, "_pragma=query_only(1)")
			err = inTx(t, ro, nil, claim)
		} else {
			err = inTx(t, db, &sql.TxOptions{ReadOnly: true}, claim)
		}
		if !errors.Is(err, relock.ErrInvalid) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("got %v, want ErrInvalid", err)
		}
		if got, err := f.Last(bg, "r"); got.Token != 0 || err != nil {
			t.Errorf("claimed nevertheless: %v, %v", got, err)
		}
	})
}

func TestATableOfAnotherNameAndSchema(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		schema := map[string]string{"postgresql": "Order", "mariadb": "t_Order", "sqlite": "temp"}[b.name]
		db := b.open(t)
		db.SetMaxOpenConns(1) // SQLite's temp is of the connection
		if b.name != "sqlite" {
			quote := map[string]string{"postgresql": `"`, "mariadb": "`"}[b.name]
			run(t, db, "CREATE SCHEMA "+quote+schema+quote)
			t.Cleanup(func() {
				_, _ = db.Exec("DROP SCHEMA " + quote + schema + quote + map[string]string{"postgresql": " CASCADE"}[b.name])
			})
		}
		f := newFence(t, db, sqlfence.FromDriver, sqlfence.WithSchema(schema), sqlfence.WithTable("Group"))
		_, err := f.Last(bg, "r")
		if err == nil || !strings.Contains(err.Error(), "Migrate") {
			t.Errorf("Last says %v", err)
		}
		wantErr(t, "Migrate", f.Migrate(bg), nil)
		wantErr(t, "a claim", f.Do(bg, "r", at(2, "a"), nothing), nil)
		wantErr(t, "a stale one", f.Do(bg, "r", at(1, "a"), nothing), relock.ErrStaleToken)
		if got, err := f.Last(bg, "r"); got.Token != 2 || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		if _, err := f.Forget(bg, time.Now().Add(-1000*time.Hour)); err != nil {
			t.Error(err)
		}
	})
}

// What the database says is told, and reachable.
func TestADatabaseThatIsAwayIsAnError(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		wantErr(t, "close", db.Close(), nil)
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		for name, err := range map[string]error{"Do": f.Do(ctx, "r", at(1, "a"), nothing), "Migrate": f.Migrate(ctx)} {
			if err == nil || errors.Is(err, relock.ErrStaleToken) || errors.Is(err, relock.ErrInvalid) || f.Retryable(err) {
				t.Errorf("%s says %v", name, err)
			}
		}
	})
}
