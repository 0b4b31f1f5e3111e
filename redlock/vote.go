package redlock

import (
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A vote is what an attempt has at one node: what the node says of it, what is
// under way, what the node may have, and what became of that when it was given back.
type vote struct {
	says  saying
	link  link
	trace trace
	back  back

	round    int             // in which it was asked last
	wait     bool            // it was asked for a place in the queue
	proposal engine.Proposal // it was asked to accept
	ttl      time.Duration   // it was asked for, if that is more than the request's
	answer   engine.Answer   // its last
	err      error           // why it failed, or was not given back
	end      time.Time       // until then it has the hold, if it forgets nothing
}

// saying is what a node says of an attempt.
type saying uint8

const (
	silence saying = iota
	no             // another has the lock
	inQueue        // another has the lock, and the attempt waits for it
	failed         // no answer, or none that is of use
	yes            // the attempt has its vote
	counted        // and had it when the attempt was won, or nobody can have held the lock since
)

// hasVote reports whether the node has granted.
func (v *vote) hasVote() bool { return v.says >= yes }

// isRefused reports whether another has the node, and the attempt is not in its queue.
func (v *vote) isRefused() bool { return v.says == no }

// isHopeful reports whether the node may yet grant by the answer that it owes.
func (v *vote) isHopeful() bool { return !v.hasVote() && v.link.isPending() }

// lacks reports whether the node has yet to be asked for the token that t, undecided as
// yet, has come to.
func (v *vote) lacks(t *attempt) bool { return v.hasVote() && !t.isHeld() && !v.accepts(t) }

// accepts reports whether the node has accepted t's token.
func (v *vote) accepts(t *attempt) bool { return v.hasVote() && accepted(v.answer, t.proposal) }

// link is what is under way to a node, by one attempt.
//
//	idle -> asking -> late     each ends with the answer
//	          |        |
//	        twice -> lateTwice
type link uint8

const (
	idle      link = iota
	asking         // it is asked, or will be
	twice          // and is to be asked again: a message came, or may have been lost, meanwhile
	late           // it was waited for in vain
	lateTwice      // and is to be asked again
)

func (l link) isPending() bool { return l == asking || l == twice }
func (l link) isLate() bool    { return l == late || l == lateTwice }

// recheck has a node asked again whose answer may be from before what is to be known.
func (l *link) recheck() {
	switch *l {
	case asking:
		*l = twice
	case late:
		*l = lateTwice
	}
}

func (l *link) expire() {
	if *l == asking {
		*l = late
	} else {
		*l = lateTwice
	}
}

// trace is what a node may have of an attempt.
type trace uint8

const (
	none    trace = iota
	hold          // the attempt may hold it
	place         // it may have a place in the queue, or have come to hold it by that
	unclear       // it may yet come to any of this: a request has no answer
)

// found notes what an answer says that the node has.
func (t *trace) found(what trace) {
	if *t != unclear {
		*t = what
	}
}

// lost notes that another has the node, which says nothing of the queue.
func (t *trace) lost() {
	if *t == hold {
		*t = none
	}
}

// back is how far a vote has been given back.
//
//	kept -> returning -> returned, absent
//	          ^   |
//	          |   v
//	        retrying -> stopped
type back uint8

const (
	kept      back = iota
	returning      // it is told, or will be
	retrying       // it was told in vain, and is told again
	stopped        // it was told in vain, to the last
	given          // it had it
	absent         // it had nothing
)

// await has a node waited for again that is told again.
func (b *back) await() {
	if *b == retrying {
		*b = returning
	}
}

// take notes what an answer says.
func (v *vote) take(ans engine.Answer, err error) {
	switch {
	case err != nil:
		if errors.Is(err, engine.ErrUnknown) {
			v.trace = unclear
		}
		if !v.hasVote() {
			v.says = failed
		}
		v.err = err
	case ans.State == engine.Granted:
		v.answer = ans
		v.trace.found(hold)
		v.lasts(ans)
		if v.says != counted {
			v.says = yes
		}
	case ans.State == engine.Waiting:
		v.says, v.answer = inQueue, ans
		v.trace.found(place)
	case ans.State == engine.Taken:
		v.says, v.answer = no, ans
		v.trace.lost()
	default:
		v.says, v.err = failed, errWithdrawn
	}
}

var errWithdrawn = fmt.Errorf("the node refused the hold: it was withdrawn")

// lasts notes until when the node has the hold, by its answer.
func (v *vote) lasts(ans engine.Answer) {
	if end := believedEnd(ans); end.After(v.end) {
		v.end = end
	}
}

// lapse has the vote count no more, until it is known again that it does.
func (v *vote) lapse() {
	if v.says == counted {
		v.says = yes
	}
}

// prove has the vote count.
func (v *vote) prove() {
	if v.says == yes {
		v.says = counted
	}
}
