package cached

// A server is one lock as the scripts keep it.
type server struct {
	holder, left int8 // an id, and how many ticks it has
	token, fence int8
	behind       bool // its clock has stepped back
	queue        [6]entry
	waiting      int8
	tombstones   uint32
}

type entry struct{ id, age int8 }

func (s *server) place(id int8) int8 {
	for i, e := range s.queue[:s.waiting] {
		if e.id == id {
			return int8(i)
		}
	}
	return -1
}

func (s *server) drop(id int8) bool {
	i := s.place(id)
	if i < 0 {
		return false
	}
	copy(s.queue[i:], s.queue[i+1:s.waiting])
	s.waiting--
	s.queue[s.waiting] = entry{}
	return true
}

func (s *server) older() {
	for i := range s.queue[:s.waiting] {
		s.queue[i].age = min(s.queue[i].age+1, 2)
	}
}

// clock is the server's, in tokens: above all that there were, unless it has stepped
// back.
func (w *world) clock(above int8) int8 {
	if w.srv.behind {
		return 0
	}
	return w.hi + above
}

func (w *world) mint(id, floor int8) {
	s := &w.srv
	s.holder, s.left = id, life
	s.fence = max(s.fence+1, floor+1, w.clock(1))
	s.token = s.fence
	w.hi = max(w.hi, s.fence)
	if w.sc.off.has(blockWithRenewal) {
		s.fence += 2
		w.hi = max(w.hi, s.fence)
	}
}

// passOn grants the free lock to the first who waits, by message.
func (w *world) passOn() {
	s := &w.srv
	if s.holder != 0 || s.waiting == 0 {
		return
	}
	id := s.queue[0].id
	s.drop(id)
	w.mint(id, s.token)
	newForm := w.role(agentOf(id)) != older || w.sc.off.has(formsByEntry)
	w.send(msg{kind: granted, id: id, token: s.token, others: w.tells(), newForm: newForm})
}

// tells is what a grant says of others.
func (w *world) tells() bool { return w.srv.waiting > 0 && !w.sc.off.has(grantsTell) }

// reply has an answer be under way: one that grants something, or says that it is
// gone. The others come at once, since nothing overtakes them that counts.
func (w *world) reply(m, answer msg) {
	if m.late {
		return
	}
	answer.id, answer.age = m.id, m.age
	if answer.kind == acquired || answer.kind == renewed || answer.kind == gone || answer.nextIs == acquired {
		if !answer.counts() {
			answer.age = 0
		}
		w.send(answer)
		return
	}
	w.hear(answer)
}

// recalls has the holder asked to give the lock back to the first who waits.
func (w *world) recalls(by int8, again bool) {
	s, a := &w.srv, agentOf(by)
	rule := joinsRecall
	switch {
	case again:
		rule = checkInsRecall
	case w.role(a) == tries:
		rule = triesRecall
	}
	if w.sc.off.has(rule) || w.role(a) == older || w.role(agentOf(s.holder)) != caching {
		return
	}
	if w.client(a) == w.client(agentOf(s.holder)) && !w.sc.off.has(ownDoNotRecall) {
		return
	}
	if w.client(a) == w.client(agentOf(s.holder)) {
		w.broken("hold %d is recalled for its own client", s.holder)
	}
	m := msg{kind: recall, id: s.holder}
	if w.role(a) == tries {
		m.next = by
	}
	w.send(m)
}

func (w *world) acquire(m msg) {
	s := &w.srv
	switch {
	case s.tombstones&(1<<m.id) != 0:
		return
	case s.holder == m.id:
		s.left = life
		w.reply(m, msg{kind: acquired, token: s.token, others: w.tells()})
		return
	case s.holder == 0 && s.waiting == 0:
		w.mint(m.id, m.token)
		w.reply(m, msg{kind: acquired, token: s.token, others: w.tells()})
		return
	}
	again := s.place(m.id) >= 0
	if w.role(agentOf(m.id)) == tries && s.waiting > 0 && !again {
		w.reply(m, msg{kind: taken})
		return
	}
	if !again {
		if int(s.waiting) == len(s.queue) {
			w.broken("the queue is full")
			return
		}
		s.queue[s.waiting] = entry{id: m.id}
		s.waiting++
	}
	if s.holder == 0 {
		w.passOn()
	}
	if s.holder == m.id {
		w.reply(m, msg{kind: acquired, token: s.token, others: w.tells()})
		return
	}
	if !again || s.queue[0].id == m.id {
		w.recalls(m.id, again)
	}
	w.reply(m, msg{kind: waiting})
}

func (w *world) renew(m msg) {
	s := &w.srv
	if s.holder != m.id {
		w.reply(m, msg{kind: gone})
		return
	}
	s.left = life
	from, to := max(s.fence, m.token), w.clock(2)
	if to > from && !w.sc.off.has(blockRaisesFence) {
		s.fence = to
	}
	w.hi = max(w.hi, to)
	w.reply(m, msg{kind: renewed, token: from, to: to, others: s.waiting > 0 && !w.sc.off.has(renewalsTell)})
}

func (w *world) release(m msg) {
	s := &w.srv
	mine := s.holder == m.id
	if mine {
		s.holder = 0
	}
	if m.tombstone {
		s.tombstones |= 1 << m.id
	}
	answer := msg{kind: released, next: m.next}
	if !mine && !s.drop(m.id) {
		w.reply(m, answer)
		return
	}
	floor := int8(0)
	if mine {
		floor = max(s.token, m.token)
		s.token = floor
	}
	if m.next != 0 {
		if s.holder == 0 && s.waiting == 0 {
			w.mint(m.next, floor)
		} else if s.place(m.next) < 0 {
			s.queue[s.waiting] = entry{id: m.next}
			s.waiting++
		}
	}
	w.passOn()
	switch {
	case m.next == 0:
	case s.holder == m.next:
		answer.nextIs, answer.token, answer.others = acquired, s.token, w.tells()
		w.dropMessage(m.next)
	case s.place(m.next) >= 0:
		answer.nextIs = waiting
		w.recalls(m.next, false)
	}
	if mine && s.holder != 0 && s.token <= m.to {
		w.broken("token %d is granted behind hold %d, which has used %d", s.token, m.id, m.to)
	}
	w.reply(m, answer)
}

// dropMessage takes back the message to one that hears of its grant by the reply.
func (w *world) dropMessage(id int8) {
	for i := w.sent - 1; i >= 0; i-- {
		if w.net[i].kind == granted && w.net[i].id == id {
			w.remove(i)
		}
	}
}

// takeAway frees the lock whoever has it, at the call of the first agent's client.
func (w *world) takeAway() {
	s := &w.srv
	g := &w.agents[agentOf(s.holder)]
	g.forced = s.holder
	token := s.token
	s.holder = 0
	w.passOn()
	w.send(msg{kind: took, id: 1, token: token})
}
