package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// The errors that callers of package relock test for; they are documented there.
var (
	ErrNotAcquired   = errors.New("relock: lock not acquired")
	ErrNotHeld       = errors.New("relock: lease not held")
	ErrLost          = errors.New("relock: lease lost")
	ErrUnlocked      = errors.New("relock: lease unlocked")
	ErrDetached      = errors.New("relock: lease detached")
	ErrClosed        = errors.New("relock: client closed")
	ErrSelfDeadlock  = errors.New("relock: lock is held by the caller itself; use Reentrant to re-enter")
	ErrWrongType     = errors.New("relock: key holds something else")
	ErrNotReplicated = errors.New("relock: not replicated")
	ErrNotLeader     = errors.New("relock: not the leader")
	ErrInvalid       = errors.New("relock: invalid")
)

// Invalid returns an [ErrInvalid] that says what is wrong.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// ErrUnknown is matched by the error of a request that may or may not have
// taken effect, now or later: no answer came.
var ErrUnknown = errors.New("no answer")

// ErrUnsent is matched by the error of a request that has no effect, now or
// later: nothing of it was written to a connection.
var ErrUnsent = errors.New("not sent")

// ErrForgot is matched by the refusal of a node that no longer has the id it
// was known by: it has lost its data, or it is another server.
var ErrForgot = errors.New("the node does not have the id it was known by")

// ErrDisconnected is matched by the error of a request whose connections were
// closed by their owner, on a node of a quorum at the least: it has no effect
// there, and nothing else will be sent.
var ErrDisconnected = errors.New("connections closed")

// A Class is what an engine's error says of the request that failed with it.
type Class int

// The classes of errors. Only the engine knows which of them an error of its
// client's is; the life of a lock decides by the class alone.
const (
	Unclassified Class = iota // no word of an engine's about a request
	NoAnswer                  // it may have taken effect, now or later: ErrUnknown
	Unsent                    // it has no effect, now or later: ErrUnsent
	Denied                    // Unsent: the caller's own client kept it back, as a breaker does
	Refused                   // the server has said no, and it has no effect
	Closed                    // the connections were closed by their owner: nothing is sent any more
	NoQuorum                  // the nodes had the time they are given, and too few granted it
)

// Classified is an error of an engine's that knows its class. [ClassifiedError] is one
// for most; a quorum has its own.
type Classified interface {
	error
	Class() Class
	// GraceCalls returns for how many call timeouts the error may last and yet pass,
	// so that the same request may succeed if it is sent again: 0, it is for good;
	// [Forever].
	GraceCalls() int
}

// Forever is the grace of an error that passes by itself, however long it has lasted.
const Forever = math.MaxInt

// ClassifiedError is an error with its class. It reads as Err does, with the advice
// behind it.
type ClassifiedError struct {
	Err    error
	Kind   Class
	Grace  int    // see GraceCalls
	Advice string // what to do about it; "": none
}

func (f *ClassifiedError) Error() string {
	if f.Advice == "" {
		return f.Err.Error()
	}
	return strings.TrimSuffix(f.Err.Error(), ".") + ": " + f.Advice
}

// Unwrap returns what the server or its client said.
func (f *ClassifiedError) Unwrap() error { return f.Err }

// Is matches ErrDisconnected.
func (f *ClassifiedError) Is(target error) bool { return target == ErrDisconnected && f.Kind == Closed }

// Class returns f's kind.
func (f *ClassifiedError) Class() Class { return f.Kind }

// GraceCalls returns f's grace.
func (f *ClassifiedError) GraceCalls() int { return f.Grace }

// ClassOf returns the class of an error: its own word, or that of ErrUnknown and
// ErrUnsent.
func ClassOf(err error) Class {
	var own Classified
	switch {
	case errors.As(err, &own):
		return own.Class()
	case errors.Is(err, ErrUnknown):
		return NoAnswer
	case errors.Is(err, ErrUnsent):
		return Unsent
	}
	return Unclassified
}

// Unanswered reports whether err says nothing of the server's.
func Unanswered(err error) bool {
	return errors.Is(err, ErrUnknown) || errors.Is(err, ErrUnsent)
}

// IsTransient reports whether a request that failed with err may succeed if it is
// sent again: no answer came, or the server said that it is not ready yet. In both
// cases a resend is safe, since requests are idempotent.
func IsTransient(err error) bool { return IsTransientAfter(err, 0) }

// IsTransientAfter is IsTransient, where err has lasted for so many call timeouts.
func IsTransientAfter(err error, calls int) bool { return calls < GraceOf(err) }

// Outlasted returns err as one that is for good, if it has lasted for longer than
// it may and yet pass.
func Outlasted(err error, calls int) error {
	if err == nil || !IsTransient(err) || IsTransientAfter(err, calls) {
		return err
	}
	return &ClassifiedError{Err: err, Kind: ClassOf(err)}
}

// GraceOf returns for how many call timeouts err may last and yet pass: its own word,
// or [Forever] where no answer came.
func GraceOf(err error) int {
	var own Classified
	switch {
	case errors.As(err, &own):
		return own.GraceCalls()
	case Unanswered(err):
		return Forever
	}
	return 0
}

// Join returns both errors as one, or the one that is not nil.
func Join(err, other error) error {
	if err == nil {
		return other
	}
	return fmt.Errorf("%w; %w", err, other)
}

// ContextError returns why ctx is over, with its cause beside its error.
func ContextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
