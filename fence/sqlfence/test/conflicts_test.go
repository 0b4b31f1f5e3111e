package test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
)

// A serialization failure: the claim is repeated, fn never.
func TestAClaimIsRepeatedAndFnIsNot(t *testing.T) {
	for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
		t.Run(level.String(), func(t *testing.T) {
			b := baseOf(t, "postgresql")
			db, _ := b.fence(t)
			f := newFence(t, db, sqlfence.PostgreSQL, sqlfence.WithIsolation(level))
			wantErr(t, "the row is there", f.Do(bg, "r", at(1, "a"), nothing), nil)

			// The claim waits for a transaction, which changes the row it has a snapshot of.
			slow := begin(t, db, nil)
			wantErr(t, "the earlier claim", f.Claim(bg, slow, "r", at(2, "b")), nil)
			done := make(chan error)
			ran := 0
			go func() {
				done <- f.Do(within(t), "r", at(3, "c"), func(*sql.Tx) error {
					ran++
					return nil
				})
			}()
			awaitWaiting(t, db, sessionsWaiting)
			wantErr(t, "the earlier one's commit", slow.Commit(), nil)
			wantErr(t, "the later one", <-done, nil)

			// fn loses to a write that is not fenced.
			err := f.Do(within(t), "r", at(4, "d"), func(tx *sql.Tx) error {
				ran++
				_ = balance(t, tx, 1)
				run(t, db, "UPDATE account SET balance = 7 WHERE id = 1")
				return b.deposit(bg, tx, 1)
			})
			if state(err) != "40001" || !f.Retryable(err) || ran != 2 {
				t.Errorf("fn has run %d times, %v; want 2 and 40001", ran, err)
			}
			if got, err := f.Last(bg, "r"); got.Token != 3 || err != nil {
				t.Errorf("the last holder is %v, %v", got, err)
			}
		})
	}
}

// foreign is an error of fn's that is no database's: that of a call whose code 5
// says "not found".
type foreign struct{ Number uint16 }

func (foreign) Error() string { return "not found" }
func (foreign) Code() uint32  { return 5 }

func TestAnErrorOfNoDatabaseIsNotToBeTriedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		_, f := b.fence(t)
		if err := f.Do(bg, "r", at(1, "a"), func(*sql.Tx) error { return foreign{1213} }); f.Retryable(err) {
			t.Errorf("%v is taken for a conflict", err)
		}
	})
}

// sessionsWaiting counts the sessions of PostgreSQL's that wait for another.
const sessionsWaiting = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 AND datname = current_database()"

// awaitWaiting returns when what count counts is there.
func awaitWaiting(t *testing.T, db *sql.DB, count string) {
	t.Helper()
	ctx := within(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n == 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("nobody waits")
		}
		if err := db.QueryRow(count).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// SQLite has one writer: the next one waits, with busy_timeout in the database and
// without it in Do.
func TestSQLiteHasOneWriter(t *testing.T) {
	for _, timeout := range []string{"60000", "0"} {
		t.Run("busy_timeout "+timeout, func(t *testing.T) {
			b := baseOf(t, "sqlite")
			db, f := b.fence(t)
			b.dsn = strings.Replace(b.dsn, "busy_timeout(10000)", "busy_timeout("+timeout+")", 1)
			own := b.open(t)
			next := newFence(t, own, sqlfence.SQLite)
			slow := begin(t, db, nil)
			wantErr(t, "the writer's claim", f.Claim(bg, slow, "r", at(1, "a")), nil)
			wantErr(t, "its write", b.deposit(bg, slow, 100), nil)
			tried, done := make(chan struct{}), make(chan error)
			go func() {
				close(tried)
				done <- next.Do(within(t), "another", at(2, "b"), b.depositing(1))
			}()
			<-tried
			if timeout == "0" {
				err := next.Claim(bg, begin(t, own, nil), "another", at(2, "b"))
				if err == nil || !next.Retryable(err) {
					t.Errorf("a Claim while another writes: %v", err)
				}
			}
			wantErr(t, "the writer's commit", slow.Commit(), nil)
			wantErr(t, "the next", <-done, nil)
			if got := balance(t, db, 1); got != 101 {
				t.Errorf("the account has %d, want 101", got)
			}
		})
	}
}

// Two that claim two resources in opposite orders wait for one another, until the
// server ends one of them. DoAll has one order.
func TestClaimsInOppositeOrdersDeadlock(t *testing.T) {
	for system, want := range map[string]string{"postgresql": "40P01", "mariadb": "1213"} {
		t.Run(system, func(t *testing.T) {
			b := baseOf(t, system)
			db, f := b.fence(t)
			wantErr(t, "the rows are there", f.DoAll(bg, map[string]relock.Sequencer{"x": at(1, "a"), "y": at(1, "a")}, nothing), nil)
			one, two := begin(t, db, nil), begin(t, db, nil)
			wantErr(t, "x by one", f.Claim(bg, one, "x", at(2, "one")), nil)
			wantErr(t, "y by two", f.Claim(bg, two, "y", at(3, "two")), nil)
			done := make(chan error)
			go func() {
				err := f.Claim(within(t), one, "y", at(4, "one"))
				_ = one.Rollback()
				done <- err
			}()
			err2 := f.Claim(within(t), two, "x", at(3, "two"))
			_ = two.Rollback()
			err1 := <-done
			if (state(err1) == want) == (state(err2) == want) || err1 != nil && err2 != nil {
				t.Errorf("got %v and %v, want %s of one of them", err1, err2, want)
			}
			if !f.Retryable(errors.Join(err1, err2)) {
				t.Errorf("%v, %v: not to be tried again", err1, err2)
			}
		})
	}
}

func TestDoAllDoesNotDeadlock(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		_, f := b.fence(t)
		done := make(chan error)
		const rounds = 30
		for range 4 {
			go func() {
				var err error
				for n := range rounds {
					claims := map[string]relock.Sequencer{}
					for r := range 4 {
						claims[fmt.Sprint("r", r)] = relock.Sequencer{Name: "accounts", Token: relock.Token(1 + n), Owner: "a"}
					}
					err = errors.Join(err, f.DoAll(within(t), claims, b.depositing(1)))
				}
				if errors.Is(err, relock.ErrStaleToken) {
					err = nil // another was faster
				}
				done <- err
			}()
		}
		for range 4 {
			wantErr(t, "DoAll", <-done, nil)
		}
	})
}
