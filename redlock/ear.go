package redlock

import (
	"context"
	"maps"
	"slices"

	"github.com/relock-go/relock/internal/engine"
)

// Start gives the engine the sink for what it hears.
func (q *quorum) Start(s engine.Sink) {
	q.sink = s
	for _, p := range q.peers {
		p.node.Start(&ear{q, p})
	}
}

// ear is the sink of one node.
type ear struct {
	q *quorum
	p *peer
}

func (e *ear) Deliver(m engine.Message) {
	c := e.q.find(claimOf(m.Hold))
	if c == nil {
		// A grant for nobody, whose withdrawal may have been lost.
		e.q.tasks.run(func() {
			_, _ = e.p.release(e.q.bg, &engine.Release{Name: m.Name, Hold: m.Hold})
		})
		return
	}
	e.q.tasks.run(func() {
		c.locked(func() {
			if t := c.try; t != nil && t.id == m.Hold {
				c.heard(t, e.p.index)
			}
		})
	})
}

// Nudge is of locks that are kept for a minimum, as no node's are.
func (e *ear) Nudge(engine.Message) {}

// CheckIn notes first which requests to the node are under way: their answers may
// be from before what was lost, and what the host asks now does not go to a node
// that owes an answer.
func (e *ear) CheckIn() {
	e.q.mu.Lock()
	claims := slices.Collect(maps.Values(e.q.claims))
	e.q.mu.Unlock()
	for _, c := range claims {
		c.locked(func() {
			if c.try != nil {
				v := &c.try.votes[e.p.index]
				v.knocked = v.knocked || v.under > 0
			}
		})
	}
	e.q.sink.CheckIn()
}

func (e *ear) Idle() bool { return e.q.sink.Idle() }

// Listening tells whether a quorum of the nodes can be heard.
func (q *quorum) Listening() bool {
	n := 0
	for _, p := range q.peers {
		if p.node.Listening() || p.node.Deaf() {
			n++
		}
	}
	return n >= q.need
}

// Listen subscribes at every node, and returns when a quorum has confirmed it.
func (q *quorum) Listen(ctx context.Context) error {
	return q.each(ctx, func(ctx context.Context, p *peer) error { return p.node.Listen(ctx) }, q.Listening)
}

// Deaf tells whether some node cannot be heard.
func (q *quorum) Deaf() bool {
	for _, p := range q.peers {
		if p.node.Deaf() {
			return true
		}
	}
	return false
}
