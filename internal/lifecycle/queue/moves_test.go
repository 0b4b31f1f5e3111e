package queue

import "fmt"

// op is one thing that may happen next.
type op uint8

const (
	opEnter           op = iota // the next call of a client's script begins
	opSend                      // a goroutine that is about to ask does
	opTake                      // a goroutine sees its grant
	opInterrupt                 // the request of one that was granted meanwhile is cut short
	opFail                      // a goroutine sees that it failed
	opListen                    // its subscription is confirmed
	opCannotSubscribe           // it cannot be had now
	opRefused                   // it cannot be had at all
	opPaused                    // a pause is over
	opDeliver                   // a message arrives
	opTimeout                   // a request is waited for no longer
	opCopy                      // the engine sends a copy of a request
	opLose                      // a grant by message is lost, unnoticed
	opError                     // a request is answered with an error that passes by itself
	opWrong                     // a request is answered by the wrong server
	opFinal                     // a request is answered with an error for good
	opOpen                      // the subscription is opened for another lock
	opBreak                     // a subscription breaks: what is under way to it is lost
	opResub                     // and is there again
	opInterval                  // a timer fires
	opLate                      // a timer fires as the state of its waiter has changed
	opGiveUp                    // a call is cancelled
	opRelease                   // a lease is given back
	opPanic                     // and a hook panics, so that its successor hears nothing of it
	opEnd                       // a lease ends, and the server has it to its end
	opForce                     // a client takes the lock away
	opNudge                     // a message says when the lock will be free
	opTick                      // time passes
)

var opNames = [...]string{
	"enter", "send", "take", "interrupt", "fail", "listen", "refusing", "refused", "paused", "deliver", "timeout", "copy", "lose",
	"error", "wrong server", "final error", "open", "break", "resubscribe", "interval", "late interval", "give up", "release", "panic",
	"end", "force", "nudge", "tick",
}

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
	for i := range w.made {
		a := &w.actors[i]
		s := a.w.state
		waits := s != Gone && s != Held
		add(opSend, i, a.pc == idle && s == Asking)
		add(opTake, i, a.pc == idle && s == Granted)
		add(opInterrupt, i, a.pc == calling && s == Granted)
		add(opFail, i, a.pc == idle && s == Failed)
		add(opListen, i, a.pc == subscribing && !w.sc.refusing)
		add(opCannotSubscribe, i, a.pc == subscribing && (b.errs > 0 || w.sc.refusing))
		add(opRefused, i, a.pc == subscribing && b.errs > 0)
		add(opPaused, i, a.pc == pausing)
		add(opInterval, i, a.due != none && a.due <= w.now && (s == Parked || s == Queued))
		add(opLate, i, b.lateTimers > 0 && s != Parked && s != Queued)
		add(opGiveUp, i, b.giveUps > 0 && waits && s != Failed)
		add(opRelease, i, s == Held)
		add(opPanic, i, s == Held && b.errs > 0)
		add(opEnd, i, s == Held && b.ends > 0)
		add(opNudge, i, b.copies > 0 && a.known && s != Parked)
	}
	for i := range w.sent {
		m := &w.net[i]
		add(opDeliver, i, true)
		request := m.kind == acquire || m.kind == release
		add(opTimeout, i, b.timeouts > 0 && !m.late && (request || m.kind == reply))
		add(opCopy, i, b.copies > 0 && !m.late && (m.kind == acquire || m.kind == release && m.next != none))
		add(opLose, i, b.losses > 0 && m.kind == push)
		add(opError, i, b.errs > 0 && request && !m.late && m.purpose != giveBack)
		add(opWrong, i, b.errs > 0 && m.kind == acquire && !m.late)
		add(opFinal, i, b.errs > 0 && m.kind == acquire && !m.late)
	}
	for c := range int8(2) {
		k := &w.clients[c]
		add(opEnter, c, int(k.done) < len(w.sc.calls[c]))
		add(opOpen, c, !k.opened && b.breaks > 0 && !w.sc.refusing)
		add(opBreak, c, k.heard && b.breaks > 0)
		add(opResub, c, k.opened && !k.heard && !w.sc.refusing)
		add(opForce, c, b.forces > 0 && w.srv.owner != none)
	}
	add(opTick, 0, b.ticks > 0 && w.calm())
	return all
}

// calm reports whether nothing is due: timers do not wait for messages, and
// goroutines run.
func (w *world) calm() bool {
	for i := range w.made {
		a := &w.actors[i]
		s := a.w.state
		if a.due != none && a.due <= w.now && (s == Parked || s == Queued) {
			return false
		}
		if s == Failed || a.pc == pausing || a.pc == idle && (s == Asking || s == Granted) {
			return false
		}
	}
	return true
}

