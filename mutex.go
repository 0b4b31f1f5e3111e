package relock

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Locker is every kind of lock of this module.
type Locker interface {
	// Lock takes the lock, waiting for it; ctx bounds the wait only, and so does
	// [WithWait] of the lock.
	Lock(ctx context.Context) (*Lease, error)
	// TryLock takes the lock if it is free.
	TryLock(ctx context.Context) (*Lease, error)
	// Name returns the lock's name.
	Name() string
}

// Status is who holds a lock, by the server, when it was asked.
type Status struct {
	Held    bool
	Owner   Owner         // [KeptOwner] where it was given back, and is kept by [WithMinHold]
	Count   int           // holds of that owner that have not ended
	Token   Token         // the same for all of them; of a RedLock the greatest
	Since   time.Time     // when the first of them was granted, on the local clock
	TTL     time.Duration // until the last of the holds ends, unless renewed
	Waiters int           // entries in the queue: one a client, and one a waiter with an owner of its own
}

// Mutex is a lock that its holder does not re-enter: every Lock is a holder of
// its own, as with sync.Mutex. A value is immutable and safe for concurrent
// use.
type Mutex struct{ l lock }

var _ Locker = (*Mutex)(nil)

// Lock returns a lease on the lock. It waits its turn, first come, first
// served; ctx bounds the wait only, and so does [WithWait], as an earlier end of
// ctx would. Passing failures of Redis are waited out.
//
// It returns [ErrNotAcquired], with the cause of ctx and the holder, when ctx
// ended while another held the lock; the cause of ctx, with the last error of
// Redis, when ctx ended and Redis never answered; [ErrSelfDeadlock];
// [ErrWrongType]; [ErrNotReplicated]; [ErrInvalid]; [ErrClosed]; or what Redis
// refused the request with. A call that fails holds nothing: what may have
// reached the server is withdrawn in the background.
func (m *Mutex) Lock(ctx context.Context) (*Lease, error) {
	return m.l.acquire(ctx, freshOwner, true)
}

// TryLock returns a lease if the lock is free and nobody waits for it, in one
// round trip. It returns [ErrNotAcquired] with the holder if it is not, and
// else the errors of [Mutex.Lock]; [ErrLost] if the answer came after the hold
// had ended; and an error that matches [context.DeadlineExceeded] if none came
// within the call timeout, though ctx lives. A call that fails holds nothing.
func (m *Mutex) TryLock(ctx context.Context) (*Lease, error) {
	return m.l.acquire(ctx, freshOwner, false)
}

// Name returns the lock's name.
func (m *Mutex) Name() string { return m.l.name }

// Status asks the server who holds the lock. It returns [ErrInvalid],
// [ErrWrongType], the cause of ctx, [context.DeadlineExceeded] where Redis did
// not answer in time, or what it said; of a RedLock also a [*QuorumError].
func (m *Mutex) Status(ctx context.Context) (Status, error) { return m.l.status(ctx) }

// ForceUnlock takes the lock away from whoever holds it, and passes it on. It
// reads the holder's token and frees the lock only if it still has that token,
// so that it never evicts a later holder. It tells whether it freed the lock;
// where an answer was lost and the token is gone, it says no.
//
// A lease of this client that it ended ends with [ErrLost] at once; another's
// learns of it by its next renewal, and a fixed one does not: until then its
// holder believes in it. Only a fencing token keeps its writes out ([Guard]).
//
// It returns the errors of Status; the lock may then have been freed or not.
func (m *Mutex) ForceUnlock(ctx context.Context) (bool, error) { return m.l.forceUnlock(ctx) }

func freshOwner(ctx context.Context, l *lock) (Owner, error) {
	if l.heldIn(ctx) != nil {
		return "", ErrSelfDeadlock
	}
	return "", nil
}

// lock is one name on one host: what Mutex and Reentrant share.
type lock struct {
	host *host
	name string
	set  lockSettings
}

func (h *host) lock(name string, opts []LockOption) lock {
	set := newLockSettings(name, h.set.ttl, opts)
	if set.replicas > 0 && set.replicaTimeout >= h.set.call {
		set.fail(invalid("WithReplicas: a timeout of %v is no less than the call timeout of %v", set.replicaTimeout, h.set.call))
	}
	if set.replicas > 0 && set.err == nil {
		set.fail(h.eng.SupportsReplicas())
	}
	if set.minHold > 0 && h.set.quorum {
		set.fail(invalid("WithMinHold: a RedLock has no minimum"))
	}
	return lock{host: h, name: name, set: set}
}

// heldKey finds the lease of one lock in a context.
type heldKey struct {
	host *host
	name string
}

// heldIn returns the hold of this very lock that ctx comes from, if it is still
// held.
func (l *lock) heldIn(ctx context.Context) *hold {
	o, _ := ctx.Value(heldKey{l.host, l.name}).(*hold)
	if o == nil || o.err() != nil {
		return nil
	}
	return o
}

func (l *lock) acquire(ctx context.Context, whose func(context.Context, *lock) (Owner, error), wait bool) (*Lease, error) {
	if l.set.err != nil {
		return nil, l.set.err
	}
	if wait {
		bounded, cancel := l.set.boundWait(ctx)
		defer cancel()
		ctx, wait = bounded, !l.set.oneTry()
	}
	if ctx.Err() != nil {
		return nil, l.wrap(ended(ctx))
	}
	owner, err := whose(ctx, l)
	if err != nil {
		return nil, l.wrap(err)
	}
	o, err := l.host.acquire(ctx, l, owner, wait)
	if err != nil {
		return nil, l.wrap(err)
	}
	o.had.Store(true)
	return &Lease{o}, nil
}

func (l *lock) status(ctx context.Context) (Status, error) {
	if l.set.err != nil {
		return Status{}, l.set.err
	}
	var st engine.Status
	err := l.host.ask(ctx, func(ctx context.Context) (err error) {
		st, err = l.host.eng.Status(ctx, l.name)
		return err
	})
	if err != nil {
		return Status{}, l.wrap(err)
	}
	return Status{
		Held: st.Held, Owner: Owner(st.Owner), Count: st.Count, Token: Token(st.Token),
		Since: ago(st.Held, st.Age), TTL: st.Left, Waiters: st.Waiters,
	}, nil
}

// ago is an instant of a server's that was d ago, on the local clock.
func ago(held bool, d time.Duration) time.Time {
	if !held {
		return time.Time{}
	}
	return time.Now().Add(-max(d, 0)) // its clock may have stepped back
}

func (l *lock) forceUnlock(ctx context.Context) (bool, error) {
	st, err := l.status(ctx)
	if err != nil || !st.Held {
		return false, err
	}
	var freed bool
	err = l.host.ask(ctx, func(ctx context.Context) (err error) {
		freed, err = l.host.eng.Force(ctx, l.name, int64(st.Token))
		return err
	})
	if err != nil {
		return false, l.wrap(err)
	}
	// Not freed, it is gone all the same: a first copy of the request may have
	// done it, whose answer was lost.
	l.host.loseAll(l.name, int64(st.Token))
	if freed {
		l.host.forced(ctx, l, st)
	}
	return freed, nil
}
