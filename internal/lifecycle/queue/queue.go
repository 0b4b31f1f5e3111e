// Package queue is the wait queue of one lock in one client, as a pure machine:
// what happens goes in ([Event]), what is to be done comes out ([Effects]). It
// has no clock, mutex, goroutine, context or I/O; who drives it has them, and
// calls Step under one mutex.
//
// Only the first waiter of a client is registered with the server, so that the
// server's queue grows with clients and not with goroutines. While a local
// holder lasts nobody needs to be: its release names the first as its successor,
// with the time it has waited, which is its place among the clients. An owner
// that may have other holds queues by itself, beside the queue: a stranger in
// front of it may be waiting for that very owner, in another process.
//
//	Gone ---> Parked -----> Successor ----+
//	  |          |            |   |       |
//	  |          v            v   v       |
//	  +-----> Asking -----> Queued        |
//	            |  |          |  |        |
//	            |  +------> Failed        |
//	            |             |           v
//	            +-------------+------> Granted ---> Held
//
// From Successor a waiter also comes back to Asking; each but Held may give up,
// which makes it Gone; and a Granted one whose grant is too old gives its place
// to another waiter, in Asking.
//
// Invariants, after every Step:
//
//   - where somebody waits in the queue there is a local holder, or the first is
//     not Parked;
//   - a Parked waiter and a Queued one have an Interval to come;
//   - a Successor is named by one release under way, whose answer is one of the
//     Got events;
//   - what the server may have of a waiter that is Gone is withdrawn or released.
package queue

