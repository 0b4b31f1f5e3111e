package relock

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// The errors of this package, all for [errors.Is]. What Redis said stays
// reachable beside them. That a lock is taken and that Redis cannot be asked
// are never the same error.
var (
	// ErrNotAcquired is returned when another holds the lock: by TryLock at
	// once, by Lock when its context ended while it waited (the error then
	// also matches the cause of that context). It comes as a
	// [*NotAcquiredError], which names the holder.
	ErrNotAcquired = engine.ErrNotAcquired

	// ErrNotHeld is returned by Unlock and Detach after either of them, by every
	// call on a zero Lease, and by Do where a Locker returned one. Nothing was
	// changed.
	ErrNotHeld = engine.ErrNotHeld

	// ErrLost is returned when a lease ended without its holder's doing: its
	// validity ran out before a renewal was answered, or the server holds it no
	// longer (expiry, eviction, deletion, ForceUnlock); and when it came to the
	// end it was given, by WithLease or WithMaxHold, before Unlock was called,
	// which [Stats] and a [Tracer] tell from a loss. It is also the cause of the
	// lease's context.
	ErrLost = engine.ErrLost

	// ErrUnlocked is the cause of a lease's context after Unlock.
	ErrUnlocked = engine.ErrUnlocked

	// ErrDetached is the cause of a lease's context after Detach: the lock stays
	// taken until the end of the lease.
	ErrDetached = engine.ErrDetached

	// ErrClosed is returned by Lock and TryLock of a closed Client and by the
	// leases that Close ended, and is the cause of their contexts. Status and
	// ForceUnlock still ask the server.
	ErrClosed = engine.ErrClosed

	// ErrSelfDeadlock is returned by a Mutex whose context comes from a lease
	// of the same lock that is still held: it would wait for its own caller.
	ErrSelfDeadlock = engine.ErrSelfDeadlock

	// ErrStaleToken is returned by a Guard that has seen a newer token. The
	// data were not touched.
	ErrStaleToken = errors.New("relock: stale token")

	// ErrWrongType is returned when a key of the lock holds something that is
	// not ours. It is left as it was.
	ErrWrongType = engine.ErrWrongType

	// ErrNotReplicated is returned by Lock and TryLock when too few replicas
	// acknowledged the hold in time ([WithReplicas]); the hold was released. By
	// Extend the lease is as it was.
	ErrNotReplicated = engine.ErrNotReplicated

	// ErrNotLeader is returned by an [Elector] that does not lead.
	ErrNotLeader = engine.ErrNotLeader

	// ErrInvalid is returned for a name, option, owner or argument that cannot
	// be used. Nothing was sent; but that package redlock is given one server
	// twice, or another list than before, the servers have said. No lock was
	// taken.
	ErrInvalid = engine.ErrInvalid
)

// NotAcquiredError is the [ErrNotAcquired] of one call. Owner is empty where
// the holder is not known.
type NotAcquiredError struct {
	Name  string        // the lock
	Owner Owner         // who holds it
	Token Token         // under which token
	Since time.Time     // since when, on the local clock; zero: not known
	TTL   time.Duration // how long it is held unless renewed or released
	Local bool          // by a lease of the client that was asked
	cause error         // why the wait ended; nil for TryLock
}

func (e *NotAcquiredError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %q", ErrNotAcquired, e.Name)
	switch e.Owner {
	case "":
	case KeptOwner:
		fmt.Fprintf(&b, " was given back, and stays taken for %v by WithMinHold (token %d)", e.TTL.Round(time.Millisecond), e.Token)
	default:
		fmt.Fprintf(&b, " is held by %q", string(e.Owner))
		if !e.Since.IsZero() {
			fmt.Fprintf(&b, " for %v", time.Since(e.Since).Round(time.Millisecond))
		}
		fmt.Fprintf(&b, " (token %d, %v left)", e.Token, e.TTL.Round(time.Millisecond))
	}
	if e.Local {
		b.WriteString(", a lease of this same client (" + lifecycle.HowToReenter + ")")
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// notAcquiredError makes the error of what package lifecycle says.
func notAcquiredError(n lifecycle.NotAcquired) error {
	return &NotAcquiredError{
		Name: n.Name, Owner: Owner(n.Owner), Token: Token(n.Token), Since: n.Since, TTL: n.TTL, Local: n.Local, cause: n.Cause,
	}
}

// Is matches ErrNotAcquired.
func (e *NotAcquiredError) Is(target error) bool { return target == ErrNotAcquired }

// Unwrap returns the cause of the context that ended the wait, or nil.
func (e *NotAcquiredError) Unwrap() error { return e.cause }

// QuorumError is returned by a RedLock when too few nodes answered for a
// decision. After Lock and TryLock, what was taken is given back in the
// background. After Extend, the lease goes on until ValidUntil. After Unlock it
// has ended, and its release goes on in the background.
type QuorumError struct {
	Acquired int              // nodes that granted
	Need     int              // nodes that must
	Nodes    map[string]error // by address: why a node did not
}

func (e *QuorumError) Error() string {
	return fmt.Sprintf("relock: no quorum: %d of the %d nodes needed: %v", e.Acquired, e.Need, e.Nodes)
}

// Unwrap returns what the nodes said.
func (e *QuorumError) Unwrap() []error {
	errs := make([]error, 0, len(e.Nodes))
	for _, err := range e.Nodes {
		errs = append(errs, err)
	}
	return errs
}
