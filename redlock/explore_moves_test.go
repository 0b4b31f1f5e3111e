//go:build !race

package redlock

import (
	"fmt"
	"slices"

	"github.com/relock-go/relock/internal/engine"
)

// A move is what may happen next in a world. What costs is a fault, as is one that
// overtakes another, or a deed of a contender's that is rare: there are few.
type move struct {
	kind moveKind
	i, j int // proc, call, grant or timer; node
	cost int
}

type moveKind int

const (
	moveAsk         moveKind = iota // a contender begins, or asks again
	moveExchange                    // a call is executed and answered
	moveReply                       // an executed call is answered
	moveArrive                      // what nobody waits for is executed
	moveGrant                       // a message is heard
	moveExpire                      // a round has had its time
	moveLeave                       // a contender gives back what it has, or gives up
	moveYield                       // a check-in, of which chance says to give way
	moveMeet                        // a contender gets to know the first node
	moveExecute                     // a call is executed, and its answer takes its time
	moveLose                        // a call is lost
	moveRefuse                      // a call does not leave
	moveLoseReply                   // its answer is
	moveDelay                       // a call is executed when its sender has given it up
	moveRepeat                      // a call is executed twice, once late
	moveLoseGrant                   // a message is lost
	moveRepeatGrant                 // a message comes twice
	moveRecheck                     // and that may be so: the subscription is new
	moveCross                       // a check-in crosses what the contender is told, or has said
	moveEndAgain                    // a release is repeated
	moveRenew                       // a contender renews
	moveTick                        // time goes by
	moveForget                      // a node loses its data
)

var moveNames = [...]string{
	"ask", "exchange", "reply", "arrive", "grant", "expire", "leave", "yield", "meet", "execute", "lose", "refuse",
	"lose the reply of", "delay", "repeat", "lose grant", "repeat grant", "recheck", "cross", "end again", "renew", "tick", "forget",
}

// moves are what may happen next.
func (w *world) moves() (all []move) {
	add := func(kind moveKind, i, j, cost int) {
		if cost == 0 || cost <= w.faults && w.rules.allows(kind) {
			all = append(all, move{kind, i, j, cost})
		}
	}
	for i := range w.procs {
		w.procs[i].moves(add)
	}
	for i := range w.calls {
		switch c := &w.calls[i]; c.stage {
		case executed:
			add(moveReply, i, 0, w.late(i))
		case ghost:
			add(moveArrive, i, 0, w.late(i))
		case flying:
			add(moveExchange, i, 0, w.late(i))
			add(moveRefuse, i, 0, 1)
			if c.probe {
				continue
			}
			for kind := moveExecute; kind <= moveRepeat; kind++ {
				if kind != moveRefuse {
					add(kind, i, 0, 1)
				}
			}
		}
	}
	for i := range w.grants {
		add(moveGrant, i, 0, w.late(i))
		add(moveLoseGrant, i, 0, 1)
		add(moveRepeatGrant, i, 0, 1)
	}
	for i, t := range w.timers {
		cost := 0
		if t.isDue() {
			cost = 1
		}
		add(moveExpire, i, 0, cost)
	}
	add(moveTick, 0, 0, 1)
	for i := range w.nodes {
		if !w.forgot() {
			add(moveForget, 0, i, 1)
		}
	}
	return all
}

// allows reports whether such a fault may happen.
func (r *rules) allows(kind moveKind) bool {
	if r.only == nil {
		return kind < moveRenew
	}
	return slices.Contains(r.only, kind)
}

// late is what it costs to be overtaken by the i-th of what is under way.
func (w *world) late(i int) int {
	if i > 0 && !w.rules.anyOrder {
		return 1
	}
	return 0
}

func (p *modelProc) moves(add func(moveKind, int, int, int)) {
	i := p.index
	switch p.state {
	case resting:
		if p.isFree() {
			add(moveAsk, i, 0, 0)
		}
	case anew:
		add(moveAsk, i, 0, 0)
		add(moveLeave, i, 0, 1)
	case waiting:
		add(moveLeave, i, 0, 1)
	case waits:
		cost := 1
		if p.w.quiet() {
			cost = 0
		}
		add(moveAsk, i, 0, cost)
		if p.request.current.phase == collecting {
			add(moveYield, i, 0, cost)
		}
		add(moveLeave, i, 0, 1)
	case gaveUp:
		add(moveLeave, i, 0, 0)
	case believes:
		add(moveLeave, i, 0, 0)
		add(moveRenew, i, 0, 1)
	}
	if p.w.rules.stray && p.expelled[0] && i == 1 {
		add(moveMeet, i, 0, 0)
	}
	r := p.request
	if r == nil || r.state == over {
		return
	}
	for j := range modelNodes {
		add(moveRecheck, i, j, 1)
	}
	if p.state == believes || p.state == resting || p.state == waiting {
		add(moveCross, i, 0, 1)
	}
	if r.state == closed || r.state == passing {
		add(moveEndAgain, i, 0, 1)
	}
}

