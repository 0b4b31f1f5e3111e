package redlock

import (
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// maxRounds bounds how often an attempt proposes a token. One round is enough
// where nobody competes, two where one node had accepted more; only holders of
// the same owner that overtake each other need more.
const maxRounds = 8

// ask sends the try's request to peer i, behind what was sent to it before. It
// tells whether it did. It needs c.mu.
func (c *claim) ask(t *try, i int, wait bool) bool {
	p := c.q.peers[i]
	v := &t.votes[i]
	if p.hangs() || c.q.roster.refuses(i) != nil {
		// A vote for a token that the node cannot be asked for any more is none.
		if v.under == 0 && v.state != granted || v.lacks(t) {
			v.state, v.err = failed, errHangs
			if err := c.q.roster.refuses(i); err != nil {
				v.err = err
			}
		}
		return false
	}
	r := t.req
	r.Hold, r.Wait, r.Propose = t.id, wait, t.proposal
	v.asked, v.proposal, v.askedAt = true, t.proposal, time.Now()
	v.under++
	c.enter(i, func() {
		c.mu.Lock()
		over := c.try != t
		c.mu.Unlock()
		if over { // given up before this left
			c.reply(t, i, engine.Answer{}, errGivenUp)
			return
		}
		if wait {
			p.listen(c.q.bg, c.q.set.patience(r.TTL))
		}
		ans, err := p.acquire(c.q.bg, &r)
		c.reply(t, i, ans, err)
	})
	return true
}

var errGivenUp = errors.New("given up")

// askAll asks every peer that f chooses, and has those that do not answer in
// time counted as silent. It needs c.mu.
func (c *claim) askAll(t *try, wait bool, f func(i int) bool) {
	for i := range t.votes {
		if f(i) {
			c.ask(t, i, wait)
		}
	}
	c.watch(t)
}

// watch has the requests that left now judged when their time is up.
func (c *claim) watch(t *try) {
	patience := c.q.set.patience(t.req.TTL)
	time.AfterFunc(patience, func() {
		c.locked(func() { c.expire(t, patience) })
	})
}

// expire gives up waiting for the requests that were sent patience ago. It
// needs c.mu.
func (c *claim) expire(t *try, patience time.Duration) {
	now := time.Now()
	for i := range t.votes {
		v := &t.votes[i]
		if v.pending() && now.Sub(v.askedAt) >= patience-time.Millisecond {
			v.late = true
			c.q.peers[i].late.Add(1)
			if v.state != granted {
				v.err = lateError{patience}
			}
		}
	}
	if c.try == t {
		c.decide(t)
		if t.phase == held && !t.spread {
			t.spread = true
			c.mend(t.req.TTL) // not only with the first renewal: the nodes that it began on may not live until then
		}
	}
}

// reply takes a node's answer.
func (c *claim) reply(t *try, i int, ans engine.Answer, err error) {
	c.locked(func() {
		v := &t.votes[i]
		v.under--
		if v.late && v.under == 0 {
			v.late = false
			c.q.peers[i].late.Add(-1)
		}
		v.take(ans, err)
		if v.state == refused {
			// Also if a quorum is had without this node, others were first here.
			c.q.crowd.seen(t.req.Name, t.req.Life)
		}
		if errors.Is(err, engine.ErrForgot) {
			c.q.roster.expel(i, err)
		}
		c.q.sees(ans.Accepted)
		if t.phase == held && v.state == granted && v.ans.Token == t.answer.Token {
			v.counts = true // nothing greater was accepted here before
		}
		if v.under == 0 {
			if c.try == t && v.knocked && v.state == waiting {
				c.ask(t, i, true)
				c.watch(t)
			}
			v.knocked = false
		}
		if c.try == t {
			c.decide(t)
		}
	})
}

// take notes what an answer says of the vote.
func (v *vote) take(ans engine.Answer, err error) {
	switch {
	case errors.Is(err, errGivenUp):
	case err != nil:
		if errors.Is(err, engine.ErrUnknown) {
			v.unsure, v.mayHave = true, true
		}
		if v.state != granted {
			v.state = failed
		}
		v.err = err
	case ans.State == engine.Granted:
		v.state, v.ans, v.mayHave = granted, ans, true
		v.lasts(ans)
	case ans.State == engine.Waiting:
		v.state, v.ans, v.mayHave = waiting, ans, true
	case ans.State == engine.Taken:
		v.state, v.ans, v.mayHave = refused, ans, v.unsure
	default:
		v.state, v.err = failed, fmt.Errorf("the node refused the hold: it was withdrawn")
	}
}

// lasts notes until when the node has the hold, by an answer of its. It needs c.mu.
func (v *vote) lasts(ans engine.Answer) {
	if end := believedEnd(ans); end.After(v.end) {
		v.end = end
	}
}

// heard takes a grant that came by message. It says no more than that the node
// has a vote for us: what the vote is worth is told by the answer to the
// proposal that follows.
func (c *claim) heard(t *try, i int) {
	v := &t.votes[i]
	v.mayHave = true
	if v.state == granted {
		return
	}
	if t.phase == queued && i == t.gate {
		c.collect(t)
		return
	}
	if v.knocked = v.under > 0; !v.knocked {
		c.ask(t, i, true)
		c.watch(t)
	}
}

// answers are those of the nodes that granted.
func (t *try) answers(of func(*vote) bool) (list []engine.Answer) {
	for i := range t.votes {
		if v := &t.votes[i]; v.state == granted && of(v) {
			list = append(list, v.ans)
		}
	}
	return list
}

func (t *try) count(of func(*vote) bool) (n int) {
	for i := range t.votes {
		if of(&t.votes[i]) {
			n++
		}
	}
	return n
}

// lacks tells whether the vote is for another token than t, undecided as yet, has
// come to.
func (v *vote) lacks(t *try) bool {
	return v.state == granted && t.phase != held && !accepted(v.ans, t.proposal)
}

func isGranted(v *vote) bool { return v.state == granted }
func isRefused(v *vote) bool { return v.state == refused }
func isHopeful(v *vote) bool { return v.state != granted && v.pending() }

// decide draws the conclusions of what is known by now. It needs c.mu.
func (c *claim) decide(t *try) {
	switch t.phase {
	case asking:
		v := tally(len(t.votes), c.q.need, t.count(isGranted), t.count(isRefused), t.count(isHopeful))
		switch {
		case v == won:
			c.agree(t)
		case v == taken && t.req.Wait:
			c.drop()
			c.refused = true
			c.queue(&t.req, 0, nil)
		case v != undecided:
			c.fail(v)
		}
	case queued:
		c.atGate(t)
	case collecting:
		c.collected(t)
	case held:
		c.complete(t)
	}
}

// agree brings the token of a try that has a quorum's votes to be accepted by a
// quorum. It needs c.mu.
func (c *claim) agree(t *try) {
	has := t.count(func(v *vote) bool { return v.state == granted && accepted(v.ans, t.proposal) })
	open := t.count(func(v *vote) bool {
		return v.state == granted && !accepted(v.ans, t.proposal) && (v.pending() || v.proposal != t.proposal)
	})
	if t.proposal.Kind == engine.Owned {
		// The owner's token is not given up for another while nodes may yet know it.
		open += t.count(isHopeful)
	}
	switch {
	case has >= c.q.need && t.req.Shared && t.proposal.Kind != engine.Owned:
		// Others that act in the owner's name are to find out that this is its token.
		c.propose(t, engine.Proposal{Token: t.proposal.Token, Kind: engine.Owned})
	case has >= c.q.need:
		c.win(t)
	case has+open < c.q.need:
		if t.rounds >= maxRounds {
			if t.count(isHopeful) > 0 {
				return // those that have not voted yet may make a quorum without these
			}
			c.giveUp("no token was agreed on")
			return
		}
		c.propose(t, counter(t.answers(isGranted), t.proposal, time.Now(), t.rounds))
	default:
		c.complete(t)
	}
}

// propose begins another round. It needs c.mu.
func (c *claim) propose(t *try, p engine.Proposal) {
	t.rounds++
	t.proposal = p
	c.complete(t)
}

// complete proposes the token where a vote is there that has not heard of it,
// also once the try is decided: the more nodes know it the more may fail. It
// needs c.mu.
func (c *claim) complete(t *try) {
	asked, failing := false, false
	for i := range t.votes {
		v := &t.votes[i]
		if v.state == granted && v.under == 0 && v.proposal != t.proposal && !accepted(v.ans, t.proposal) {
			asked = c.ask(t, i, false) || asked
			failing = failing || v.state == failed
		}
	}
	if asked {
		c.watch(t)
	}
	if failing {
		c.decide(t)
	}
}

// win makes a try a hold, if enough of its validity is left. It needs c.mu.
func (c *claim) win(t *try) {
	votes := t.answers(func(v *vote) bool { return accepted(v.ans, t.proposal) })
	ans := quorumEnd(votes, c.q.need)
	if left := time.Until(believedEnd(ans)); left < c.q.set.least(t.req.TTL) {
		c.giveUp(fmt.Sprintf("a validity of %v is left, less than the minimum", left))
		return
	}
	t.phase, t.since = held, time.Now()
	for i := range t.votes {
		t.votes[i].counts = t.votes[i].state == granted
	}
	ans.Token, ans.Count = t.proposal.Token, 1
	for _, v := range votes {
		ans.Count = max(ans.Count, v.Count)
	}
	t.answer = ans
	c.q.holds(&t.req, ans.Token)
	c.complete(t)
	c.finish(ans, nil)
}

// giveUp drops a try that came to nothing, and may be made again. It needs c.mu.
func (c *claim) giveUp(why string) {
	c.drop()
	c.finish(engine.Answer{}, fmt.Errorf("redlock: %s: %w", why, engine.ErrUnknown))
}
