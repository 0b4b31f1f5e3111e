package cached

import (
	"math/bits"
	"slices"
)

// normalize has worlds be equal that differ in nothing that counts: tokens by more
// than their order, messages in theirs, and tombstones of what does not come any more.
func (w *world) normalize() {
	for i := w.sent - 1; i >= 0; i-- {
		if m := &w.net[i]; m.kind == renew && !m.late && !w.isHeard(*m) {
			m.late, m.age = true, 0
		}
		if w.isIdle(w.net[i]) {
			w.remove(i)
		}
	}
	w.forgetUsed()
	w.normalizeTokens()
	for i := 1; i < int(w.sent); i++ {
		for j := i; j > 0 && w.net[j].key() < w.net[j-1].key(); j-- {
			w.net[j], w.net[j-1] = w.net[j-1], w.net[j]
		}
	}
	for a := range w.agents {
		w.agents[a].forget()
	}
	for _, s := range []*server{&w.srv, &w.old} {
		left := uint32(0)
		for _, m := range w.net[:w.sent] {
			if m.kind == acquire {
				left |= s.tombstones & (1 << m.id)
			}
		}
		s.tombstones = left
	}
}

// isIdle reports whether it makes no difference whether m arrives.
func (w *world) isIdle(m msg) bool {
	knows := func(s *server) bool { return s.holder == m.id || s.place(m.id) >= 0 }
	isThere := knows(&w.srv) || w.snapshots && knows(&w.old) || w.any(func(o msg) bool { return o.kind == acquire && o.id == m.id || o.next == m.id })
	switch m.kind {
	case recall, inUse, renewed, gone, acquired:
		return !w.isHeard(m)
	case granted:
		return !w.isHeard(m) && !isThere
	case renew, release:
		return m.late && !isThere
	}
	return false
}

// isHeard reports whether somebody minds what becomes of the hold that m is about.
func (w *world) isHeard(m msg) bool {
	g := &w.agents[agentOf(m.id)]
	return m.id == g.id && g.h.state != Over && g.h.state != Returning
}

// forget drops what nothing comes back to.
func (g *agent) forget() {
	if g.h.state == Over || g.h.state == Returning {
		h := &g.h
		*h = Hold{state: h.state, token: h.token}
		g.copies *= int8(bit(h.state == Returning))
		g.moved, g.since = false, 0
	}
	if g.h.state != Idle {
		g.h.idleSince = 0
	}
	if g.h.state != Busy {
		g.h.depth = 0
	}
	g.h.lent = 0
	if g.pc == free {
		g.since = 0
	}
}

// forgetUsed drops tokens that were used and that nothing can issue again: all below
// the fences and the blocks that are left, but the last.
func (w *world) forgetUsed() {
	least := w.srv.fence
	if w.snapshots {
		least = min(least, w.old.fence)
	}
	for a := range w.agents {
		if h := &w.agents[a].h; h.from < h.to {
			least = min(least, int8(h.from))
		}
	}
	for _, m := range w.net[:w.sent] {
		if m.kind == renewed {
			least = min(least, m.token)
		}
	}
	u := w.used[:w.uses]
	slices.Sort(u)
	kept := u[:0]
	for i, t := range u {
		if t > least || i == len(u)-1 {
			kept = append(kept, t)
		}
	}
	clear(u[len(kept):])
	w.uses = int8(len(kept))
	if w.budget.forgets == 0 && !w.sc.off.has(floorIsLastUsed) {
		w.forgetFloors(least)
	}
	for _, s := range []*server{&w.srv, &w.old} {
		if s.holder == 0 {
			s.token, s.left = 0, 0
		}
	}
}

// forgetFloors drops the floors that the fence is above, whatever is to come.
func (w *world) forgetFloors(least int8) {
	for a := range w.agents {
		g := &w.agents[a]
		if over := g.h.state == Over || g.h.state == Asked; over && int8(g.h.token) <= least {
			g.h.token = 0
		}
		if g.h.state == Over || g.h.state == Asked || g.h.state == Returning {
			g.token = 0
		}
	}
	for i := range w.net[:w.sent] {
		if m := &w.net[i]; (m.kind == acquire || m.kind == renew) && m.token <= least {
			m.token = 0
		}
	}
}

