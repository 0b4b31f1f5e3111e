package queue

// step takes an event to the queue of actor id, and performs what comes of it.
func (w *world) step(id int8, e Event) {
	a := &w.actors[id]
	e.W = &a.w
	w.pairs.visit(a.w.state, e.Kind)
	switch e.Kind {
	case GotGrant, GotPlace, GotTaken, GotNothing, GotTombstone, GotError:
		a.inFlight--
		if e.Kind != GotError {
			a.wrong = 0
		}
	}
	a.copied = a.copied || e.Copied
	before, parked := a.w.state, w.parked(a.client)
	fx := w.clients[a.client].q.Step(e, at(w.now))
	if w.clients[a.client].q.Impossible() > 0 {
		w.broken("impossible: %s comes to %s", kindNames[e.Kind], stateNames[before])
		return
	}
	w.perform(fx)
	if e.Kind == GotPlace {
		a.placed = max(a.placed, tickOf(e.Answer.Sent))
	}
	if k := &w.clients[a.client]; k.q.holder != nil && w.parked(a.client) < parked && (e.Kind == GaveUp && before != Parked || e.Kind >= Released) {
		w.broken("a goroutine stirs behind a local holder that lasts")
	}
	if e.Kind == GotPlace && a.nudged && a.w.state == Queued && a.due > w.now {
		w.broken("hold %d believes an answer that may be from before the lock was given back", id)
	}
}

func (w *world) parked(c int8) (n int) {
	for i := range w.made {
		n += int(bit(w.actors[i].client == c && w.actors[i].w.state == Parked))
	}
	return n
}

func (w *world) perform(fx Effects) {
	for _, e := range fx.All() {
		id := w.idOf(e.W)
		if id == none && e.Do != Return {
			w.broken("an effect for nobody")
			return
		}
		switch e.Do {
		case Ask:
			w.actors[id].pc = calling
			w.ask(id, own, e.Join)
		case CheckIn:
			w.actors[id].mute = false
			w.ask(id, checkIn, true)
		case Listen:
			w.actors[id].pc = subscribing
		case Pause:
			if w.actors[id].w.state == Queued {
				w.actors[id].due = w.now
			} else {
				w.actors[id].pc = pausing
			}
		case Schedule:
			w.actors[id].due = tickOf(e.At)
		case Hasten:
			if a := &w.actors[id]; a.due != none {
				a.due = min(a.due, tickOf(e.At))
			}
		case Unschedule:
			w.actors[id].due = none
		case Wake:
			if a := &w.actors[id]; a.pc == pausing && a.w.state != Asking {
				a.pc = idle
			}
		case Withdraw:
			w.giveUp(id, e.Next)
		case Release:
			w.giveBack(id, e.Next)
		case Return:
		}
	}
}

func (w *world) ask(id int8, p purpose, join bool) {
	a := &w.actors[id]
	if a.unheard && !join {
		w.broken("hold %d has no subscription, and does not join the queue", id)
	}
	a.nudged, a.unheard = false, false
	a.inFlight++
	w.spent++
	w.send(msg{kind: acquire, purpose: p, id: id, next: none, join: join, sent: w.now})
}

func (w *world) carry(next *Waiter) int8 {
	id := w.idOf(next)
	if id != none {
		w.actors[id].inFlight++
	}
	return id
}

func (w *world) giveUp(id int8, next *Waiter) {
	a := &w.actors[id]
	a.known = false
	if !a.touched && a.inFlight == 0 && !a.copied {
		w.broken("hold %d left nothing on the server, and is withdrawn", id)
	}
	w.spent++
	w.send(msg{kind: release, purpose: withdraw, id: id, next: w.carry(next), tombstone: a.w.InFlight() > 0 || a.copies > 0, sent: w.now})
}

func (w *world) giveBack(id int8, next *Waiter) {
	a := &w.actors[id]
	w.spent++
	w.send(msg{
		kind: release, purpose: unlock, id: id, next: w.carry(next), token: int8(a.w.grant.Token),
		tombstone: a.w.InFlight() > 0 || a.copies > 0, sent: w.now,
	})
}
