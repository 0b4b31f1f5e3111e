package redlock

import (
	"strings"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A request is what one hold of the manager has at the nodes: one attempt after
// the other, until one is held or the manager gives up. It lives until every node
// has been told of its end.
type request struct {
	facts  facts
	hold   string
	serial string // tells it from a request that had the same hold before

	state    requestState
	awaited  bool // the manager waits for an answer
	attempts int  // that were begun
	probes   int  // under way
	current  *attempt
	last     *attempt // the one that was given back last
	outboxes []outbox // by node

	now time.Time // of the step
	did did
}

// requestState is what a request knows of its future.
//
//	open -> refused -> over
//	 |         |        ^
//	 |         +-> passing -> over, or refused when the manager asks again
//	 +---------+-> closed --> over
type requestState int

const (
	open    requestState = iota
	refused              // an attempt was told that the lock is taken
	passing              // so was one that waits for nothing: the manager may never say more
	closed               // the manager wants it no more
	over                 // forgotten: another takes its place
)

func newRequest(f facts, hold, serial string, nodes int) request {
	return request{facts: f, hold: hold, serial: serial, outboxes: make([]outbox, nodes)}
}

// under returns the attempt that counts if that is its id, or nil.
func (r *request) under(id string) *attempt {
	if t := r.current; t != nil && t.id == id {
		return t
	}
	return nil
}

// holdOf returns the hold that an attempt's id belongs to.
func holdOf(id string) string {
	hold, _, _ := strings.Cut(id, "/")
	return hold
}

// asked begins an attempt, or goes on with the one that is under way.
func (r *request) asked(q *engine.Request) {
	r.awaited = true
	if r.state == passing {
		r.state = refused
	}
	t := r.current
	switch {
	case r.state == closed:
		r.finish(engine.Answer{State: engine.Withdrawn}, nil)
	case t == nil:
		r.start(q)
	case t.isHeld():
		r.finish(t.answer, nil)
	default:
		t.req = *q
		r.checkIn(t)
	}
}

// start begins with what is most likely to succeed: all nodes for a newcomer,
// the coordinator where the lock is known to be taken or waited for.
func (r *request) start(q *engine.Request) {
	if q.Wait && (r.state == refused || r.facts.contended(q.Name)) {
		r.queue(q, 0, nil)
		return
	}
	t := r.begin(q)
	r.askAll(t, false)
	r.decide(t)
}

// finish tells the manager what its question came to. A grant that it did not ask
// for is delivered.
func (r *request) finish(ans engine.Answer, err error) {
	switch {
	case r.awaited:
		r.awaited = false
		r.did.tell = tellReply
	case r.state == closed:
		return
	case err != nil:
		r.did.tell = tellAsk
	case ans.State == engine.Granted:
		r.did.tell = tellGrant
	}
	r.did.answer, r.did.err = ans, err
}

// drop ends the current attempt, and gives back what it has.
func (r *request) drop() { r.leave(givesBack) }

func (r *request) leave(f fate) {
	t := r.current
	if t == nil {
		return
	}
	t.fate = f
	r.current, r.last = nil, t
	for i := range t.votes {
		r.giveBack(t, i)
	}
}

// end ends the request, and leaves its votes where they are or not. A repeated
// call has the nodes waited for that were told in vain and will be told again.
func (r *request) end(leave bool) {
	if r.state < closed {
		if t := r.current; t != nil {
			if t.isHeld() {
				r.did.add(action{do: doDisown, attempt: t})
			}
			if leave {
				r.leave(stays)
			} else {
				r.drop()
			}
		}
		r.state = closed
		r.finish(engine.Answer{State: engine.Withdrawn}, nil)
	}
	if r.last != nil {
		for i := range r.last.votes {
			r.last.votes[i].back.await()
		}
	}
}

// busy reports whether something of the request is under way.
func (r *request) busy() bool {
	if r.probes > 0 {
		return true
	}
	for i := range r.outboxes {
		if r.outboxes[i].busy() {
			return true
		}
	}
	return false
}

// tidy has a request forgotten that is over.
func (r *request) tidy() {
	if (r.state == closed || r.state == passing) && !r.busy() {
		r.state = over
		r.did.add(action{do: doForget})
	}
}
