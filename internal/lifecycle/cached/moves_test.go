package cached

import "fmt"

// op is one thing that may happen next.
type op uint8

const (
	opArrive      op = iota // a call begins
	opAsk                   // a call asks the server
	opDeliver               // a message arrives
	opLeave                 // a lease is unlocked
	opNest                  // the section is to enter the lock once more
	opReenter               // and does
	opWatch                 // the watchdog renews
	opDue                   // what is idle has been for long enough
	opCheckIn               // who waits asks again
	opBound                 // a try has waited for long enough
	opNotice                // a client sees that its subscription is lost
	opResubscribe           // and has it again
	opTick                  // time passes
	opCopy                  // a copy of an acquire is on its way yet
	opLose                  // a message is lost, unnoticed
	opTimeout               // a renewal is waited for no longer
	opBreak                 // a subscription breaks
	opForce                 // the first agent's client takes the lock away
	opForget                // the server loses all it has
	opSnapshot              // a replica falls behind
	opFailover              // and is promoted
	opStep                  // the server's clock steps back, or forth again
)

var opNames = [...]string{
	"arrive", "ask", "deliver", "leave", "nest", "re-enter", "watch", "due", "check in", "bound", "notice", "resubscribe", "tick",
	"copy", "lose", "timeout", "break", "force", "forget", "snapshot", "failover", "step",
}

// helps reports whether the move is one that a kind world makes.
func (o op) helps() bool { return o != opArrive && o != opNest && o <= opTick }

type move struct {
	op  op
	arg int8
}

// moves returns all that may happen next.
func (w *world) moves(all []move) []move {
	add := func(o op, arg int8, can bool) {
		if can {
			all = append(all, move{o, arg})
		}
	}
	b := &w.budget
	calm := true
	for a := range int8(len(w.agents)) {
		if w.role(a) == absent {
			continue
		}
		g := &w.agents[a]
		busy := g.h.state == Busy
		add(opArrive, a, w.calls[a] > 0 && g.want < 2)
		add(opAsk, a, w.canAsk(a))
		add(opLeave, a, busy && !g.needs)
		add(opNest, a, busy && !g.needs && b.nests > 0 && w.role(a) == caching)
		add(opReenter, a, busy && g.needs && (!g.h.recalled || !w.sc.off.has(reentryIsNoGrant)))
		add(opWatch, a, w.isToWatch(a))
		add(opDue, a, w.isDue(a))
		add(opCopy, a, b.copies > 0 && (busy || g.h.state == Idle))
		add(opCheckIn, a, w.isToCheckIn(a))
		add(opBound, a, g.pc == trying && !w.sc.off.has(triesAreBounded))
		calm = calm && !w.isDue(a) && !w.isToWatch(a) && !w.canAsk(a) && !w.isToCheckIn(a) && (g.pc != trying || w.sc.off.has(triesAreBounded))
		s := w.subs[a]
		if w.client(a) == a {
			add(opNotice, a, s.unnoticed)
			add(opResubscribe, a, !s.at && !s.unnoticed)
			add(opBreak, a, s.at && b.breaks > 0 && w.role(a) == caching)
		}
	}
	for i := range w.sent {
		m := &w.net[i]
		calm = calm && (m.age == 0 || w.sc.slow)
		add(opDeliver, i, true)
		add(opLose, i, b.lose > 0 && m.isMessage())
		add(opTimeout, i, b.timeouts > 0 && !m.late && (m.kind == renew || m.kind == renewed || m.kind == gone))
	}
	add(opTick, 0, calm && w.ticks())
	add(opForce, 0, b.forces > 0 && w.srv.holder != 0)
	add(opForget, 0, b.forgets > 0)
	add(opSnapshot, 0, b.failovers > 0 && !w.snapshots)
	add(opFailover, 0, b.failovers > 0 && w.snapshots)
	add(opStep, 0, b.steps > 0 || w.srv.behind)
	return all
}

// ticks reports whether there is something to which time makes a difference.
func (w *world) ticks() bool {
	if w.srv.holder != 0 || w.srv.waiting > 0 {
		return true
	}
	for a := range w.agents {
		if g := &w.agents[a]; g.h.state == Idle || g.pc == queued {
			return true
		}
	}
	return false
}

// isToWatch reports whether the watchdog is to renew.
func (w *world) isToWatch(a int8) bool {
	h := &w.agents[a].h
	return h.state == Busy && !h.renewing && h.until-now < terms.TTL*2/3
}

