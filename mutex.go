package relock

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
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
	Since   time.Time     // when the first of them was granted, on the local clock; zero: not known
	TTL     time.Duration // until the last of the holds ends, unless renewed
	Waiters int           // entries in the queue: one a client, and one a waiter with an owner of its own
}

// Mutex is a lock that its holder does not re-enter: every Lock is a holder of
// its own, as with sync.Mutex. A value is immutable and safe for concurrent
// use.
type Mutex struct{ l lifecycle.Lock }

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
	return leaseOf(m.l.Acquire(ctx, freshOwner, true))
}

// TryLock returns a lease if the lock is free and nobody waits for it, in one
// round trip. It returns [ErrNotAcquired] with the holder if it is not, and
// else the errors of [Mutex.Lock]; [ErrLost] if the answer came after the hold
// had ended; and an error that matches [context.DeadlineExceeded] if none came
// within the call timeout, though ctx lives. A call that fails holds nothing.
func (m *Mutex) TryLock(ctx context.Context) (*Lease, error) {
	return leaseOf(m.l.Acquire(ctx, freshOwner, false))
}

// Name returns the lock's name.
func (m *Mutex) Name() string { return m.l.Name }

// Status asks the server who holds the lock. It returns [ErrInvalid],
// [ErrWrongType], the cause of ctx, [context.DeadlineExceeded] where Redis did
// not answer in time, or what it said; of a RedLock also a [*QuorumError].
func (m *Mutex) Status(ctx context.Context) (Status, error) { return statusOf(m.l.Status(ctx)) }

// ForceUnlock takes the lock away from whoever holds it, and passes it on. It
// reads the holder's token and frees the lock only if it still has that token,
// so that it never evicts a later holder. It reports whether it freed the lock;
// where an answer was lost and the token is gone, it says no.
//
// A lease of this client that it ended ends with [ErrLost] at once; another's
// learns of it by its next renewal, and a fixed one does not: until then its
// holder believes in it. Only a fencing token keeps its writes out ([Guard]).
//
// It returns the errors of Status; the lock may then have been freed or not.
func (m *Mutex) ForceUnlock(ctx context.Context) (bool, error) { return m.l.ForceUnlock(ctx) }

// freshOwner has each call be a holder of its own.
func freshOwner(ctx context.Context, l *lifecycle.Lock) (string, error) {
	if l.HeldIn(ctx) != "" {
		return "", ErrSelfDeadlock
	}
	return "", nil
}

// leaseOf makes of a hold what callers have.
func leaseOf(o *lifecycle.Hold, err error) (*Lease, error) {
	if err != nil {
		return nil, err
	}
	return &Lease{o}, nil
}

// statusOf makes of an engine's status what callers have.
func statusOf(st engine.Status, err error) (Status, error) {
	return Status{
		Held: st.Held, Owner: Owner(st.Owner), Count: st.Count, Token: Token(st.Token),
		Since: lifecycle.Ago(st.Held, st.Age), TTL: st.Left, Waiters: st.Waiters,
	}, err
}
