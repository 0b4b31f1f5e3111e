package cached

import (
	"fmt"
	"time"
)

// A world is up to three callers, each with the machine, a network between, and one
// server. Its state is a value without pointers: a copy is another. Its time does not
// pass: a tick has everything get older.
type world struct {
	sc     *scenario
	events *[states][kinds]int
	bad    string
	state
}

type state struct {
	srv    server
	old    server // what a replica has
	agents [3]agent
	subs   [3]subscription // by client
	net    [10]msg
	sent   int8
	calls  [3]int8 // that have not begun
	budget budget

	used      [8]int8 // tokens of sections
	uses      int8
	hi        int8 // the greatest token that there has been, which the clock is above
	snapshots bool // old is set
	lost      bool // the server has lost what it had: two may believe
	misled    bool // and its clock was behind: it may repeat a token
	unheard   bool // a message was lost, and nobody noticed
	entered   int8 // the agent that entered by the last move, and one more
}

// The times of the model. A tick is a check interval.
const (
	tick = 6 * time.Second
	now  = 1000 * tick
	life = 3 // ticks that the server grants
)

var terms = Terms{TTL: life * tick, Idle: tick, Check: tick}

// What an agent is.
type role uint8

const (
	absent  role = iota
	caching      // calls a lock with caching
	plain        // calls one without
	older        // is a process from before caching
	tries        // calls TryLock
	owning       // calls in the name of an owner of its own, in the first agent's client
)

// An agent is what one client does with one lock.
type agent struct {
	h       Hold
	id      int8 // of its hold; 0: none
	leaving int8 // of one whose release is not answered, and names id; 0: none
	want    int8 // calls that wait
	pc      pc
	token   int8 // the server's
	since   int8 // ticks since the request left by whose answer it waits
	copies  int8 // of acquires of id, by its client's count
	moved   bool // another section has begun since its renewal left
	needs   bool // the section is to enter the lock once more, and ends only then
	forced  int8 // the hold that was taken away
	inside  int8 // leases of the section that runs
}

type pc uint8

const (
	free pc = iota
	asking
	queued
	named   // in a release
	trying  // in the queue, for a short while
	leaving // the queue
)

type subscription struct{ at, unnoticed bool } // at the server; it is not, and the client does not know

type budget struct{ copies, lose, breaks, forces, forgets, failovers, steps, nests, timeouts int8 }

type kind uint8

const (
	none    kind = iota
	acquire      // requests
	renew
	release
	acquired // answers
	waiting
	taken
	renewed
	gone
	released
	took    // the lock away
	granted // messages to a client
	recall
	inUse
)

var kindNames = [...]string{
	"", "acquire", "renew", "release", "acquired", "waiting", "taken", "renewed", "gone", "released", "took", "granted", "recall", "in use",
}

type msg struct {
	kind      kind
	id, next  int8
	token, to int8 // of renewed: the block. Of requests: the floor, and, of a release, what it should be
	age       int8
	others    bool
	joins     bool
	late      bool // nobody waits for its answer
	tombstone bool
	newForm   bool
	nextIs    kind // of released: what next is
}

func (m msg) isMessage() bool { return m.kind >= granted }

// counts reports whether it matters how old m is.
func (m msg) counts() bool {
	return m.kind == acquire && !m.late || m.kind == acquired || m.kind == renew && !m.late || m.kind == renewed || m.nextIs == acquired
}

func (m msg) String() string {
	return fmt.Sprintf("%s of hold %d (next %d, token %d-%d, others %v, late %v)", kindNames[m.kind], m.id, m.next, m.token, m.to, m.others, m.late)
}

func agentOf(id int8) int8 { return (id - 1) / 8 }

func (w *world) role(a int8) role { return w.sc.roles[a] }

// client is the client of an agent.
func (w *world) client(a int8) int8 {
	if w.role(a) == owning {
		return 0
	}
	return a
}

func (w *world) subscribed(a int8) bool {
	s := w.subs[w.client(a)]
	return s.at || s.unnoticed
}

func (w *world) broken(format string, args ...any) {
	if w.bad == "" {
		w.bad = fmt.Sprintf(format, args...)
	}
}

// send has a message leave, unless the same is under way. Beside those of late
// copies each is an answer to be had.
func (w *world) send(m msg) {
	if m.isMessage() {
		if !w.subs[w.client(agentOf(m.id))].at {
			return
		}
		for _, n := range w.net[:w.sent] {
			if n == m {
				return
			}
		}
	}
	if int(w.sent) == len(w.net) {
		w.broken("more than %d messages under way", len(w.net))
		return
	}
	w.net[w.sent] = m
	w.sent++
}

func (w *world) remove(i int8) msg {
	m := w.net[i]
	copy(w.net[i:], w.net[i+1:w.sent])
	w.sent--
	w.net[w.sent] = msg{}
	return m
}

func (w *world) any(is func(msg) bool) bool {
	for _, m := range w.net[:w.sent] {
		if is(m) {
			return true
		}
	}
	return false
}

// newID returns an id of agent a that nothing knows.
func (w *world) newID(a int8) int8 {
	if w.sc.off.has(freshIDs) && w.agents[a].id != 0 {
		return w.agents[a].id
	}
	for id := a*8 + 1; id <= a*8+8; id++ {
		g := &w.agents[a]
		if id == g.id || id == g.leaving || id == w.srv.holder || id == w.old.holder || w.srv.place(id) >= 0 || w.old.place(id) >= 0 ||
			w.any(func(m msg) bool { return m.id == id || m.next == id }) {
			continue
		}
		return id
	}
	w.broken("agent %d has no id left", a)
	return a*8 + 1
}

// ago is an instant so many ticks ago.
func ago(ticks int8) time.Duration { return now - time.Duration(ticks)*tick }

// moveBack moves an instant back by a tick, but not to more than most ago: it is as good
// as that then.
func moveBack(at *time.Duration, most time.Duration) {
	if *at != 0 {
		*at = max(*at-tick, now-most)
	}
}

// A pass of time: everything gets older, and what a client believes in ends before
// what the server grants.
func (w *world) tick() (expires bool) {
	for a := range w.agents {
		g := &w.agents[a]
		h := &g.h
		moveBack(&h.contact, terms.Check)
		moveBack(&h.until, 0)
		moveBack(&h.idleSince, terms.Idle)
		g.since = min(g.since+1, life)
	}
	for i := range w.net[:w.sent] {
		if m := &w.net[i]; m.counts() {
			m.age = min(m.age+1, life)
		}
	}
	for a := range int8(len(w.agents)) {
		if h := &w.agents[a].h; h.state != Over && h.state != Asked && h.state != Returning && h.until <= now {
			w.ends(a)
			expires = true
		}
	}
	if !w.sc.slow { // a replica is not behind for that long
		w.old, w.snapshots = server{}, false
	}
	w.old.older()
	s := &w.srv
	s.older()
	if s.holder != 0 {
		if s.left--; s.left <= 0 {
			s.holder = 0
			w.passOn()
			return true
		}
	}
	return expires
}
