// Package election has one of several candidates lead: the one that holds a lock.
// The life of that lock is package lifecycle's; here is what is beside it: standing
// again and again, and what is told meanwhile.
package election

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// A Candidate stands for a lock, again and again.
type Candidate struct {
	Lock  func(context.Context) (lifecycle.Lease, error)
	Again func(error) bool // whether to stand again after a term that ended so, or a Lock that failed so
	Pause time.Duration    // before that, give or take a half
}

// Lead calls fn whenever c leads, until ctx ends, fn returns nil, or an error is not
// one to stand again after.
func (c *Candidate) Lead(ctx context.Context, fn func(context.Context, lifecycle.Lease) error) error {
	for {
		again, err := c.term(ctx, fn)
		if !again {
			return err
		}
		if !engine.Sleep(ctx, c.Pause/2+rand.N(c.Pause)) {
			return engine.Join(engine.ContextError(ctx), err)
		}
	}
}

// term is one term: it stands, leads, and gives the lock back once fn has returned.
// It reports whether another may follow.
func (c *Candidate) term(ctx context.Context, fn func(context.Context, lifecycle.Lease) error) (again bool, err error) {
	lease, err := c.Lock(ctx)
	if err != nil {
		return ctx.Err() == nil && c.standsAfter(err), err
	}
	if lease.Token() == 0 {
		return false, engine.Join(engine.Invalid("an election by %q: its lease has no token, which is to order the leaders", lease.Name()), lease.Unlock(ctx))
	}
	err = lifecycle.Lend(ctx, lease, lifecycle.Leader, lease, func(ctx context.Context, lease lifecycle.Lease) error {
		if err := lease.Err(); err != nil {
			return err // what ended it before it was in use waits for nobody
		}
		return fn(ctx, lease)
	})
	if errors.Is(lease.Err(), engine.ErrClosed) {
		return false, closed(err)
	}
	return err != nil && ctx.Err() == nil && c.Again(err), err
}

// closed is err of a term that Close has ended.
func closed(err error) error {
	if errors.Is(err, engine.ErrClosed) {
		return err
	}
	return engine.Join(err, engine.ErrClosed)
}

// standsAfter reports whether to stand again after a Lock that failed.
func (c *Candidate) standsAfter(err error) bool {
	switch {
	case errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrInvalid), errors.Is(err, engine.ErrSelfDeadlock):
		return false
	case errors.Is(err, engine.ErrNotAcquired), errors.Is(err, engine.ErrNotReplicated):
		return true
	}
	return c.Again(err)
}
