package relock

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Tracer follows the life of a client's locks ([WithTracer]). It is one or more
// of [AcquireTracer], [GrantTracer], [HandOffTracer], [RenewTracer],
// [LostTracer], [EndTracer], [ReleaseTracer] and [ForceTracer]: it has the
// methods of those parts that it cares for, and which they are is found out once,
// by [New].
//
// Its methods are called by the goroutines that run the locks, the watchdog's
// included, with no mutex held: they may ask [Client.Stats], must be safe for
// concurrent use, and should return at once. What they are told of has happened
// already; they change nothing.
//
// The events are those of holds, whatever lock they are of. A RedLock has one
// event where a lock on one server has one, and not one a node: its tracer is
// that of its first client, as its logger is, and [Traced.Quorum] tells its
// events from that client's own. The events of a MultiLock are those of its
// members, each told to its own client's tracer; what a MultiLock takes and gives
// back since another member is taken shows as that.
//
// A call that is refused with [ErrInvalid] or [ErrSelfDeadlock], or since its
// context is over already, is no event.
type Tracer any

// Traced says which hold an event is about.
type Traced struct {
	Name   string // of the lock
	Hold   string // the id of this hold, which no other has
	Owner  Owner
	Token  Token // 0 before the grant
	Quorum bool  // the lock is a RedLock's
}

// AcquireTracer is told of every Lock and TryLock, when it begins and when it
// returns.
type AcquireTracer interface {
	// TraceAcquireStart returns a context that comes from ctx. It is passed to
	// the other methods that are about this hold, until it is released; the
	// lease's own context does not come from it. It is that of the requests of
	// this call, but not of those that are sent for many or that may outlast the
	// call: check-ins, a RedLock's, and one by which a MultiLock tries several
	// locks.
	TraceAcquireStart(ctx context.Context, e AcquireStart) context.Context
	TraceAcquireEnd(ctx context.Context, e AcquireEnd)
}

// AcquireStart is the event of a Lock or a TryLock that begins.
type AcquireStart struct {
	Traced
	Try bool // it is a TryLock
}

// AcquireEnd is the event of a Lock or a TryLock that returns.
type AcquireEnd struct {
	Traced
	Try    bool
	Waited time.Duration // since it began
	Queued bool          // it had to wait for its turn
	// Ahead is how many were in front of it when it began to wait: in its own
	// client or, for the first of that, in the server's queue.
	Ahead int
	Err   error // what it returns; nil: a lease
}

// GrantTracer is told of every grant, before Lock returns it. A grant that is
// too old to be used is given back, and another one follows.
type GrantTracer interface {
	TraceGrant(ctx context.Context, e Granted)
}

// HandOffTracer is told of those grants alone by which a lock was passed on to a
// call that waited for it.
type HandOffTracer interface {
	TraceHandOff(ctx context.Context, e Granted)
}

// Granted is the event of a grant.
type Granted struct {
	Traced
	Count  int // holds of the owner, this one included
	Via    Via
	Waited time.Duration // since Lock was called
	Queued bool          // as in AcquireEnd
	Ahead  int
}

// Via is how a grant came.
type Via uint8

const (
	// ViaRequest is a lock that was free, or the owner's, when it was asked for.
	ViaRequest Via = iota
	// ViaMessage is a lock that a release passed on by message: a hand-off.
	ViaMessage
	// ViaRelease is a lock that a release of the same client passed on by its
	// reply: a hand-off.
	ViaRelease
	// ViaCheckIn is a lock that a waiter found to be its own when it asked
	// again: the last holder's time had run out, or the message was lost.
	ViaCheckIn
)

// String returns "request", "message", "release" or "check-in".
func (v Via) String() string {
	return [...]string{"request", "message", "release", "check-in"}[v&3]
}

// RenewTracer is told of every renewal of a lease that was answered or has
// failed: the watchdog's, and those of [Lease.Extend].
type RenewTracer interface {
	TraceRenew(ctx context.Context, e Renewed)
}

// Renewed is the event of a renewal.
type Renewed struct {
	Traced
	Took time.Duration // from request to answer; 0 where none came
	Left time.Duration // of the lease's validity when the answer came, without what it adds
	Err  error         // nil: renewed; ErrLost: the server holds it no longer
}

// LostTracer is told of every lease that was lost. One that came to the end it was
// given is not: see [EndTracer].
type LostTracer interface {
	TraceLost(ctx context.Context, e Lost)
}

// Lost is the event of a lease that ended with [ErrLost], and not as it was meant
// to.
type Lost struct {
	Traced
	Held   time.Duration // since Lock returned it
	Reason LossReason
}

// LossReason is why a lease was lost.
type LossReason string

const (
	// LostExpired is a validity that ran out: no renewal was answered in time, or
	// the process did not run.
	LostExpired LossReason = "expired"
	// LostGone is a hold that the server had no longer, when it was asked to
	// renew it or to give it back.
	LostGone LossReason = "gone"
	// LostForced is a ForceUnlock by this same client.
	LostForced LossReason = "forced"
)

// EndTracer is told of every lease that came to the end it was given before Unlock
// was called, or was left to it: nothing went wrong.
type EndTracer interface {
	TraceEnd(ctx context.Context, e Ended)
}

// Ended is the event of a lease that ended as it was meant to.
type Ended struct {
	Traced
	Held   time.Duration // since Lock returned it
	Reason EndReason
}

// EndReason is which end a lease came to.
type EndReason string

const (
	// EndLease is that of a lease by WithLease, extensions included.
	EndLease EndReason = "lease"
	// EndMaxHold is that of WithMaxHold.
	EndMaxHold EndReason = "max-hold"
	// EndDetached is a Detach: the lock stays taken until the end of the lease.
	EndDetached EndReason = "detached"
)

// ReleaseTracer is told of every release that is sent for a lease that was
// valid: by Unlock, or by Close. No release is traced of a lease that was lost or
// had ended.
type ReleaseTracer interface {
	// TraceReleaseStart returns the context of the request, which comes from
	// ctx: that of Unlock, or a background one of Close. The requests of a RedLock
	// do not have it, nor do those of Close, which are sent for many at once.
	TraceReleaseStart(ctx context.Context, e ReleaseStart) context.Context
	TraceReleaseEnd(ctx context.Context, e ReleaseEnd)
}

// ReleaseStart is the event of a lease that is given back.
type ReleaseStart struct {
	Traced
	Held time.Duration // since Lock returned it
}

// ReleaseEnd is the event of a lease that was given back.
type ReleaseEnd struct {
	Traced
	Held time.Duration
	Took time.Duration // from request to answer
	Err  error         // what Unlock returns; ErrClosed: by Close
}

// ForceTracer is told of every lock that a ForceUnlock of this client has freed.
type ForceTracer interface {
	TraceForce(ctx context.Context, e Forced)
}

// Forced is the event of a lock that was taken away.
type Forced struct {
	Name   string
	Owner  Owner // who held it
	Token  Token
	Since  time.Time // since when, on the local clock
	Quorum bool
}

// WithTracer has t follow the life of the client's locks; [ErrInvalid] for a t
// that is no part of a [Tracer]. It may be given several times: each tracer is
// told, in that order.
func WithTracer(t Tracer) Option {
	return clientOption(func(s *settings) {
		if !s.trace.add(t) {
			s.fail(engine.Invalid("WithTracer(%T): it has no method of a tracer", t))
		}
	})
}
