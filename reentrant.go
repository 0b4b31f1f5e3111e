package relock

import (
	"context"
	"crypto/rand"
	"os"
	"strconv"
	"sync"
)

// Owner is the identity of a holder. It is plain text of 1 to [MaxOwner] bytes:
// a workflow id will do. Whoever gives the same Owner is the same holder, also
// in another process.
type Owner string

var ownerPrefix = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "unknown"
	}
	if len(name) > 64 {
		name = name[:64]
	}
	return name + "/" + strconv.Itoa(os.Getpid()) + "/"
})

// NewOwner returns an Owner that no other holder has: host, process and a
// random part.
func NewOwner() Owner { return Owner(ownerPrefix() + rand.Text()) }

func newID() string { return rand.Text()[:16] }

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
		return invalid("an owner of %d bytes: 1 to %d", len(o), MaxOwner)
	}
	if o == KeptOwner {
		return invalid("owner %q: it is nobody's", o)
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
type Reentrant struct{ l lock }

var _ Locker = (*Reentrant)(nil)

// Lock is as [Mutex.Lock], and re-enters where the owner holds the lock
// already. It never returns [ErrSelfDeadlock]; it returns [ErrInvalid] for an
// empty owner and for one of more than [MaxOwner] bytes.
func (r *Reentrant) Lock(ctx context.Context) (*Lease, error) {
	return r.l.acquire(ctx, reentrantOwner, true)
}

// TryLock is as [Mutex.TryLock], and re-enters where the owner holds the lock
// already.
func (r *Reentrant) TryLock(ctx context.Context) (*Lease, error) {
	return r.l.acquire(ctx, reentrantOwner, false)
}

// Name returns the lock's name.
func (r *Reentrant) Name() string { return r.l.name }

// Status is as [Mutex.Status].
func (r *Reentrant) Status(ctx context.Context) (Status, error) { return r.l.status(ctx) }

// ForceUnlock is as [Mutex.ForceUnlock]: it ends every hold of the owner.
func (r *Reentrant) ForceUnlock(ctx context.Context) (bool, error) { return r.l.forceUnlock(ctx) }

// reentrantOwner returns the owner in whose name a Reentrant is taken; "" is a
// fresh one.
func reentrantOwner(ctx context.Context, l *lock) (Owner, error) {
	if o, ok := OwnerFrom(ctx); ok {
		return o, checkOwner(o)
	}
	if outer := l.heldIn(ctx); outer != nil {
		return Owner(outer.req.Owner), nil
	}
	return "", nil
}
