package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
	"github.com/relock-go/relock/fence/sqlfence"
)

// withSqlx claims in a transaction of sqlx: it has an *sql.Tx in it.
func withSqlx(ctx context.Context, db *sqlx.DB, f *sqlfence.Fence, s relock.Sequencer, fn func(tx *sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f.Claim(ctx, tx, "account:1", s); err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// withGORM claims in a transaction of GORM: its ConnPool is the transaction.
func withGORM(ctx context.Context, db *gorm.DB, f *sqlfence.Fence, s relock.Sequencer, fn func(tx *gorm.DB) error) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := f.Claim(ctx, tx.Statement.ConnPool, "account:1", s); err != nil {
			return err
		}
		return fn(tx)
	})
}

// claimPgx is the claim for pgx without database/sql, in the same table.
const claimPgx = `
INSERT INTO relock_fence AS f (resource, lock_name, token, owner, claimed)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (resource) DO UPDATE SET token = excluded.token, owner = excluded.owner, claimed = excluded.claimed
WHERE f.lock_name = excluded.lock_name AND (f.token < excluded.token OR f.token = excluded.token AND f.owner = excluded.owner)
RETURNING set_config('idle_in_transaction_session_timeout', '30s', true)`

// withPgx claims in a transaction of pgx's own.
func withPgx(ctx context.Context, pool *pgxpool.Pool, s relock.Sequencer, fn func(tx pgx.Tx) error) error {
	if err := fence.Check(s); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var bound string
		err := tx.QueryRow(ctx, claimPgx, "account:1", s.Name, int64(s.Token), string(s.Owner)).Scan(&bound)
		if errors.Is(err, pgx.ErrNoRows) { // a later holder, or another lock
			return relock.ErrStaleToken
		}
		if err != nil {
			return err
		}
		return fn(tx)
	})
}

// The recipes keep one table with each other, and with Do.
func TestOthersTransactionsClaimInTheSameTable(t *testing.T) {
	b := baseOf(t, "postgresql")
	db, f := b.fence(t)
	pool, err := pgxpool.New(bg, b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	orm, err := gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const deposit = "UPDATE account SET balance = balance + 1 WHERE id = 1"
	ways := map[string]func(relock.Sequencer) error{
		"Do": func(s relock.Sequencer) error {
			return f.Do(bg, "account:1", s, func(tx *sql.Tx) error {
				_, err := tx.Exec(deposit)
				return err
			})
		},
		"sqlx": func(s relock.Sequencer) error {
			return withSqlx(bg, sqlx.NewDb(db, "pgx"), f, s, func(tx *sqlx.Tx) error {
				_, err := tx.Exec(deposit)
				return err
			})
		},
		"GORM": func(s relock.Sequencer) error {
			return withGORM(bg, orm, f, s, func(tx *gorm.DB) error { return tx.Exec(deposit).Error })
		},
		"pgx": func(s relock.Sequencer) error {
			return withPgx(bg, pool, s, func(tx pgx.Tx) error {
				_, err := tx.Exec(bg, deposit)
				return err
			})
		},
		"a pool of pgx's": func(s relock.Sequencer) error {
			own := stdlib.OpenDBFromPool(pool)
			defer own.Close()
			return newFence(t, own, sqlfence.FromDriver).Do(bg, "account:1", s, func(tx *sql.Tx) error {
				_, err := tx.Exec(deposit)
				return err
			})
		},
	}
	token, want := int64(0), int64(0)
	for one, first := range ways {
		for two, second := range ways {
			token += 2
			wantErr(t, one, first(at(token, relock.Owner(one))), nil)
			wantErr(t, fmt.Sprint(two, " earlier than ", one), second(at(token-1, "earlier")), relock.ErrStaleToken)
			wantErr(t, fmt.Sprint(two, " of another owner than ", one), second(at(token, "another")), relock.ErrStaleToken)
			wantErr(t, fmt.Sprint(two, " again"), second(at(token, relock.Owner(one))), nil)
			want += 2
		}
	}
	if got := balance(t, db, 1); got != want {
		t.Errorf("the account has %d, want %d", got, want)
	}
}
