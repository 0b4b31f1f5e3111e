package redlock

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// An attempt is one attempt at the quorum, under an id of its own: the late
// release of one that was given up cannot free another.
type attempt struct {
	id          string
	req         engine.Request // the manager's, as of its last question
	phase       phase
	fate        fate
	coordinator int       // the node that is queued at first; -1: none
	since       time.Time // it collects
	votes       []vote    // by node
	proposal    engine.Proposal
	proposals   int           // of which this is the last
	round       int           // of asking, each of which has its time
	answer      engine.Answer // once held
	extended    time.Duration // the longest that it was extended by, if that is more than a TTL
}

// phase is how far an attempt has come.
//
//	electing --------------------------> held -> spread
//	joining -> queued -> collecting ---> held -> spread
//	   +-------------------^
//
// Each but the last two may fail instead, and gives back what it has.
type phase int

const (
	electing   phase = iota // all nodes are asked, and no queue is joined
	joining                 // the coordinator is asked
	queued                  // it has the attempt in its queue
	collecting              // it has granted, and the attempt waits at the others
	held
	spread // and asked for the votes that it lacked
)

// fate is what becomes of what an attempt has at the nodes.
type fate int

const (
	lives     fate = iota // it is the one that counts
	givesBack             // it goes back
	stays                 // holds stay to their ends, places in queues go back
)

func (t *attempt) isHeld() bool { return t.phase >= held }

// waits reports whether the attempt has, or wants, a place in a queue.
func (t *attempt) waits() bool { return t.phase >= joining && t.phase <= collecting }

// wants reports whether the attempt, which collects, has yet to bring its token to
// the coordinator, i.
func (t *attempt) wants(i int) bool {
	return t.phase == collecting && i == t.coordinator && !t.votes[i].accepts(t)
}

// begin makes a new attempt the one that counts.
func (r *request) begin(q *engine.Request) *attempt {
	t := &attempt{
		id: r.hold + "/" + r.serial, req: *q, coordinator: -1,
		votes: make([]vote, len(r.outboxes)), proposal: r.facts.propose(q, r.now),
	}
	if r.attempts > 0 {
		t.id += "." + strconv.Itoa(r.attempts)
	}
	r.attempts++
	r.current = t
	return t
}

// ask asks node i, behind what was sent to it before. It reports whether it did.
func (r *request) ask(t *attempt, i int, wait bool) bool {
	return r.askFor(t, i, wait, t.proposal, 0)
}

// askFor asks for that token and, at least, that TTL.
func (r *request) askFor(t *attempt, i int, wait bool, p engine.Proposal, ttl time.Duration) bool {
	v := &t.votes[i]
	if err := r.barred(i); err != nil {
		// A vote for a token that the node cannot be asked for any more is none.
		if v.link == idle && !v.hasVote() || v.lacks(t) {
			v.says, v.err = failed, err
		}
		return false
	}
	v.link, v.round = asking, t.round
	v.wait, v.proposal, v.ttl = wait, p, ttl
	r.enter(i, letter{attempt: t})
	return true
}

// acquire is what node i is asked.
func (t *attempt) acquire(i int) *engine.Request {
	v := &t.votes[i]
	q := t.req
	q.Hold, q.Wait, q.Propose, q.TTL = t.id, v.wait, v.proposal, max(q.TTL, v.ttl)
	return &q
}

// barred returns why node i is not to be asked now, or nil.
func (r *request) barred(i int) error {
	if err := r.facts.refuses(i); err != nil {
		return err
	}
	if r.hangs(i) {
		return errHangs
	}
	return nil
}

// askAll asks every node that owes no answer, and has those that do not answer in
// time counted as silent.
func (r *request) askAll(t *attempt, wait bool) {
	for i := range t.votes {
		if t.votes[i].link == idle {
			r.ask(t, i, wait)
		}
	}
	r.watch(t)
}

// watch has the requests of this round judged when their time is up.
func (r *request) watch(t *attempt) {
	r.did.add(action{do: doWatch, attempt: t, round: t.round})
	t.round++
}

