package sqlfence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
)

// Do opens a transaction, claims resource for s, runs fn and commits. It waits for
// the transaction that claimed resource before; fn sees what that one wrote. If fn
// returns an error or panics, if ctx ends or the claim is refused, the transaction
// is rolled back and nothing is kept, the claim included.
//
// It returns what [Fence.Claim] does, then without having run fn (a database that is
// read-only is not [relock.ErrInvalid] here: it may pass); fn's own error; or that of
// the commit, of which it is not known whether it was done if the
// connection broke. Where ctx ended outside of fn, the error is its cause as well. A
// claim that lost to another transaction is repeated until ctx ends, fn never
// ([Fence.Retryable]).
//
// fn works by tx alone: statements on the database itself are not in the
// transaction, and may wait for it for good. It returns the error of a statement that
// failed, and changes no schema: MySQL and MariaDB end the transaction by a deadlock
// (1213) and by most statements like CREATE TABLE, the claim with it, and keep each
// statement that fn goes on to run, unfenced; Do cannot see it. ctx should be that of the lease, so
// that the transaction ends with it.
func (f *Fence) Do(ctx context.Context, resource string, s relock.Sequencer, fn func(tx *sql.Tx) error) error {
	return f.DoAll(ctx, map[string]relock.Sequencer{resource: s}, fn)
}

// DoAll is [Fence.Do] for several resources, each with the holder that claims it.
// It claims them in the order of their names, so that two calls never wait for one
// another. One lock may guard several of them; for those of a lock of several,
// each member's sequencer goes to what that member protects. It returns
// [relock.ErrInvalid] for none.
func (f *Fence) DoAll(ctx context.Context, claims map[string]relock.Sequencer, fn func(tx *sql.Tx) error) error {
	if len(claims) == 0 || fn == nil {
		return invalid("no resource to claim, or no function to run")
	}
	for resource, s := range claims {
		if err := check(resource, s); err != nil {
			return err
		}
	}
	tx, err := f.begin(ctx, claims)
	if err != nil {
		return withCause(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // sql.ErrTxDone after the commit
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return withCause(ctx, fmt.Errorf("sqlfence: commit: %w", err))
	}
	return nil
}

// withCause has the error of a transaction that ended with ctx say why ctx ended:
// the drivers, and package sql, have many words for that it did.
func withCause(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, relock.ErrStaleToken) || errors.Is(err, relock.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// begin returns a transaction whose first statements have claimed, after as many
// others as it took.
func (f *Fence) begin(ctx context.Context, claims map[string]relock.Sequencer) (tx *sql.Tx, err error) {
	err = f.insist(ctx, func() error {
		tx, err = f.beginOnce(ctx, claims)
		return err
	})
	return tx, err
}

// insist repeats what loses to another transaction, until ctx ends.
func (f *Fence) insist(ctx context.Context, try func() error) error {
	for tries := 1; ; tries++ {
		err := try()
		if !f.Retryable(err) {
			return err
		}
		select {
		case <-time.After(pause(tries)):
		case <-ctx.Done():
			return err
		}
	}
}

// pause is longer after more tries, and drawn: those that failed together should
// not fail together again.
func pause(tries int) time.Duration {
	return rand.N(min(time.Duration(tries)*time.Millisecond, 50*time.Millisecond))
}

func (f *Fence) beginOnce(ctx context.Context, claims map[string]relock.Sequencer) (*sql.Tx, error) {
	tx, err := f.db.BeginTx(ctx, &sql.TxOptions{Isolation: f.set.isolation})
	if err != nil {
		return nil, fmt.Errorf("sqlfence: begin: %w", err)
	}
	for _, resource := range slices.Sorted(maps.Keys(claims)) {
		if err := f.claim(ctx, tx, resource, claims[resource]); err != nil {
			_ = tx.Rollback()
			return nil, err
		}
	}
	return tx, nil
}

// Claimer returns the table as what package fence asks of a storage: each claim
// is a transaction of its own, and refuses earlier holders from its commit on.
func (f *Fence) Claimer() fence.Claimer { return claimer{f} }

type claimer struct{ fence *Fence }

func (c claimer) Claim(ctx context.Context, resource string, s relock.Sequencer) error {
	return c.fence.Do(ctx, resource, s, func(*sql.Tx) error { return nil })
}
