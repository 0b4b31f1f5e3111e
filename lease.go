package relock

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/lifecycle"
)

// A Lease is one grant of a lock: what Lock returns. It is a handle; copies are
// the same lease. It is safe for concurrent use. Every call on a zero Lease
// returns [ErrNotHeld] or a zero value.
//
// A lease ends by Unlock, Detach, loss or Close, or at the end that WithLease or
// WithMaxHold give it, and never comes back.
type Lease struct{ o lifecycle.Lease }

// endedContext is the context of a zero Lease.
var endedContext = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(ErrNotHeld)
	return ctx
}()

// Context returns a context that lives as long as the lease. It has the values of
// the context that Lock was given, but not its end. Its cause is [ErrLost],
// [ErrUnlocked], [ErrDetached] or [ErrClosed]. It ends with ErrLost at
// ValidUntil, or as soon after as the process runs, whether or not Redis can be
// reached.
func (l *Lease) Context() context.Context {
	if l == nil || l.o == nil {
		return endedContext
	}
	return l.o.Context()
}

// Err returns nil while the lease may be believed, and else why not: [ErrLost],
// [ErrUnlocked], [ErrDetached], [ErrClosed], or [ErrNotHeld] for a zero Lease. It
// reads the clock: it is never nil past ValidUntil, even in a process that has
// just been woken from a long pause.
func (l *Lease) Err() error {
	if l == nil || l.o == nil {
		return ErrNotHeld
	}
	return l.o.Err()
}

// Name returns the name of the lock.
func (l *Lease) Name() string {
	if l == nil || l.o == nil {
		return ""
	}
	return l.o.Name()
}

// Token returns the fencing token of the grant, the same for every hold of one
// owner (on a RedLock a further hold may have a greater one); 0 for a zero Lease
// and for a MultiLock's.
func (l *Lease) Token() Token {
	if l == nil || l.o == nil {
		return 0
	}
	return Token(l.o.Token())
}

// Owner returns in whose name the lock is held.
func (l *Lease) Owner() Owner {
	if l == nil || l.o == nil {
		return ""
	}
	return Owner(l.o.Owner())
}

// ValidUntil returns until when the lease may be believed, unless it is renewed
// or ended before. It is on the local monotonic clock and counts from before
// the last successful request was sent.
func (l *Lease) ValidUntil() time.Time {
	if l == nil || l.o == nil {
		return time.Time{}
	}
	return l.o.ValidUntil()
}

// Sequencer returns what a storage needs to refuse this holder once a later one
// has been there.
func (l *Lease) Sequencer() Sequencer {
	return Sequencer{Name: l.Name(), Token: l.Token(), Owner: l.Owner()}
}

// Members returns the leases of a MultiLock's members, in the order in which
// they were given; nil for every other kind. To unlock or to detach one ends the
// whole with [ErrLost].
func (l *Lease) Members() []*Lease {
	if l == nil || l.o == nil {
		return nil
	}
	members := l.o.Members()
	if members == nil {
		return nil
	}
	all := make([]*Lease, len(members))
	for i, m := range members {
		all[i] = &Lease{m}
	}
	return all
}

// Extend makes the lease valid for at least d from now, between [MinTTL] and
// [MaxTTL]; it never shortens it. The watchdog goes on as before. The holder's
// death then blocks the lock for d, and not for a TTL.
//
// It returns [ErrLost] if the lease was or is found lost, [ErrUnlocked] after
// Unlock, [ErrDetached] after Detach, [ErrClosed] after Close, [ErrNotHeld] for a
// zero Lease, [ErrInvalid] for a d out of range or beyond WithMaxHold, and
// [ErrNotReplicated]. Else it is what Redis or a breaker of its client's said,
// the cause of ctx, [context.DeadlineExceeded] where Redis did not answer within
// two call timeouts, or that it answered too late for d: the lease is then valid
// until ValidUntil, which may have moved.
func (l *Lease) Extend(ctx context.Context, d time.Duration) error {
	if l == nil || l.o == nil {
		return ErrNotHeld
	}
	return l.o.Extend(ctx, d)
}

// Unlock ends the lease and gives the hold back. It is sent even if ctx or the
// lease is over; nothing renews the hold once Unlock was called.
//
// It returns nil when the hold was given back; [ErrLost] if the lease ended
// before it was; [ErrNotHeld] if it was unlocked before, without any effect;
// [ErrClosed] after Close. On any other error, and where ctx ended first, the
// release goes on in the background until the hold has ended on the server, too.
// Where ctx is over before the call, it waits for the answer all the same, but
// for no longer than two requests may take ([WithCallTimeout]).
func (l *Lease) Unlock(ctx context.Context) error {
	if l == nil || l.o == nil {
		return ErrNotHeld
	}
	return l.o.Unlock(ctx)
}

// Detach ends the lease and leaves the lock as it is: taken, on the server, until
// the lease would have ended. It asks no server. Nothing gives the lock back
// before, Close neither; only ForceUnlock does. So a lock by [WithLease] that is
// detached at once is a limit: at most one has it in that time. An owner given by
// [WithOwner] re-enters it meanwhile, as the owner's other holds go on: each hold
// is detached by itself. What a late copy of the request that took it could do is
// prevented in the background.
//
// It returns [ErrInvalid] for a lease without WithLease, and for one of a MultiLock
// with such a member: nothing is changed then. Else it returns what Unlock would of
// a lease that has ended: [ErrLost]; [ErrNotHeld] after Unlock or Detach, and for a
// zero Lease; [ErrClosed] after Close. Of a MultiLock the members that had not ended
// are detached all the same.
func (l *Lease) Detach() error {
	if l == nil || l.o == nil {
		return ErrNotHeld
	}
	return l.o.Detach()
}

// Do takes l, calls fn and releases l whatever happens, panics included. fn's
// context ends with ctx or with the lease, with the cause of the one that was
// first.
//
// A lease that ends while fn runs, since no renewal was answered or by
// [WithMaxHold], is given back only once fn has returned: until then the lock
// passes to nobody before its time on the server is up. The other members of a
// MultiLock whose lease has ended are held until then. Where the server has said
// that the hold is gone, or Close has ended the lease, nothing waits for fn.
//
// Do returns fn's error, and [ErrLost] too if the lease was lost while fn ran.
// Where fn returned nil, it returns any other error of Unlock: the work is then
// done, and the release goes on in the background. Where the lock was not had it
// returns the error of Lock. Where l returned no error and a zero Lease, as a
// Locker made for a test may, it returns [ErrNotHeld]. In neither case is fn
// called.
func Do(ctx context.Context, l Locker, fn func(ctx context.Context, lease *Lease) error) error {
	lease, err := l.Lock(ctx)
	if err != nil {
		return err
	}
	if lease == nil || lease.o == nil {
		return fmt.Errorf("%w: the %T returned a zero Lease and no error", ErrNotHeld, l)
	}
	return lifecycle.Lend(ctx, lease.o, lifecycle.Worker, lease, fn)
}

// DoValue is [Do] for a function with a result. It returns what fn returned,
// beside the error of Do: where the lease was lost while fn ran, that is fn's
// value and [ErrLost], and the value is to be believed no more than the work.
// Where fn was not called, it is the zero T.
func DoValue[T any](ctx context.Context, l Locker, fn func(ctx context.Context, lease *Lease) (T, error)) (T, error) {
	var value T
	err := Do(ctx, l, func(ctx context.Context, lease *Lease) (err error) {
		value, err = fn(ctx, lease)
		return err
	})
	return value, err
}
