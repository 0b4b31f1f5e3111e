package redisengine

import (
	"cmp"
	"slices"

	"github.com/relock-go/relock/internal/engine"
)

// A model is one lock as the package comment describes it, without Redis: who
// has it, who waits, and which holds were withdrawn. Its clock is set by the
// test. Tokens are the server's: the model only knows which grants share one.
type model struct {
	now        int64 // us
	lock       *modelLock
	queue      []modelWaiter // by arrival
	forgot     int64         // ms: when the queue is forgotten unless somebody checks in
	tombstones map[string]int64

	sent []modelMessage // by the last operation
}

type modelLock struct {
	owner string
	token int64 // 0: granted by the last operation, and not learned yet
	since int64 // ms
	holds map[string]int64
	kept  map[string]int64 // ends of the minimums of holds that were given back, by their ids
}

type modelWaiter struct {
	ask
	arrived int64 // us
	seen    int64 // ms
	here    string
}

// What an entry says of its subscription.
const (
	hereUnknown = "0"
	hereSeen    = "1"
	herePassed  = "2"
)

type modelMessage struct {
	channel, hold string
	ttl           int64 // of a nudge: what is left
	nudge         bool
}

// theToken stands in a wanted reply for the token that the lock has.
type theToken struct{}

func (m *model) ms() int64 { return m.now / 1000 }

// tick does what time does: holds end, and a queue nobody cares for goes.
func (m *model) tick() {
	m.sent = nil
	if m.lock != nil {
		for hold, end := range m.lock.holds {
			if end <= m.ms() {
				delete(m.lock.holds, hold)
			}
		}
		for hold, end := range m.lock.kept {
			if end <= m.ms() {
				delete(m.lock.kept, hold)
			}
		}
		if len(m.lock.holds) == 0 {
			m.emptied("", 0)
		}
	}
	if m.forgot <= m.ms() {
		m.queue = nil
	}
	for hold, end := range m.tombstones {
		if end <= m.ms() {
			delete(m.tombstones, hold)
		}
	}
}

func (m *model) hasTombstone(hold string) bool { return m.tombstones[hold] > m.ms() }

func (m *model) holding(hold string) bool {
	return m.lock != nil && m.lock.holds[hold] > 0
}

func (l *modelLock) last() (end int64) {
	for _, e := range l.holds {
		end = max(end, e)
	}
	return max(end, l.minimum())
}

func (l *modelLock) minimum() (end int64) {
	for _, e := range l.kept {
		end = max(end, e)
	}
	return end
}

// count is the holds that the lock is told to have.
func (l *modelLock) count() int { return max(len(l.holds), 1) }

// emptied is called where the owner's last hold has gone: what is left of the
// minimums keeps the lock for nobody, as hold's if it was given back.
func (m *model) emptied(hold string, end int64) {
	if end = max(end, m.lock.minimum()); end <= m.ms() {
		m.lock = nil
		return
	}
	m.lock.owner = engine.KeptOwner
	if hold != "" {
		m.lock.kept = map[string]int64{hold: end}
	}
}

// nudge tells the first two who wait, but for self, when the lock will be free.
func (m *model) nudge(self string) {
	m.queue = slices.DeleteFunc(m.queue, m.silentBefore(2))
	for i, w := range m.queue {
		if i < 2 && w.hold != self {
			m.sent = append(m.sent, modelMessage{w.channel, w.hold, m.lock.last() - m.ms(), true})
		}
	}
}

// silentBefore finds those who have fallen silent in front of the first n who
// have not.
func (m *model) silentBefore(n int) func(modelWaiter) bool {
	live := 0
	return func(w modelWaiter) bool {
		silent := live < n && w.seen+w.life <= m.ms()
		if !silent {
			live++
		}
		return silent
	}
}

// place is -1 for one that does not wait.
func (m *model) place(hold string) int {
	return slices.IndexFunc(m.queue, func(w modelWaiter) bool { return w.hold == hold })
}

func (m *model) leave(hold string) bool {
	i := m.place(hold)
	if i >= 0 {
		m.queue = slices.Delete(m.queue, i, i+1)
	}
	return i >= 0
}

// join adds a waiter at the place of its arrival; one that waits already keeps
// its place. Its subscription is where both its client and the server say so, but
// not in the interval after it was passed over.
func (m *model) join(a ask, heard func(channel string) bool) {
	w := modelWaiter{ask: a, arrived: m.now - a.waited.Microseconds(), seen: m.ms(), here: hereUnknown}
	if i := m.place(a.hold); a.subscribed == 1 && heard(a.channel) && (i < 0 || m.queue[i].here != herePassed) {
		w.here = hereSeen
	}
	if len(m.queue) == 0 {
		m.forgot = 0
	}
	if i := m.place(a.hold); i >= 0 {
		w.arrived = m.queue[i].arrived
		m.queue[i] = w
	} else {
		m.queue = append(m.queue, w)
	}
	slices.SortFunc(m.queue, func(a, b modelWaiter) int {
		return cmp.Or(cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.hold, b.hold))
	})
	m.forgot = max(m.forgot, m.ms()+a.life)
}

func (m *model) grant(hold, owner string, ttl int64) {
	m.lock = &modelLock{owner: owner, since: m.ms(), holds: map[string]int64{hold: m.ms() + ttl}, kept: map[string]int64{}}
}

