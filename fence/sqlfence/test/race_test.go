package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
)

// levels are the isolation levels that the system's driver knows.
func levels(t *testing.T, b *base) (all []sql.IsolationLevel) {
	t.Helper()
	db := b.open(t)
	for level := sql.LevelDefault; level <= sql.LevelLinearizable; level++ {
		tx, err := db.BeginTx(bg, &sql.TxOptions{Isolation: level})
		if err != nil {
			continue
		}
		all = append(all, level)
		wantErr(t, "rollback", tx.Rollback(), nil)
	}
	if want := map[string]int{"postgresql": 5, "mariadb": 5, "sqlite": 1}[b.name]; len(all) < want {
		t.Errorf("%s knows %v, want %d levels", b.name, all, want)
	}
	return all
}

// A race is many writers that each read an account, add 1 and write it, under
// tokens of which many are overtaken already.
type race struct {
	*base
	writers, each int
	retryable     func(error) bool

	clock                     atomic.Int64
	written, stale, conflicts atomic.Int64 // the last: the database refused fn, and nothing was written
	mu                        sync.Mutex
	failed                    map[string]int
}

// shown is what a race has come to.
type shown struct{ written, stale, lost, outOfOrder int64 }

// run has them write by write, which is given who writes, and what to do.
func (r *race) run(t *testing.T, db *sql.DB, write func(relock.Sequencer, func(execer) error) error) shown {
	t.Helper()
	run(t, db, "DELETE FROM relock_fence")
	run(t, db, "DELETE FROM history")
	run(t, db, "UPDATE account SET balance = 0")
	r.clock.Store(0)
	r.written.Store(0)
	r.stale.Store(0)
	r.conflicts.Store(0)
	r.failed = map[string]int{}
	var all sync.WaitGroup
	for w := range r.writers {
		all.Go(func() {
			for range r.each {
				r.once(fmt.Sprint("w", w), write)
			}
		})
	}
	all.Wait()
	for what, n := range r.failed {
		t.Errorf("%d times: %s", n, what)
	}
	s := shown{written: r.written.Load(), stale: r.stale.Load()}
	s.lost = s.written - balance(t, db, 1)
	s.outOfOrder = r.breaks(t, db)
	return s
}

func (r *race) once(owner string, write func(relock.Sequencer, func(execer) error) error) {
	token := max(1, r.clock.Add(1)-rand.Int64N(8))
	err := write(at(token, relock.Owner(owner)), func(on execer) error {
		if err := r.deposit(bg, on, 1); err != nil {
			return err
		}
		_, err := on.ExecContext(bg, r.sql("INSERT INTO history (token) VALUES ($1)"), token)
		return err
	})
	switch {
	case err == nil:
		r.written.Add(1)
	case errors.Is(err, relock.ErrStaleToken):
		r.stale.Add(1)
	case r.retryable(err):
		r.conflicts.Add(1)
	default:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed[err.Error()]++
	}
}

// breaks counts the tokens that fell, in the order in which they were written.
func (r *race) breaks(t *testing.T, db *sql.DB) (n int64) {
	t.Helper()
	rows, err := db.QueryContext(bg, "SELECT token FROM history ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for last := int64(0); rows.Next(); {
		var token int64
		if err := rows.Scan(&token); err != nil {
			t.Fatal(err)
		}
		if token < last {
			n++
		}
		last = token
	}
	wantErr(t, "the history", rows.Err(), nil)
	return n
}

func newRace(t *testing.T, b *base, db *sql.DB) *race {
	t.Helper()
	id := map[string]string{
		"postgresql": "bigserial", "mariadb": "bigint AUTO_INCREMENT", "sqlite": "integer",
	}[b.name]
	run(t, db, "CREATE TABLE history (id "+id+" PRIMARY KEY, token bigint NOT NULL)")
	if full {
		db.SetMaxOpenConns(100)
		return &race{base: b, writers: 320, each: 10}
	}
	return &race{base: b, writers: 8, each: 40}
}

func TestNoUpdateIsLostAndNoneComesOutOfOrder(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, f := b.fence(t)
		r := newRace(t, b, db)
		r.retryable = f.Retryable
		for _, level := range levels(t, b) {
			t.Run(level.String(), func(t *testing.T) {
				f := newFence(t, db, b.dialect, sqlfence.WithIsolation(level))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				got := r.run(t, db, func(s relock.Sequencer, fn func(execer) error) error {
					return f.Do(ctx, "account:1", s, func(tx *sql.Tx) error { return fn(tx) })
				})
				if got.lost != 0 || got.outOfOrder != 0 || got.stale == 0 || got.written == 0 {
					t.Errorf("got %+v", got)
				}
				t.Logf("%d writers: %d written, %d stale refused, %d updates lost, %d out of order; %d conflicts", r.writers, got.written, got.stale, got.lost, got.outOfOrder, r.conflicts.Load())
			})
		}
	})
}

// The negative twin: the same writers, as if their lock were all that it takes.
func TestWithoutTheFenceUpdatesAreLost(t *testing.T) {
	onEach(t, func(t *testing.T, b *base) {
		db, _ := b.fence(t)
		r := newRace(t, b, db)
		r.retryable = func(error) bool { return false }
		got := r.run(t, db, func(_ relock.Sequencer, fn func(execer) error) error { return fn(db) })
		if got.lost == 0 || got.outOfOrder == 0 {
			t.Errorf("got %+v: the test above shows nothing", got)
		}
		t.Logf("%d writers: %d written, %d updates lost, %d out of order", r.writers, got.written, got.lost, got.outOfOrder)
	})
}
