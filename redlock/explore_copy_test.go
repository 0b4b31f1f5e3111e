//go:build !race

package redlock

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Copies of worlds, and what tells one from another.

// clone returns a copy that shares nothing that changes.
func (w *world) clone() *world {
	c := *w
	attempts, renewals := map[*attempt]*attempt{}, map[*renewal]*renewal{}
	of := func(t *attempt) *attempt {
		if t == nil {
			return nil
		}
		if attempts[t] == nil {
			n := *t
			n.votes = slices.Clone(t.votes)
			attempts[t] = &n
		}
		return attempts[t]
	}
	for i := range c.nodes {
		c.nodes[i] = w.nodes[i].clone()
	}
	for i := range c.procs {
		p := &c.procs[i]
		p.w, p.attempt, p.leaving = &c, of(p.attempt), of(p.leaving)
		if r := p.request; r != nil {
			n := *r
			n.facts, n.did = p, did{}
			n.current, n.last = of(r.current), of(r.last)
			n.outboxes = slices.Clone(r.outboxes)
			for j := range n.outboxes {
				letters := slices.Clone(n.outboxes[j].letters)
				for k := range letters {
					letters[k].attempt = of(letters[k].attempt)
				}
				n.outboxes[j].letters = letters
			}
			p.request = &n
		}
	}
	c.calls, c.grants, c.timers = slices.Clone(w.calls), slices.Clone(w.grants), slices.Clone(w.timers)
	for i := range c.calls {
		call := &c.calls[i]
		call.attempt = of(call.attempt)
		if n := call.renewal; n != nil {
			if renewals[n] == nil {
				m := *n
				m.attempt = of(n.attempt)
				m.nodes, m.granted, m.proven = slices.Clone(n.nodes), slices.Clone(n.granted), slices.Clone(n.proven)
				m.errs = map[string]error{}
				renewals[n] = &m
			}
			call.renewal = renewals[n]
		}
	}
	for i := range c.timers {
		c.timers[i].attempt = of(c.timers[i].attempt)
	}
	return &c
}

var modelSeed = maphash.MakeSeed()

// key tells a world from those that go on differently.
func (w *world) key() uint64 {
	e := encoder{w: w, base: w.base(), b: make([]byte, 0, 1024)}
	e.ints(w.faults)
	if !w.procs[0].isDone() || !w.procs[1].isDone() {
		e.tokens(w.issued)
	}
	for i := range w.nodes {
		e.node(&w.nodes[i])
	}
	for i := range w.procs {
		e.proc(&w.procs[i])
	}
	e.sorted(len(w.calls), func(e *encoder, i int) { e.call(&w.calls[i]) })
	e.sorted(len(w.grants), func(e *encoder, i int) {
		e.ints(w.grants[i].node)
		e.id(w.grants[i].id)
	})
	e.sorted(len(w.timers), func(e *encoder, i int) {
		e.id(w.timers[i].attempt.id)
		e.ints(w.timers[i].attempt.round - w.timers[i].round)
	})
	return maphash.Bytes(modelSeed, e.b)
}

// base is a token that all are counted from: only their order counts.
func (w *world) base() int64 {
	base := w.nodes[0].fence
	for i := range w.nodes {
		base = min(base, w.nodes[i].fence)
	}
	return base
}

type encoder struct {
	w    *world
	base int64
	b    []byte
}

func (e *encoder) tokens(all ...int64) {
	for _, t := range all {
		e.ints(int(t - e.base))
	}
}

// id encodes which attempt it is by how many followed.
func (e *encoder) id(id string) {
	hold, rest, _ := strings.Cut(id, "/")
	e.text(hold)
	if r := e.w.procs[id[0]-'a'].request; r != nil && r.hold == hold {
		_, n, _ := strings.Cut(rest, ".")
		at, _ := strconv.Atoi(n)
		e.ints(r.attempts - at)
	}
}

func (e *encoder) ints(all ...int) {
	for _, n := range all {
		if -100 < n && n < 100 {
			e.b = append(e.b, byte(n+100))
		} else {
			e.b = binary.AppendVarint(append(e.b, 255), int64(n))
		}
	}
}

func (e *encoder) bools(all ...bool) {
	for _, is := range all {
		n := 0
		if is {
			n = 1
		}
		e.ints(n)
	}
}

func (e *encoder) text(s string) {
	e.ints(len(s))
	e.b = append(e.b, s...)
}

// at encodes an instant as it is seen from now: all that is over is alike.
func (e *encoder) at(t time.Time) { e.ints(int(max(-1, t.Sub(e.w.now).Milliseconds()))) }

func (e *encoder) since(t time.Time) {
	e.ints(int(min(e.w.now.Sub(t), modelLife/3+1).Milliseconds()))
}

