package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Config is what a manager is made with.
type Config struct {
	Check    time.Duration // how often a waiter asks for its state
	Call     time.Duration // bounds each request
	Log      *slog.Logger
	Observer Observer
	// NotAcquired makes the error of a call that did not get its lock since another
	// has it. It matches engine.ErrNotAcquired.
	NotAcquired func(NotAcquired) error
}

// NotAcquired says who holds the lock that a call did not get.
type NotAcquired struct {
	Name  string
	Owner string // "": not known
	Token int64
	Since time.Time
	TTL   time.Duration
	Local bool  // by a lease of the manager that was asked
	Cause error // why the wait ended; nil: it was one try
}

// Terms are those of one lock's leases.
type Terms struct {
	TTL            time.Duration
	Fixed          bool          // the lease is for TTL, and no watchdog renews it
	MaxHold        time.Duration // 0: no end
	MinHold        time.Duration
	Replicas       int // that must acknowledge
	ReplicaTimeout time.Duration
	Wait           time.Duration // bounds Lock's wait where HasWait; 0: one try
	HasWait        bool
	Err            error // what is wrong with them: it is returned by every call
}

// boundWait returns ctx with the bound of Wait.
func (t *Terms) boundWait(ctx context.Context) (context.Context, context.CancelFunc) {
	if !t.HasWait || t.Wait == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, t.Wait, waitOverError(t.Wait))
}

// oneTry reports whether a call does not wait.
func (t *Terms) oneTry() bool { return t.HasWait && t.Wait == 0 }

// waitOverError is why a wait of WithWait ended.
type waitOverError time.Duration

func (w waitOverError) Error() string { return fmt.Sprintf("WithWait(%v) is over", time.Duration(w)) }

// A Lock is one name on one manager.
type Lock struct {
	manager *Manager
	Name    string
	terms   Terms
}

// Lock returns the lock of that name.
func (m *Manager) Lock(name string, t Terms) Lock { return Lock{manager: m, Name: name, terms: t} }

// HeldIn returns the owner of the hold of this very lock that ctx comes from, if
// it is still held, and else "".
func (l *Lock) HeldIn(ctx context.Context) string {
	if o := l.outer(ctx); o != nil {
		return o.req.Owner
	}
	return ""
}

// A Whose returns in whose name a lock is taken; "" is an owner of the call's own.
type Whose func(context.Context, *Lock) (string, error)

// Acquire takes the lock; it waits for its turn if it is to.
func (l *Lock) Acquire(ctx context.Context, whose Whose, wait bool) (*Hold, error) {
	if l.terms.Err != nil {
		return nil, l.terms.Err
	}
	if wait {
		bounded, cancel := l.terms.boundWait(ctx)
		defer cancel()
		ctx, wait = bounded, !l.terms.oneTry()
	}
	if ctx.Err() != nil {
		return nil, l.wrap(engine.ContextError(ctx))
	}
	owner, err := whose(ctx, l)
	if err != nil {
		return nil, l.wrap(err)
	}
	o, err := l.manager.acquire(ctx, l, owner, wait)
	if err != nil {
		return nil, l.wrap(err)
	}
	o.had.Store(true)
	return o, nil
}

// Status asks the server who holds the lock.
func (l *Lock) Status(ctx context.Context) (engine.Status, error) {
	if l.terms.Err != nil {
		return engine.Status{}, l.terms.Err
	}
	var st engine.Status
	err := l.manager.ask(ctx, func(ctx context.Context) (err error) {
		st, err = l.manager.eng.Status(ctx, l.Name)
		return err
	})
	if err != nil {
		return engine.Status{}, l.wrap(err)
	}
	return st, nil
}

// Ago is an instant of a server's that was d ago, on the local clock.
func Ago(held bool, d time.Duration) time.Time {
	if !held || d == engine.AgeUnknown {
		return time.Time{}
	}
	return time.Now().Add(-max(d, 0)) // its clock may have stepped back
}

// ForceUnlock takes the lock away from whoever holds it, and reports whether it did.
func (l *Lock) ForceUnlock(ctx context.Context) (bool, error) {
	st, err := l.Status(ctx)
	if err != nil || !st.Held {
		return false, err
	}
	since := Ago(st.Held, st.Age)
	var freed bool
	err = l.manager.ask(ctx, func(ctx context.Context) (err error) {
		freed, err = l.manager.eng.Force(ctx, l.Name, st.Token)
		return err
	})
	if err != nil {
		return false, l.wrap(err)
	}
	// Not freed, it is gone all the same: a first copy of the request may have
	// done it, whose answer was lost.
	l.manager.loseAll(l.Name, st.Token)
	if freed {
		l.manager.forced(ctx, l.Name, st, since)
	}
	return freed, nil
}
