package redlock

import (
	"context"
	"fmt"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
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
	*relock.Composite
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
	members := make(engine.Members, len(flat))
	for i, l := range flat {
		switch l := l.(type) {
		case *Mutex:
			members[i] = l.Mutex
		case *Reentrant:
			members[i] = l.Reentrant
		default:
			members[i] = l
		}
	}
	c, err := relock.NewComposite(members)
	if err != nil {
		return nil, err
	}
	return &MultiLock{c, flat}, nil
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
			if l != nil && l.Composite != nil {
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
