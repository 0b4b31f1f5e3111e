//go:build !race

package redlock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// violation is what must not be, found in the world that it is raised in.
type violation struct{ what string }

func (w *world) fail(format string, args ...any) { panic(violation{fmt.Sprintf(format, args...)}) }

// checkBelief: at most one contender believes in a quorum.
func (w *world) checkBelief() {
	if w.rules.shared {
		return
	}
	n := 0
	for i := range w.procs {
		if p := &w.procs[i]; p.state == believes && w.now.Before(p.until) {
			n++
		}
	}
	if n > 1 {
		w.fail("two believe in the lock")
	}
}

// checkToken: tokens rise in the order in which they are issued, and a quorum has
// accepted this very token from this very attempt.
func (w *world) checkToken(p *modelProc, ans engine.Answer) {
	if w.rules.shared && ans.Token < w.issued || !w.rules.shared && ans.Token <= w.issued {
		w.fail("token %d after %d", ans.Token, w.issued)
	}
	w.issued = ans.Token
	if n := w.count(func(n *modelNode) bool { return n.hold(p.attempt.id) != nil && n.token == ans.Token }); n < p.need() {
		w.fail("token %d was accepted by %d nodes", ans.Token, n)
	}
}

// checkValidity: the lock is believed in no longer than a quorum gave it.
func (w *world) checkValidity(p *modelProc, ans engine.Answer) {
	end := ans.Sent.Add(ans.Left)
	n := w.count(func(n *modelNode) bool {
		h := n.hold(p.attempt.id)
		return h != nil && !h.end.Before(end)
	})
	if n < p.need() {
		w.fail("believed for %v, which %d nodes gave", ans.Left, n)
	}
}

// checkReturned: who gives back what it has is not told that it had lost it.
func (w *world) checkReturned(p *modelProc) {
	if p.leaving == nil || !w.now.Before(p.until) || w.forgot() {
		return // or it has been lost since
	}
	switch v, _ := p.request.releaseVerdict(); v {
	case taken:
		w.fail("what was held when it was given back is said to be lost")
	case won:
		p.leaving = nil
	}
}

// checkLost: what a quorum has is not said to be lost.
func (w *world) checkLost(p *modelProc) {
	if n := w.count(func(n *modelNode) bool { return n.hold(p.attempt.id) != nil }); n >= p.need() {
		w.fail("what %d nodes have is said to be lost", n)
	}
}

func (w *world) forgot() bool {
	return slices.ContainsFunc(w.nodes[:], func(n modelNode) bool { return n.forgot })
}

// count counts nodes; what one that forgot had given is not known.
func (w *world) count(of func(*modelNode) bool) (n int) {
	for i := range w.nodes {
		if w.nodes[i].forgot || of(&w.nodes[i]) {
			n++
		}
	}
	return n
}

// checkLeft: once everything has been delivered the nodes have nothing of an attempt
// that is over.
func (w *world) checkLeft() {
	for i := range w.nodes {
		for _, h := range w.nodes[i].holds {
			w.checkOwned(i, h.id)
		}
		for _, q := range w.nodes[i].queue {
			w.checkOwned(i, q.id)
		}
	}
}

func (w *world) checkOwned(node int, id string) {
	r := w.procs[id[0]-'a'].request
	live := r != nil && r.hold == holdOf(id) && r.under(id) != nil
	if !live && !w.rules.detach {
		w.fail("node %d has %s of an attempt that is over", node, id)
	}
}

// checkLive: with no more faults everybody who wants the lock gets it, by no lease of
// a minute that has to run out, and leaves nothing behind.
func (w *world) checkLive() {
	w.procs[1].expelled[0] = w.procs[1].expelled[0] && !w.rules.stray // it is identified in the end
	for round, ticks := 0, 0; ticks < 20; round++ {
		w.drain()
		w.checkLeft()
		before := w.key()
		for i := range w.procs {
			switch p := &w.procs[i]; p.state {
			case believes, gaveUp:
				w.make(move{kind: moveLeave, i: i})
			case anew:
				w.make(move{kind: moveAsk, i: i})
			case resting:
				if p.isFree() {
					w.make(move{kind: moveAsk, i: i})
				}
			case waits:
				kind := moveAsk
				if (round+i)%2 == 0 {
					kind = moveYield
				}
				w.make(move{kind: kind, i: i})
			}
			w.drain()
		}
		if w.procs[0].isDone() && w.procs[1].isDone() {
			w.drain()
			w.checkLeft()
			return
		}
		if w.key() == before {
			w.tick()
			ticks++
		}
		if round > 100 {
			break
		}
	}
	w.fail("a deadlock")
}

func (p *modelProc) isDone() bool { return p.state == resting && p.turns <= 0 }

// drain delivers everything that is under way.
func (w *world) drain() {
	for n := 0; !w.quiet(); n++ {
		if n > 1000 {
			w.fail("it never comes to rest")
		}
		switch {
		case len(w.calls) > 0:
			kinds := map[callStage]moveKind{flying: moveExchange, executed: moveReply, ghost: moveArrive}
			w.make(move{kind: kinds[w.calls[0].stage]})
		case len(w.grants) > 0:
			w.make(move{kind: moveGrant})
		default:
			w.make(move{kind: moveExpire})
		}
	}
}

