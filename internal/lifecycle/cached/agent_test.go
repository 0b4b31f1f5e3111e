package cached

// tell takes an event to the machine of agent a, and performs what comes of it.
func (w *world) tell(a int8, e Event) {
	g := &w.agents[a]
	w.lie(a, &e)
	before := g.h.state
	fx, ok := g.h.Step(terms, e, now)
	if !ok && w.sc.off == 0 {
		w.broken("impossible: event %d in state %d", e.Kind, before)
		return
	}
	w.events[before][e.Kind]++
	for _, f := range fx.All() {
		switch f.Do {
		case Lend:
			w.enter(a, true)
		case Renew:
			w.renewal(a)
		case GiveBack:
			w.giveBack(a)
		case Lose:
			g.needs, g.inside = false, 0
		case Ask, Schedule: // see canAsk and isDue
		}
	}
	if e.Kind == Gone && before != Asked {
		w.withdraw(a, g.id)
	}
}

// isSubscribed is what the client of a believes of its subscription.
func (w *world) isSubscribed(a int8) bool { return w.subscribed(a) }

// ask has agent a ask for a hold of its own.
func (w *world) ask(a int8) {
	g := &w.agents[a]
	g.id = w.newID(a)
	g.copies, g.since, g.forced, g.pc = 0, 0, 0, asking
	w.tell(a, Event{Kind: Sent, Subscribed: w.isSubscribed(a)})
	w.acquires(a)
}

// acquires has a request leave. It comes at once: that is as if it had left later.
func (w *world) acquires(a int8) {
	w.acquire(msg{kind: acquire, id: w.agents[a].id, token: int8(w.agents[a].h.token)})
}

func (w *world) renewal(a int8) {
	g := &w.agents[a]
	floor := int8(g.h.token)
	if w.sc.off.has(floorIsLastUsed) {
		floor = g.token
	}
	g.moved = false
	w.send(msg{kind: renew, id: g.id, token: floor})
}

// giveBack releases the hold of a, naming the next call of its client.
func (w *world) giveBack(a int8) {
	g := &w.agents[a]
	m := msg{kind: release, id: g.id, token: int8(g.h.token), to: int8(g.h.token), tombstone: g.copies > 0}
	if w.sc.off.has(floorIsLastUsed) {
		m.token = g.token
	}
	if g.want > 0 && w.role(a) != tries {
		g.leaving = g.id
		g.id = w.newID(a)
		m.next = g.id
		g.copies, g.since, g.pc, g.forced = 0, 0, named, 0
		g.h = Hold{token: g.h.token}
		g.h.Step(terms, Event{Kind: Sent, Subscribed: w.isSubscribed(a)}, now)
	}
	w.send(m)
}

// withdraw gives up in the background what the server may have of id.
func (w *world) withdraw(a, id int8) {
	g := &w.agents[a]
	m := msg{kind: release, id: id, token: int8(g.h.token), to: int8(g.h.token), late: true}
	if w.sc.off.has(withdrawalsHaveFloors) {
		m.token = 0
	}
	m.tombstone = w.any(func(o msg) bool { return o.kind == acquire && o.id == id })
	w.send(m)
}

// begin makes the first section of a grant.
func (w *world) begin(a int8, m msg, age int8) {
	g := &w.agents[a]
	g.pc = free
	g.token = m.token
	if age >= life { // too old
		w.tell(a, Event{Kind: Gone})
		w.withdraw(a, m.id)
		return
	}
	others := m.others || w.role(a) != caching
	e := Event{
		Kind: Began, Token: int64(m.token), Contact: ago(age), Until: ago(age - life), Others: others,
		Subscribed: w.isSubscribed(a),
	}
	if w.sc.off.has(blockWithRenewal) {
		defer func() { g.h.from, g.h.to, g.h.block = int64(m.token), int64(m.token)+2, 2 }()
	}
	w.tell(a, e)
	w.enter(a, false)
}

// wants has a call of a begin.
func (w *world) wants(a int8) {
	g := &w.agents[a]
	g.want++
	if w.sc.off.has(noneOfWhatLeaves) && g.h.state == Returning {
		g.h.state = Idle
	}
	w.tell(a, Event{Kind: Wanted, Subscribed: w.isSubscribed(a)})
}

// claims has the first agent's client give back what it keeps, since a call with an
// owner of its own asks for the lock.
func (w *world) claims() {
	if !w.sc.off.has(ownersClaim) {
		w.tell(0, Event{Kind: Recalled})
	}
}

// canAsk reports whether a's next move is to ask the server.
func (w *world) canAsk(a int8) bool {
	g := &w.agents[a]
	if g.want == 0 || g.pc != free || g.h.state != Over {
		return false
	}
	if w.role(a) == owning && !w.sc.off.has(ownersClaim) { // it awaits the release of what its client keeps
		h := &w.agents[0]
		return h.h.state != Returning && h.h.state != Idle && h.leaving == 0
	}
	return true
}

