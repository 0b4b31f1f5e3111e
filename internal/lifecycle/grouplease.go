package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A groupLease is the lease of a group: those of its members. Each member is
// renewed, and found lost, on its own; the first that ends, ends them all.
type groupLease struct {
	name     string
	all      []*Hold
	ctx      context.Context
	cancel   context.CancelCauseFunc
	cause    atomic.Pointer[error]
	unlocked atomic.Bool
}

// newGroupLease makes one lease of the members' holds.
func newGroupLease(ctx context.Context, name string, holds []*Hold) *groupLease {
	g := &groupLease{name: name}
	g.all = slices.Clone(holds)
	g.ctx, g.cancel = context.WithCancelCause(&heldContext{context.WithoutCancel(ctx), g.all})
	for _, o := range holds {
		context.AfterFunc(o.context(), func() { g.lose(o) })
	}
	return g
}

var _ Lease = (*groupLease)(nil)

// Context returns a context that lives as long as the whole.
func (g *groupLease) Context() context.Context { return g.ctx }

// Name returns the group's name.
func (g *groupLease) Name() string { return g.name }

// Token returns 0: each member has its own.
func (g *groupLease) Token() int64 { return 0 }

// Members returns the members' leases, in the order in which they were given.
func (g *groupLease) Members() []Lease {
	all := make([]Lease, len(g.all))
	for i, o := range g.all {
		all[i] = o
	}
	return all
}

// Owner is the owner that all members have in common, or "".
func (g *groupLease) Owner() string {
	for _, o := range g.all[1:] {
		if o.Owner() != g.all[0].Owner() {
			return ""
		}
	}
	return g.all[0].Owner()
}

// Err returns nil while all members may be believed, and else why not.
func (g *groupLease) Err() error {
	if cause := g.cause.Load(); cause != nil {
		return *cause
	}
	for _, l := range g.all {
		if l.Err() != nil {
			return engine.ErrLost
		}
	}
	return nil
}

// ValidUntil returns the earliest end of a member's validity.
func (g *groupLease) ValidUntil() time.Time {
	until := g.all[0].ValidUntil()
	for _, l := range g.all[1:] {
		if u := l.ValidUntil(); u.Before(until) {
			until = u
		}
	}
	return until
}

func (g *groupLease) end(cause error) bool {
	if !g.cause.CompareAndSwap(nil, &cause) {
		return false
	}
	g.cancel(cause)
	return true
}

// lose ends the whole since member o has ended. The rest is released: but what is
// fixed goes to its own end where o has come to its, and while Do's function runs
// the rest is held for it, which is still protected by that much.
func (g *groupLease) lose(o *Hold) {
	e := o.cause.Load()
	cause := engine.ErrLost
	if errors.Is(e.err, engine.ErrClosed) {
		cause = engine.ErrClosed
	}
	if !g.end(cause) {
		return
	}
	ended := e.over == ReasonLease || e.over == ReasonMaxHold
	for _, other := range g.all {
		if other == o || ended && other.lock.manager.dog.isFixed(other) {
			continue
		}
		other.lock.manager.spawn(func(ctx context.Context) {
			other.awaitUser(other.validUntil)
			_ = other.unlock(ctx)
		})
	}
}

// Use notes that the members are in use until done is closed.
func (g *groupLease) Use(done <-chan struct{}, by User) {
	for _, l := range g.all {
		l.Use(done, by)
	}
}

// each calls f for all members at once and joins the errors.
func (g *groupLease) each(f func(*Hold) error) error {
	errs := make([]error, len(g.all))
	var wg sync.WaitGroup
	for i, l := range g.all {
		wg.Go(func() { errs[i] = f(l) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Extend extends all members at once.
func (g *groupLease) Extend(ctx context.Context, d time.Duration) error {
	if err := g.Err(); err != nil {
		return err
	}
	return g.each(func(o *Hold) error { return o.Extend(ctx, d) })
}

// finish ends the whole as cause before f ends a member, so that no member's end
// is taken for a loss. Of a whole that has ended by itself f ends those members
// that have not.
func (g *groupLease) finish(cause error, f func(*Hold) error) error {
	if !g.unlocked.CompareAndSwap(false, true) {
		return engine.ErrNotHeld
	}
	lost := g.Err()
	ended := !g.end(cause)
	err := g.each(f)
	switch {
	case ended:
		return *g.cause.Load()
	case lost != nil && !errors.Is(err, engine.ErrLost):
		return errors.Join(lost, err)
	}
	return err
}

// Unlock ends the whole and gives every member back.
func (g *groupLease) Unlock(ctx context.Context) error {
	return g.finish(engine.ErrUnlocked, func(o *Hold) error { return o.Unlock(ctx) })
}

// Detach refuses unless all members are fixed, and changes nothing then.
func (g *groupLease) Detach() error {
	for _, o := range g.all {
		if err := o.detachable(); err != nil {
			return o.wrap(err)
		}
	}
	return g.finish(engine.ErrDetached, (*Hold).Detach)
}
