package queue

import (
	"slices"

	"github.com/relock-go/relock/internal/engine"
)

// check looks for what must never be.
func (w *world) check() {
	w.checkExclusion()
	for i := range w.made {
		w.checkWay(i)
		w.checkCounts(i)
	}
	for c := range w.clients {
		w.checkQueue(int8(c))
	}
	w.checkGrant()
}

// checkExclusion: no two owners believe in a lease. One whose lock was taken away
// may, until its client hears of it.
func (w *world) checkExclusion() {
	owner := int8(none)
	for i := range w.made {
		a := &w.actors[i]
		if a.w.state != Held || w.isForced(a) {
			continue
		}
		if owner != none && owner != a.owner {
			w.broken("two believe in the lock: hold %d is one of them", i)
		}
		owner = a.owner
	}
}

// isForced reports whether a's lock was taken away, which another client's learns
// of by its next renewal.
func (w *world) isForced(a *actor) bool {
	return a.w.state == Held && w.forced&(1<<a.w.grant.Token) != 0
}

// checkTaken: a lease begins in its turn among its client's own, and not under a
// token that this client took away.
func (w *world) checkTaken(id int8) {
	a := &w.actors[id]
	if w.clients[a.client].took&(1<<a.w.grant.Token) != 0 {
		w.broken("hold %d is a lease that its own client took away", id)
	}
	for i := range w.made {
		b := &w.actors[i]
		if a.w.Fresh && a.w.Wait && b.w.Fresh && b.w.Wait && b.client == a.client && b.call < a.call && b.w.state != Gone && b.w.state != Held {
			w.broken("hold %d overtakes hold %d", id, i)
		}
	}
}

// checkWay: whoever waits has a way to hear of its turn.
func (w *world) checkWay(id int8) {
	a := &w.actors[id]
	q := &w.clients[a.client].q
	switch a.w.state {
	case Parked:
		if a.due == none || a.due > w.now+1 {
			w.broken("hold %d is parked for longer than an interval", id)
		}
		if w.firstOf(a.client) == a && q.holder == nil {
			w.broken("hold %d is parked behind nobody", id)
		}
	case Queued:
		if a.due == none || a.due > w.now+1 {
			w.broken("hold %d does not check in", id)
		}
		if !a.w.Wait {
			w.broken("hold %d is one try, and waits", id)
		}
	case Successor:
		if !w.any(func(m *msg) bool { return m.next == id && !m.late && (m.kind == release || m.kind == reply) }) {
			w.broken("hold %d is a successor, and no release names it", id)
		}
	case Asking, Granted, Failed:
		if a.pc == calling && w.callOf(id) == none {
			w.broken("hold %d waits for an answer, and none is under way", id)
		}
	}
}

// firstOf is the first of a client's fresh owners who waits, by arrival.
func (w *world) firstOf(c int8) (first *actor) {
	for i := range w.made {
		a := &w.actors[i]
		waits := a.client == c && a.w.Fresh && a.w.Wait && a.w.state != Gone && a.w.state != Held
		if waits && (first == nil || a.call < first.call) {
			first = a
		}
	}
	return first
}

func (w *world) any(is func(*msg) bool) bool {
	for i := range w.sent {
		if is(&w.net[i]) {
			return true
		}
	}
	return false
}

// checkCounts: late copies are expected exactly where some may come; and what gave
// up and left something has that taken back.
func (w *world) checkCounts(id int8) {
	a := &w.actors[id]
	if int8(a.w.inFlight) != a.inFlight {
		w.broken("hold %d has %d requests in flight by its count, %d by what happened", id, a.w.inFlight, a.inFlight)
	}
}

// checkQueue: a client's waiters stand in order of arrival; of its fresh owners none
// but the first is with the server, and the first is parked behind a holder only.
func (w *world) checkQueue(c int8) {
	q := &w.clients[c].q
	if q.first != nil && q.first.state == Parked && q.holder == nil {
		w.broken("the first of client %d is parked behind nobody", c)
	}
	arrived, listed := int8(none), 0
	for p := q.first; p != nil; p = p.next {
		id := w.idOf(p)
		if w.actors[id].call < arrived {
			w.broken("hold %d has lost its place", id)
		}
		arrived, listed = w.actors[id].call, listed+1
	}
	if listed != int(q.listed) {
		w.broken("the queue of client %d has %d waiters, and counts %d", c, listed, q.listed)
	}
	first := w.firstOf(c)
	for _, e := range w.srv.queue[:w.srv.waiting] {
		a := &w.actors[e.id]
		if a.client == c && a.w.Fresh && a.w.state != Gone && a != first && !w.isForced(a) {
			w.broken("hold %d is with the server, and not the first of its client", e.id)
		}
	}
}

