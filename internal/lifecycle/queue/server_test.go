package queue

import (
	"cmp"
	"slices"

	"github.com/relock-go/relock/internal/engine"
)

// The times of the model, in ticks. A check-in is due every tick.
const (
	modelTTL  = 2
	modelLife = 2 // of a queue entry without a check-in
)

const (
	most = 7 // hold ids
	none = -1
)

// A server is one lock as the scripts keep it: grants, its queue by arrival,
// tombstones (which outlive the run), and who is subscribed.
type server struct {
	token, fence int8 // of the holder; the last
	owner        int8 // none: free
	ends         [most]int8
	queue        [most]entry
	waiting      int8
	tombstones   uint16
}

// An entry is a place in the queue. One whose client was subscribed when it last
// checked in, and is not when the lock is passed on, is passed over; but not
// twice in a row.
type entry struct {
	id, arrived, seen int8
	here, passed      bool
}

type verdict struct {
	state              engine.State
	token, left, place int8
}

func (s *server) place(id int8) int {
	return slices.IndexFunc(s.queue[:s.waiting], func(e entry) bool { return e.id == id })
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

func (s *server) expire(now int8) {
	alive := false
	for i := range s.ends {
		if s.ends[i] <= now {
			s.ends[i] = 0
		}
		alive = alive || s.ends[i] > 0
	}
	if !alive {
		s.owner, s.token = none, 0
	}
}

func (s *server) mint(id, owner, end int8) {
	s.fence++
	s.token, s.owner, s.ends[id] = s.fence, owner, end
}

func (w *world) join(id int8) {
	s, a := &w.srv, &w.actors[id]
	here := w.subscribed(a.client)
	a.touched = true
	if i := s.place(id); i >= 0 {
		e := &s.queue[i]
		e.seen, e.here, e.passed = w.now, here && !e.passed, false
		return
	}
	s.queue[s.waiting] = entry{id: id, arrived: a.call, seen: w.now, here: here}
	s.waiting++
	slices.SortStableFunc(s.queue[:s.waiting], func(a, b entry) int { return cmp.Compare(a.arrived, b.arrived) })
}

// passOn grants the free lock to the first who can hear of it: self by the reply,
// another by a message.
func (w *world) passOn(self int8) {
	s := &w.srv
	for i := 0; i < int(s.waiting); {
		e := &s.queue[i]
		to := &w.actors[e.id]
		switch {
		case e.seen+modelLife <= w.now:
			s.drop(e.id)
			continue
		case e.id == self:
			s.drop(self)
			s.mint(self, to.owner, w.now+modelTTL)
			return
		case !e.here || w.subscribed(to.client):
			id, left := e.id, min(int8(modelTTL), modelLife)
			s.drop(id)
			s.mint(id, to.owner, w.now+left)
			if w.subscribed(to.client) {
				w.send(msg{kind: push, id: id, verdict: verdict{token: s.token, left: left}})
			}
			return
		}
		e.passed = true
		i++
	}
}

func (w *world) granted(id int8) verdict {
	return verdict{state: engine.Granted, token: w.srv.token, left: w.srv.ends[id] - w.now}
}

func (w *world) behind(state engine.State, place int) verdict {
	return verdict{state: state, token: w.srv.token, left: slices.Max(w.srv.ends[:]) - w.now, place: int8(place)}
}

func (w *world) acquire(id int8, join bool) verdict {
	s, a := &w.srv, &w.actors[id]
	if s.tombstones&(1<<id) != 0 {
		return verdict{state: engine.Tombstoned}
	}
	if s.owner == a.owner {
		s.ends[id] = max(s.ends[id], w.now+modelTTL)
		s.drop(id)
		a.touched = true
		return w.granted(id)
	}
	if join {
		w.join(id)
	}
	if s.owner == none {
		w.passOn(id)
	}
	if s.owner == none {
		s.drop(id)
		s.mint(id, a.owner, w.now+modelTTL)
		a.touched = true
	}
	switch {
	case s.ends[id] > 0:
		return w.granted(id)
	case join:
		return w.behind(engine.Waiting, s.place(id))
	}
	return w.behind(engine.Taken, int(s.waiting))
}

// release returns whether there was something to give up, and what it says of
// next.
func (w *world) release(r msg) (gone bool, of verdict) {
	s := &w.srv
	mine := s.ends[r.id] > 0 && (r.token == 0 || r.token == s.token)
	if mine && r.purpose != tombstoneOnly {
		s.ends[r.id] = 0
		s.expire(w.now)
	}
	left := r.purpose != tombstoneOnly && !mine && s.drop(r.id)
	if r.tombstone {
		s.tombstones |= 1 << r.id
	}
	if !mine && !left {
		return true, verdict{}
	}
	next := r.next
	if next != none && s.tombstones&(1<<next) != 0 {
		next = none
	}
	if next != none && s.ends[next] == 0 {
		w.join(next)
	}
	if s.owner == none {
		w.passOn(next)
	}
	switch {
	case r.next == none || s.owner == none:
	case s.ends[r.next] > 0:
		return false, w.granted(r.next)
	case s.place(r.next) >= 0:
		return false, w.behind(engine.Waiting, s.place(r.next))
	}
	return false, verdict{}
}

func (w *world) force(token int8) {
	s := &w.srv
	if s.owner == none || s.token != token {
		return
	}
	w.forced |= 1 << token
	s.ends = [most]int8{}
	s.expire(w.now)
	w.passOn(none)
}
