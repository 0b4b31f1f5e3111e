//go:build !race

package redlock

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

// A modelProc is a contender: its request, and the manager above it.
type modelProc struct {
	w        *world
	index    int
	request  *request // nil: it has not begun
	state    modelState
	turns    int // that it has had
	until    time.Time
	attempt  *attempt // believed
	leaving  *attempt // was believed when it was given back
	seen     int64
	expelled [modelNodes]bool
	crowded  bool
	yielding bool // what chance says next
	asked    bool // chance was asked
}

type modelState int

const (
	resting modelState = iota
	waiting            // for an answer
	waits              // was told so
	anew               // was told to ask again
	believes
	gaveUp // TryLock failed
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

var errExpelled = errors.New("it has no vote")

// The facts of a contender.
func (p *modelProc) refuses(i int) error {
	if p.expelled[i] {
		return errExpelled
	}
	return nil
}

func (p *modelProc) order() (order []int) {
	for i := range p.expelled {
		if !p.expelled[i] {
			order = append(order, i)
		}
	}
	return order
}

func (p *modelProc) propose(r *engine.Request, now time.Time) engine.Proposal {
	if r.Shared {
		return engine.Proposal{}
	}
	return engine.Proposal{Token: p.seen + 1}
}

func (p *modelProc) yields() bool {
	p.asked = true
	return p.yielding
}

func (p *modelProc) owes(i int) int                       { return p.request.outboxes[i].told }
func (p *modelProc) contended(string) bool                { return p.crowded }
func (p *modelProc) need() int                            { return majority(modelNodes) }
func (p *modelProc) addr(i int) string                    { return fmt.Sprint("node-", i) }
func (p *modelProc) patience(time.Duration) time.Duration { return 50 * time.Millisecond }
func (p *modelProc) least(ttl time.Duration) time.Duration {
	return ttl / DefaultValidityShare
}
func (p *modelProc) callTimeout(int) time.Duration { return time.Second }

func (p *modelProc) owner() string {
	if p.w.rules.shared {
		return "both"
	}
	return string(rune('a' + p.index))
}

// isFree reports whether the contender may begin a section.
func (p *modelProc) isFree() bool {
	return p.state == resting && p.turns > 0 && (p.request == nil || p.request.state == over)
}

// question is what the manager asks.
func (p *modelProc) question() *engine.Request {
	return &engine.Request{
		Name: modelName, Hold: p.request.hold, Owner: p.owner(), TTL: p.w.rules.ttl, Life: modelLife,
		Arrived: time.Unix(int64(p.index), 0), Wait: p.w.rules.wait[p.index], Shared: p.w.rules.shared,
	}
}

// ask has the manager ask, for the first time or again.
func (p *modelProc) ask() {
	if p.state == resting {
		r := newRequest(p, fmt.Sprintf("%c%d", 'a'+p.index, p.turns), "1", modelNodes)
		p.request = &r
	}
	p.state = waiting
	p.step(&event{kind: asked, asks: p.question()})
}

// step has the request take a step, and does what it says.
func (p *modelProc) step(e *event) {
	w := p.w
	visit(p.request, e)
	did := p.request.step(e, w.now)
	for _, a := range did.list {
		switch c := (modelCall{proc: p.index, node: a.node, attempt: a.attempt, sent: w.now}); a.do {
		case doSend:
			c.acquire, c.release = a.acquire, a.release
			w.calls = append(w.calls, c)
		case doProbe:
			c.probe = true
			w.calls = append(w.calls, c)
		case doWatch:
			w.timers = append(w.timers, modelTimer{p.index, a.attempt, a.round})
		case doCrowded:
			p.crowded = true
		case doUncrowded:
			p.crowded = false
		}
	}
	for i := range p.request.outboxes {
		o := &p.request.outboxes[i]
		o.told = o.late
	}
	switch did.tell {
	case tellReply, tellGrant:
		p.told(did.answer, did.err)
	case tellAsk:
		if p.state == waits {
			p.state = anew
		}
	}
	if n := did.renewal; n != nil && n.verdict == won && p.state == believes {
		p.believe(n.answer)
	} else if n != nil && n.verdict == taken && p.state == believes {
		w.checkLost(p)
		p.leave()
	}
	w.checkReturned(p)
}

// told is what the manager makes of an answer.
func (p *modelProc) told(ans engine.Answer, err error) {
	switch {
	case p.state == resting || p.state == gaveUp || p.state == believes: // it knows better
	case err != nil && p.w.rules.wait[p.index]:
		p.state = anew
	case err != nil:
		p.state = gaveUp
	case ans.State == engine.Granted:
		p.state, p.attempt, p.until = believes, p.request.current, p.w.now
		p.w.checkToken(p, ans)
		p.believe(ans)
	case ans.State == engine.Waiting:
		p.state = waits
	case p.w.rules.wait[p.index]:
		p.w.fail("a waiter was told %v", ans.State)
	default: // TryLock is told that it is taken, and says no more
		p.state = resting
		p.turns--
	}
}

// believe has the manager rely on the lock until the answer's end.
func (p *modelProc) believe(ans engine.Answer) {
	p.until = maxTime(p.until, believedEnd(ans))
	p.w.checkValidity(p, ans)
}

// leave has the manager give back what it has, or wants.
func (p *modelProc) leave() {
	p.leaving = nil
	if w := p.w; p.state == believes && w.now.Before(p.until) && !w.rules.detach {
		p.leaving = p.attempt
	}
	p.state, p.attempt = resting, nil
	p.turns--
	p.step(&event{kind: ended, leave: p.w.rules.detach})
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

// stepOf takes a step of the request that e is about: a former one is one that the
// process has no more to do with.
func (p *modelProc) stepOf(e *event, t *attempt) {
	if t == nil || strings.HasPrefix(t.id, p.request.hold+"/") {
		p.step(e)
	}
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
