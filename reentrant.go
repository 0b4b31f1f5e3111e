package relock

import (
	"context"
	"crypto/rand"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// Owner is the identity of a holder. It is plain text of 1 to [MaxOwner] bytes:
// a workflow id will do. Whoever gives the same Owner is the same holder, also
// in another process.
type Owner string

// KeptOwner is the owner of a lock that was given back and is kept until its
// minimum is over ([WithMinHold]). It is nobody's: [WithOwner] with it is
// [ErrInvalid].
const KeptOwner Owner = "!kept"

// NewOwner returns an Owner that no other holder has: host, process and a
// random part.
func NewOwner() Owner { return Owner(engine.OwnerPrefix() + rand.Text()) }

type ownerKey struct{}

// WithOwner returns a context whose Reentrant locks are taken in the name of o.
// Two goroutines with one owner do not exclude each other.
func WithOwner(ctx context.Context, o Owner) context.Context {
	return context.WithValue(ctx, ownerKey{}, o)
}

// OwnerFrom returns the owner that [WithOwner] put into ctx.
func OwnerFrom(ctx context.Context) (Owner, bool) {
	o, ok := ctx.Value(ownerKey{}).(Owner)
	return o, ok
}

func checkOwner(o Owner) error {
	if o == "" || len(o) > MaxOwner {
		return engine.Invalid("an owner of %d bytes: 1 to %d", len(o), MaxOwner)
	}
	if o == KeptOwner {
		return engine.Invalid("owner %q: it is nobody's", o)
	}
	return nil
}

// Reentrant is a lock that its owner may take several times and must give back
// as often, in any order. A value is immutable and safe for concurrent use.
//
// The owner of a call is the one that [WithOwner] put into its context; or,
// where the context comes from [Lease.Context] of a hold of this same lock,
// that hold's owner; else a fresh one, that only this call has. So
// inner.Lock(lease.Context()) re-enters exactly when the caller passed the outer
// lease's context on. Every hold of an owner carries the same token (on a RedLock
// a further one may carry a greater).
type Reentrant struct{ l lifecycle.Lock }

var _ Locker = (*Reentrant)(nil)

// Lock is as [Mutex.Lock], and re-enters where the owner holds the lock
// already. It never returns [ErrSelfDeadlock]; it returns [ErrInvalid] for an
// empty owner and for one of more than [MaxOwner] bytes.
func (r *Reentrant) Lock(ctx context.Context) (*Lease, error) {
	return leaseOf(r.l.Acquire(ctx, reentrantOwner, true))
}

// TryLock is as [Mutex.TryLock], and re-enters where the owner holds the lock
// already.
func (r *Reentrant) TryLock(ctx context.Context) (*Lease, error) {
	return leaseOf(r.l.Acquire(ctx, reentrantOwner, false))
}

// Name returns the lock's name.
func (r *Reentrant) Name() string { return r.l.Name }

// Status is as [Mutex.Status].
func (r *Reentrant) Status(ctx context.Context) (Status, error) { return statusOf(r.l.Status(ctx)) }

// ForceUnlock is as [Mutex.ForceUnlock]: it ends every hold of the owner.
func (r *Reentrant) ForceUnlock(ctx context.Context) (bool, error) { return r.l.ForceUnlock(ctx) }

// reentrantOwner returns the owner in whose name a Reentrant is taken; "" is a
// fresh one.
func reentrantOwner(ctx context.Context, l *lifecycle.Lock) (string, error) {
	if o, ok := OwnerFrom(ctx); ok {
		return string(o), checkOwner(o)
	}
	return l.HeldIn(ctx), nil
}
