package redlock

import (
	"fmt"

	"github.com/relock-go/relock/internal/engine"
)

// What a quorum of votes becomes: a token that a quorum has accepted.

// maxRounds bounds how often an attempt proposes a token. One round is enough
// where nobody competes, two where one node had accepted more; only holders of
// the same owner that overtake each other need more.
const maxRounds = 8

// agree brings the token of an attempt that has a quorum's votes to be accepted by a
// quorum.
func (r *request) agree(t *attempt) {
	need := r.facts.need()
	has := t.count(func(v *vote) bool { return v.accepts(t) })
	may := t.count(func(v *vote) bool {
		return v.hasVote() && !v.accepts(t) && (v.link.isPending() || v.proposal != t.proposal)
	})
	hopeful := t.count((*vote).isHopeful)
	if t.proposal.Kind == engine.Owned {
		// The owner's token is not given up for another while nodes may yet know it.
		may += hopeful
	}
	switch {
	case has >= need && t.req.Shared && t.proposal.Kind != engine.Owned:
		// Others that act in the owner's name are to find out that this is its token.
		r.propose(t, engine.Proposal{Token: t.proposal.Token, Kind: engine.Owned})
	case has >= need:
		r.win(t)
	case has+may >= need:
		r.complete(t)
	case t.proposals < maxRounds:
		r.propose(t, counter(t.answers((*vote).hasVote), t.proposal, r.now, t.proposals))
	case hopeful == 0: // else those that have not voted yet may make a quorum without these
		r.giveUp("no token was agreed on")
	}
}

// propose begins another round, which may be over at once: an owner's token is one
// that its nodes know.
func (r *request) propose(t *attempt, p engine.Proposal) {
	t.proposals++
	t.proposal = p
	r.agree(t)
}

// complete proposes the token where a vote is there that has not heard of it,
// also once the attempt is held: the more nodes know it the more may fail.
func (r *request) complete(t *attempt) {
	asked, failing := false, false
	for i := range t.votes {
		v := &t.votes[i]
		if v.hasVote() && v.link == idle && v.proposal != t.proposal && !v.accepts(t) {
			asked = r.ask(t, i, false) || asked
			failing = failing || v.says == failed
		}
	}
	if asked {
		r.watch(t)
	}
	if failing {
		r.decide(t)
	}
}

// win makes an attempt a hold, if enough of its validity is left.
func (r *request) win(t *attempt) {
	votes := t.answers(func(v *vote) bool { return v.accepts(t) })
	ans := quorumEnd(votes, r.facts.need())
	if left := believedEnd(ans).Sub(r.now); left < r.facts.least(t.req.TTL) {
		r.giveUp(fmt.Sprintf("a validity of %v is left, less than the minimum", left))
		return
	}
	t.phase = held
	for i := range t.votes {
		t.votes[i].prove()
	}
	ans.Token, ans.Count = t.proposal.Token, 1
	for _, v := range votes {
		ans.Count = max(ans.Count, v.Count)
	}
	t.answer = ans
	r.did.add(action{do: doOwn, attempt: t})
	r.complete(t)
	r.finish(ans, nil)
}
