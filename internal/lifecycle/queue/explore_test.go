package queue

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A scenario is who calls what, what was done before, and what may go wrong.
type scenario struct {
	name     string
	calls    [2][]call
	before   []move // refusing to faults: what brings the world where it is to be explored from
	refusing bool   // the server refuses SUBSCRIBE
	budget   budget
	depth    int
}

// A search goes through every order of moves of one scenario.
type search struct {
	sc      *scenario
	seen    map[uint64]int8 // how much deeper was looked from there
	cover   *coverage
	states  int
	drained int
	path    []move
	found   string
}

func newWorld(sc *scenario, cover *coverage) *world {
	w := &world{sc: sc, pairs: cover, srv: server{owner: none}}
	for _, v := range sc.before {
		w.follow(v)
	}
	w.budget = sc.budget
	return w
}

// follow makes a move of a scenario's beginning; opTick stands for all that a kind
// world does by itself.
func (w *world) follow(v move) {
	if v.op != opTick {
		w.do(v)
		return
	}
	for range 100 {
		next, can := w.next(true, false)
		if !can || w.bad != "" {
			return
		}
		w.do(next)
	}
	w.broken("it goes on for ever")
}

// run looks ever deeper, so that what it finds is found by the fewest moves.
func (s *search) run(depth int) {
	for d := 1; d <= depth && s.found == ""; d++ {
		w := newWorld(s.sc, s.cover)
		if w.bad != "" {
			s.found = "before the beginning: " + w.bad
			return
		}
		s.visit(w, int8(d))
	}
}

func (s *search) visit(w *world, left int8) {
	var buf [96]move
	var next world
	for _, v := range w.moves(buf[:0]) {
		next.clone(w)
		next.do(v)
		s.path = append(s.path, v)
		if next.bad == "" {
			s.enter(&next, left-1)
		} else {
			s.report(next.bad)
		}
		if s.found != "" {
			return
		}
		s.path = s.path[:len(s.path)-1]
	}
}

func (s *search) enter(w *world, left int8) {
	h := w.hash()
	before, known := s.seen[h]
	if known && before >= left {
		return
	}
	s.seen[h] = left
	if !known {
		s.states++
		s.live(w, h)
	}
	if left > 0 && s.found == "" {
		s.visit(w, left)
	}
}

// live drains where nothing is under way, and of the rest one in sixteen.
func (s *search) live(w *world, h uint64) {
	if w.sent > 0 && h%16 != 0 {
		return
	}
	s.drained++
	for _, late := range []bool{true, false} {
		var end world
		end.clone(w)
		if end.drain(late, nil); end.bad != "" {
			s.report(end.bad, late)
			return
		}
	}
}

// report shows the way to what is broken: by the moves, and then by all that is
// delivered, what is late or not.
func (s *search) report(bad string, late ...bool) {
	var lines []string
	w := newWorld(s.sc, &coverage{})
	log := func(v move) { lines = append(lines, w.describe(v)) }
	for _, v := range s.path {
		log(v)
		w.do(v)
	}
	if len(late) > 0 {
		lines = append(lines, "then all is delivered:")
		w.drain(late[0], log)
	}
	s.found = fmt.Sprintf("after %d moves: %s\n\t%s", len(s.path), bad, strings.Join(lines, "\n\t"))
}

func (w *world) describe(v move) string {
	switch v.op {
	case opDeliver, opTimeout, opCopy, opLose, opError, opWrong, opFinal:
		return opNames[v.op] + " " + w.net[v.arg].String()
	}
	return fmt.Sprintf("%s %d", opNames[v.op], v.arg)
}

