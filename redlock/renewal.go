package redlock

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

// A renewal is one renewal of a hold, at the nodes that granted it.
type renewal struct {
	q     *quorum
	c     *claim // nil: it was given up
	id    string // of the try
	req   engine.Renewal
	votes []renewalVote // by peer

	mu      sync.Mutex
	granted []engine.Answer // of the votes that count
	absent  int
	pending int
	errs    map[string]error
	won     bool
	proven  []int                      // the votes to count from now on, if it is
	done    func(engine.Answer, error) // nil once called
}

// errNoVote is a node that does not have the hold, where too few answered to say
// that it is lost: it must not pass for [relock.ErrNotHeld].
var errNoVote = errors.New("the hold is not on this node")

// errUnderWay is a node whose vote for a hold that began just now has not come.
var errUnderWay = fmt.Errorf("%w: its vote is under way", engine.ErrUnknown)

// A renewalVote is what the hold has at one peer when it is renewed.
type renewalVote struct {
	granted bool // it is to be renewed
	counts  bool
	awaited bool // it has not come yet, and may count
}

func (q *quorum) newRenewal(r *engine.Renewal, done func(engine.Answer, error)) *renewal {
	n := &renewal{
		q: q, c: q.find(r.Hold), req: *r, done: done,
		votes: make([]renewalVote, len(q.peers)), errs: map[string]error{},
	}
	if n.c != nil {
		n.c.mu.Lock()
		defer n.c.mu.Unlock()
		if t := n.c.try; t != nil && t.phase == held {
			n.id = t.id
			now := time.Now()
			for i := range t.votes {
				v := &t.votes[i]
				has := v.state == granted
				n.votes[i] = renewalVote{
					granted: has,
					counts:  has && v.counts && now.Before(v.end),
					awaited: v.pending() && !t.spread,
				}
			}
		}
	}
	for i, v := range n.votes {
		switch {
		case v.counts:
			n.pending++
		case v.awaited: // a quorum is had before all have voted: one that loses a vote then may have it yet
			n.errs[q.peers[i].addr] = errUnderWay
		default:
			n.absent++
			n.errs[q.peers[i].addr] = errNoVote
		}
	}
	return n
}

// at tells whether peer i is asked.
func (n *renewal) at(i int) bool { return n.votes[i].granted }

func (n *renewal) request() *engine.Renewal {
	// The id of a try is enough: it is never granted twice.
	return &engine.Renewal{Name: n.req.Name, Hold: n.id, TTL: n.req.TTL}
}

func (n *renewal) answer(i int, ans engine.Answer, err error) {
	has := err == nil && ans.State == engine.Granted
	if has {
		n.c.locked(func() {
			if t := n.c.try; t != nil && t.id == n.id {
				t.votes[i].lasts(ans)
			}
		})
	}
	n.mu.Lock()
	switch {
	case !n.votes[i].counts:
		if has {
			n.proven = append(n.proven, i)
		}
	case err != nil:
		n.pending--
		n.errs[n.q.peers[i].addr] = err
	case has:
		n.pending--
		n.granted = append(n.granted, ans)
	default:
		n.pending--
		n.absent++
		n.errs[n.q.peers[i].addr] = errNoVote
	}
	n.mu.Unlock()
	n.judge()
	n.prove()
}

// judge says what the renewal came to, once that is known.
func (n *renewal) judge() {
	n.mu.Lock()
	v := renewed(len(n.votes), n.q.need, len(n.granted), n.absent, n.pending)
	done := n.done
	if v == undecided || done == nil {
		n.mu.Unlock()
		return
	}
	n.done = nil
	var ans engine.Answer
	var err error
	switch v {
	case won:
		n.won = true
		ans = quorumEnd(n.granted, n.q.need)
		ans.Token = n.req.Token
	case silent:
		err = &noQuorumError{relock.QuorumError{Acquired: len(n.granted), Need: n.q.need, Nodes: n.errs}}
		n.errs = map[string]error{} // the late answers' place
	}
	n.mu.Unlock()
	done(ans, err)
	if v != taken && n.c != nil {
		n.c.locked(func() { n.c.mend(n.req.TTL) })
	}
}

// prove has the votes count that were there when a quorum without them was
// renewed. It was one all the time until then, so nobody had the lock meanwhile.
func (n *renewal) prove() {
	n.mu.Lock()
	var peers []int
	if n.won {
		peers, n.proven = n.proven, nil
	}
	n.mu.Unlock()
	if len(peers) == 0 {
		return
	}
	n.c.locked(func() {
		if t := n.c.try; t != nil && t.id == n.id {
			for _, i := range peers {
				t.votes[i].counts = true
			}
		}
	})
}

// mend asks, for ttl at least, for the votes that were not to be had before, since
// the node could not be asked or had given its vote to another, and for those
// that have run out: a hold that began on few nodes is to outlive them. A vote
// that a node has no more before its time is not asked for. One that is given now
// is worth nothing by itself, if the node has accepted a greater token: where
// nodes forgot, another may have had the lock. It needs c.mu.
func (c *claim) mend(ttl time.Duration) {
	t := c.try
	if t == nil || t.phase != held {
		return
	}
	c.q.roster.look(c.q.set.patience(t.req.TTL))
	proposal, term := t.proposal, t.req.TTL
	t.proposal.Kind, t.req.TTL = engine.Owned, max(term, ttl)
	now := time.Now()
	for i := range t.votes {
		if v := &t.votes[i]; v.under == 0 && (v.state != granted || now.After(v.end)) {
			v.counts = false
			if c.ask(t, i, false) {
				c.watch(t)
			}
		}
	}
	t.proposal, t.req.TTL = proposal, term
}
