package redlock

import (
	"cmp"
	"slices"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Quorum arithmetic, without I/O and without state.

// majority is the least quorum: any two of them share a node.
func majority(n int) int { return n/2 + 1 }

// verdict is what the nodes' answers come to so far.
type verdict int

const (
	undecided verdict = iota
	won               // a quorum granted
	taken             // another has it, or votes are split
	silent            // too few answered for either
)

// A poll is what the nodes have said to one question so far.
type poll struct {
	nodes, need      int // of which need decide
	yes, no, pending int
}

// acquire judges an attempt: yes is a vote, no another holder.
func (p poll) acquire() verdict {
	switch {
	case p.yes >= p.need:
		return won
	case p.no > p.nodes-p.need:
		return taken
	case p.yes+p.pending >= p.need:
		return undecided
	case p.yes+p.no >= p.need:
		return taken
	case p.pending > 0: // it is lost, but what every node says of that is worth its time
		return undecided
	}
	return silent
}

// renewal judges a renewal: yes is a hold that has its TTL again, no one that the
// node does not have.
func (p poll) renewal() verdict {
	switch {
	case p.yes >= p.need:
		return won
	case p.no > p.nodes-p.need:
		return taken
	case p.yes+p.pending >= p.need:
		return undecided
	}
	return silent
}

// release judges a release: yes is a hold that was given back, no one that was
// lost before. It is won if a quorum had the hold, and taken if it had been lost.
func (p poll) release() verdict {
	switch {
	case p.yes >= p.need:
		return won
	case p.no > p.nodes-p.need:
		return taken
	case p.pending > 0:
		return undecided
	case p.yes+p.no >= p.need:
		return won
	}
	return silent
}

// quorumEnd returns the answer whose hold ends last among those that a quorum
// outlives: until then a quorum holds.
func quorumEnd(answers []engine.Answer, need int) engine.Answer {
	end := func(a engine.Answer) time.Time { return a.Sent.Add(a.Left) }
	slices.SortFunc(answers, func(a, b engine.Answer) int { return end(b).Compare(end(a)) })
	return answers[need-1]
}

// believedEnd is the end of the validity that the manager will believe in.
func believedEnd(a engine.Answer) time.Time { return a.Sent.Add(a.Left - engine.Drift(a.Left)) }

// accepted reports whether a node that granted with a has accepted p.
func accepted(a engine.Answer, p engine.Proposal) bool {
	return p.Token > 0 && a.Token == p.Token && (p.Kind != engine.Owned || a.Issued)
}

// tooFar is how far ahead a token is not believed any more: nodes refuse what is
// an hour ahead of their clocks.
const tooFar = time.Hour / 2

// wants is the greatest token that the node of a has accepted, or its clock.
func wants(a engine.Answer) int64 { return max(a.Accepted, -a.Accepted) }

// following returns the answers of nodes whose wants others would follow: not of
// those whose counter or clock is far ahead of ours and of the others'. Ours
// alone says nothing, since it may be the one that is wrong.
func following(answers []engine.Answer, now time.Time) []engine.Answer {
	if len(answers) == 0 {
		return nil
	}
	least := slices.MinFunc(answers, func(a, b engine.Answer) int { return cmp.Compare(wants(a), wants(b)) })
	limit := max(wants(least), now.UnixMicro()) + tooFar.Microseconds()
	return slices.DeleteFunc(slices.Clone(answers), func(a engine.Answer) bool { return wants(a) > limit })
}

// first returns the first token to propose for a lock: above what was seen, and
// ahead of the clocks of nodes that have no record of the lock.
func first(seen int64, now time.Time) engine.Proposal {
	return engine.Proposal{Token: max(seen+1, now.Add(tokenLead).UnixMicro())}
}

// counter returns what to propose after p was refused, or after a mere question,
// from the answers of the nodes that granted: the owner's token, if it has one
// and that was not refused just now; else one that all of them will take.
//
// A node without a record wants a token ahead of its clock, which goes on: each
// round leaves it more time. One that is too far ahead is done without.
func counter(answers []engine.Answer, p engine.Proposal, now time.Time, round int) engine.Proposal {
	var owned, greatest int64
	for _, a := range answers {
		if a.Issued && a.Count > 1 {
			owned = max(owned, a.Token)
		}
	}
	for _, a := range following(answers, now) {
		greatest = max(greatest, a.Accepted)
		if a.Accepted < 0 {
			greatest = max(greatest, -a.Accepted+tokenLead.Microseconds()<<round)
		}
	}
	if owned > 0 && (p.Kind != engine.Owned || p.Token != owned) {
		return engine.Proposal{Token: owned, Kind: engine.Owned}
	}
	if p.Token == 0 {
		return first(greatest, now)
	}
	return engine.Proposal{Token: greatest + 1, Kind: engine.Anew}
}
