package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
)

// system returns a base of the system of that name.
func baseOf(t *testing.T, name string) *base {
	t.Helper()
	for _, s := range systems {
		if s.name == name {
			return s.base(t)
		}
	}
	t.Fatal("no system ", name)
	return nil
}

func begin(t *testing.T, db *sql.DB, opts *sql.TxOptions) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(bg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// state is the SQLSTATE, number or code that err has.
func state(err error) string {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var lite *sqlite.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &pg):
		return pg.Code
	case errors.As(err, &my):
		return strconv.Itoa(int(my.Number))
	case errors.As(err, &lite):
		return strconv.Itoa(lite.Code())
	}
	return fmt.Sprint(err)
}

// A transaction that reads before its claim: at REPEATABLE READ MariaDB has it
// write over what it never saw, and PostgreSQL refuses. Do claims first.
func TestAClaimAfterTheFirstReadIsTooLate(t *testing.T) {
	for _, tc := range []struct {
		system, setting string
		level           sql.IsolationLevel
		claim           string // what the late claim fails with
		lost            bool
	}{
		{"mariadb", "innodb_snapshot_isolation=OFF", sql.LevelRepeatableRead, "", true},
		{"mariadb", "innodb_snapshot_isolation=ON", sql.LevelRepeatableRead, "1020", false},
		{"mariadb", "innodb_snapshot_isolation=OFF", sql.LevelReadCommitted, "", false},
		{"postgresql", "", sql.LevelRepeatableRead, "40001", false},
		{"postgresql", "", sql.LevelReadCommitted, "", false},
		{"sqlite", "", sql.LevelDefault, "517", false}, // SQLITE_BUSY_SNAPSHOT
	} {
		t.Run(fmt.Sprint(tc.system, " ", tc.setting, " ", tc.level), func(t *testing.T) {
			b := baseOf(t, tc.system)
			db, f := b.fence(t)
			own := db
			if tc.setting != "" {
				own = b.open(t, tc.setting)
			}
			wantErr(t, "the row is there", f.Do(bg, "r", at(1, "a"), nothing), nil)
			slow := begin(t, own, &sql.TxOptions{Isolation: tc.level})
			read := balance(t, slow, 1)
			wantErr(t, "an earlier holder", f.Do(bg, "r", at(2, "a"), b.depositing(100)), nil)

			err := f.Claim(bg, slow, "r", at(3, "b")) // a later one, so it is not stale
			if got := state(err); got != tc.claim {
				t.Fatalf("the late claim: got %v, want %q", err, tc.claim)
			}
			if tc.claim != "" {
				if !f.Retryable(err) {
					t.Errorf("%v is not to be tried again", err)
				}
				return
			}
			if again := balance(t, slow, 1); (again == read) != tc.lost {
				t.Errorf("read %d before the claim and %d after it", read, again)
			} else {
				read = again
			}
			run(t, slow, b.sql("UPDATE account SET balance = $1 WHERE id = 1"), read+1)
			wantErr(t, "commit", slow.Commit(), nil)
			if got := balance(t, db, 1); (got != 101) != tc.lost {
				t.Errorf("the account has %d; an update lost: want %v", got, tc.lost)
			}
		})
	}
}

// A claim is judged by the row as it is, whatever the transaction saw before.
func TestALateClaimOfAnEarlierHolderIsStale(t *testing.T) {
	b := baseOf(t, "mariadb")
	_, f := b.fence(t)
	own := b.open(t, "innodb_snapshot_isolation=OFF")
	wantErr(t, "the earlier holder", f.Do(bg, "r", at(1, "a"), nothing), nil)
	slow := begin(t, own, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	_ = balance(t, slow, 1)
	wantErr(t, "the later one", f.Do(bg, "r", at(2, "b"), nothing), nil)
	wantErr(t, "the earlier one again", f.Claim(bg, slow, "r", at(1, "a")), relock.ErrStaleToken)
}

// The same in the order of Do, at the level at which it went wrong.
func TestDoClaimsBeforeTheFirstRead(t *testing.T) {
	b := baseOf(t, "mariadb")
	db, _ := b.fence(t)
	own := b.open(t, "innodb_snapshot_isolation=OFF")
	f := newFence(t, own, sqlfence.MySQL, sqlfence.WithIsolation(sql.LevelRepeatableRead))
	ctx := within(t)
	inside, done := make(chan struct{}), make(chan error)
	go func() {
		done <- f.Do(ctx, "r", at(1, "a"), func(tx *sql.Tx) error {
			close(inside)
			return b.deposit(ctx, tx, 100)
		})
	}()
	<-inside
	wantErr(t, "the next", f.Do(ctx, "r", at(2, "b"), b.depositing(1)), nil)
	wantErr(t, "the first", <-done, nil)
	if got := balance(t, db, 1); got != 101 {
		t.Errorf("the account has %d, want 101", got)
	}
}

// idle is how long a stopped holder may keep the next one waiting.
const idle = 2 * time.Second

// A holder that stands still within its transaction, to the server, is a session
// that says nothing.
func TestAStoppedHolderBlocksTheNextForSoLong(t *testing.T) {
	for _, tc := range []struct {
		system, setting string
		opts            []sqlfence.Option
		ended           string // what the stopped one is told
	}{
		{"postgresql", "", []sqlfence.Option{sqlfence.WithIdleTimeout(idle)}, "25P03"},
		{"mariadb", "idle_transaction_timeout=2", nil, ""},
	} {
		t.Run(tc.system, func(t *testing.T) {
			b := baseOf(t, tc.system)
			db, _ := b.fence(t)
			if tc.setting != "" {
				db = b.open(t, tc.setting)
			}
			f := newFence(t, db, b.dialect, tc.opts...)
			slow := begin(t, db, nil)
			wantErr(t, "the stopped one's claim", f.Claim(bg, slow, "r", at(1, "a")), nil)
			wantErr(t, "and write", b.deposit(bg, slow, 100), nil)

			began := time.Now()
			wantErr(t, "the next", f.Do(within(t), "r", at(2, "b"), b.depositing(1)), nil)
			t.Logf("the next one went on after %v", time.Since(began).Round(10*time.Millisecond))
			_, err := slow.Exec("UPDATE account SET balance = 0")
			if err == nil || tc.ended != "" && state(err) != tc.ended && !errors.Is(err, sql.ErrConnDone) && state(err) != "driver: bad connection" {
				t.Errorf("the stopped one goes on: %v", err)
			}
			if err := slow.Commit(); err == nil {
				t.Error("the stopped one's transaction is committed")
			}
			if got := balance(t, db, 1); got != 1 {
				t.Errorf("the account has %d, want 1", got)
			}
			wantErr(t, "the stopped one starts over", f.Do(bg, "r", at(1, "a"), nothing), relock.ErrStaleToken)
		})
	}
}

// The twin: without a bound the next one waits for as long as it is told to.
func TestWithoutABoundAStoppedHolderBlocksTheNextForGood(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		var opts []sqlfence.Option
		if b.name == "postgresql" {
			opts = append(opts, sqlfence.WithIdleTimeout(0))
		}
		db, f := b.fence(t, opts...)
		if b.name == "mariadb" { // its own bound of a wait is none: the claim is repeated
			f = newFence(t, b.open(t, "innodb_lock_wait_timeout=1"), sqlfence.MySQL)
		}
		slow := begin(t, db, nil)
		wantErr(t, "the stopped one's claim", f.Claim(bg, slow, "r", at(1, "a")), nil)
		ctx, cancel := context.WithTimeoutCause(bg, idle, relock.ErrLost)
		defer cancel()
		wantErr(t, "the next one", f.Do(ctx, "r", at(2, "b"), nothing), relock.ErrLost)
		wantErr(t, "the stopped one's commit", slow.Commit(), nil)
		wantErr(t, "the next one then", f.Do(bg, "r", at(2, "b"), nothing), nil)
	})
}

