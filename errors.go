package relock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// The errors of this package, all for [errors.Is]. What Redis said stays
// reachable beside them. That a lock is taken and that Redis cannot be asked
// are never the same error.
var (
	// ErrNotAcquired is returned when another holds the lock: by TryLock at
	// once, by Lock when its context ended while it waited (the error then
	// also matches the cause of that context). It comes as a
	// [*NotAcquiredError], which names the holder.
	ErrNotAcquired = errors.New("relock: lock not acquired")

	// ErrNotHeld is returned by Unlock and Detach after either of them, by every
	// call on a zero Lease, and by Do where a Locker returned one. Nothing was
	// changed.
	ErrNotHeld = errors.New("relock: lease not held")

	// ErrLost is returned when a lease ended without its holder's doing: its
	// validity ran out before a renewal was answered, or the server holds it no
	// longer (expiry, eviction, deletion, ForceUnlock); and when it came to the
	// end it was given, by WithLease or WithMaxHold, before Unlock was called,
	// which [Stats] and a [Tracer] tell from a loss. It is also the cause of the
	// lease's context.
	ErrLost = errors.New("relock: lease lost")

	// ErrUnlocked is the cause of a lease's context after Unlock.
	ErrUnlocked = errors.New("relock: lease unlocked")

	// ErrDetached is the cause of a lease's context after Detach: the lock stays
	// taken until the end of the lease.
	ErrDetached = errors.New("relock: lease detached")

	// ErrClosed is returned by Lock and TryLock of a closed Client and by the
	// leases that Close ended, and is the cause of their contexts. Status and
	// ForceUnlock still ask the server.
	ErrClosed = errors.New("relock: client closed")

	// ErrSelfDeadlock is returned by a Mutex whose context comes from a lease
	// of the same lock that is still held: it would wait for its own caller.
	ErrSelfDeadlock = errors.New("relock: lock is held by the caller itself; use Reentrant to re-enter")

	// ErrStaleToken is returned by a Guard that has seen a newer token. The
	// data were not touched.
	ErrStaleToken = errors.New("relock: stale token")

	// ErrWrongType is returned when a key of the lock holds something that is
	// not ours. It is left as it was.
	ErrWrongType = errors.New("relock: key holds something else")

	// ErrNotReplicated is returned by Lock and TryLock when too few replicas
	// acknowledged the hold in time ([WithReplicas]); the hold was released. By
	// Extend the lease is as it was.
	ErrNotReplicated = errors.New("relock: not replicated")

	// ErrInvalid is returned for a name, option, owner or argument that cannot
	// be used. Nothing was sent; but that package redlock is given one server
	// twice, or another list than before, the servers have said. No lock was
	// taken.
	ErrInvalid = errors.New("relock: invalid")
)

// NotAcquiredError is the [ErrNotAcquired] of one call. Owner is empty where
// the holder is not known.
type NotAcquiredError struct {
	Name  string        // the lock
	Owner Owner         // who holds it
	Token Token         // under which token
	Since time.Time     // since when, on the local clock
	TTL   time.Duration // how long it is held unless renewed or released
	Local bool          // by a lease of the client that was asked
	cause error         // why the wait ended; nil for TryLock
}

// howToReenter is for those who expect a lock to know its holder by the thread.
const howToReenter = "a Reentrant re-enters with the context of that lease"

// rounded is d for people.
func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func (e *NotAcquiredError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %q", ErrNotAcquired, e.Name)
	switch e.Owner {
	case "":
	case KeptOwner:
		fmt.Fprintf(&b, " was given back, and stays taken for %v by WithMinHold (token %d)", rounded(e.TTL), e.Token)
	default:
		fmt.Fprintf(&b, " is held by %q for %v (token %d, %v left)", string(e.Owner),
			rounded(time.Since(e.Since)), e.Token, rounded(e.TTL))
	}
	if e.Local {
		b.WriteString(", a lease of this same client (" + howToReenter + ")")
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
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

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// ended returns why ctx is over, with its cause beside its error.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// fromServer translates the error of a command that may have been sent. What the
// server answered is certain; anything else leaves open whether the command takes
// effect.
func fromServer(err error) error { return translate(err, true) }

// translate is fromServer, for a command of which it is known whether anything of
// it left.
func translate(err error, left bool) error {
	if err == nil || engine.Unanswered(err) {
		return err
	}
	var dial *net.OpError
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return fmt.Errorf("%w: %w", ErrWrongType, err)
	case redis.HasErrorPrefix(err, "FORGOT"):
		return fmt.Errorf("%w: %w", engine.ErrForgot, err)
	case isReply(err), errors.Is(err, redis.ErrClosed):
		return err
	case !left, errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("%w: %w", engine.ErrUnsent, err)
	}
	return fmt.Errorf("%w: %w", engine.ErrUnknown, err)
}

// isReply tells whether err is what the server said.
func isReply(err error) bool {
	var said redis.Error
	return errors.As(err, &said)
}

// passes tells whether a request that failed with err may succeed if it is sent
// again: no answer came, or the server said that it is not ready yet. In both
// cases a resend is safe, since requests are idempotent.
func passes(err error) bool { return passesAfter(err, 0) }

// passesAfter is passes, where err has lasted for so many call timeouts.
func passesAfter(err error, calls int) bool {
	var over forGoodError
	var quorum *QuorumError
	var refusal *engine.RefusalError
	switch {
	case errors.As(err, &over):
		return false
	case errors.As(err, &quorum):
		return !quorum.hopeless(calls)
	case engine.Unanswered(err):
		return true
	case errors.As(err, &refusal):
		return calls < refusal.Grace
	}
	for _, prefix := range []string{
		"LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "UNBLOCKED",
		"NOREPLICAS", "MOVED", "ASK", "max number of clients",
	} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// noQuorum tells whether a quorum's nodes were given the time they have, and too
// few answered: one try ends with that.
func noQuorum(err error) bool {
	var quorum *QuorumError
	return errors.As(err, &quorum)
}

// hopeless tells whether so many nodes refused for good that the others are no
// quorum: asking again changes nothing, as with one server that does.
func (e *QuorumError) hopeless(calls int) bool {
	refused := 0
	for _, err := range e.Nodes {
		if isReply(err) && !passesAfter(err, calls) && !errors.Is(err, engine.ErrForgot) {
			refused++
		}
	}
	return e.Acquired+len(e.Nodes)-refused < e.Need
}

// soFar returns the error of one try, of which the last attempt came to err: that
// nothing of it was sent says nothing of one before that may have been executed.
func soFar(last, err error) error {
	if errors.Is(last, engine.ErrUnknown) && errors.Is(err, engine.ErrUnsent) {
		return last
	}
	return err
}

// telling returns the error of a request and its resend that says more of the
// server: that the resend was cut off by the end of ctx says nothing.
func telling(ctx context.Context, last, err error) error {
	if last != nil && ctx.Err() != nil && engine.Unanswered(err) {
		return last
	}
	return err
}
