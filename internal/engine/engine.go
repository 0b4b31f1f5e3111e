// Package engine is the seam between the life of a lock (package relock: waiting,
// leases, the watchdog, loss) and what keeps it (one Redis, a quorum of them).
//
// An engine sends each request once and says what came of it; the caller
// resends, since only it knows for how long an answer is of use. Every request
// is idempotent by its hold id.
package engine

import (
	"context"
	"errors"
	"time"
)

// ErrUnknown is matched by the error of a request that may or may not have
// taken effect, now or later: no answer came.
var ErrUnknown = errors.New("no answer")

// Request asks for a hold on a lock, or, as a waiter, checks in.
type Request struct {
	Name    string
	Hold    string // the id of this hold, unique
	Owner   string
	TTL     time.Duration
	Life    time.Duration // of the queue entry without a check-in
	Arrived time.Time     // when Lock was called, on the local monotonic clock
	Wait    bool          // join the queue where the lock is taken
}

// State is what an engine says of a hold.
type State int

// The states of an [Answer].
const (
	Absent    State = iota // not a holder, not a waiter
	Granted                // a holder
	Waiting                // in the queue
	Taken                  // held by another, and not in the queue
	Withdrawn              // refused: it was given up before
)

// Answer is what became of a request.
type Answer struct {
	State State
	Token int64         // of this hold, or of the holder in its way
	Count int           // holds of the owner, this one included
	Left  time.Duration // of this hold or of the holder, by the server, counted from Sent at the earliest
	Owner string        // the holder in the way
	Age   time.Duration // for how long the holder in the way has had it
	Place int           // waiters before this one (Waiting), or all (Taken)
	Sent  time.Time     // just before the request left
}

// Renewal gives a hold its TTL again.
type Renewal struct {
	Name           string
	Hold           string
	Token          int64
	TTL            time.Duration
	Replicas       int           // > 0: that many replicas must acknowledge
	ReplicaTimeout time.Duration // how long to wait for them
}

// Release gives up a hold, or a place in the queue.
type Release struct {
	Name  string
	Hold  string
	Token int64    // 0: whichever it was granted, if any (a withdrawal)
	Bury  bool     // an acquire of this hold may be under way: refuse it from now on
	Next  *Request // joins the queue, or is granted at once if it is first
}

// Released is what became of a [Release].
type Released struct {
	Gone bool   // there was no such hold, and no such waiter
	Next Answer // Absent unless Next was given and the hold was there
}

// Status is who holds a lock.
type Status struct {
	Held    bool
	Owner   string
	Count   int
	Token   int64
	Left    time.Duration
	Age     time.Duration // for how long it has been held
	Waiters int
}

// Pulse is one request of the watchdog's batch: a check-in or a renewal.
type Pulse struct {
	CheckIn *Request
	Renew   *Renewal
	Done    func(Answer, error) // called once, from any goroutine
}

// Message is a grant that came by itself. Its Sent is zero: the receiver knows
// since when it waits.
type Message struct {
	Name  string
	Hold  string
	Token int64
	Left  time.Duration // of the hold when it was granted
}

// Sink takes what an engine hears. Its methods must not block.
type Sink interface {
	// Deliver hands over a grant.
	Deliver(Message)
	// CheckIn has every waiter ask for its state: messages may have been lost.
	CheckIn()
	// Idle tells whether nobody waits.
	Idle() bool
}

// Engine keeps locks. Each method sends one request (a resend after NOSCRIPT
// aside) and returns by the end of ctx, whatever the server does.
type Engine interface {
	// Acquire asks for a hold. Wait needs a Listen that succeeded.
	Acquire(ctx context.Context, r *Request) (Answer, error)
	// Renew answers Granted or Absent.
	Renew(ctx context.Context, r *Renewal) (Answer, error)
	Release(ctx context.Context, r *Release) (Released, error)
	// Pulse sends a batch in the background, each request bounded as if it had a
	// context of its own.
	Pulse(ctx context.Context, batch []Pulse)
	Force(ctx context.Context, name string, token int64) (bool, error)
	Status(ctx context.Context, name string) (Status, error)

	// Start gives the engine the sink for what it hears.
	Start(Sink)
	// Listening tells whether grants reach the sink now, without I/O.
	Listening() bool
	// Listen makes grants reach the sink; it returns when that is confirmed.
	Listen(ctx context.Context) error
	// Deaf tells whether no grant can be heard (no right to subscribe), so that
	// waiters must check in often.
	Deaf() bool
	// SupportsReplicas returns why replicas cannot be waited for, or nil.
	SupportsReplicas() error
	// Close ends the subscription. Requests still go through.
	Close()
}
