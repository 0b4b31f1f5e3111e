package lifecycle

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A bundle is the lease of a group: those of its members. Each member is
// renewed, and found lost, on its own; the first that ends, ends them all.
type groupLease struct {
	name     string
	all      []*Hold
	ctx      context.Context
	cancel   context.CancelCauseFunc
	cause    atomic.Pointer[error]
	unlocked atomic.Bool
}

// newBundle makes one lease of the members' holds.
func newGroupLease(ctx context.Context, name string, holds []*Hold) *groupLease {
	b := &groupLease{name: name}
	values := heldContext{context.WithoutCancel(ctx), map[heldKey]*Hold{}}
	for _, o := range holds {
		values.held[heldKey{o.lock.manager, o.lock.Name}] = o
		b.all = append(b.all, o)
	}
	b.ctx, b.cancel = context.WithCancelCause(values)
	for _, o := range holds {
		context.AfterFunc(o.context(), func() { b.lose(o) })
	}
	return b
}

// heldContext is a context from which each member's hold can be found.
type heldContext struct {
	context.Context
	held map[heldKey]*Hold
}

func (c heldContext) Value(key any) any {
	if k, ok := key.(heldKey); ok && c.held[k] != nil {
		return c.held[k]
	}
	return c.Context.Value(key)
}

var _ Lease = (*groupLease)(nil)

// Context returns a context that lives as long as the whole.
func (b *groupLease) Context() context.Context { return b.ctx }

// Name returns the group's name.
func (b *groupLease) Name() string { return b.name }

// Token returns 0: each member has its own.
func (b *groupLease) Token() int64 { return 0 }

// Members returns the members' leases, in the order in which they were given.
func (b *groupLease) Members() []Lease {
	all := make([]Lease, len(b.all))
	for i, o := range b.all {
		all[i] = o
	}
	return all
}

// Owner is the owner that all members have in common, or "".
func (b *groupLease) Owner() string {
	for _, o := range b.all[1:] {
		if o.Owner() != b.all[0].Owner() {
			return ""
		}
	}
	return b.all[0].Owner()
}

// Err returns nil while all members may be believed, and else why not.
func (b *groupLease) Err() error {
	if cause := b.cause.Load(); cause != nil {
		return *cause
	}
	for _, l := range b.all {
		if l.Err() != nil {
			return engine.ErrLost
		}
	}
	return nil
}

// ValidUntil returns the earliest end of a member's validity.
func (b *groupLease) ValidUntil() time.Time {
	until := b.all[0].ValidUntil()
	for _, l := range b.all[1:] {
		if u := l.ValidUntil(); u.Before(until) {
			until = u
		}
	}
	return until
}

func (b *groupLease) end(cause error) bool {
	if !b.cause.CompareAndSwap(nil, &cause) {
		return false
	}
	b.cancel(cause)
	return true
}

// lose ends the whole since member o has ended. The rest is released: but what is
// fixed goes to its own end where o has come to its, and while Do's function runs
// the rest is held for it, which is still protected by that much.
func (b *groupLease) lose(o *Hold) {
	e := o.cause.Load()
	cause := engine.ErrLost
	if errors.Is(e.err, engine.ErrClosed) {
		cause = engine.ErrClosed
	}
	if !b.end(cause) {
		return
	}
	ended := e.over == ReasonLease || e.over == ReasonMaxHold
	for _, other := range b.all {
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
func (b *groupLease) Use(done <-chan struct{}) {
	for _, l := range b.all {
		l.Use(done)
	}
}

// each calls f for all members at once and joins the errors.
func (b *groupLease) each(f func(*Hold) error) error {
	errs := make([]error, len(b.all))
	var wg sync.WaitGroup
	for i, l := range b.all {
		wg.Go(func() { errs[i] = f(l) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Extend extends all members at once.
func (b *groupLease) Extend(ctx context.Context, d time.Duration) error {
	if err := b.Err(); err != nil {
		return err
	}
	return b.each(func(o *Hold) error { return o.Extend(ctx, d) })
}

// finish ends the whole as cause before f ends a member, so that no member's end
// is taken for a loss. Of a whole that has ended by itself f ends those members
// that have not.
func (b *groupLease) finish(cause error, f func(*Hold) error) error {
	if !b.unlocked.CompareAndSwap(false, true) {
		return engine.ErrNotHeld
	}
	lost := b.Err()
	ended := !b.end(cause)
	err := b.each(f)
	switch {
	case ended:
		return *b.cause.Load()
	case lost != nil && !errors.Is(err, engine.ErrLost):
		return errors.Join(lost, err)
	}
	return err
}

// Unlock ends the whole and gives every member back.
func (b *groupLease) Unlock(ctx context.Context) error {
	return b.finish(engine.ErrUnlocked, func(o *Hold) error { return o.Unlock(ctx) })
}

// Detach refuses unless all members are fixed, and changes nothing then.
func (b *groupLease) Detach() error {
	for _, o := range b.all {
		if err := o.detachable(); err != nil {
			return o.wrap(err)
		}
	}
	return b.finish(engine.ErrDetached, (*Hold).Detach)
}
