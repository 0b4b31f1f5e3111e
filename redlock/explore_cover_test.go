package redlock

import (
	"errors"
	"fmt"

	"github.com/relock-go/relock/internal/engine"
)

// What the exploration has seen: each state with each event, and each state of a
// vote with each answer.

var visits map[string]int

var (
	stateNames = []string{
		"open", "refused", "passing", "closed", "over",
		"electing", "joining", "queued", "collecting", "held", "spread", "given back", "released", "stays",
	}
	eventNames  = []string{"asked", "answered", "expired", "heard", "recheck", "probed", "ended", "returned", "renews", "renewed"}
	sayingNames = []string{"silence", "no", "inQueue", "failed", "yes", "counted"}
	linkNames   = []string{"idle", "asking", "twice", "late", "lateTwice"}
	answerNames = []string{"nothing", "granted", "waiting", "taken", "withdrawn", "no answer", "unsent"}
)

// stateOf names the state that e meets.
func stateOf(r *request, e *event) string {
	t := r.current
	if e.attempt != nil {
		t = e.attempt
	}
	switch {
	case e.renewal != nil && e.renewal.attempt != nil:
		t = e.renewal.attempt
	case t == nil:
		return stateNames[r.state]
	}
	switch {
	case t.fate == stays:
		return "stays"
	case t.fate == givesBack && t.isHeld():
		return "released"
	case t.fate == givesBack:
		return "given back"
	}
	return stateNames[int(over)+1+int(t.phase)]
}

func answerOf(ans engine.Answer, err error) string {
	switch {
	case errors.Is(err, engine.ErrUnknown):
		return "no answer"
	case err != nil:
		return "unsent"
	}
	return answerNames[ans.State]
}

func pairOf(state, event string) string { return state + " < " + event }

func voteOf(says saying, l link, answer string) string {
	return fmt.Sprint(sayingNames[says], ", ", linkNames[l], " < ", answer)
}

// visit notes that e comes to r.
func visit(r *request, e *event) {
	visits[pairOf(stateOf(r, e), eventNames[e.kind])]++
	if e.kind == answered && e.attempt.fate == lives {
		v := &e.attempt.votes[e.node]
		visits[voteOf(v.says, v.link, answerOf(e.answer, e.err))]++
	}
}

func unvisited() (all []string) {
	add := func(pair string) {
		if visits[pair] == 0 {
			all = append(all, pair)
		}
	}
	for _, s := range stateNames {
		for _, e := range eventNames {
			add(pairOf(s, e))
		}
	}
	for s := range sayingNames {
		for l := range linkNames[1:] {
			for _, a := range answerNames[1:] {
				add(voteOf(saying(s), link(l+1), a))
			}
		}
	}
	return all
}