func (w *world) hash() uint64 {
	h := hasher(14695981039346656037)
	h.add(uint64(w.now), uint64(w.made), uint64(w.calls), uint64(w.forced))
	b := &w.budget
	for _, v := range []int8{b.ticks, b.timeouts, b.losses, b.breaks, b.errs, b.copies, b.giveUps, b.ends, b.forces, b.lateTimers, b.retries} {
		h.add(uint64(v))
	}
	s := &w.srv
	h.add(uint64(s.token), uint64(s.fence), uint64(s.owner), uint64(s.tombstones))
	for i := range w.made {
		h.add(uint64(s.ends[i]))
	}
	for _, e := range s.queue[:s.waiting] {
		h.add(uint64(e.id), uint64(e.seen), bit(e.here), bit(e.passed))
	}
	for c := range w.clients {
		k := &w.clients[c]
		h.add(bit(k.opened), bit(k.heard), uint64(k.done), uint64(k.took), uint64(k.q.forced), uint64(k.q.forcedAt.Unix()))
		h.add(uint64(w.idOf(k.q.holder)))
		for p := k.q.first; p != nil; p = p.next {
			h.add(uint64(w.idOf(p)))
		}
	}
	for i := range w.made {
		w.actors[i].hash(&h)
	}
	var keys [len(w.net)]uint64
	for i := range w.sent {
		keys[i] = w.net[i].key()
	}
	slices.Sort(keys[:w.sent])
	h.add(keys[:w.sent]...)
	return uint64(h)
}

func (a *actor) hash(h *hasher) {
	p := &a.w
	h.add(uint64(p.state), uint64(p.via), bit(p.listed), bit(p.registered), bit(p.polling), bit(p.repeated), bit(p.missed), uint64(p.inFlight), uint64(p.attempts))
	h.add(uint64(p.ahead), uint64(p.since.Unix()), uint64(p.refused.Unix()), uint64(p.grant.Token), uint64(p.grant.Left), uint64(p.grant.Sent.Unix()))
	if p.heard != nil {
		h.add(uint64(p.heard.State), uint64(p.heard.Token), uint64(p.heard.Sent.Unix()))
	}
	h.add(uint64(a.pc), uint64(a.due), uint64(a.until), uint64(a.inFlight), uint64(a.copies), bit(a.known), bit(a.copied), bit(a.touched), bit(a.excused), bit(a.mute))
	h.add(bit(a.nudged), bit(a.unheard), uint64(a.listens), uint64(a.placed), uint64(a.wrong))
}

// A hasher is FNV-1a, by words.
type hasher uint64

func (h *hasher) add(vs ...uint64) {
	x := uint64(*h)
	for _, v := range vs {
		x = (x ^ v) * 1099511628211
		x ^= x >> 29
	}
	*h = hasher(x)
}

var deeper = flag.Int("deeper", 0, "look so many moves deeper")

// TestExplore goes through every order in which two clients' calls, their server and
// a network that loses, repeats, delays and reorders can do what they may, to a
// fixed depth, and finds no state in which two believe in the lock, somebody is
// forgotten, or something is left. From each state in which nothing is under way,
// and from some of the others, everybody has the lock in turn once nothing goes
// wrong any more. Each pair of state and event comes, or there is a reason.
func TestExplore(t *testing.T) {
	var cover coverage
	states, ran, start := 0, 0, time.Now()
	if *deeper == 0 && (raceEnabled || testing.Short()) {
		*deeper = -3 // there is one goroutine, and no race to find
	}
	for i := range scenarios {
		sc := &scenarios[i]
		t.Run(sc.name, func(t *testing.T) {
			start := time.Now()
			s := &search{sc: sc, seen: map[uint64]int8{}, cover: &cover}
			depth := sc.depth + *deeper
			s.run(depth)
			t.Logf("%d states, %d of them drained, depth %d, %.1f s", s.states, s.drained, depth, time.Since(start).Seconds())
			states, ran = states+s.states, ran+1
			if s.found != "" {
				t.Error(s.found)
			}
		})
	}
	t.Logf("%d states in all, %.1f s", states, time.Since(start).Seconds())
	if !t.Failed() && *deeper >= 0 && ran == len(scenarios) {
		cover.check(t)
	}
}
