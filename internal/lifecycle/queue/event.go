package queue

import (
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Kind is what happened.
type Kind uint8

// The events. A Got event is the answer to one acquire of the waiter: its
// goroutine's, a check-in, or the part of a release that names it; each Ask,
// each CheckIn and each Next of a Release or Withdraw has exactly one.
const (
	Entered      Kind = iota // its call began
	Sending                  // its goroutine is about to ask
	GotGrant                 // it has the lock
	GotPlace                 // it is in the server's queue
	GotTaken                 // another has the lock, and it is not in the queue
	GotNothing               // the server has nothing of it
	GotTombstone             // it was withdrawn before
	GotNoAnswer              // no answer: the request may take effect, now or later
	GotError                 // an error; the request has no effect later
	Listened                 // its goroutine has asked for the subscription
	Pushed                   // a grant by message
	Nudged                   // a message that says when the lock will be free
	Interval                 // the instant of its Schedule has come
	Resubscribed             // the subscription is new: messages may have been lost
	Forced                   // this client took the lock away; of the queue, not of a waiter
	TooOld                   // its grant cannot be used, or not any more
	Took                     // its goroutine takes the grant as a lease
	GaveUp                   // its context ended, the client was closed, or a hook panicked
	Released                 // its lease ended, and its release can name a successor
	Ended                    // its lease ended, and nothing is sent that could name one
	kinds        = iota
)

// An Event is what happened to a waiter. A Pushed may be about one that is not
// known any more: W is nil then.
type Event struct {
	Kind Kind
	W    *Waiter

	Subscription Subscription  // of Sending and GotPlace: as it is now
	Answer       engine.Answer // of Got events. Of Pushed: Token, Left, and Sent if the engine vouches for it. Of Nudged: Left. Of Forced: Token
	Err          error         // of GotError, GotNoAnswer and a Listened in vain
	Final        bool          // of Err: asking again changes nothing
	Grace        time.Duration // of Err: > 0: it passes, but not if it lasts for so long
	Leaves       bool          // of GotError: there may be something of it on the server, as of a quorum's minority
	Copied       bool          // of Got events: the engine sent copies of the request, and this is the answer to one
	Again        *Waiter       // of TooOld: a new waiter, under a new id
}

// EventOf returns the event that an answer is.
func EventOf(s engine.State) Kind {
	switch s {
	case engine.Granted:
		return GotGrant
	case engine.Waiting:
		return GotPlace
	case engine.Taken:
		return GotTaken
	case engine.Tombstoned:
		return GotTombstone
	}
	return GotNothing
}

// Do is what is to be done.
type Do uint8

// The effects. Ask, Listen and Pause are the next move of the waiter's own
// goroutine, and come in answer to an event that it brings.
const (
	Nothing    Do = iota
	Ask           // send its acquire, which joins the server's queue if Join
	Listen        // ask for the subscription; then Listened
	Pause         // ask again after the pause of N attempts in vain: its goroutine, or, of one that is Queued, its next Interval
	CheckIn       // send its acquire in the background
	Schedule      // its next Interval is at At
	Hasten        // its next Interval is not later than At
	Unschedule    // no Interval
	Wake          // its state has changed; end the request that its goroutine waits for
	Withdraw      // in the background: give up what the server may have of it, naming Next
	Release       // give its lease back, naming Next
	Return        // give the grant of a Pushed back, which is nobody's
	Tell          // the log, once, that this same client waits for its lease: it may be its own caller that does, and then for ever
	Impossible    // nothing; it is a defect, for the log
)

// An Effect is one thing to do.
type Effect struct {
	Do   Do
	Join bool      // of Ask
	N    int       // of Pause
	W    *Waiter   // whom it is about
	Next *Waiter   // of Withdraw and Release: its successor, or nil
	At   time.Time // of Schedule and Hasten
}

// Effects are what one event comes to, in order.
type Effects struct {
	n   int
	all [3]Effect
}

// All returns the effects.
func (fx *Effects) All() []Effect { return fx.all[:fx.n] }

func (fx *Effects) add(e Effect) {
	fx.all[fx.n] = e
	fx.n++
}
