package relock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A bundle is the hold of a Composite: the leases of its members. Each member is
// renewed, and found lost, on its own; the first that ends, ends them all.
type bundle struct {
	name     string
	all      []*Lease
	ctx      context.Context
	cancel   context.CancelCauseFunc
	cause    atomic.Pointer[error]
	unlocked atomic.Bool
}

// newBundle makes one lease of the members' holds.
func newBundle(ctx context.Context, name string, holds []*hold) *bundle {
	b := &bundle{name: name}
	values := heldContext{context.WithoutCancel(ctx), map[heldKey]*hold{}}
	for _, o := range holds {
		values.held[heldKey{o.lock.host, o.lock.name}] = o
		b.all = append(b.all, &Lease{o})
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
	held map[heldKey]*hold
}

func (c heldContext) Value(key any) any {
	if k, ok := key.(heldKey); ok && c.held[k] != nil {
		return c.held[k]
	}
	return c.Context.Value(key)
}

func (b *bundle) context() context.Context { return b.ctx }
func (b *bundle) lockName() string         { return b.name }
func (b *bundle) fence() Token             { return 0 }
func (b *bundle) members() []*Lease        { return append([]*Lease(nil), b.all...) }

// holder is the owner that all members have in common, or "".
func (b *bundle) holder() Owner {
	for _, l := range b.all[1:] {
		if l.Owner() != b.all[0].Owner() {
			return ""
		}
	}
	return b.all[0].Owner()
}

// wrap adds nothing: the members' errors name their locks.
func (b *bundle) wrap(err error) error { return err }

func (b *bundle) err() error {
	if cause := b.cause.Load(); cause != nil {
		return *cause
	}
	for _, l := range b.all {
		if l.Err() != nil {
			return ErrLost
		}
	}
	return nil
}

func (b *bundle) validUntil() time.Time {
	until := b.all[0].ValidUntil()
	for _, l := range b.all[1:] {
		if u := l.ValidUntil(); u.Before(until) {
			until = u
		}
	}
	return until
}

func (b *bundle) end(cause error) bool {
	if !b.cause.CompareAndSwap(nil, &cause) {
		return false
	}
	b.cancel(cause)
	return true
}

// lose ends the whole since member o has ended. The rest is released: but what is
// fixed goes to its own end where o has come to its, and while Do's function runs
// the rest is held for it, which is still protected by that much.
func (b *bundle) lose(o *hold) {
	e := o.cause.Load()
	cause := ErrLost
	if errors.Is(e.err, ErrClosed) {
		cause = ErrClosed
	}
	if !b.end(cause) {
		return
	}
	ended := e.over == EndLease || e.over == EndMaxHold
	for _, l := range b.all {
		other := l.o.(*hold)
		if other == o || ended && other.lock.host.dog.isFixed(other) {
			continue
		}
		other.lock.host.spawn(func(ctx context.Context) {
			other.awaitUser(other.validUntil)
			_ = other.unlock(ctx)
		})
	}
}

func (b *bundle) use(done <-chan struct{}) {
	for _, l := range b.all {
		l.o.use(done)
	}
}

// each calls f for all members at once and joins the errors.
func (b *bundle) each(f func(*Lease) error) error {
	errs := make([]error, len(b.all))
	var wg sync.WaitGroup
	for i, l := range b.all {
		wg.Go(func() { errs[i] = f(l) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (b *bundle) extend(ctx context.Context, d time.Duration) error {
	if err := b.err(); err != nil {
		return err
	}
	return b.each(func(l *Lease) error { return l.Extend(ctx, d) })
}

// finish ends the whole as cause before f ends a member, so that no member's end
// is taken for a loss. Of a whole that has ended by itself f ends those members
// that have not.
func (b *bundle) finish(cause error, f func(*Lease) error) error {
	if !b.unlocked.CompareAndSwap(false, true) {
		return ErrNotHeld
	}
	lost := b.err()
	ended := !b.end(cause)
	err := b.each(f)
	switch {
	case ended:
		return *b.cause.Load()
	case lost != nil && !errors.Is(err, ErrLost):
		return errors.Join(lost, err)
	}
	return err
}

func (b *bundle) unlock(ctx context.Context) error {
	return b.finish(ErrUnlocked, func(l *Lease) error { return l.Unlock(ctx) })
}

// detach refuses unless all members are fixed, and changes nothing then.
func (b *bundle) detach() error {
	for _, l := range b.all {
		if o := l.o.(*hold); o.detachable() != nil {
			return o.wrap(o.detachable())
		}
	}
	return b.finish(ErrDetached, (*Lease).Detach)
}