// The bound is of the transaction, and not of what its session does next.
func TestTheBoundEndsWithItsTransaction(t *testing.T) {
	b := baseOf(t, "postgresql")
	db, _ := b.fence(t)
	db.SetMaxOpenConns(1)
	setting := func(on execer) (s string) {
		t.Helper()
		if err := on.QueryRowContext(bg, "SHOW idle_in_transaction_session_timeout").Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, tc := range []struct {
		opts []sqlfence.Option
		want string
	}{
		{nil, "30s"},
		{[]sqlfence.Option{sqlfence.WithIdleTimeout(1500 * time.Millisecond)}, "1500ms"},
		{[]sqlfence.Option{sqlfence.WithIdleTimeout(0)}, "0"},
	} {
		f := newFence(t, db, sqlfence.PostgreSQL, tc.opts...)
		wantErr(t, "Do", f.Do(bg, "r", at(1, "a"), func(tx *sql.Tx) error {
			if got := setting(tx); got != tc.want {
				t.Errorf("within: %s, want %s", got, tc.want)
			}
			return nil
		}), nil)
		if got := setting(db); got != "0" {
			t.Errorf("after it: %s, want 0", got)
		}
	}
}

// On MariaDB a deadlock ends the whole transaction, and so does a statement that
// changes a schema. The connection goes on, and each statement is kept by itself.
func TestAClaimEndsWithItsTransactionWithinFn(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, db *sql.DB, tx *sql.Tx){
		"a deadlock that fn passes over": func(t *testing.T, db *sql.DB, tx *sql.Tx) {
			other, done := begin(t, db, nil), make(chan error)
			run(t, other, "UPDATE account SET balance = balance + 1 WHERE id = 2")
			run(t, other, "INSERT INTO account VALUES (11, 0), (12, 0), (13, 0), (14, 0), (15, 0), (16, 0)") // the one that did less is ended
			run(t, tx, "UPDATE account SET balance = 100 WHERE id = 1")
			go func() {
				_, err := other.Exec("UPDATE account SET balance = balance + 1 WHERE id = 1")
				done <- errors.Join(err, other.Rollback())
			}()
			awaitWaiting(t, db, transactionsWaiting)
			if _, err := tx.Exec("UPDATE account SET balance = 100 WHERE id = 2"); state(err) != "1213" {
				t.Errorf("got %v, want 1213", err)
			}
			wantErr(t, "the other one", <-done, nil)
		},
		"a change of the schema": func(t *testing.T, _ *sql.DB, tx *sql.Tx) { run(t, tx, "CREATE TABLE more (id bigint)") },
	} {
		t.Run(name, func(t *testing.T) {
			b := baseOf(t, "mariadb")
			db, f := b.fence(t)
			wantErr(t, "the stale one", f.Do(within(t), "r", at(1, "a"), func(tx *sql.Tx) error {
				end(t, db, tx)
				wantErr(t, "the next", f.Do(within(t), "r", at(2, "b"), b.depositing(7)), nil)
				_, err := tx.Exec("UPDATE account SET balance = 5 WHERE id = 1")
				return err
			}), nil)
			if got := balance(t, db, 1); got != 5 {
				t.Errorf("the account has %d: the hazard is gone, and the documentation wrong", got)
			}
		})
	}
}

// transactionsWaiting counts the transactions of MariaDB's that wait for another.
const transactionsWaiting = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