// An explorer visits every world that can be reached.
type explorer struct {
	t       *testing.T
	visited map[uint64]bool
	path    []string
	deepest int
	quiet   int
	cut     int
}

// isFar reports whether the world is left at that: attempts go on for ever.
func (w *world) isFar() bool {
	for i := range w.procs {
		if r := w.procs[i].request; r != nil && r.attempts > modelAttempts {
			return true
		}
	}
	return false
}

const modelAttempts = 3

func (x *explorer) explore(w *world) bool {
	key := w.key()
	if x.visited[key] {
		return true
	}
	x.visited[key] = true
	x.deepest = max(x.deepest, len(x.path))
	if w.quiet() {
		x.quiet++
		if !x.holds("then, without faults", func() { w.checkLeft(); w.clone().checkLive() }) {
			return false
		}
	}
	if w.isFar() {
		x.cut++
		return true
	}
	for _, m := range w.moves() {
		next := w.clone()
		x.path = append(x.path, w.describe(m))
		if !x.holds("", func() { next.make(m) }) || !x.explore(next) {
			return false
		}
		x.path = x.path[:len(x.path)-1]
	}
	return true
}

// holds reports whether f finds nothing that must not be.
func (x *explorer) holds(then string, f func()) (ok bool) {
	defer func() {
		if e := recover(); e != nil {
			v, is := e.(violation)
			if !is {
				v.what = fmt.Sprint(e)
			}
			x.t.Errorf("%s\n%s\n%s", v.what, strings.Join(x.path, "\n"), then)
			if !is {
				panic(e)
			}
		}
	}()
	f()
	return true
}

var scenarios = []rules{
	{name: "two wait, in any order", wait: [2]bool{true, true}, anyOrder: true},
	{name: "two wait", wait: [2]bool{true, true}, faults: 1},
	{name: "one tries", wait: [2]bool{true, false}, faults: 1},
	{name: "two try", faults: 1},
	{name: "the nodes have accepted other tokens", wait: [2]bool{true, true}, fences: [3]int64{3, 1, 2}, faults: 1},
	{name: "they do not agree on the coordinator", wait: [2]bool{true, true}, stray: true, faults: 1},
	{name: "alone", wait: [2]bool{true, true}, alone: true, faults: 3},
	{name: "two faults", wait: [2]bool{true, false}, faults: 2, only: []moveKind{moveRefuse, moveExpire, moveRecheck, moveLeave}},
	{name: "a node dies while they do not agree", wait: [2]bool{true, true}, stray: true, faults: 1, only: []moveKind{moveForget}},
	{name: "one node forgets", wait: [2]bool{true, true}, faults: 2, only: []moveKind{moveForget, moveLoseReply, moveRenew}},
	{name: "leases end", wait: [2]bool{true, true}, ttl: modelTick - 100*time.Millisecond, faults: 2, only: []moveKind{moveTick, moveRenew, moveDelay, moveExecute}},
	{name: "holds that stay", wait: [2]bool{true, true}, ttl: 3 * time.Second, detach: true, stray: true, faults: 2, only: []moveKind{moveRenew, moveLeave, moveExpire, moveCross}},
	{name: "one owner", shared: true, wait: [2]bool{true, true}, faults: 1},
}

// Two contenders, three nodes and a network that loses, repeats, delays and
// reorders: whatever happens, in whatever order, what is checked above holds. A world
// has a budget of faults, each of which may happen at any time; to overtake what is
// under way is one, but where all orders are explored.
func TestEveryOrderOfEvents(t *testing.T) {
	visits = map[string]int{}
	explored, states, start := 0, 0, time.Now()
	for _, r := range scenarios {
		t.Run(r.name, func(t *testing.T) {
			explored++
			states += explore(t, r)
		})
	}
	if explored < len(scenarios) {
		return // chosen by -run
	}
	t.Logf("%d states in %.1f s", states, time.Since(start).Seconds())
	for _, pair := range unvisited() {
		if why := unvisitable[pair]; why != "" {
			t.Logf("never seen: %s: %s", pair, why)
		} else {
			t.Errorf("never seen: %s", pair)
		}
	}
	for pair := range unvisitable {
		if visits[pair] > 0 {
			t.Errorf("seen all the same: %s", pair)
		}
	}
}

// explore returns how many worlds of one kind there are.
func explore(t *testing.T, r rules) int {
	r.ttl, r.turns = cmp.Or(r.ttl, time.Minute), cmp.Or(r.turns, 1)
	start := time.Now()
	x := &explorer{t: t, visited: map[uint64]bool{}}
	x.explore(newWorld(&r))
	t.Logf("%d states, %d of them quiet, %d not gone on from, depth %d, %.1f s",
		len(x.visited), x.quiet, x.cut, x.deepest, time.Since(start).Seconds())
	return len(x.visited)
}
