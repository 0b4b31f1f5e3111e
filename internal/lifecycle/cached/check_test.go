package cached

// checkEntry looks at a section that begins.
func (w *world) checkEntry(a int8, lent bool) {
	g := &w.agents[a]
	token := int8(g.h.token)
	isForced := g.forced != 0 && g.forced == g.id
	for b := range int8(len(w.agents)) {
		o := &w.agents[b]
		if b != a && o.h.state == Busy && !w.lost && !isForced && o.forced != o.id {
			w.broken("agents %d and %d are both in a section", b, a)
		}
	}
	for _, u := range w.used[:w.uses] {
		switch {
		case u == token && !w.misled:
			w.broken("agent %d uses token %d, which was used before", a, token)
		case u > token && !w.lost && !isForced:
			w.broken("agent %d uses token %d after %d", a, token, u)
		}
	}
	if int(w.uses) < len(w.used) {
		w.used[w.uses] = token
		w.uses++
	} else {
		w.broken("more than %d sections", len(w.used))
	}
	if lent && w.srv.holder == g.id {
		w.checkLend(a)
	}
}

// checkLend: no section begins locally when others have waited for a check interval,
// whatever was lost; nor at all once they wait and all that is to tell of them has
// come.
func (w *world) checkLend(a int8) {
	for _, e := range w.srv.queue[:w.srv.waiting] {
		if e.age >= 1 && agentOf(e.id) != a {
			w.broken("agent %d begins a section a check interval after hold %d has queued", a, e.id)
		}
	}
	if id := w.mustKnowOf(a); id != 0 {
		w.broken("agent %d begins a section though hold %d waits, and nothing is under way that tells it", a, id)
	}
}

// mustKnowOf returns a hold that waits for what a has, of which a has been told; 0:
// there is none. It may be under way, or have been lost unnoticed.
func (w *world) mustKnowOf(a int8) int8 {
	g := &w.agents[a]
	if w.srv.holder != g.id || w.unheard || w.lost || w.subs[w.client(a)].unnoticed ||
		w.any(func(m msg) bool { return m.id == g.id && (m.kind == recall || m.kind == renewed && m.others) }) {
		return 0
	}
	for _, e := range w.srv.queue[:w.srv.waiting] {
		if by := agentOf(e.id); by != a && w.role(by) != older {
			return e.id
		}
	}
	return 0
}

// checkGone: once a client has heard that its hold is gone, no section runs on it.
func (w *world) checkGone(a int8, m msg) {
	if g := &w.agents[a]; m.kind == gone && m.id == g.id && g.h.state == Busy {
		w.broken("agent %d goes on, and was told that its hold is gone", a)
	}
}

// check looks for what must never be.
func (w *world) check() {
	for a := range int8(len(w.agents)) {
		g := &w.agents[a]
		if g.h.state == Idle && g.h.recalled {
			w.broken("agent %d keeps what it was asked to give back", a)
		}
		if id := w.mustKnowOf(a); g.h.state == Idle && id != 0 {
			w.broken("agent %d keeps what hold %d waits for, and nothing is under way that tells it", a, id)
		}
		if g.want < 0 {
			w.broken("agent %d has had the lock once too often", a)
		}
		if w.role(a) == tries && g.pc == free && g.h.state == Over {
			w.checkTried(a)
		}
	}
	for _, m := range w.net[:w.sent] {
		if m.kind == granted && m.newForm && w.role(agentOf(m.id)) == older {
			w.broken("a process from before cannot read its grant")
		}
	}
}

// checkTried: a try that has returned leaves no place in the queue.
func (w *world) checkTried(a int8) {
	for _, e := range w.srv.queue[:w.srv.waiting] {
		if agentOf(e.id) == a && !w.any(func(m msg) bool { return m.id == e.id }) {
			w.broken("a try has returned, and its place in the queue stays")
		}
	}
}