// expired gives up waiting for the requests of that round, and those before.
func (r *request) expired(t *attempt, round int) {
	for i := range t.votes {
		v := &t.votes[i]
		if !v.link.isPending() || v.round > round {
			continue
		}
		v.link.expire()
		r.outboxes[i].late++
		if !v.hasVote() {
			v.err = lateError{r.facts.patience(t.req.TTL)}
		}
	}
	if t.fate != lives {
		return
	}
	r.decide(t)
	if t.phase == held {
		t.phase = spread
		r.repair(t.req.TTL) // not only with the first renewal: the nodes that it began on may not live until then
	}
}

// answered takes a node's answer.
func (r *request) answered(t *attempt, i int, ans engine.Answer, err error) {
	v := &t.votes[i]
	again := v.link == twice || v.link == lateTwice
	r.arrive(v, i)
	v.take(ans, err)
	if err == nil && v.says == no {
		// Also if a quorum grants without this node, others were first here.
		r.did.add(action{do: doContended, attempt: t})
	}
	if err == nil && t.isHeld() && v.hasVote() && ans.Token == t.answer.Token {
		v.prove() // nothing greater was accepted here before
	}
	if t.fate != lives {
		return
	}
	if again && (v.says == inQueue || t.wants(i)) && r.ask(t, i, true) {
		r.watch(t)
	}
	r.lengthen(t, i)
	r.decide(t)
}

// heard takes a grant that came by message. It says no more than that the node
// has a vote for us: what the vote is worth is told by the answer to the
// proposal that follows.
func (r *request) heard(t *attempt, i int) {
	v := &t.votes[i]
	if v.trace == none {
		v.trace = hold
	}
	switch {
	case v.hasVote():
	case (t.phase == joining || t.phase == queued) && i == t.coordinator:
		r.collect(t)
	case v.link != idle:
		v.link.recheck()
	default:
		r.ask(t, i, true)
		r.watch(t)
	}
}

// decide draws the conclusions of what is known by now.
func (r *request) decide(t *attempt) {
	switch t.phase {
	case electing:
		r.elected(t)
	case joining, queued:
		r.atCoordinator(t)
	case collecting:
		r.collected(t)
	case held, spread:
		r.complete(t)
	}
}

func (r *request) elected(t *attempt) {
	v := t.poll(r.facts.need()).acquire()
	switch {
	case v == won:
		r.agree(t)
	case v == taken && t.req.Wait:
		r.state = refused
		r.requeue(t, 0, nil)
	case v != undecided:
		r.fail(v)
	}
}

// giveUp drops an attempt that came to nothing, and may be made again.
func (r *request) giveUp(why string) {
	r.drop()
	r.finish(engine.Answer{}, fmt.Errorf("redlock: %s: %w", why, engine.ErrUnknown))
}

// fail drops the current attempt and says why.
func (r *request) fail(v verdict) {
	t := r.current
	var ans engine.Answer
	var err error
	if v == taken {
		r.state = refused
		if !t.req.Wait {
			r.state = passing
		}
		ans, _ = t.inTheWay()
		ans.State = engine.Taken
	} else {
		err = t.quorumError(r.facts)
	}
	r.drop()
	r.finish(ans, err)
}

// errTaken is a node that has another holder, where too few answered to say that
// the lock is taken: it must not pass for [relock.ErrNotAcquired].
var errTaken = errors.New("held by another on this node")

func (t *attempt) quorumError(f facts) error {
	e := newNoQuorumError(f.need())
	for i := range t.votes {
		v := &t.votes[i]
		switch {
		case v.hasVote():
			e.Acquired++
		case v.says == no, v.says == inQueue:
			e.Nodes[f.addr(i)] = errTaken
		case v.err != nil:
			e.Nodes[f.addr(i)] = v.err
		default:
			e.Nodes[f.addr(i)] = lateError{f.patience(t.req.TTL)}
		}
	}
	return e
}
