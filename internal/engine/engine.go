// Package engine is the seam between the life of a lock (package lifecycle: waiting,
// leases, the watchdog, loss) and what keeps it (one Redis, a quorum of them).
//
// An engine sends each request and says what came of it; the caller resends,
// since only it knows for how long an answer is of use. Every request is
// idempotent by its hold id.
package engine

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// Request asks for a hold on a lock, or, as a waiter, checks in.
type Request struct {
	Name    string
	Hold    string // the id of this hold, unique
	Owner   string
	TTL     time.Duration
	Keep    time.Duration // the minimum: the server's grant is no shorter
	Life    time.Duration // of the queue entry without a check-in
	Arrived time.Time     // when Lock was called, on the local monotonic clock
	Wait    bool          // join the queue where the lock is taken
	Shared  bool          // the owner has, or may have, other holds
	Within  string        // the hold that this one is nested in, of the same owner; "": not known
	Fixed   bool          // nothing will renew it: an engine that renews by itself must not
	Propose Proposal      // to a node of a quorum only

	// Copies counts how many copies of this request may yet take effect, beside the
	// one that the engine has answered for; nil: nobody minds.
	Copies *atomic.Int32
}

// Grant is for how long the server is asked to grant the hold.
func (r *Request) Grant() time.Duration { return max(r.TTL, r.Keep) }

// Proposal is the token that a node of a quorum is asked to accept for a hold.
// A node never mints or alters a token.
type Proposal struct {
	Token int64
	Kind  ProposalKind
}

// ProposalKind says what a node must find to accept a token.
type ProposalKind int

const (
	// Fresh is accepted above the greatest token that the node has accepted,
	// unless other holds of the owner are there under a token of theirs.
	Fresh ProposalKind = iota
	// Owned is a token that a quorum has accepted for this owner. It is accepted
	// where the owner holds the node under it, and where the node has accepted
	// none above it.
	Owned
	// Anew is as Fresh, whatever other holds of the owner are there.
	Anew
)

// State is what an engine says of a hold.
type State int

// The states of an [Answer].
const (
	Absent     State = iota // not a holder, not a waiter
	Granted                 // a holder
	Waiting                 // in the queue
	Taken                   // held by another, and not in the queue
	Tombstoned              // refused: it was given up before
)

// Answer is what became of a request.
type Answer struct {
	State State
	Token int64         // of this hold, or of the holder in its way
	Count int           // holds of the owner, this one included
	Left  time.Duration // of this hold or of the holder, by the server, counted from Sent at the earliest
	Owner string        // the holder in the way
	Age   time.Duration // for how long the holder in the way has had it, or [AgeUnknown]
	Place int           // waiters before this one (Waiting), or all (Taken)
	Sent  time.Time     // since when Left counts: just before the request left
	Since time.Time     // an instant no later than the grant, where Left counts from another; zero: Sent

	// Of a node of a quorum that granted:
	Accepted int64 // the greatest token it has accepted, or -clock in microseconds; Token is that of the hold, or 0
	Issued   bool  // Token was accepted by a quorum

	// Copied says that other copies of the request left, which may have had another
	// answer. It holds beside an error too.
	Copied bool
}

// AgeUnknown is the age of a hold of which a server keeps no time.
const AgeUnknown time.Duration = math.MinInt64

// Renewal gives a hold its TTL again.
type Renewal struct {
	Name           string
	Hold           string
	Token          int64 // 0: whichever it has
	TTL            time.Duration
	Replicas       int           // > 0: that many replicas must acknowledge
	ReplicaTimeout time.Duration // how long to wait for them
}

// Release gives up a hold, or a place in the queue.
type Release struct {
	Name      string
	Hold      string
	Token     int64    // 0: whichever it was granted, if any (a withdrawal)
	Tombstone bool     // an acquire of this hold may be under way: refuse it from now on
	Detach    bool     // leave the hold itself to its end; without Tombstone nothing need be sent
	Next      *Request // joins the queue, or is granted at once if it is first

	Keep  time.Duration // > 0: the lock stays taken until so long after its grant, by nobody
	Lease int64         // if this is the token of the hold
}

// Released is what became of a [Release].
type Released struct {
	Gone   bool          // there was no such hold, and no such waiter
	Copied bool          // this may be the work of another copy of the request
	Next   Answer        // Absent unless Next was given and the hold was there
	Kept   time.Duration // > 0: the hold is given up, and the lock stays taken for so long
}