// passOn gives a free lock to the first who can hear of it. self hears it by
// the reply; the others by a message, and for no longer than they are believed
// alive.
func (m *model) passOn(self string, heard func(channel string) bool) {
	for i := 0; i < len(m.queue); {
		w := m.queue[i]
		if w.seen+w.life <= m.ms() {
			m.queue = slices.Delete(m.queue, i, i+1)
			continue
		}
		if w.hold == self {
			m.leave(w.hold)
			m.grant(w.hold, w.owner, w.ttl)
			return
		}
		if heard(w.channel) || w.here == hereUnknown {
			ttl := min(w.ttl, w.life)
			m.sent = append(m.sent, modelMessage{w.channel, w.hold, ttl, false})
			m.leave(w.hold)
			m.grant(w.hold, w.owner, ttl)
			return
		}
		m.queue[i].here = herePassed
		i++
	}
}

func (m *model) granted(hold string) []any {
	return []any{replyGranted, theToken{}, m.lock.count(), left(m.lock.holds[hold] - m.ms())}
}

func (m *model) taken(state, place int) []any {
	return []any{state, theToken{}, m.lock.owner, left(m.lock.last() - m.ms()), age(m.ms() - m.lock.since), place}
}

func (m *model) acquire(a ask, heard func(string) bool) []any {
	m.tick()
	if m.hasTombstone(a.hold) {
		return []any{replyTombstoned}
	}
	if m.lock != nil && m.lock.owner == a.owner {
		m.lock.holds[a.hold] = max(m.lock.holds[a.hold], m.ms()+a.ttl)
		m.leave(a.hold)
		return m.granted(a.hold)
	}
	if a.channel != "" {
		m.join(a, heard)
	}
	if m.lock == nil {
		m.passOn(a.hold, heard)
	}
	if m.lock == nil {
		m.leave(a.hold)
		m.grant(a.hold, a.owner, a.ttl)
	}
	switch {
	case m.holding(a.hold):
		return m.granted(a.hold)
	case a.channel != "":
		return m.taken(replyWaiting, m.place(a.hold))
	default:
		return m.taken(replyTaken, len(m.queue))
	}
}

func (m *model) release(g give, heard func(string) bool) []any {
	m.tick()
	status := 0
	if m.lock != nil && m.lock.owner == engine.KeptOwner && m.lock.kept[g.hold] > 0 {
		m.leave(g.hold)
		if g.tombstone > 0 {
			m.tombstones[g.hold] = m.ms() + g.tombstone
		}
		return []any{replyKept, left(m.lock.last() - m.ms()), 0}
	}
	switch {
	case m.holding(g.hold) && (g.token == 0 || g.token == m.lock.token):
		status = 1
		delete(m.lock.holds, g.hold)
		end := m.lock.since + g.keep
		if g.keep == 0 || cmp.Or(g.lease, g.token) != m.lock.token {
			end = 0
		}
		if len(m.lock.holds) == 0 {
			m.emptied(g.hold, end)
		} else if end > m.ms() {
			m.lock.kept[g.hold] = end
		}
		if m.lock != nil && len(m.lock.holds) == 0 {
			status = replyKept
		}
	case m.leave(g.hold):
		status = 2
	}
	if g.tombstone > 0 {
		m.tombstones[g.hold] = m.ms() + g.tombstone
	}
	if status == 0 {
		if g.keep > 0 && m.lock == nil {
			m.passOn("", heard)
		}
		return []any{0, anything{}, 0}
	}
	self := ""
	if n := g.next; n != nil && !m.hasTombstone(n.hold) {
		self = n.hold
		if !m.holding(self) {
			m.join(*n, heard)
		}
	}
	if m.lock == nil {
		m.passOn(self, heard)
	}
	var rest any = anything{}
	if status == replyKept {
		m.nudge(self)
		rest = left(m.lock.last() - m.ms())
	}
	return append([]any{status, rest}, m.next(g.next)...)
}

// next is what a release tells of the one it named.
func (m *model) next(n *ask) []any {
	switch {
	case n == nil || m.lock == nil:
		return []any{0}
	case m.holding(n.hold):
		return m.granted(n.hold)
	case m.place(n.hold) >= 0:
		return m.taken(replyWaiting, m.place(n.hold))
	}
	return []any{0}
}

func (m *model) renew(hold string, token, ttl int64) []any {
	m.tick()
	if !m.holding(hold) || token != 0 && token != m.lock.token {
		return []any{0}
	}
	m.lock.holds[hold] = max(m.lock.holds[hold], m.ms()+ttl)
	return m.granted(hold)
}

func (m *model) force(token int64, heard func(string) bool) []any {
	m.tick()
	if m.lock == nil || m.lock.token != token {
		return []any{0}
	}
	m.lock = nil
	m.passOn("", heard)
	return []any{1}
}

func (m *model) status() []any {
	m.tick()
	if m.lock == nil {
		return []any{0, len(m.queue)}
	}
	return []any{1, len(m.queue), theToken{}, m.lock.owner, m.lock.count(), left(m.lock.last() - m.ms()), age(m.ms() - m.lock.since)}
}
