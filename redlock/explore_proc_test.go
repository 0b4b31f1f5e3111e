//go:build !race

package redlock

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/relock-go/relock/internal/engine"
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
	busyLock bool
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

func (p *modelProc) propose(r *engine.Request, _ time.Time) engine.Proposal {
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
func (p *modelProc) contended(string) bool                { return p.busyLock }
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
		case doContended:
			p.busyLock = true
		case doUncontended:
			p.busyLock = false
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

// stepOf takes a step of the request that e is about: a former one is one that the
// process has no more to do with.
func (p *modelProc) stepOf(e *event, t *attempt) {
	if t == nil || strings.HasPrefix(t.id, p.request.hold+"/") {
		p.step(e)
	}
}
