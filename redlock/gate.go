package redlock

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// The gate is the first live node in the order of the node ids. Waiters queue
// there and hold nothing; the one that is granted there queues at the others.
// So there is one at a time that collects votes, and votes are not split.

// start begins with what is most likely to succeed: all nodes for a newcomer,
// the gate where the lock is known to be taken or waited for. It needs c.mu.
func (c *claim) start(r *engine.Request) {
	if r.Wait && (c.refused || c.q.crowd.is(r.Name)) {
		c.queue(r, 0, nil)
		return
	}
	t := c.begin(r)
	c.askAll(t, false, func(int) bool { return true })
	c.decide(t)
}

// queue begins a try at the first live peer from place on in the order; before
// is the try that found those before it dead. It needs c.mu.
func (c *claim) queue(r *engine.Request, place int, before *try) {
	t := c.begin(r)
	t.phase = queued
	if before != nil {
		for i := range before.votes {
			t.votes[i].err = before.votes[i].err
		}
	}
	order := c.q.roster.order()
	for ; place < len(order); place++ {
		if t.gate = order[place]; c.ask(t, t.gate, true) {
			c.watch(t)
			return
		}
	}
	c.fail(silent)
}

// place returns where in the order peer i stands.
func (c *claim) place(i int) int {
	for n, other := range c.q.roster.order() {
		if other == i {
			return n
		}
	}
	return 0
}

// atGate draws the conclusions for a try that is queued. It needs c.mu.
func (c *claim) atGate(t *try) {
	v := &t.votes[t.gate]
	switch {
	case v.pending():
	case v.state == granted:
		if !t.waited {
			c.q.crowd.left(t.req.Name) // nobody waits here any more
		}
		c.collect(t)
	case v.state == waiting && !v.late:
		t.waited = true
		c.q.crowd.seen(t.req.Name, t.req.Life)
		ans := v.ans
		ans.State = engine.Waiting
		c.finish(ans, nil)
	default: // this one is dead: the next one is the gate
		c.drop()
		c.queue(&t.req, c.place(t.gate)+1, t)
	}
}

// collect queues at the other nodes for the one that is granted at the gate. It
// needs c.mu.
func (c *claim) collect(t *try) {
	t.phase, t.since = collecting, time.Now()
	t.proposal = c.q.propose(&t.req)
	c.askAll(t, true, func(int) bool { return true })
	c.decide(t)
}

// collected draws the conclusions for a try that collects. It needs c.mu.
func (c *claim) collected(t *try) {
	hopeful := t.count(isHopeful)
	queues := t.count(func(v *vote) bool { return v.state == waiting && !v.pending() && !v.late })
	switch n := t.count(isGranted); {
	case n >= c.q.need:
		c.agree(t)
	case n+queues+hopeful < c.q.need:
		c.fail(silent)
	case hopeful == 0:
		ans, _ := t.inTheWay()
		ans.State, ans.Place = engine.Waiting, 0
		c.finish(ans, nil)
	}
}

// checkIn asks again for a try that waits: what it knows may be out of date. It
// needs c.mu.
func (c *claim) checkIn(t *try) {
	c.q.roster.look(c.q.set.patience(t.req.TTL)) // a node that is known by now may be the gate
	switch t.phase {
	case queued:
		c.askAll(t, true, func(i int) bool { return i == t.gate && t.votes[i].under == 0 })
		c.probe(t)
	case collecting:
		if time.Since(t.since) > t.req.Life/3 && c.stuck(t) && rand.N(2) == 0 {
			c.drop()
			c.queue(&t.req, 0, nil)
			return
		}
		c.askAll(t, true, func(i int) bool { return t.votes[i].under == 0 })
		c.probe(t)
	}
	c.decide(t)
}

// stuck tells whether votes may be split: we have some beside the gate's, and
// nobody else is seen with a quorum. That takes two who collect at once, which
// happens only while they disagree on which node is the gate. Each may have what
// the other needs; chance decides who gives way.
func (c *claim) stuck(t *try) bool {
	_, theirs := t.inTheWay()
	return t.count(isGranted) > 1 && theirs < c.q.need
}

// probe moves a try to an earlier gate if that answers again: others that wait
// queue there. It needs c.mu.
func (c *claim) probe(t *try) {
	name, patience := t.req.Name, c.q.set.patience(t.req.TTL)
	for _, i := range c.q.roster.order() {
		if i == t.gate {
			return
		}
		p := c.q.peers[i]
		if p.hangs() {
			continue
		}
		c.busy++
		c.q.tasks.run(func() {
			ctx, cancel := context.WithTimeout(c.q.bg, patience)
			_, err := p.node.Status(ctx, name)
			cancel()
			c.locked(func() {
				c.busy--
				if err == nil && c.try == t && (t.phase == queued || t.phase == collecting) && c.place(i) < c.place(t.gate) {
					c.drop()
					c.queue(&t.req, 0, nil)
				}
				c.tidy()
			})
		})
	}
}
