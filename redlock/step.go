package redlock

import (
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A request takes a step at each event, and says what is to be done. It does no
// I/O, reads no clock and waits for nothing: the driver does that.

// An event is what has happened to a request.
type event struct {
	kind    eventKind
	attempt *attempt // it is about
	node    int      // it came from

	asks    *engine.Request // asked
	id      string          // heard: of the attempt
	answer  engine.Answer   // answered, renewed
	gone    bool            // returned: the node had nothing of the attempt
	err     error           // answered, returned, probed, renewed
	round   int             // expired
	leave   bool            // ended: what it holds stays
	renewal *renewal        // renews, renewed
}

type eventKind int

const (
	asked    eventKind = iota // the manager asks for the hold, or checks in
	answered                  // a node answered an acquire, or did not
	expired                   // the nodes that were asked by that round have had their time
	heard                     // a node's grant came by message
	recheck                   // messages of a node may have been lost
	probed                    // a node that stands before the coordinator was asked for a sign of life
	ended                     // the manager releases the hold, or gives up the wait
	returned                  // a node answered a release, or did not
	renews                    // the manager renews the hold
	renewed                   // a node answered a renewal, or did not
)

// An action is what a step has the driver do.
type action struct {
	do      deed
	attempt *attempt
	node    int
	acquire *engine.Request // send, or
	release *engine.Release // send
	resend  int             // send: how often the release was sent before
	round   int             // watch
}

type deed int

const (
	doSend        deed = iota // to a node, whose answer is an event
	doWatch                   // have the round expire
	doProbe                   // ask a node for a sign of life
	doContended               // the lock is contended
	doUncontended             // nobody waits for it any more
	doOwn                     // the owner has the lock, under the answer's token
	doDisown                  // it has given it back
	doRefresh                 // nodes that could not be identified are asked again
	doForget                  // the request is over
)

// tell says what the manager is told.
type tell int

const (
	tellNothing tell = iota
	tellReply        // to its question
	tellGrant        // a grant that it does not wait for by a question
	tellAsk          // to ask again
)

// did is what one step came to. It is valid until the next.
type did struct {
	list    []action
	tell    tell
	answer  engine.Answer
	err     error
	renewal *renewal  // that has come to something
	room    [6]action // of list, where it is enough
}

func (d *did) reset() {
	clear(d.list)
	d.list, d.tell, d.answer, d.err, d.renewal = d.room[:0], tellNothing, engine.Answer{}, nil, nil
}

func (d *did) add(a action) { d.list = append(d.list, a) }

// facts are what a step looks at beside what has happened to its request: what
// other requests share, and what never changes.
type facts interface {
	refuses(i int) error // why node i has no vote, or nil
	owes(i int) int      // requests that node i was waited for in vain
	order() []int        // the nodes that vote, as every process has them
	contended(name string) bool
	propose(r *engine.Request, now time.Time) engine.Proposal // its first token
	yields() bool                                             // by chance

	need() int
	patience(ttl time.Duration) time.Duration // with one node
	least(ttl time.Duration) time.Duration    // validity
	callTimeout(i int) time.Duration
	addr(i int) string
}

// step takes e, and returns what is to be done.
func (r *request) step(e *event, now time.Time) *did {
	r.now = now
	r.did.reset()
	switch e.kind {
	case asked:
		r.asked(e.asks)
	case answered:
		r.answered(e.attempt, e.node, e.answer, e.err)
		r.next(e.node)
	case returned:
		r.settle(e.attempt, e.node, e.gone, e.err)
	case expired:
		r.expired(e.attempt, e.round)
	case heard:
		if t := r.under(e.id); t != nil {
			r.heard(t, e.node)
		}
	case recheck:
		if t := r.current; t != nil {
			t.votes[e.node].link.recheck()
		}
	case probed:
		r.probed(e.attempt, e.node, e.err)
	case ended:
		r.end(e.leave)
	case renews:
		r.renews(e.renewal)
	case renewed:
		r.renewed(e.renewal, e.node, e.answer, e.err)
	}
	r.tidy()
	return &r.did
}