// make makes the move.
func (w *world) make(m move) {
	w.faults -= m.cost
	switch m.kind {
	case moveAsk, moveYield:
		p := &w.procs[m.i]
		p.yielding, p.asked = m.kind == moveYield, false
		p.ask()
		p.yielding = false
	case moveLeave:
		w.procs[m.i].leave()
	case moveMeet:
		w.procs[m.i].expelled[0] = false
	case moveRecheck:
		p := &w.procs[m.i]
		p.step(&event{kind: recheck, node: m.j})
		if p.state == waits {
			p.state = anew
		}
	case moveCross:
		w.procs[m.i].cross()
	case moveEndAgain:
		w.procs[m.i].step(&event{kind: ended})
	case moveRenew:
		w.procs[m.i].renew()
	case moveGrant, moveLoseGrant, moveRepeatGrant:
		g := w.grants[m.i]
		if m.kind != moveRepeatGrant {
			w.grants = slices.Delete(w.grants, m.i, m.i+1)
		}
		if m.kind != moveLoseGrant {
			w.hear(g)
		}
	case moveExpire:
		t := w.timers[m.i]
		w.timers = slices.Delete(w.timers, m.i, m.i+1)
		w.procs[t.proc].stepOf(&event{kind: expired, attempt: t.attempt, round: t.round}, t.attempt)
	case moveTick:
		w.tick()
	case moveForget:
		w.nodes[m.j] = modelNode{forgot: true}
	default:
		w.makeCall(m)
	}
	w.settle()
	w.checkBelief()
}

func (w *world) tick() {
	w.now = w.now.Add(modelTick)
	for i := range w.procs {
		if p := &w.procs[i]; p.state == believes && !w.now.Before(p.until) {
			p.leave()
		}
	}
}

// cross has the manager ask though it has its answer. Where that was that the lock is
// taken it is a further try.
func (p *modelProc) cross() {
	if p.request.state == passing {
		p.state = waiting
		p.turns++
	}
	p.step(&event{kind: asked, asks: p.question()})
}

func (p *modelProc) renew() {
	n := &renewal{req: engine.Renewal{Name: modelName, Hold: p.request.hold, TTL: p.w.rules.ttl}}
	p.step(&event{kind: renews, renewal: n})
	for i := range modelNodes {
		if n.asks(i) {
			p.w.calls = append(p.w.calls, modelCall{proc: p.index, node: i, attempt: n.attempt, renewal: n, sent: p.w.now})
		}
	}
}

var (
	errModelLost    = fmt.Errorf("%w: the model lost it", engine.ErrUnknown)
	errModelRefused = fmt.Errorf("%w: the model refused it", engine.ErrUnsent)
)

// makeCall makes a move of a call.
func (w *world) makeCall(m move) {
	c := w.calls[m.i]
	w.calls = slices.Delete(w.calls, m.i, m.i+1)
	late := c
	late.stage = ghost
	switch m.kind {
	case moveExchange:
		w.execute(&c)
		w.reply(&c)
	case moveReply:
		w.reply(&c)
	case moveArrive:
		w.execute(&c)
	case moveExecute:
		w.execute(&c)
		c.stage = executed
		w.calls = append(w.calls, c)
	case moveLose, moveRefuse:
		if c.err = errModelLost; m.kind == moveRefuse {
			c.err = errModelRefused
		}
		w.reply(&c)
	case moveLoseReply:
		w.execute(&c)
		c.answer, c.gone, c.err = engine.Answer{}, false, errModelLost
		w.reply(&c)
	case moveDelay:
		c.err = errModelLost
		w.calls = append(w.calls, late)
		w.reply(&c)
	case moveRepeat:
		w.execute(&c)
		c.answer, c.gone, c.err = engine.Answer{}, false, errModelLost
		w.calls = append(w.calls, late)
		w.reply(&c)
	}
}

// describe says what a move is about, for people.
func (w *world) describe(m move) string {
	switch m.kind {
	case moveAsk, moveYield, moveLeave, moveMeet, moveRenew, moveCross, moveEndAgain:
		return fmt.Sprintf("%s %c", moveNames[m.kind], 'a'+m.i)
	case moveRecheck:
		return fmt.Sprintf("recheck %c node %d", 'a'+m.i, m.j)
	case moveGrant, moveLoseGrant, moveRepeatGrant:
		return fmt.Sprintf("%s %v", moveNames[m.kind], w.grants[m.i])
	case moveExpire:
		return fmt.Sprintf("expire %s round %d", w.timers[m.i].attempt.id, w.timers[m.i].round)
	case moveTick, moveForget:
		return fmt.Sprintf("%s %d", moveNames[m.kind], m.j)
	}
	c := w.calls[m.i]
	switch {
	case c.acquire != nil:
		return fmt.Sprintf("%s acquire %s at %d, token %d", moveNames[m.kind], c.acquire.Hold, c.node, c.acquire.Propose.Token)
	case c.release != nil:
		return fmt.Sprintf("%s release %s at %d", moveNames[m.kind], c.release.Hold, c.node)
	case c.renewal != nil:
		return fmt.Sprintf("%s renewal %s at %d", moveNames[m.kind], c.attempt.id, c.node)
	}
	return fmt.Sprintf("%s probe at %d", moveNames[m.kind], c.node)
}