import (
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// State is how far a waiter has come.
type State uint8

// The states of a [Waiter]. Which of them the server may grant to: Asking,
// Successor and Queued.
const (
	Gone      State = iota // not entered yet, or given up or ended: no answer changes it any more
	Parked                 // behind another of this client; the server knows nothing of it
	Asking                 // its goroutine has the next move: it asks the server, listens, or pauses
	Successor              // a release is under way that names it as next
	Queued                 // in the server's queue; it checks in
	Granted                // it has the lock; its goroutine has not seen that yet
	Failed                 // it cannot be had
	Held                   // a lease
	states    = iota
)

// Via is how a grant came.
type Via uint8

// The ways of a grant.
const (
	ByRequest Via = iota // by the answer to its goroutine's own request
	ByMessage            // by message, which does not say when: it is as old as the last check-in
	ByVoucher            // by message, of an engine that says when it asked
	ByRelease            // by the answer to the release that named it
	ByCheckIn            // by the answer to a check-in
)

// Subscription is whether grants by message reach this client.
type Subscription uint8

// The states of a subscription.
const (
	Subscribed      Subscription = iota
	NotSubscribed                // not yet, or not now
	CannotSubscribe              // the server refuses it: waiters ask often instead
)

const (
	// MinCheck keeps a waiter from spinning on a lock whose time left is tiny.
	MinCheck = 10 * time.Millisecond
	// PollInterval is how often a waiter asks that cannot hear its grant.
	PollInterval = 100 * time.Millisecond
)

// ErrRefused is why a waiter is Failed whose hold the server refuses, as withdrawn
// before, or of several that are had together or not at all.
var ErrRefused = errors.New("the server refused the hold")

// A Waiter is one Lock or TryLock call, then its lease. Who makes one sets the
// first four fields before Entered, and nothing later. Only Step writes the rest.
type Waiter struct {
	Of    any           // whose it is, for who performs the effects
	Check time.Duration // how often it asks while it waits
	Wait  bool          // where the lock is taken it waits; else it is one try
	Fresh bool          // its owner is nobody else's: it waits in the queue

	state      State
	via        Via
	listed     bool           // it is in the queue's list
	registered bool           // the server may have an entry or a hold of it, by an answer or by a copy of a request
	repeated   bool           // more than one acquire of it left
	polling    bool           // it queues though no grant can be heard
	told       bool           // as a lease: that this same client waits for it
	missed     bool           // a message may have been lost, and no request has left since that may be answered: "waiting" is not the last word
	inFlight   int32          // acquires that were sent and not answered: late copies may come
	attempts   int32          // requests in a row that brought it no further
	ahead      int32          // how many were in front of it when it began to wait, and one more; 0: it did not wait
	since      time.Time      // when the request left that a grant by message is no older than
	refused    time.Time      // since when it has been told to ask another server; zero: it is not
	heard      *engine.Answer // who is in its way, as last told; nil: nobody was
	grant      engine.Answer
	err        error // why it is Failed

	prev, next *Waiter // in the list
}

// State returns how far w has come.
func (w *Waiter) State() State { return w.state }

// Grant returns the grant of one that is Granted or Held, and how it came.
func (w *Waiter) Grant() (engine.Answer, Via) { return w.grant, w.via }

// Err returns why w is Failed; nil where the lock is taken, and it does not wait.
func (w *Waiter) Err() error { return w.err }

// Heard returns who was in w's way, as last told; nil: nobody was.
func (w *Waiter) Heard() *engine.Answer { return w.heard }

// Ahead returns how many were in front of w when it began to wait; -1: it did not.
func (w *Waiter) Ahead() int { return int(w.ahead) - 1 }

// InFlight returns how many acquires of w were sent and not answered. Where one may
// come late, what gives w up must have the server refuse it; copies that the engine
// made count beside these.
func (w *Waiter) InFlight() int32 { return w.inFlight }

// MayRemain reports whether the server may have a hold or a place of w that was not
// given up.
func (w *Waiter) MayRemain() bool { return w.inFlight > 0 || w.registered }

// IsRepeated reports whether the server may have granted w once more, under another
// token, to an acquire that came late: a release of the one that finds it gone is
// then no end of the other, and a withdrawal is.
func (w *Waiter) IsRepeated() bool { return w.repeated }

// A Queue has the waiters of one name in one client, and its holder. The zero
// value is empty. It may be dropped when it is [Queue.Empty].
type Queue struct {
	holder      *Waiter // the lease whose release names the first waiter
	first, last *Waiter // by arrival; fresh owners only
	listed      int32
	members     int32          // who entered and is not Gone, in the list or not
	impossible  int32          // pairs of state and event that cannot be
	forced      int64          // the greatest token that this client took away: a grant under it is none
	forcedAt    time.Time      // when it heard so last: what was asked for after that is newer
	seen        *engine.Answer // who is in the way of the first, as last told
}

// Holder returns this client's lease, whose release names the first waiter; nil:
// there is none.
func (q *Queue) Holder() *Waiter { return q.holder }

// Seen returns who is in the way of the first waiter, as last told; nil: nobody.
func (q *Queue) Seen() *engine.Answer { return q.seen }

// Empty reports whether nobody waits or holds.
func (q *Queue) Empty() bool { return q.members == 0 }

// Impossible returns how many events came to a waiter in a state in which they
// cannot: each is a defect of whoever drives the queue, or of the engine.
func (q *Queue) Impossible() int { return int(q.impossible) }

// push adds w at the end of the list.
func (q *Queue) push(w *Waiter) {
	w.listed, w.prev = true, q.last
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	q.listed++
}

// remove takes w out of the list, if it is there.
func (q *Queue) remove(w *Waiter) {
	if !w.listed {
		return
	}
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.listed, w.prev, w.next = false, nil, nil
	q.listed--
}

// replace puts again in old's place in the list, if it has one.
func (q *Queue) replace(old, again *Waiter) {
	if !old.listed {
		return
	}
	again.listed, again.prev, again.next = true, old.prev, old.next
	if old.prev == nil {
		q.first = again
	} else {
		old.prev.next = again
	}
	if old.next == nil {
		q.last = again
	} else {
		old.next.prev = again
	}
	old.listed, old.prev, old.next = false, nil, nil
}
