//go:build !race

package redlock

import (
	"errors"

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

// visit notes that e comes to r.
func visit(r *request, e *event) {
	visits[pairOf(stateOf(r, e), eventNames[e.kind])]++
	t := r.current
	if t == nil || e.attempt != nil && e.attempt != t {
		return
	}
	v := &t.votes[e.node]
	switch e.kind {
	case answered:
		visits[pairOf(sayingNames[v.says], answerOf(e.answer, e.err))]++
		fallthrough
	case heard, recheck:
		visits[pairOf(linkNames[v.link], eventNames[e.kind])]++
	}
}

// unvisited returns the pairs that could be and were not.
func unvisited() (all []string) {
	add := func(states, events []string) {
		for _, s := range states {
			for _, e := range events {
				if pair := pairOf(s, e); visits[pair] == 0 {
					all = append(all, pair)
				}
			}
		}
	}
	without, alive, dead := stateNames[:over+1], stateNames[over+1:over+7], stateNames[over+7:]
	toRequest, toAttempt := []string{"asked", "heard", "recheck", "ended"}, []string{"answered", "expired", "probed", "returned", "renewed"}
	add(without, toRequest)
	add(alive, toRequest)
	add(alive, toAttempt)
	add([]string{"held", "spread"}, []string{"renews"}) // that the manager believes in
	add(dead, toAttempt)
	add(sayingNames, answerNames[1:])
	add(linkNames, []string{"answered", "heard", "recheck"})
	return all
}

// unvisitable says why a pair is never seen.
var unvisitable = map[string]string{
	"open < heard":          whoTries,
	"passing < heard":       whoTries,
	"electing < heard":      whoTries,
	"electing < probed":     whoTries,
	"over < asked":          forgotten,
	"over < heard":          forgotten,
	"over < recheck":        forgotten,
	"over < ended":          forgotten,
	"electing < returned":   undropped,
	"joining < returned":    undropped,
	"queued < returned":     undropped,
	"collecting < returned": undropped,
	"held < returned":       undropped,
	"spread < returned":     undropped,
	"electing < renewed":    unheld,
	"joining < renewed":     unheld,
	"queued < renewed":      unheld,
	"collecting < renewed":  unheld,
	"given back < renewed":  unheld,
	"silence < withdrawn":   unburied,
	"no < withdrawn":        unburied,
	"inQueue < withdrawn":   unburied,
	"failed < withdrawn":    unburied,
	"yes < withdrawn":       unburied,
	"counted < withdrawn":   unburied,
	"no < waiting":          "a node that said no is asked for a place only when it has granted one, and then it has",
	"counted < waiting":     "a node whose vote counts is asked for no place",
	"idle < answered":       "an answer is one to what is under way",
	"lateTwice < heard":     "it takes a message, another, and a node that is late, between two answers",
}

const (
	whoTries  = "it has no place in a queue: no node sends it a grant, and it looks for no coordinator"
	forgotten = "it is forgotten: nothing finds it"
	undropped = "only what was dropped is given back"
	unheld    = "only what is held is renewed"
	unburied  = "only what was dropped has a tombstone"
)
