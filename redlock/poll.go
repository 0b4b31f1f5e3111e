package redlock

import (
	"github.com/relock-go/relock/internal/engine"
)

// What the votes of an attempt come to.

func (t *attempt) count(of func(*vote) bool) (n int) {
	for i := range t.votes {
		if of(&t.votes[i]) {
			n++
		}
	}
	return n
}

// answers are the last answers of the nodes that granted.
func (t *attempt) answers(of func(*vote) bool) (list []engine.Answer) {
	for i := range t.votes {
		if v := &t.votes[i]; v.hasVote() && of(v) {
			list = append(list, v.answer)
		}
	}
	return list
}

// poll counts the votes for the attempt.
func (t *attempt) poll(need int) poll {
	return poll{
		nodes: len(t.votes), need: need,
		yes: t.count((*vote).hasVote), no: t.count((*vote).isRefused), pending: t.count((*vote).isHopeful),
	}
}

// inTheWay describes the holder that most nodes name, and says how many do. Of
// its token some may not have heard.
func (t *attempt) inTheWay() (best engine.Answer, n int) {
	votes, tokens := map[string]int{}, map[string]int64{}
	for i := range t.votes {
		v := &t.votes[i]
		if v.says != no && v.says != inQueue {
			continue
		}
		votes[v.answer.Owner]++
		tokens[v.answer.Owner] = max(tokens[v.answer.Owner], v.answer.Token)
		if votes[v.answer.Owner] > n {
			best, n = v.answer, votes[v.answer.Owner]
		}
	}
	best.Token = tokens[best.Owner]
	return best, n
}

// returns judges the release of an attempt that was held.
func (t *attempt) returns(f facts) (verdict, error) {
	p := poll{nodes: len(t.votes), need: f.need()}
	e := newNoQuorumError(f.need())
	for i := range t.votes {
		switch v := &t.votes[i]; v.back {
		case given:
			p.yes++
		case absent:
			p.no++
		case returning:
			p.pending++
		default:
			e.Nodes[f.addr(i)] = v.err
		}
	}
	e.Acquired = p.yes + p.no
	return p.release(), e
}
