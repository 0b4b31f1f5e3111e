package queue

import (
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A world is two clients, each with a queue and what a lock manager does for it,
// a network between, and one server. It is a value: a copy is another world, once
// its pointers are moved (see clone).
type world struct {
	sc      *scenario
	now     int8
	srv     server
	clients [2]client
	actors  [most]actor
	made    int8 // actors
	calls   int8
	net     [16]msg
	sent    int8 // messages in net
	budget  budget
	spent   int16  // requests
	forced  uint16 // tokens that were taken away
	bad     string // what is broken
	kind    bool   // nothing goes wrong any more
	pairs   *coverage
}

type client struct {
	q      Queue
	opened bool   // it has asked for its subscription
	heard  bool   // it has it
	done   int8   // calls of the script that have begun
	took   uint16 // tokens that it knows it took away
}

// A call is one Lock or TryLock of a script.
type call struct {
	owner int8 // > 0: shared with others
	try   bool
}

// An actor is one hold id: its waiter, its goroutine, and what the manager keeps.
type actor struct {
	w        Waiter
	client   int8
	call     int8 // in order of arrival; of a retried one that of the first
	owner    int8
	pc       pc
	due      int8 // the tick of its Interval; none: it has none
	until    int8 // of a lease: its validity
	inFlight int8 // acquires without a certain answer, by what happened
	copies   int8 // of its acquires, that the engine made and that have no answer
	known    bool // the manager finds it by its id
	copied   bool // it was told of copies
	touched  bool // the server had something of it
	excused  bool // the server may have it to its end
	mute     bool // its grant was lost unnoticed: it may wait for its next check-in
	nudged   bool // a message said when the lock will be free, and no request has left since
	unheard  bool // it listened in vain, or twice too often: it is to join the queue all the same
	listens  int8
	placed   int8 // when the last request left by whose answer it waits
	wrong    int8 // the tick after that since when it is sent to the wrong server; 0: it is not
}

// pc is what an actor's goroutine does.
type pc uint8

const (
	idle pc = iota // about to look at its state
	calling
	subscribing
	pausing
)

type kind uint8

const (
	acquire kind = iota
	release
	force
	reply
	push
)

// purpose is whose request it is.
type purpose uint8

const (
	own purpose = iota
	checkIn
	unlock
	withdraw
	giveBack // of a grant that is nobody's
	tombstoneOnly
	take
)

type msg struct {
	kind      kind
	purpose   purpose
	id, next  int8
	token     int8
	sent      int8
	join      bool
	tombstone bool
	late      bool // nobody waits for its answer
	copied    bool // the engine made it
	had       bool // the engine made a copy of it
	gone      bool
	verdict   verdict
}

// carries returns which hold a request may grant, late too.
func (m msg) carries() int8 {
	if m.kind == acquire {
		return m.id
	}
	return m.next
}

// key packs a message, so that the order in the network does not count.
func (m msg) key() uint64 {
	k := uint64(m.kind)
	for _, v := range []uint64{
		uint64(m.purpose), uint64(m.id + 1), uint64(m.next + 1), uint64(m.token), uint64(m.sent),
		uint64(m.verdict.state), uint64(m.verdict.token), uint64(m.verdict.left), uint64(m.verdict.place + 1),
	} {
		k = k<<4 | v&15
	}
	for _, b := range []bool{m.join, m.tombstone, m.late, m.copied, m.had, m.gone} {
		k = k<<1 | bit(b)
	}
	return k
}

func (m msg) String() string {
	s := [...]string{"acquire", "release", "force", "reply", "grant"}[m.kind] + [...]string{"", " (check-in)", " (unlock)", " (withdraw)", " (stray)", " (leave)", ""}[m.purpose]
	s += fmt.Sprintf(" of hold %d", m.id)
	if m.next != none {
		s += fmt.Sprintf(", next %d", m.next)
	}
	if m.kind >= reply {
		s += fmt.Sprintf(": state %d token %d", m.verdict.state, m.verdict.token)
	}
	for name, is := range map[string]bool{" join": m.join, " tombstone": m.tombstone, " late": m.late} {
		if is {
			s += name
		}
	}
	return s
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// A budget bounds what may go wrong, and what the users do.
type budget struct {
	ticks, timeouts, losses, breaks, errs, copies int8
	giveUps, ends, forces, lateTimers, retries    int8
}

var epoch = time.Unix(1_000_000, 0)

func at(tick int8) time.Time { return epoch.Add(time.Duration(tick) * time.Second) }

func tickOf(t time.Time) int8 {
	return int8((t.Sub(epoch) + time.Second - 1) / time.Second)
}

func (w *world) clone(from *world) {
	*w = *from
	move := func(p **Waiter) {
		if *p == nil {
			return
		}
		for i := range from.made {
			if *p == &from.actors[i].w {
				*p = &w.actors[i].w
				return
			}
		}
		panic("a pointer out of the world")
	}
	for i := range w.clients {
		q := &w.clients[i].q
		move(&q.first)
		move(&q.last)
		move(&q.holder)
	}
	for i := range w.made {
		move(&w.actors[i].w.prev)
		move(&w.actors[i].w.next)
	}
}

func (w *world) idOf(p *Waiter) int8 {
	for i := range w.made {
		if p == &w.actors[i].w {
			return i
		}
	}
	return none
}

func (w *world) broken(format string, args ...any) {
	if w.bad == "" {
		w.bad = fmt.Sprintf(format, args...)
	}
}

func (w *world) subscribed(c int8) bool { return w.clients[c].heard && !w.sc.refusing }

func (w *world) subscription(c int8) Subscription {
	switch {
	case w.sc.refusing:
		return CannotSubscribe
	case w.clients[c].heard:
		return Subscribed
	}
	return NotSubscribed
}

func (w *world) send(m msg) {
	if int(w.sent) == len(w.net) {
		w.broken("more than %d messages under way", len(w.net))
		return
	}
	w.net[w.sent] = m
	w.sent++
}

func (w *world) remove(i int) msg {
	m := w.net[i]
	copy(w.net[i:], w.net[i+1:w.sent])
	w.sent--
	w.net[w.sent] = msg{}
	return m
}

func (w *world) newActor(c, nth, owner int8) *actor {
	id := w.made
	w.made++
	w.actors[id] = actor{client: c, call: nth, owner: owner, due: none, known: true}
	if owner == 0 {
		w.actors[id].owner = 100 + nth
	}
	return &w.actors[id]
}

// event is the answer of the model as the machine is told it.
func (v verdict) event(sent int8, s Subscription) Event {
	ans := engine.Answer{
		State: v.state, Token: int64(v.token), Left: time.Duration(v.left) * time.Second,
		Place: int(v.place), Sent: at(sent), Owner: "another", Count: 1,
	}
	return Event{Kind: EventOf(v.state), Answer: ans, Subscription: s}
}