// Batcher is an Engine that can take several free locks by one request.
type Batcher interface {
	// Slot tells which names may be taken together: those of one slot.
	Slot(name string) string
	// AcquireAll asks for all of the holds, none of which waits. If one is not
	// granted then none is, and those that would have been are Absent.
	AcquireAll(ctx context.Context, rs []*Request) ([]Answer, error)
}

// Lasting is an Engine whose holds and places in queues do not end by themselves
// while their client lives, as keys do that its session keeps alive: what is given
// up is withdrawn until that is answered, however long it takes.
type Lasting interface{ Lasting() }

// Individual is an Engine of which each waiter is to queue by itself, also behind a
// lease of its own client: where the server's queue is one key a waiter, each of
// which watches the one before it, a release passes the lock on to the next key,
// and cannot name a waiter that has none yet.
type Individual interface {
	QueuesEach()
}

// Identified is an Engine that can tell its servers from others, so that every
// process puts locks of one name on different servers in the same order.
type Identified interface {
	ServerID(ctx context.Context) (string, error)
}

// Status is who holds a lock.
type Status struct {
	Held    bool
	Owner   string
	Count   int
	Token   int64
	Left    time.Duration
	Age     time.Duration // for how long it has been held, or [AgeUnknown]
	Waiters int
}

// BatchItem is one request of a batch: a check-in, a renewal, or a release without a
// Next, whose Answer says nothing.
type BatchItem struct {
	CheckIn *Request
	Renew   *Renewal
	Release *Release
	Done    func(Answer, error) // called once, from any goroutine
}

// Message is a grant that came by itself, or tells when one may be had.
type Message struct {
	Name  string
	Hold  string
	Token int64
	Left  time.Duration // of the hold when it was granted
	Kept  bool          // no grant: the lock is free when Left is over
	Sent  time.Time     // since when Left counts; zero: the receiver knows since when it waits
}

// Sink takes what an engine hears. Its methods must not block.
type Sink interface {
	// Deliver hands over a grant.
	Deliver(Message)
	// Nudge tells a waiter when the lock will be free: a message that is Kept.
	Nudge(Message)
	// CheckIn has every waiter ask for its state: messages may have been lost.
	CheckIn()
	// Idle reports whether nobody waits.
	Idle() bool
}

// Engine keeps locks. Each method sends one request (a resend after NOSCRIPT
// aside, and copies of it on other connections while it is not answered), returns
// by the end of ctx, whatever the server does, and then sends nothing more: ctx is
// to end soon after.
type Engine interface {
	// Acquire asks for a hold. Wait needs a Listen that succeeded.
	Acquire(ctx context.Context, r *Request) (Answer, error)
	// Renew answers Granted or Absent.
	Renew(ctx context.Context, r *Renewal) (Answer, error)
	Release(ctx context.Context, r *Release) (Released, error)
	// SendBatch sends a batch in the background, each request bounded as if it had a
	// context of its own.
	SendBatch(ctx context.Context, batch []BatchItem)
	Force(ctx context.Context, name string, token int64) (bool, error)
	Status(ctx context.Context, name string) (Status, error)

	// Start gives the engine the sink for what it hears.
	Start(Sink)
	// Listening reports whether grants reach the sink now, without I/O.
	Listening() bool
	// Listen makes grants reach the sink; it returns when that is confirmed.
	Listen(ctx context.Context) error
	// CannotSubscribe reports whether there are grants that cannot be heard (SUBSCRIBE is
	// refused), so that waiters must check in often.
	CannotSubscribe() bool
	// SupportsReplicas returns why replicas cannot be waited for, or nil.
	SupportsReplicas() error
	// Close ends the subscription. Requests still go through.
	Close()
}

// Node is one server of a quorum. Its locks stand apart from those of the
// server's other engines. Acquire takes the request's Proposal, and a grant that
// comes by message carries no token.
type Node interface {
	Engine
	Inspector // which asks once, where a client's asks until it is answered
	// Addr tells the node from others in messages to people.
	Addr() string
	// Prefix is what its keys begin with.
	Prefix() string
	// CallTimeout bounds each of its requests.
	CallTimeout() time.Duration
	// Enrol returns the node's id, which is id if it has none yet, and the membership
	// it belongs to, which is membership if that is not empty and it has none yet.
	// A membership is given to no server but the one with that id.
	Enrol(ctx context.Context, id, membership string) (Enrolment, error)
	// Trust has Acquire be refused with ErrForgot, from now on, by a server without
	// that id.
	Trust(id string)
}

// Enrolment is what a node remembers of the quorum it belongs to.
type Enrolment struct{ ID, Membership string }
