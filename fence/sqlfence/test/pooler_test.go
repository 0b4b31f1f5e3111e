package test

import (
	"database/sql"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence/sqlfence"
	"github.com/relock-go/relock/fence/sqlfence/test/internal/servers"
)

// All that a Do sends is in its transaction, so a pooler that gives a session to
// each transaction will do. The bound is of the transaction as well.
func TestAPoolerByTransactionsWillDo(t *testing.T) {
	b := baseOf(t, "postgresql")
	b.dsn = servers.Bouncer(t, b.dsn)
	db, f := b.fence(t)
	r := newRace(t, b, db)
	r.retryable = f.Retryable
	got := r.run(t, db, func(s relock.Sequencer, fn func(execer) error) error {
		return f.Do(within(t), "account:1", s, func(tx *sql.Tx) error { return fn(tx) })
	})
	if got.lost != 0 || got.outOfOrder != 0 || got.stale == 0 || got.written == 0 {
		t.Errorf("got %+v", got)
	}
	bounded := newFence(t, db, sqlfence.PostgreSQL, sqlfence.WithIdleTimeout(idle))
	slow := begin(t, db, nil)
	wantErr(t, "the stopped one's claim", bounded.Claim(bg, slow, "r", at(1, "a")), nil)
	wantErr(t, "the next", f.Do(within(t), "r", at(2, "b"), nothing), nil)
	if err := slow.Commit(); err == nil {
		t.Error("the stopped one's transaction is committed")
	}
}