// checkGrant: whom the server has granted to hears of it without waiting for an
// interval, unless a message was lost unnoticed; and what it has of one that gave
// up is on its way back.
func (w *world) checkGrant() {
	for i := range w.srv.ends {
		id := int8(i)
		if w.srv.ends[i] <= w.now || id >= w.made {
			continue
		}
		a := &w.actors[i]
		switch a.w.state {
		case Held, Granted, Failed:
			continue
		case Gone:
			if a.excused || w.any(func(m *msg) bool {
				return m.id == id && m.kind != acquire && m.purpose != own && m.purpose != checkIn || m.id == id && m.kind == push
			}) {
				continue
			}
			w.broken("the server has hold %d, which gave up, and nobody gives it back", id)
		default:
			if !w.hears(id) {
				w.broken("the server has granted to hold %d, and nobody tells it", id)
			}
		}
	}
}

func (w *world) hears(id int8) bool {
	a := &w.actors[id]
	k := &w.clients[a.client]
	switch {
	case a.w.state == Asking && a.pc != calling: // it has the next move
		return true
	case a.w.state == Queued && a.due <= w.now, a.mute, a.w.polling, w.sc.refusing:
		return true
	case !k.heard && k.opened && !w.sc.refusing: // it asks when there is a subscription again
		return true
	}
	return w.any(func(m *msg) bool {
		switch {
		case m.kind == push:
			return m.id == id
		case m.late:
			return false
		case m.kind == acquire:
			return m.id == id
		case m.kind == release:
			return m.next == id
		}
		return m.id == id && (m.verdict.state == engine.Granted || a.w.missed || m.purpose == own && m.verdict.state == engine.Taken) && m.purpose <= checkIn ||
			m.next == id && (m.verdict.state != engine.Waiting || a.w.missed || !k.heard)
	})
}

// drain has the network deliver from now on, in order, and everybody do what it is
// to do. Whoever has not given up has its lease then, gives it back, and leaves
// nothing. late tells whether what is late arrives as well.
func (w *world) drain(late bool, log func(move)) {
	w.budget, w.kind = budget{}, true
	before := w.spent
	waits := int16(0)
	for i := range w.made {
		if s := w.actors[i].w.state; s != Gone {
			waits++
		}
	}
	ticks := 0
	for range 300 {
		v, can := w.next(late, true)
		if !can {
			if w.over() {
				break
			}
			if ticks++; ticks > 12 {
				w.broken("time passes, and somebody waits for ever")
				return
			}
			v = move{opTick, 0}
		}
		if log != nil {
			log(v)
		}
		if w.do(v); w.bad != "" {
			return
		}
		if w.spent-before > 8*waits+8 {
			w.broken("more than %d requests for %d calls", 8*waits+8, waits)
			return
		}
	}
	if !w.over() {
		w.broken("it goes on for ever")
		return
	}
	for i := range w.srv.ends {
		if w.srv.ends[i] > w.now && !w.actors[i].excused {
			w.broken("at the end the server has hold %d", i)
		}
	}
	for c := range w.clients {
		if q := &w.clients[c].q; !q.Empty() || q.first != nil || q.listed != 0 {
			w.broken("at the end a queue is not empty")
		}
	}
}

func (w *world) over() bool {
	for i := range w.made {
		if w.actors[i].w.state != Gone {
			return false
		}
	}
	return true
}

// next is the first of the moves that a kind world makes.
func (w *world) next(late, releases bool) (move, bool) {
	var buf [96]move
	all := w.moves(buf[:0])
	for _, v := range all {
		switch v.op {
		case opSend, opTake, opInterrupt, opFail, opListen, opPaused, opInterval:
			return v, true
		case opDeliver:
			if m := &w.net[v.arg]; late || !m.late {
				return v, true
			}
		case opResub:
			return v, true
		case opRelease:
			if releases && !w.companion(v.arg, Parked, Asking, Successor, Queued, Granted, Failed) {
				return v, true
			}
		}
	}
	return move{}, false
}

// companion reports whether another call of id's owner is in one of the states: it
// is one workflow, which goes on when it has both.
func (w *world) companion(id int8, in ...State) bool {
	for i := range w.made {
		a := &w.actors[i]
		if i != id && a.owner == w.actors[id].owner && slices.Contains(in, a.w.state) {
			return true
		}
	}
	return false
}