// tokens puts f of each token in its place.
func (w *world) tokens(f func(int64) int64) {
	narrow := func(t *int8) { *t = int8(f(int64(*t))) }
	for a := range w.agents {
		g := &w.agents[a]
		g.h.token, g.h.from, g.h.to = f(g.h.token), f(g.h.from), f(g.h.to)
		narrow(&g.token)
	}
	for _, s := range []*server{&w.srv, &w.old} {
		narrow(&s.token)
		narrow(&s.fence)
	}
	for i := range w.net[:w.sent] {
		narrow(&w.net[i].token)
		narrow(&w.net[i].to)
	}
	for i := range w.used[:w.uses] {
		narrow(&w.used[i])
	}
	narrow(&w.hi)
}

// normalizeTokens gives tokens their ranks. Those of a block that are left have
// theirs too.
func (w *world) normalizeTokens() {
	there := uint64(1)
	w.tokens(func(t int64) int64 {
		there |= 1 << t
		return t
	})
	for a := range w.agents {
		for t := w.agents[a].h.from; t < w.agents[a].h.to; t++ {
			there |= 1 << t
		}
	}
	for _, m := range w.net[:w.sent] {
		if m.kind == renewed {
			for t := m.token; t < m.to; t++ {
				there |= 1 << t
			}
		}
	}
	if there&(there+1) == 0 {
		return // they are dense
	}
	w.tokens(func(t int64) int64 { return int64(bits.OnesCount64(there & (1<<t - 1))) })
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func pack(vs ...int8) (k uint64) {
	for _, v := range vs {
		k = k<<8 | uint64(uint8(v))
	}
	return k
}

func (m *msg) key() uint64 {
	flags := int8(bit(m.others) | bit(m.joins)<<1 | bit(m.late)<<2 | bit(m.tombstone)<<3 | bit(m.newForm)<<4)
	return pack(int8(m.kind), m.id, m.next, m.token, m.to, m.age, flags, int8(m.nextIs))
}

// A hasher is FNV-1a, by words.
type hasher uint64

func (h *hasher) add(vs ...uint64) {
	x := uint64(*h)
	for _, v := range vs {
		x = (x ^ v) * 0x9E3779B97F4A7C15
		x ^= x >> 29
	}
	*h = hasher(x)
}

func (w *world) hash() uint64 {
	h := hasher(14695981039346656037)
	for _, s := range []*server{&w.srv, &w.old} {
		h.add(pack(s.holder, s.left, s.token, s.fence, s.waiting), uint64(s.tombstones)<<1|bit(s.behind))
		for _, e := range s.queue[:s.waiting] {
			h.add(pack(e.id, e.age))
		}
	}
	for a := range w.agents {
		w.agents[a].hash(&h)
		h.add(bit(w.subs[a].at)<<1 | bit(w.subs[a].unnoticed))
	}
	for i := range w.net[:w.sent] {
		h.add(w.net[i].key())
	}
	b := &w.budget
	h.add(pack(w.sent, w.calls[0], w.calls[1], w.calls[2]), pack(b.copies, b.lose, b.breaks, b.forces, b.forgets, b.failovers, b.steps, b.nests), uint64(b.timeouts))
	u := w.used
	h.add(pack(u[:]...), uint64(w.uses), uint64(w.hi), bit(w.snapshots)|bit(w.lost)<<1|bit(w.misled)<<2|bit(w.unheard)<<3)
	return uint64(h)
}

func (g *agent) hash(h *hasher) {
	m := &g.h
	h.add(pack(int8(m.state), int8(m.depth), int8(m.token), int8(m.from), int8(m.to), int8(m.block), int8(bit(m.recalled)|bit(m.renewing)<<1|bit(g.needs)<<2|bit(g.moved)<<3)))
	h.add(uint64(m.contact), uint64(m.until), uint64(m.idleSince))
	h.add(pack(g.id, g.leaving, g.want, int8(g.pc), g.token, g.since), pack(g.copies, g.forced, g.inside))
}
