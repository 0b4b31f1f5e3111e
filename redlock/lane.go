package redlock

import (
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A lane keeps the requests of one hold to one node in order: each leaves when
// the one before was answered, or given up by its call timeout. Nothing else
// orders the connections of a pool. It is guarded by the claim's mutex.
type lane struct {
	steps []func()
	busy  bool
}

// enter adds a step to the lane of peer i. It needs c.mu.
func (c *claim) enter(i int, step func()) {
	l := &c.lanes[i]
	l.steps = append(l.steps, step)
	if !l.busy {
		l.busy = true
		c.busy++
		c.q.tasks.run(func() { c.drive(l) })
	}
}

func (c *claim) drive(l *lane) {
	for {
		c.mu.Lock()
		if len(l.steps) == 0 {
			l.busy = false
			c.busy--
			c.tidy()
			c.signal()
			c.mu.Unlock()
			return
		}
		step := l.steps[0]
		l.steps = l.steps[1:]
		c.mu.Unlock()
		step()
	}
}

// giveBack releases what try t may have at peer i, behind everything that was
// sent there for it. It needs c.mu.
func (c *claim) giveBack(t *try, i int) {
	v := &t.votes[i]
	if v.returned != notReturned {
		return
	}
	if !v.asked {
		v.returned = gone
		return
	}
	v.returned = returning
	c.enter(i, func() { c.release(t, i) })
}

// release sends the release until it is answered, or what it is about has
// expired: a node that hangs may execute the acquire whenever it goes on. "Gone"
// as the answer to a resend is the work of the copy before. A vote that does not
// count is none that was given back: another may have had the lock.
func (c *claim) release(t *try, i int) {
	p := c.q.peers[i]
	v := &t.votes[i]
	c.mu.Lock()
	nothing := !v.mayHave || t.leave && v.state == granted && !v.unsure
	r := &engine.Release{Name: t.req.Name, Hold: t.id, Bury: v.unsure || t.leave, Leave: t.leave}
	until := time.Now().Add(max(t.req.TTL, t.req.Life, p.node.CallTimeout()))
	if nothing {
		c.settleReturn(t, i, gone, nil)
	}
	c.mu.Unlock()
	for n := 0; !nothing; n++ {
		rel, err := p.release(c.q.bg, r)
		c.mu.Lock()
		switch {
		case err == nil && (rel.Gone && n == 0 || t.phase == held && !v.counts):
			c.settleReturn(t, i, gone, nil)
		case err == nil:
			c.settleReturn(t, i, given, nil)
		default:
			c.settleReturn(t, i, returning, err)
		}
		c.mu.Unlock()
		if err == nil || !lasts(err) || time.Now().After(until) || !engine.Sleep(c.q.bg, engine.Pause(n)) {
			return
		}
	}
}

// settleReturn needs c.mu.
func (c *claim) settleReturn(t *try, i int, r returnState, err error) {
	v := &t.votes[i]
	v.returned, v.returnErr = r, err
	c.signal()
}

// lasts tells whether an error of a release may pass: anything but a client
// that was closed.
func lasts(err error) bool { return !errors.Is(err, errClientClosed) }