// hear has an answer or a message come to a client.
func (w *world) hear(m msg) {
	a := agentOf(m.id)
	g := &w.agents[a]
	if m.kind == took {
		w.tookAway(m.token)
		return
	}
	if m.kind == granted && (m.newForm && w.role(a) == older) {
		return // it cannot read it
	}
	known := m.id == g.id && (g.h.state == Asked || g.h.state == Busy || g.h.state == Idle || g.h.state == Renewing || g.h.state == Returning)
	waits := m.id == g.id && g.h.state == Asked && (g.pc == asking || g.pc == queued || g.pc == named || g.pc == trying)
	switch m.kind {
	case acquired:
		if waits {
			w.begin(a, m, m.age)
		}
	case waiting:
		if waits {
			g.since, g.pc = m.age, queued
			if w.role(a) == tries {
				g.pc = trying
			}
		}
	case taken:
		if waits {
			w.gives(a)
		}
	case renewed, gone:
		w.hearRenewal(a, m)
	case released:
		w.hearReleased(a, m)
	case granted:
		switch {
		case waits:
			w.begin(a, m, g.since)
		case m.id != g.id || !known:
			w.withdraw(a, m.id)
		}
	case recall:
		if known {
			w.recalled(a, m)
		}
	case inUse:
		if waits && g.pc == trying {
			w.withdraws(a)
		}
	}
}

func (w *world) hearRenewal(a int8, m msg) {
	g := &w.agents[a]
	if m.id != g.id || g.h.state == Asked || g.h.state == Over {
		return
	}
	if w.sc.off.has(renewalsAreTheHolds) && g.moved {
		g.h.renewing = false
		w.checkGone(a, m)
		return
	}
	if m.kind == gone {
		w.tell(a, Event{Kind: Gone})
		w.checkGone(a, m)
		return
	}
	age := m.age
	if w.sc.off.has(contactIsSending) {
		age = 0
	}
	w.tell(a, Event{
		Kind: Renewed, Contact: ago(age), Until: ago(m.age - life), From: int64(m.token), To: int64(m.to), Others: m.others || w.role(a) != caching,
		Subscribed: w.isSubscribed(a), Waiting: g.want > 0,
	})
}

func (w *world) hearReleased(a int8, m msg) {
	g := &w.agents[a]
	if m.id == g.leaving {
		g.leaving = 0
	}
	if m.next != 0 && m.next == g.id && g.pc == named {
		switch m.nextIs {
		case acquired:
			w.begin(a, msg{id: g.id, token: m.token, others: m.others}, m.age)
		case waiting:
			g.since, g.pc = m.age, queued
		default:
			g.pc = free
			w.tell(a, Event{Kind: Gone})
		}
		return
	}
	if m.id != g.id {
		return
	}
	if g.pc == leaving { // a try has its answer
		g.pc, g.h, g.id = free, Hold{token: g.h.token}, 0
		g.want--
		w.entered = a + 1
		return
	}
	if g.h.state == Returning {
		w.tell(a, Event{Kind: Returned})
	}
}

// recalled is what a holder does that is asked to give the lock back. A try is told
// at once where the lock is in use.
func (w *world) recalled(a int8, m msg) {
	g := &w.agents[a]
	if g.h.state == Asked && w.sc.off.has(earlyRecallsCount) {
		return
	}
	w.tell(a, Event{Kind: Recalled})
	if m.next != 0 && g.h.state == Busy && !w.sc.off.has(busyAnswers) {
		w.send(msg{kind: inUse, id: m.next})
	}
}

// gives ends a try in vain that has no place in the queue.
func (w *world) gives(a int8) {
	g := &w.agents[a]
	g.pc, g.h = free, Hold{token: g.h.token}
	g.want--
	w.entered = a + 1
}

// withdraws ends a try that has a place in the queue. It returns when that is gone.
func (w *world) withdraws(a int8) {
	g := &w.agents[a]
	if w.sc.off.has(triesWithdraw) {
		w.gives(a)
		return
	}
	g.pc = leaving
	w.send(msg{kind: release, id: g.id, tombstone: g.copies > 0})
}

// tookAway is what the first agent's client does once it has taken the lock away.
func (w *world) tookAway(token int8) {
	for a := range int8(len(w.agents)) {
		g := &w.agents[a]
		has := g.token
		if w.sc.off.has(forceByHold) {
			has = int8(g.h.token)
		}
		if w.client(a) == 0 && g.h.state != Asked && g.h.state != Over && g.h.state != Returning && has == token {
			w.tell(a, Event{Kind: Gone})
		}
		if w.client(a) == 0 && g.token == token && (g.h.state == Busy || g.h.state == Renewing) {
			w.broken("agent %d goes on, and its own client took its lock away", a)
		}
	}
}

// ends has the validity of a's hold be over.
func (w *world) ends(a int8) { w.tell(a, Event{Kind: Gone}) }

// leave ends one lease of the section of a.
func (w *world) leave(a int8) {
	g := &w.agents[a]
	g.inside--
	outer := g.inside > 0
	w.tell(a, Event{Kind: Ended, Subscribed: w.isSubscribed(a), Waiting: g.want > 0 && g.pc == free})
	if w.sc.off.has(recallIsHeeded) && g.h.state == Returning && g.h.recalled && w.sc.roles[a] == caching {
		for i := w.sent - 1; i >= 0; i-- {
			if w.net[i].kind == release && w.net[i].id == g.id {
				w.remove(i)
			}
		}
		g.h.state, g.h.idleSince = Idle, now
	}
	if outer && g.h.state != Busy {
		w.broken("agent %d has the lock no more, and one of its leases runs on", a)
	}
}

// enter is a section that begins.
func (w *world) enter(a int8, lent bool) {
	g := &w.agents[a]
	g.want--
	g.inside = 1
	w.entered = a + 1
	g.moved = g.moved || lent
	if lent && w.sc.off.has(copiesAreTheHolds) {
		g.copies = 0
	}
	w.checkEntry(a, lent)
}
