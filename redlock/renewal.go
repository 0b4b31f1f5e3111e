package redlock

import (
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

// A renewal is one renewal of a hold, at the nodes that granted it. It goes past
// the outboxes: what it is about has been answered.
type renewal struct {
	req     engine.Renewal
	attempt *attempt // nil: nothing is held

	nodes   []renewalNode
	poll    poll
	granted []engine.Answer // of the votes that count
	errs    map[string]error
	verdict verdict
	answer  engine.Answer // once there is a verdict
	err     error
	proven  []int // nodes whose votes count from now on, if it is won

	driver *driver
	done   func(engine.Answer, error)
}

// errNoVote is a node that does not have the hold, where too few answered to say
// that it is lost: it must not pass for [relock.ErrNotHeld].
var errNoVote = errors.New("the hold is not on this node")

// errUnderWay is a node whose vote for a hold that began just now has not come.
var errUnderWay = fmt.Errorf("%w: its vote is under way", engine.ErrUnknown)

// renewalNode is what one node has of the hold that is renewed.
type renewalNode int

const (
	lacking   renewalNode = iota
	awaited               // its vote has not come yet, and may count
	uncounted             // it is asked, and does not count
	counting              // it is asked, and counts
)

// asks reports whether node i is asked.
func (n *renewal) asks(i int) bool { return n.attempt != nil && n.nodes[i] >= uncounted }

// question is what a node is asked.
func (n *renewal) question() *engine.Renewal {
	// The id of an attempt is enough: it is never granted twice.
	return &engine.Renewal{Name: n.req.Name, Hold: n.attempt.id, TTL: n.req.TTL}
}

// renews notes what is to be renewed.
func (r *request) renews(n *renewal) {
	n.poll = poll{nodes: len(r.outboxes), need: r.facts.need()}
	if t := r.current; t != nil && t.isHeld() {
		n.attempt = t
		n.nodes = make([]renewalNode, len(t.votes))
		n.errs = map[string]error{}
		for i := range t.votes {
			n.expects(i, t.votes[i].toRenew(t, r.now), r.facts.addr(i))
		}
	} else {
		n.poll.no = n.poll.nodes
	}
	r.judge(n)
}

// toRenew returns what a renewal of t finds at the node.
func (v *vote) toRenew(t *attempt, now time.Time) renewalNode {
	switch {
	case v.says == counted && now.Before(v.end):
		return counting
	case v.hasVote():
		return uncounted
	case v.link.isPending() && t.phase == held:
		return awaited
	}
	return lacking
}

func (n *renewal) expects(i int, what renewalNode, addr string) {
	n.nodes[i] = what
	switch what {
	case counting:
		n.poll.pending++
	case awaited: // a quorum grants before all have voted: one that loses a vote then may have it yet
		n.errs[addr] = errUnderWay
	default:
		n.poll.no++
		n.errs[addr] = errNoVote
	}
}

// renewed takes a node's answer to a renewal.
func (r *request) renewed(n *renewal, i int, ans engine.Answer, err error) {
	has := err == nil && ans.State == engine.Granted
	if has && r.current == n.attempt {
		n.attempt.votes[i].lasts(ans)
	}
	switch {
	case n.nodes[i] != counting:
		if has {
			n.proven = append(n.proven, i)
		}
	case has:
		n.poll.pending--
		n.poll.yes++
		n.granted = append(n.granted, ans)
	default:
		n.poll.pending--
		if err == nil {
			n.poll.no++
			err = errNoVote
		}
		if n.verdict == undecided {
			n.errs[r.facts.addr(i)] = err
		}
	}
	r.judge(n)
	r.prove(n)
}

// judge says what a renewal came to, once that is known.
func (r *request) judge(n *renewal) {
	if n.verdict != undecided {
		return
	}
	n.verdict = n.poll.renewal()
	switch n.verdict {
	case undecided:
		return
	case won:
		n.answer = quorumEnd(n.granted, n.poll.need)
		n.answer.Token = n.req.Token
	case silent:
		n.err = &noQuorumError{relock.QuorumError{Acquired: n.poll.yes, Need: n.poll.need, Nodes: n.errs}}
	}
	r.did.renewal = n
	if n.verdict != taken {
		r.repair(n.req.TTL)
	}
}

// prove has the votes count that were there when a quorum without them was
// renewed. That was a quorum all the time, so nobody else held the lock meanwhile.
func (r *request) prove(n *renewal) {
	if n.verdict != won || r.current != n.attempt {
		return
	}
	for _, i := range n.proven {
		n.attempt.votes[i].prove()
	}
	n.proven = nil
}

// repair asks, for ttl at least, for the votes that the hold lacks, since the node
// could not be asked or had given its vote to another, and for those that have run
// out: a hold that began on few nodes is to outlive them. It does not ask a node that
// lost the hold before its time. A vote that comes now is worth nothing by itself if
// the node has accepted a greater token: where nodes forgot, another may have held
// the lock.
func (r *request) repair(ttl time.Duration) {
	t := r.current
	if t == nil || !t.isHeld() {
		return
	}
	r.did.add(action{do: doRefresh, attempt: t})
	if ttl > t.req.TTL {
		t.extended = max(t.extended, ttl)
	}
	for i := range t.votes {
		if v := &t.votes[i]; v.link == idle && (!v.hasVote() || r.now.After(v.end)) {
			v.lapse()
			r.askOwned(t, i, ttl)
		}
	}
}

// lengthen asks once more for a vote that was under way when the hold was extended: it
// was asked for less.
func (r *request) lengthen(t *attempt, i int) {
	if v := &t.votes[i]; t.isHeld() && v.hasVote() && v.link == idle && v.ttl < t.extended {
		r.askOwned(t, i, t.extended)
	}
}

// askOwned asks for a vote for the hold's token, for ttl at least.
func (r *request) askOwned(t *attempt, i int, ttl time.Duration) {
	if r.askFor(t, i, false, engine.Proposal{Token: t.proposal.Token, Kind: engine.Owned}, ttl) {
		r.watch(t)
	}
}
