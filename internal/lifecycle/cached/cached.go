// Package cached is a cached hold: a hold of the server's that its client keeps
// between two sections, so that the next one needs no request. It is a pure machine:
// what happens goes in ([Event]), what is to be done comes out ([Effects]). It has no
// clock, mutex, goroutine, context or I/O; who drives it has them, and calls Step
// under one mutex. The rules are in README.md, and the tests explore a model of three
// clients and a server that drives this very machine.
//
// The server's hold is an object of its own, under one id and one owner; the leases
// that its client makes of it, one after another, are views of it.
//
//	Over ---> Asked ---> Busy <-------+
//	           |          |  |        |
//	           |          |  v        |
//	           |          | Idle ---> Renewing
//	           |          |  |        |
//	           v          v  v        |
//	          Over <--- Returning <---+
//
// Each state but Returning also goes to Over, where the server's hold is found gone.
//
// Invariants, after every Step:
//
//   - what is Idle was not recalled, and has a Due to come;
//   - a section begins only by Began, or by a Lend, each under a token of its own,
//     greater than that of each section before it;
//   - from the decision to give the hold back, no section begins on it.
package cached

import "time"

// State is how far a hold has come.
type State uint8

// The states of a [Hold].
const (
	Over      State = iota // not asked for yet, or given back, or gone
	Asked                  // a request may bring it, or a release names it
	Busy                   // a section runs on it
	Idle                   // kept, for the client's next section
	Renewing               // no section runs, and the next awaits the answer to a renewal
	Returning              // it is on its way back
	states    = iota
)

// Kind is what happened.
type Kind uint8

// The events.
const (
	Sent         Kind = iota // the first request for it leaves
	Began                    // the server's grant has become a lease: the first section
	Wanted                   // a call of this client begins to wait for the lock
	Reentered                // the section has entered the lock once more, by its own context
	Ended                    // a lease was unlocked that was not lost
	Recalled                 // the server says that others wait, or one of this client's that has an owner of its own
	Unsubscribed             // the subscription is lost: recalls may have been
	Dropped                  // it is to be given up: the client has too many, or is closed
	Due                      // the instant of its Schedule has come
	Renewed                  // the answer to a renewal
	Unrenewed                // a renewal has no answer, or is refused for now
	Gone                     // the server has it no more, or its validity is over
	Returned                 // its release was answered, or is given up
	kinds        = iota
)

// An Event is what happened to a hold. Instants are local, and monotonic, since
// whichever epoch who drives it has.
type Event struct {
	Kind Kind

	Token      int64         // of Began
	Contact    time.Duration // of Began and Renewed: when the request left that was answered
	Until      time.Duration // of Began and Renewed: the end of validity
	Others     bool          // of Began and Renewed: others wait
	From, To   int64         // of Renewed: a block of tokens, which begins behind From; none where To is not greater
	Subscribed bool          // of Sent, Began, Wanted, Ended and Renewed: recalls reach this client now
	Waiting    bool          // of Ended and Renewed: a call of this client waits
}

// Do is what is to be done.
type Do uint8

// The effects.
const (
	Lend     Do = iota // the call that waits has the lock, under Token
	Renew              // ask the server to renew, for another block of tokens
	Schedule           // Due is at At
	GiveBack           // release it, naming the call that waits, if one does
	Lose               // the section that runs is lost
	Ask                // the call that waits asks the server, for a hold of its own
)

// An Effect is one thing to do.
type Effect struct {
	Do    Do
	Token int64
	At    time.Duration
}

// Effects are what one event comes to, in order.
type Effects struct {
	n   int
	all [2]Effect
}

// All returns the effects.
func (fx *Effects) All() []Effect { return fx.all[:fx.n] }

func (fx *Effects) add(e Effect) {
	fx.all[fx.n] = e
	fx.n++
}

// Terms are for how long a hold is kept.
type Terms struct {
	TTL   time.Duration // of the hold
	Idle  time.Duration // for so long at the most it is kept unused
	Check time.Duration // the check interval: no section begins on an older contact
}

// A Hold is one hold of the server's. The zero value is Over.
type Hold struct {
	state     State
	recalled  bool  // no section begins on it any more
	renewing  bool  // a renewal is under way
	depth     int32 // leases of the section that runs
	lent      int32 // sections beside the first
	token     int64 // of the last section
	from, to  int64 // the tokens that are left: behind from
	block     int64 // how many the last block had
	contact   time.Duration
	until     time.Duration
	idleSince time.Duration
}

// State returns how far h has come.
func (h *Hold) State() State { return h.state }

// Token returns that of the last section: what the floor of the next renewal is, and
// of the release.
func (h *Hold) Token() int64 { return h.token }

// Lent returns how many sections there were beside the first.
func (h *Hold) Lent() int { return int(h.lent) }

// IsRecalled reports whether h is to be given back as soon as no section runs.
func (h *Hold) IsRecalled() bool { return h.recalled }