func (w *world) do(v move) {
	b := &w.budget
	switch v.op {
	case opEnter:
		k := &w.clients[v.arg]
		c := w.sc.calls[v.arg][k.done]
		k.done++
		a := w.newActor(v.arg, w.calls, c.owner)
		w.calls++
		a.w.Wait, a.w.Fresh, a.w.Check = !c.try, c.owner == 0, at(1).Sub(epoch)
		w.step(w.made-1, Event{Kind: Entered})
	case opSend:
		w.step(v.arg, Event{Kind: Sending, Subscription: w.subscription(w.actors[v.arg].client)})
	case opTake:
		w.take(v.arg)
	case opInterrupt:
		w.timeout(w.callOf(v.arg))
	case opFail:
		w.step(v.arg, Event{Kind: GaveUp})
		w.actors[v.arg].known = false
	case opListen, opCannotSubscribe, opRefused:
		w.listen(v)
	case opPaused:
		w.actors[v.arg].pc = idle
	case opDeliver:
		w.deliver(w.remove(int(v.arg)))
	case opTimeout:
		b.timeouts--
		w.timeout(int(v.arg))
	case opCopy:
		b.copies--
		w.net[v.arg].had = true
		m := w.net[v.arg]
		m.late, m.copied = true, true
		w.actors[m.carries()].copies++
		w.send(m)
	case opLose:
		b.losses--
		w.actors[w.remove(int(v.arg)).id].mute = true
	case opError, opWrong, opFinal:
		b.errs--
		w.refuse(v)
	case opOpen:
		b.breaks--
		w.clients[v.arg].opened = true
		w.resubscribe(v.arg)
	case opBreak:
		b.breaks--
		w.breaks(v.arg)
	case opResub:
		w.resubscribe(v.arg)
	case opInterval:
		w.interval(v.arg)
	case opLate:
		b.lateTimers--
		w.step(v.arg, Event{Kind: Interval})
		if w.actors[v.arg].w.state == Gone {
			w.step(v.arg, Event{Kind: GaveUp}) // by a hook that panics
		}
	case opGiveUp:
		b.giveUps--
		w.cancel(v.arg)
	case opRelease:
		w.step(v.arg, Event{Kind: Released})
	case opPanic:
		b.errs--
		w.panics(v.arg)
	case opEnd:
		b.ends--
		w.end(v.arg, true)
	case opForce:
		b.forces--
		w.send(msg{kind: force, purpose: take, id: none, next: none, token: w.srv.token, sent: v.arg})
	case opNudge:
		b.copies--
		e := Event{Kind: Nudged}
		e.Answer.Left = at(1).Sub(epoch)
		w.step(v.arg, e)
		w.actors[v.arg].nudged = w.actors[v.arg].inFlight > 0
	case opTick:
		b.ticks--
		w.tick()
	}
	if w.bad == "" {
		w.check()
	}
}

// cancel ends the context of a call: what its goroutine waits for ends, and then it
// gives up.
func (w *world) cancel(id int8) {
	a := &w.actors[id]
	if a.pc == calling {
		w.timeout(w.callOf(id))
	}
	a.pc = idle
	w.step(id, Event{Kind: GaveUp})
	a.known = false
}

func (w *world) tick() {
	w.now++
	w.srv.expire(w.now)
	for i := range w.made {
		if a := &w.actors[i]; a.w.state == Held && w.now >= a.until {
			if w.kind && w.companion(i, Parked) {
				w.broken("the lease of hold %d ran out, and another call of its owner waits behind strangers", i)
			}
			w.end(i, false)
		}
	}
}

// end ends a lease. One that is left to its end has late copies refused; one that
// ran out is given back in the background.
func (w *world) end(id int8, left bool) {
	a := &w.actors[id]
	a.excused, a.known = left, false
	w.step(id, Event{Kind: Ended})
	m := msg{kind: release, purpose: withdraw, id: id, next: none, tombstone: a.w.InFlight() > 0 || a.copies > 0, sent: w.now}
	if left {
		m.purpose = tombstoneOnly
		if !m.tombstone {
			return
		}
	}
	w.spent++
	w.send(m)
}

// take is what a goroutine does with its grant: a lease of it, if it is not too old
// to be one, nor taken away.
func (w *world) take(id int8) {
	a := &w.actors[id]
	g, _ := a.w.Grant()
	a.until = tickOf(g.Sent.Add(g.Left))
	if w.now < a.until {
		w.step(id, Event{Kind: Took})
		if a.w.state == Held {
			w.checkTaken(id)
			return
		}
	}
	if !a.w.Wait || w.budget.retries == 0 || w.made == most {
		w.step(id, Event{Kind: GaveUp})
		a.known = false
		return
	}
	w.budget.retries--
	again := w.newActor(a.client, a.call, a.owner)
	if a.w.Fresh {
		again.owner = a.owner
	}
	w.step(id, Event{Kind: TooOld, Again: &again.w})
	a.known = false
}

func (w *world) callOf(id int8) int {
	for i := range w.sent {
		if m := &w.net[i]; m.id == id && m.purpose == own && !m.late && (m.kind == acquire || m.kind == reply) {
			return int(i)
		}
	}
	return none
}

func (w *world) listen(v move) {
	a := &w.actors[v.arg]
	a.pc = idle
	e := Event{Kind: Listened}
	k := &w.clients[a.client]
	switch v.op {
	case opListen:
		k.opened = true
		if !k.heard {
			w.resubscribe(a.client)
		}
	default:
		w.budget.errs -= int8(bit(!w.sc.refusing))
		e.Err, e.Final = fmt.Errorf("no subscription"), v.op == opRefused
	}
	w.step(v.arg, e)
	a.listens++
	a.unheard = a.w.Wait && a.w.state == Asking && (e.Err != nil || a.listens > 2)
}

func (w *world) resubscribe(c int8) {
	w.clients[c].heard = true
	for i := range w.made {
		if a := &w.actors[i]; a.client == c && a.known {
			w.step(i, Event{Kind: Resubscribed})
		}
	}
}

func (w *world) breaks(c int8) {
	w.clients[c].heard = false
	for i := int(w.sent) - 1; i >= 0; i-- {
		if m := &w.net[i]; m.kind == push && w.actors[m.id].client == c {
			w.remove(i)
		}
	}
}

func (w *world) interval(id int8) {
	a := &w.actors[id]
	first := a.w.state == Parked && w.firstOf(a.client) == a
	a.due = none
	w.step(id, Event{Kind: Interval})
	if first && a.w.state != Asking {
		w.broken("hold %d is the first behind a holder that has lasted, and does not ask", id)
	}
}
