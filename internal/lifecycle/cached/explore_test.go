package cached

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A scenario is who calls how often, what may go wrong, and which rules are left out.
type scenario struct {
	name   string
	slow   bool // answers may take longer than a check interval
	long   bool // it takes seconds
	roles  [3]role
	calls  [3]int8
	budget budget
	off    ruleSet
}

// A search goes through every state of one scenario.
type search struct {
	sc     *scenario
	most   int // states that it looks at
	seen   map[uint64]int32
	from   []int32 // by state: the state before it, and by which move
	via    []move
	wants  []uint8 // by state: who waits, a bit an agent
	edges  []edge
	level  []state
	depth  int
	found  string
	events *[states][kinds]int
}

// An edge is a move that a kind world makes.
type edge struct {
	from, to int32
	entered  int8 // who got what it waited for, and one more
	leaves   int8 // whose lease ended, and one more
}

func (s *search) begin() world {
	w := world{sc: s.sc, events: s.events, state: state{calls: s.sc.calls, budget: s.sc.budget}}
	for a := range w.subs {
		w.subs[a].at = true
	}
	return w
}

func (s *search) add(w *world, from int32, v move) (int32, bool) {
	h := w.hash()
	if n, known := s.seen[h]; known {
		return n, false
	}
	n := int32(len(s.from))
	s.seen[h] = n
	s.from, s.via = append(s.from, from), append(s.via, v)
	wants := uint8(0)
	for a := range w.agents {
		wants |= uint8(bit(w.agents[a].want > 0)) << a
	}
	s.wants = append(s.wants, wants)
	return n, true
}

// run goes through the states in the order of how many moves they take, so that what
// it finds is found by the fewest.
func (s *search) run() {
	s.seen = map[uint64]int32{}
	w := s.begin()
	s.add(&w, -1, move{})
	s.level = []state{w.state}
	at, buf := int32(0), make([]move, 0, 64)
	for len(s.level) > 0 && s.found == "" && len(s.from) < s.most {
		var next []state
		for i := range s.level {
			from := &s.level[i]
			w.state = *from
			for _, v := range w.moves(buf) {
				w.state = *from
				helps := w.do(v)
				if w.bad != "" {
					s.found = s.report(w.bad, at, v)
					return
				}
				n, fresh := s.add(&w, at, v)
				if fresh {
					next = append(next, w.state)
				}
				if helps {
					s.edges = append(s.edges, edge{at, n, w.entered, (v.arg + 1) * int8(bit(v.op == opLeave))})
				}
			}
			at++
		}
		s.depth++
		s.level = next
	}
	if len(s.from) >= s.most {
		return
	}
	s.live()
}

// live looks for a state from which somebody that waits cannot get the lock any more
// with no further calls and faults, before the server's grant ends by itself; or a
// try its answer before somebody else's section ends.
func (s *search) live() {
	back := newReverse(len(s.from), s.edges)
	for a := range int8(len(s.sc.roles)) {
		if s.sc.roles[a] == absent {
			continue
		}
		good := make([]bool, len(s.from))
		var work []int32
		for _, e := range s.edges {
			if e.entered == a+1 && !good[e.from] {
				good[e.from] = true
				work = append(work, e.from)
			}
		}
		for len(work) > 0 {
			n := work[len(work)-1]
			work = work[:len(work)-1]
			for _, e := range back.into(n) {
				if s.sc.roles[a] == tries && e.leaves != 0 && e.leaves != a+1 {
					continue
				}
				if !good[e.from] {
					good[e.from] = true
					work = append(work, e.from)
				}
			}
		}
		for n, wants := range s.wants {
			if wants&(1<<a) != 0 && !good[n] {
				s.found = s.report(fmt.Sprintf("agent %d cannot have any more what it waits for", a), int32(n), move{})
				return
			}
		}
	}
}

// reverse has the edges by where they go.
type reverse struct {
	start []int32
	edges []edge
}

func newReverse(n int, edges []edge) *reverse {
	r := &reverse{start: make([]int32, n+1), edges: make([]edge, len(edges))}
	for _, e := range edges {
		r.start[e.to+1]++
	}
	for i := range n {
		r.start[i+1] += r.start[i]
	}
	at := slices.Clone(r.start)
	for _, e := range edges {
		r.edges[at[e.to]] = e
		at[e.to]++
	}
	return r
}

func (r *reverse) into(n int32) []edge { return r.edges[r.start[n]:r.start[n+1]] }

// report shows the way to what is broken.
func (s *search) report(bad string, at int32, last move) string {
	var path []move
	if last != (move{}) || s.from[at] < 0 {
		path = append(path, last)
	}
	for n := at; s.from[n] >= 0; n = s.from[n] {
		path = append(path, s.via[n])
	}
	slices.Reverse(path)
	var lines []string
	w := s.begin()
	for _, v := range path {
		lines = append(lines, w.describe(v))
		w.do(v)
	}
	return fmt.Sprintf("after %d moves: %s\n\t%s", len(path), bad, strings.Join(lines, "\n\t"))
}

func explore(t *testing.T, sc *scenario, most int, events *[states][kinds]int) *search {
	t.Helper()
	start := time.Now()
	s := &search{sc: sc, most: most, events: events}
	s.run()
	t.Logf("%d states, %d moves deep, %.1f s", len(s.from), s.depth, time.Since(start).Seconds())
	return s
}
