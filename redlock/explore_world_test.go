//go:build !race

package redlock

import (
	"errors"
	"slices"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A world is two contenders for one lock, each in a process of its own, on three
// nodes, and what is under way between them. A move makes another of it.
type world struct {
	rules  *rules
	now    time.Time
	nodes  [modelNodes]modelNode
	procs  [2]modelProc
	calls  []modelCall
	grants []modelGrant
	timers []modelTimer
	faults int   // that may yet happen
	issued int64 // the greatest token
}

const modelNodes = 3

// rules say what a world is like.
type rules struct {
	name     string
	ttl      time.Duration
	wait     [2]bool // Lock, or else TryLock
	alone    bool    // there is no second contender
	shared   bool    // both act for one owner
	detach   bool    // who is done leaves its hold to its end
	stray    bool    // the second does not know the first node yet
	fences   [modelNodes]int64
	anyOrder bool // is no fault
	faults   int
	only     []moveKind // of faults; nil: of those that networks have
	turns    int        // sections of each contender
}

const (
	modelTick = 1600 * time.Millisecond
	modelLife = 3 * time.Second
	modelName = "x"
)

// A modelCall is a request of a contender to a node, or what is left of one.
type modelCall struct {
	proc, node int
	attempt    *attempt
	acquire    *engine.Request
	release    *engine.Release
	renewal    *renewal
	probe      bool
	stage      callStage
	sent       time.Time
	answer     engine.Answer
	gone       bool
	err        error
}

type callStage int

const (
	flying   callStage = iota
	executed           // its answer is under way
	ghost              // its sender waits no more
)

type modelTimer struct {
	proc    int
	attempt *attempt
	round   int
}

func newWorld(r *rules) *world {
	w := &world{rules: r, now: time.Unix(1000, 0), faults: r.faults}
	for i := range w.nodes {
		w.nodes[i].fence = r.fences[i]
	}
	for i := range w.procs {
		p := &w.procs[i]
		p.w, p.index, p.turns = w, i, r.turns
	}
	w.procs[1].expelled[0] = r.stray
	if r.alone {
		w.procs[1].turns = 0
	}
	return w
}

// execute has the node of a call do what it says.
func (w *world) execute(c *modelCall) {
	n := &w.nodes[c.node]
	told := ""
	switch {
	case c.acquire != nil:
		c.answer, told, c.err = n.acquire(w.now, c.acquire)
		c.answer.Sent = c.sent
	case c.release != nil:
		c.gone, told = n.release(w.now, c.release)
	case c.renewal != nil:
		c.answer = n.renew(w.now, c.renewal.question())
		c.answer.Sent = c.sent
	}
	if told != "" {
		w.grants = append(w.grants, modelGrant{c.node, told})
	}
}

// reply hands the answer of a call to who sent it.
func (w *world) reply(c *modelCall) {
	if c.proc < 0 {
		return
	}
	p := &w.procs[c.proc]
	e := &event{attempt: c.attempt, node: c.node, answer: c.answer, gone: c.gone, err: c.err}
	switch {
	case c.acquire != nil:
		e.kind = answered
		p.seen = max(p.seen, c.answer.Accepted)
		if errors.Is(c.err, engine.ErrForgot) {
			p.expelled[c.node] = true
		}
	case c.release != nil:
		e.kind = returned
	case c.renewal != nil:
		e.kind, e.renewal = renewed, c.renewal
	default:
		e.kind = probed
	}
	p.stepOf(e, c.attempt)
}

// hear hands a grant to the process that it is for.
func (w *world) hear(g modelGrant) {
	p := &w.procs[g.id[0]-'a']
	if r := p.request; r != nil && r.hold == holdOf(g.id) && r.state != over {
		p.step(&event{kind: heard, id: g.id, node: g.node})
		return
	}
	w.calls = append(w.calls, modelCall{
		proc: -1, node: g.node, stage: ghost, release: &engine.Release{Name: modelName, Hold: g.id},
	})
}

// settle forgets what can have no effect any more, so that worlds that differ in
// it alone are one.
func (w *world) settle() {
	w.timers = slices.DeleteFunc(w.timers, func(t modelTimer) bool {
		return (t.attempt.fate != lives || t.attempt.phase != held) && !t.isDue()
	})
	for i := range w.nodes {
		w.nodes[i].purge(w.now)
	}
}

// isDue reports whether a request that the timer watches is unanswered.
func (t modelTimer) isDue() bool {
	return slices.ContainsFunc(t.attempt.votes, func(v vote) bool { return v.link.isPending() && v.round <= t.round })
}

// quiet reports whether nothing is under way.
func (w *world) quiet() bool { return len(w.calls)+len(w.grants)+len(w.timers) == 0 }