// isToCheckIn reports whether one that waits is to ask again.
func (w *world) isToCheckIn(a int8) bool {
	g := &w.agents[a]
	return g.pc == queued && g.since > 0 && !w.any(func(m msg) bool { return m.id == g.id && m.kind != recall })
}

func (w *world) isDue(a int8) bool {
	h := w.agents[a].h
	if h.state != Idle {
		return false
	}
	e := Event{Kind: Due}
	if w.sc.off.has(idleEnds) {
		return false
	}
	fx, _ := h.Step(terms, e, now)
	return fx.n > 0 && fx.all[0].Do == GiveBack
}

// do makes a move, and reports whether a kind world would.
func (w *world) do(v move) (helps bool) {
	b, a := &w.budget, v.arg
	helps = v.op.helps()
	w.entered = 0
	switch v.op {
	case opArrive:
		w.calls[a]--
		if w.role(a) == owning {
			w.claims()
		}
		w.wants(a)
	case opAsk:
		if w.role(a) == owning {
			w.claims()
		}
		w.ask(a)
	case opDeliver:
		w.deliver(w.remove(a))
	case opLeave:
		w.leave(a)
	case opNest:
		b.nests--
		w.agents[a].needs = true
	case opReenter:
		w.agents[a].needs = false
		w.agents[a].inside++
		w.tell(a, Event{Kind: Reentered})
	case opWatch:
		w.agents[a].h.renewing = true
		w.renewal(a)
	case opDue:
		w.tell(a, Event{Kind: Due})
	case opCheckIn:
		w.acquires(a)
	case opBound:
		w.withdraws(a)
	case opTick:
		expires := w.tick() // of a server that has lost a release, that is the only way
		helps = !expires || w.lost
	case opNotice:
		w.notice(a)
	case opResubscribe:
		w.subs[a].at = true
	default:
		w.fault(v)
	}
	w.check()
	w.normalize()
	return helps
}

// deliver has a message arrive.
func (w *world) deliver(m msg) {
	if g := &w.agents[agentOf(m.id)]; m.kind == acquire && m.late && m.id == g.id && g.copies > 0 {
		g.copies--
	}
	switch m.kind {
	case acquire:
		w.acquire(m)
	case renew:
		w.renew(m)
	case release:
		w.release(m)
	default:
		w.hear(m)
	}
}

func (w *world) fault(v move) {
	b, i := &w.budget, v.arg
	switch v.op {
	case opCopy:
		b.copies--
		g := &w.agents[i]
		g.copies++
		w.send(msg{kind: acquire, id: g.id, late: true})
	case opLose:
		b.lose--
		w.remove(i)
		w.unheard = true
	case opTimeout:
		b.timeouts--
		m := w.net[i]
		if m.kind == renew {
			w.net[i].late = true
		} else {
			w.remove(i)
		}
		if g := &w.agents[agentOf(m.id)]; m.id == g.id && g.h.state != Asked {
			w.tell(agentOf(m.id), Event{Kind: Unrenewed})
		}
	case opBreak:
		b.breaks--
		w.subs[i] = subscription{unnoticed: true}
		for j := w.sent - 1; j >= 0; j-- {
			if m := w.net[j]; m.isMessage() && w.client(agentOf(m.id)) == i {
				w.remove(j)
			}
		}
	case opForce:
		b.forces--
		w.takeAway()
	case opForget:
		b.forgets--
		w.srv, w.lost = server{behind: w.srv.behind}, true
	case opSnapshot:
		w.old, w.snapshots = w.srv, true
	case opFailover:
		b.failovers--
		behind := w.srv.behind
		w.srv, w.old, w.snapshots, w.lost = w.old, server{}, false, true
		w.srv.behind = behind
	case opStep:
		if !w.srv.behind {
			b.steps--
		}
		w.srv.behind = !w.srv.behind
	}
	w.misled = w.misled || w.lost && w.srv.behind
}

// notice has a client see that its subscription is lost.
func (w *world) notice(client int8) {
	w.subs[client].unnoticed = false
	if w.sc.off.has(lostSubscriptionCounts) || w.sc.off.has(noGrantUnsubscribed) {
		return
	}
	for a := range int8(len(w.agents)) {
		if w.role(a) != absent && w.client(a) == client {
			w.tell(a, Event{Kind: Unsubscribed})
		}
	}
}

func (w *world) describe(v move) string {
	switch v.op {
	case opDeliver, opLose, opTimeout:
		return opNames[v.op] + " " + w.net[v.arg].String()
	}
	return fmt.Sprintf("%s %d", opNames[v.op], v.arg)
}
