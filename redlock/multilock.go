package redlock

import (
	"context"
	"fmt"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// A MultiLock is several locks held together: all of them or none, of any kinds
// of this module, on any servers. It is safe for concurrent use.
//
// Its lease is valid while every member's is: the loss of one member ends it
// with [relock.ErrLost] and releases the others, once the function that
// [relock.Do] runs has returned. A member that came to the end that WithLease or
// WithMaxHold gives it ends the whole in the same way, but leaves other members
// with WithLease to their own ends. Its own token is 0, which a
// Guard refuses; the tokens are those of [relock.Lease.Members], each for what
// its member protects. A context from its lease re-enters members that are
// Reentrant, and is refused with [relock.ErrSelfDeadlock] by those that are not.
type MultiLock struct {
	group   *lifecycle.Group
	members []relock.Locker
}

var _ relock.Locker = (*MultiLock)(nil)

// NewMultiLock returns the lock of all of locks. It does no I/O. A MultiLock
// among them stands for its members.
//
// It returns [relock.ErrInvalid] for no locks, a nil one, one of another
// module's kind, and one that is given twice. That two clients have the same
// lock on the same server is found at first use.
func NewMultiLock(locks ...relock.Locker) (*MultiLock, error) {
	flat, err := flatten(nil, locks)
	if err != nil {
		return nil, err
	}
	members := make([]lifecycle.Member, len(flat))
	for i, l := range flat {
		switch lock := l.(type) {
		case *Mutex:
			l = lock.Mutex
		case *Reentrant:
			l = lock.Reentrant
		}
		members[i], _ = access.Member(l)
	}
	g, err := lifecycle.NewGroup(members)
	if err != nil {
		return nil, err
	}
	return &MultiLock{g, flat}, nil
}

// Name returns the members' names, joined by "+"; a name that several members
// have on different servers stands once.
func (m *MultiLock) Name() string { return m.group.Name() }

// Lock returns a lease on all members. It first tries all at once; if one is
// taken it holds none of them, and then waits for one after the other, in an
// order that is the same in every process: two that want the same locks never
// wait for each other. What it has meanwhile the watchdog keeps; leases that are
// fixed begin when all are held. ctx bounds the wait only.
//
// It returns the errors of the members' Lock. A call that fails holds nothing.
func (m *MultiLock) Lock(ctx context.Context) (*relock.Lease, error) {
	return leaseOf(m.group.Lock(ctx))
}

// TryLock returns a lease on all members if all are free. Members with
// [relock.WithLease] cost a further round trip.
//
// It returns [relock.ErrNotAcquired] with a holder if one is not free,
// [relock.ErrLost] if a member ended before the whole began, and else the errors
// of the members' TryLock. A call that fails holds nothing: what was taken is
// given back in the background.
func (m *MultiLock) TryLock(ctx context.Context) (*relock.Lease, error) {
	return leaseOf(m.group.TryLock(ctx))
}

func leaseOf(l lifecycle.Lease, err error) (*relock.Lease, error) {
	if err != nil {
		return nil, err
	}
	return access.NewLease(l).(*relock.Lease), nil
}

func flatten(flat, locks []relock.Locker) (_ []relock.Locker, err error) {
	for i, l := range locks {
		known := false
		switch l := l.(type) {
		case *relock.Mutex:
			known = l != nil
		case *relock.Reentrant:
			known = l != nil
		case *Mutex:
			known = l != nil && l.Mutex != nil
		case *Reentrant:
			known = l != nil && l.Reentrant != nil
		case *MultiLock:
			if l != nil && l.group != nil {
				if flat, err = flatten(flat, l.members); err != nil {
					return nil, err
				}
				continue
			}
		}
		if !known {
			return nil, invalid("member %d of a MultiLock is a %T (%v): it must be a lock of this module", i, l, l)
		}
		flat = append(flat, l)
	}
	return flat, nil
}

// ServerID returns the ids of the nodes: what tells this quorum from others.
func (q *quorum) ServerID(ctx context.Context) (string, error) {
	if err := q.membership.ready(ctx, q.set.patience(relock.DefaultTTL)); err != nil {
		return "", err
	}
	q.membership.mu.Lock()
	defer q.membership.mu.Unlock()
	if q.membership.list == "" {
		return "", fmt.Errorf("redlock: not all nodes could be identified: %w", engine.ErrUnknown)
	}
	return q.membership.list, nil
}
