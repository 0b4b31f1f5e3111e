package sqlfence

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/relock-go/relock"
)

// MinForget is how far back [Fence.Forget] must at least go.
const MinForget = relock.DefaultGuardRetention

// Schema returns the statement that creates the table where it is not there, for
// those who migrate by a tool of their own.
func (f *Fence) Schema() string { return f.statement(f.dialect.create) }

// Migrate runs [Fence.Schema]. It may be called at each start, by many processes
// at once: what loses to another transaction is repeated until ctx ends. It returns
// what the database said, and where ctx ended, its cause as well. On MySQL and MariaDB it commits what its session has under way, as every
// such statement does; it takes one of its own.
func (f *Fence) Migrate(ctx context.Context) error {
	create := func() error {
		_, err := f.db.ExecContext(ctx, f.Schema())
		return err
	}
	err := f.insist(ctx, create)
	if f.dialect.is(err, f.dialect.race) {
		err = f.insist(ctx, create)
	}
	if err != nil {
		return withCause(ctx, f.explain(ctx, f.db, "create the table", err))
	}
	return nil
}

// A Holder is who claimed a resource last.
type Holder struct {
	relock.Sequencer
	Claimed time.Time // by the database's clock
}

// Last returns who claimed resource last, by a transaction that has committed, or
// what the database said. It is a zero Holder where nobody has, or that was
// forgotten.
func (f *Fence) Last(ctx context.Context, resource string) (Holder, error) {
	var h Holder
	var micros int64
	err := f.db.QueryRowContext(ctx, f.statement(f.dialect.read), resource).Scan(&h.Name, &h.Token, &h.Owner, &micros)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Holder{}, nil
	case err != nil:
		return Holder{}, f.explain(ctx, f.db, "read the claim of "+resource, err)
	}
	h.Claimed = time.UnixMicro(micros)
	return h, nil
}

// Forget deletes what was claimed last before that time, by the database's clock,
// and returns how much. A holder from before then is refused no longer where
// nobody has claimed since: go further back than any holder can have slept. It
// returns [relock.ErrInvalid] for a time that is less than [MinForget] ago by this
// machine's clock, or what the database said.
func (f *Fence) Forget(ctx context.Context, before time.Time) (int64, error) {
	if ago := time.Since(before); ago < MinForget {
		return 0, invalid("Forget what was claimed before %v ago: at least %v", ago.Round(time.Second), MinForget)
	}
	micros := int64(0) // nobody claimed before 1970, and UnixMicro does not reach as far as Time
	if before.After(time.UnixMicro(0)) {
		micros = before.UnixMicro()
	}
	res, err := f.db.ExecContext(ctx, f.statement(f.dialect.forget), micros)
	if err != nil {
		return 0, f.explain(ctx, f.db, "forget", err)
	}
	return res.RowsAffected()
}
