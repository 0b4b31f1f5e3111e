package queue

import (
	"fmt"

	"github.com/relock-go/relock/internal/engine"
)

// deliver has a message arrive.
func (w *world) deliver(m msg) {
	if m.copied {
		w.actors[m.carries()].copies--
	}
	switch m.kind {
	case acquire:
		v := w.acquire(m.id, m.join)
		w.answer(m, v)
	case release:
		gone, of := w.release(m)
		m.gone = gone
		w.answer(m, of)
	case force:
		w.force(m.token)
		m.kind = reply
		w.send(m)
	case reply:
		w.hear(m)
	case push:
		w.hearGrant(m)
	}
}

func (w *world) answer(m msg, v verdict) {
	if m.late && v.state == engine.Granted { // by a reply that nobody hears
		w.actors[max(m.next, m.id*int8(bit(m.kind == acquire)))].mute = true
	}
	if m.late || m.purpose == giveBack {
		return
	}
	m.kind, m.verdict = reply, v
	w.send(m)
}

func (w *world) hearGrant(m msg) {
	a := &w.actors[m.id]
	e := Event{Kind: Pushed, Answer: m.verdict.event(0, 0).Answer}
	e.Answer.Sent = Event{}.Answer.Sent
	if a.known {
		waited := a.w.state != Granted
		w.step(m.id, e)
		if g, _ := a.w.Grant(); waited && a.w.state == Granted && tickOf(g.Sent) < a.placed && g.Token == e.Answer.Token {
			w.broken("hold %d has been told since that it waits, and believes for less", m.id)
		}
		return
	}
	fx := w.clients[a.client].q.Step(e, at(w.now))
	w.pairs.strays++
	for _, f := range fx.All() {
		if f.Do == Return {
			w.send(msg{kind: release, purpose: giveBack, id: m.id, next: none, token: m.verdict.token, sent: w.now})
		}
	}
}

// hear has the answer to a request arrive.
func (w *world) hear(m msg) {
	switch m.purpose {
	case own, checkIn:
		if m.purpose == own {
			w.actors[m.id].pc = idle
		}
		e := m.verdict.event(m.sent, w.subscription(w.actors[m.id].client))
		e.Copied = m.had
		w.step(m.id, e)
	case unlock, withdraw:
		w.returned(m)
		if m.next != none {
			e := m.verdict.event(m.sent, w.subscription(w.actors[m.next].client))
			e.Copied = m.had
			w.step(m.next, e)
		}
	case take:
		w.tookAway(m.sent, m.token)
	}
}

// returned is what a manager does once a release is answered.
func (w *world) returned(m msg) {
	a := &w.actors[m.id]
	if m.purpose != unlock {
		return
	}
	a.known = false
	if m.gone && a.w.IsRepeated() { // a late acquire may have put it back under another token
		w.send(msg{kind: release, purpose: withdraw, id: m.id, next: none, tombstone: m.tombstone, sent: w.now})
	}
}

// tookAway ends the leases of the client that took the lock away.
func (w *world) tookAway(c, token int8) {
	e := Event{Kind: Forced}
	e.Answer.Token = int64(token)
	w.clients[c].took |= 1 << token
	w.clients[c].q.Step(e, at(w.now))
	for i := range w.made {
		a := &w.actors[i]
		if a.client != c || !a.known {
			continue
		}
		w.pairs.visit(a.w.state, Forced)
		g, _ := a.w.Grant()
		if a.w.state == Held && g.Token == int64(token) {
			w.end(i, false)
		}
	}
}

// timeout has nobody wait any more for the answer to message i.
func (w *world) timeout(i int) {
	if i < 0 {
		w.broken("a goroutine waits for no request")
		return
	}
	m := w.net[i]
	if m.kind == reply {
		w.remove(i)
	} else {
		w.net[i].late = true
		w.net[i].next = m.next
	}
	w.unanswered(m, Event{Kind: GotNoAnswer})
}

// unanswered tells whom m was about that it has no answer, or an error: e. What
// gives back goes on until it is answered, without a successor.
func (w *world) unanswered(m msg, e Event) {
	e.Copied = m.had
	switch m.purpose {
	case own:
		w.actors[m.id].pc = idle
		w.step(m.id, e)
	case checkIn:
		w.step(m.id, e)
	case unlock, withdraw, tombstoneOnly:
		next := m.next
		m.kind, m.next, m.late, m.verdict = release, none, false, verdict{}
		m.tombstone = m.purpose != tombstoneOnly && (w.actors[m.id].w.InFlight() > 0 || w.actors[m.id].copies > 0) || m.tombstone
		w.spent++
		w.send(m)
		if next != none {
			w.step(next, e)
		}
	}
}

func (w *world) refuse(v move) {
	m := w.remove(int(v.arg))
	e := Event{Kind: GotError, Err: fmt.Errorf("refused")}
	switch v.op {
	case opWrong:
		w.sendElsewhere(m, e)
		return
	case opFinal:
		e.Final = true
	}
	w.unanswered(m, e)
}

// sendElsewhere has m be answered by the wrong server. That passes, but not if it
// has lasted for a tick.
func (w *world) sendElsewhere(m msg, e Event) {
	a := &w.actors[m.id]
	e.Grace = at(1).Sub(epoch)
	if a.wrong == 0 {
		a.wrong = w.now + 1
	}
	over, state := a.wrong <= w.now, a.w.state
	w.unanswered(m, e)
	if (state == Asking || state == Queued) && over != (a.w.state == Failed) {
		w.broken("hold %d has been sent elsewhere for a tick: %v; it has failed: %v", m.id, over, a.w.state == Failed)
	}
}

// panics has a hook panic in a release: it may have left or not, and its caller
// tells the successor that there is no answer.
func (w *world) panics(id int8) {
	w.step(id, Event{Kind: Released})
	for i := range w.sent {
		if m := &w.net[i]; m.kind == release && m.purpose == unlock && m.id == id && !m.late {
			w.timeout(int(i))
			return
		}
	}
}