// sorted encodes n things whose order means nothing.
func (e *encoder) sorted(n int, f func(*encoder, int)) {
	var hashes [32]uint64
	start := len(e.b)
	for i := range n {
		f(e, i)
		hashes[i] = maphash.Bytes(modelSeed, e.b[start:])
		e.b = e.b[:start]
	}
	slices.Sort(hashes[:n])
	e.ints(n)
	for _, h := range hashes[:n] {
		e.b = binary.LittleEndian.AppendUint64(e.b, h)
	}
}

func (e *encoder) node(n *modelNode) {
	e.bools(n.forgot, n.issued)
	e.text(n.owner)
	e.tokens(n.token, n.fence)
	e.ints(len(n.holds), len(n.queue))
	for _, h := range n.holds {
		e.id(h.id)
		e.at(h.end)
	}
	for _, w := range n.queue {
		e.id(w.id)
		e.at(w.seen.Add(w.life))
	}
	for _, id := range n.tombs {
		if e.w.mayAcquire(id) {
			e.id(id)
		}
	}
}

// mayAcquire reports whether an acquire of the attempt may yet be executed.
func (w *world) mayAcquire(id string) bool {
	return slices.ContainsFunc(w.calls, func(c modelCall) bool { return c.acquire != nil && c.acquire.Hold == id })
}

func (e *encoder) proc(p *modelProc) {
	e.ints(int(p.state), p.turns)
	e.bools(p.request != nil, p.leaving != nil)
	if !p.isDone() {
		e.tokens(p.seen)
		e.bools(p.busyLock)
		e.at(p.until)
	}
	e.bools(p.expelled[:]...)
	r := p.request
	if r == nil {
		return
	}
	e.text(r.hold)
	e.bools(r.awaited)
	e.ints(int(r.state), r.probes)
	e.attempt(r.current)
	e.attempt(r.last)
	for i := range r.outboxes {
		o := &r.outboxes[i]
		e.ints(min(o.resend, 1), o.late, len(o.letters))
		if o.resend > 0 {
			e.at(o.until)
		}
		for _, l := range o.letters {
			e.bools(l.release)
			e.attempt(l.attempt)
		}
	}
}

func (e *encoder) attempt(t *attempt) {
	e.bools(t != nil)
	if t == nil {
		return
	}
	e.id(t.id)
	if t.fate != lives {
		e.ints(int(t.fate))
		e.bools(t.isHeld())
		for i := range t.votes {
			e.vote(t, &t.votes[i])
		}
		return
	}
	e.ints(int(t.phase), int(t.fate), t.coordinator, int(t.proposal.Kind), t.proposals)
	e.tokens(t.proposal.Token)
	e.since(t.since)
	for i := range t.votes {
		e.vote(t, &t.votes[i])
	}
}

// vote encodes what may yet be looked at.
func (e *encoder) vote(t *attempt, v *vote) {
	if t.fate != lives {
		e.ints(int(v.link), int(v.trace), int(v.back))
		e.bools(v.says == counted, v.hasVote())
		return
	}
	e.ints(int(v.says), int(v.link), int(v.trace))
	if v.link != idle {
		e.ints(t.round - v.round)
		e.bools(v.wait)
	}
	if t.isHeld() {
		e.bools(v.accepts(t), v.proposal == t.proposal)
		e.at(v.end)
		return
	}
	e.tokens(v.proposal.Token)
	e.ints(int(v.proposal.Kind))
	if v.says != silence && v.says != failed {
		e.answer(v.answer)
	}
}

func (e *encoder) answer(a engine.Answer) {
	e.ints(int(a.State), a.Count, int(a.Left.Milliseconds()))
	e.tokens(a.Token, a.Accepted)
	e.bools(a.Issued)
	e.text(a.Owner)
	e.at(a.Sent.Add(a.Left))
}

func (e *encoder) call(c *modelCall) {
	e.ints(c.proc, c.node, int(c.stage))
	e.bools(c.acquire != nil, c.release != nil, c.renewal != nil, c.gone, c.err != nil)
	e.ints(int(e.w.now.Sub(c.sent).Milliseconds()))
	if c.attempt != nil {
		e.id(c.attempt.id)
	}
	if q := c.acquire; q != nil {
		e.tokens(q.Propose.Token)
		e.ints(int(q.Propose.Kind))
		e.bools(q.Wait)
	}
	if q := c.release; q != nil {
		e.id(q.Hold)
		e.bools(q.Bury, q.Leave)
	}
	if n := c.renewal; n != nil {
		e.ints(int(n.verdict), n.poll.yes, n.poll.no, n.poll.pending, len(n.proven))
		for _, what := range n.nodes {
			e.ints(int(what))
		}
		for _, i := range n.proven {
			e.ints(i)
		}
		for _, a := range n.granted {
			e.answer(a)
		}
	}
	e.answer(c.answer)
}
