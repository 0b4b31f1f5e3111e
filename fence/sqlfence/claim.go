package sqlfence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
)

// Tx is a transaction of the caller's: [*sql.Tx], and whatever has its methods, as
// those of sqlx, GORM and bun do.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Claim makes s the last holder seen at resource, within tx: until tx ends nobody
// else can claim it, and earlier holders are refused once tx has committed. It must
// be the first statement of tx, which it cannot check: on MySQL and MariaDB at
// REPEATABLE READ a transaction that has read before goes on seeing the data as
// they were then, though its claim succeeds. There the claim also ends where the
// transaction does unasked, as [Fence.Do] says of fn.
//
// It returns [relock.ErrStaleToken] if a later holder has been there;
// [relock.ErrInvalid] for a resource or a sequencer that cannot be used
// ([MaxResource], [fence.Check], text that is not UTF-8 or has a zero byte), for a
// resource that another lock guards, and for a tx that is nil, read-only or no
// transaction (a *sql.DB, a *sql.Conn, whatever else has a BeginTx and no Commit); [sql.ErrTxDone] where tx has ended; or what
// the database said. Whatever it is, roll tx back: nothing was claimed.
func (f *Fence) Claim(ctx context.Context, tx Tx, resource string, s relock.Sequencer) error {
	if err := checkTx(tx); err != nil {
		return err
	}
	if err := check(resource, s); err != nil {
		return err
	}
	err := f.claim(ctx, tx, resource, s)
	if f.dialect.is(err, f.dialect.readOnly) {
		return fmt.Errorf("%w: %w", relock.ErrInvalid, err)
	}
	return err
}

// ender is a transaction. One may begin others within it, and one that is wrapped
// need not be an ender: only what begins and does not end is none.
type ender interface{ Commit() error }

func checkTx(tx Tx) error {
	switch t := tx.(type) {
	case nil:
		return invalid("Claim in a nil transaction")
	case *sql.Tx:
		if t == nil {
			return invalid("Claim in a nil transaction")
		}
	case ender:
	default:
		// Each library has a BeginTx of its own type.
		if reflect.ValueOf(tx).MethodByName("BeginTx").IsValid() {
			return invalid("Claim in a %T, which is no transaction: the claim would end with its statement", tx)
		}
	}
	return nil
}

func check(resource string, s relock.Sequencer) error {
	if err := fence.Check(s); err != nil {
		return err
	}
	if resource == "" || len(resource) > MaxResource {
		return invalid("a resource of %d bytes: 1 to %d", len(resource), MaxResource)
	}
	for what, text := range map[string]string{"resource": resource, "lock": s.Name, "owner": string(s.Owner)} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return invalid("%s %q: not UTF-8, or with a zero byte", what, text)
		}
	}
	return nil
}

func (f *Fence) claim(ctx context.Context, tx Tx, resource string, s relock.Sequencer) error {
	args := []any{resource, s.Name, int64(s.Token), string(s.Owner)}
	if f.dialect.args != nil {
		args = f.dialect.args(resource, s.Name, int64(s.Token), string(s.Owner))
	}
	res, err := tx.ExecContext(ctx, f.statement(f.dialect.claim), args...)
	if err != nil {
		return f.explain(ctx, tx, "claim of "+resource, err)
	}
	if f.dialect.counts {
		n, err := res.RowsAffected()
		if err != nil {
			return f.explain(ctx, tx, "claim of "+resource, err)
		}
		if n > 0 {
			return nil
		}
	}
	var by Holder
	err = tx.QueryRowContext(ctx, f.statement(f.dialect.last), resource).Scan(&by.Name, &by.Token, &by.Owner)
	if err != nil {
		return f.explain(ctx, tx, "claim of "+resource, err)
	}
	switch {
	case by.Name != s.Name:
		return invalid("%q is guarded by lock %q, not by %q", resource, by.Name, s.Name)
	case by.Sequencer != s:
		return fmt.Errorf("%w: token %d of %q came to %q after token %d of %q", relock.ErrStaleToken, s.Token, s.Owner, resource, by.Token, by.Owner)
	}
	return nil
}

// explain says what to do about an error of the database, where that is known.
func (f *Fence) explain(ctx context.Context, tx Tx, what string, err error) error {
	switch {
	case f.isMissing(ctx, tx, err):
		return fmt.Errorf("sqlfence: %s: there is no table %s (Migrate creates it): %w", what, f.table, err)
	case f.dialect.is(err, f.dialect.readOnly):
		return fmt.Errorf("sqlfence: %s: the transaction or the database is read-only: %w", what, err)
	}
	return fmt.Errorf("sqlfence: %s: %w", what, err)
}

// isMissing asks where no code tells that the table is not there.
func (f *Fence) isMissing(ctx context.Context, tx Tx, err error) bool {
	if f.dialect.exists == "" || f.dialect.is(err, f.dialect.conflict) || f.dialect.code(err) == "" {
		return f.dialect.is(err, f.dialect.missing)
	}
	var n int
	asked := tx.QueryRowContext(ctx, f.statement(f.dialect.exists), f.set.table).Scan(&n)
	return asked == nil && n == 0
}

// Retryable tells whether err says that a transaction lost to another one and is
// as if it had not been, so that Do may be called again: a serialization failure or
// a deadlock (SQLSTATE 40001 and 40P01, errors 1213 and 1020 of MySQL and MariaDB), a
// wait that the database has bounded by itself (1205 of these two; SQLite's 5 and 6).
func (f *Fence) Retryable(err error) bool {
	return !errors.Is(err, relock.ErrStaleToken) && f.dialect.is(err, f.dialect.conflict)
}
