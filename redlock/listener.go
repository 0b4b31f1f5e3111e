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
		p.node.Start(&listener{q, p})
	}
}

// listener is the sink of one node.
type listener struct {
	q *quorum
	p *peer
}

func (l *listener) Deliver(m engine.Message) {
	d := l.q.find(holdOf(m.Hold))
	if d == nil {
		// A grant for nobody, whose withdrawal may have been lost.
		l.q.tasks.run(func() {
			_, _ = l.p.release(l.q.bg, &engine.Release{Name: m.Name, Hold: m.Hold})
		})
		return
	}
	l.q.tasks.run(func() { d.take(&event{kind: heard, id: m.Hold, node: l.p.index}) })
}

// Nudge is of locks that are kept for a minimum, as no node's are.
func (l *listener) Nudge(engine.Message) {}

// CheckIn notes first which requests to the node are under way: their answers may
// be from before what was lost, and what the manager asks now does not go to a node
// that owes an answer.
func (l *listener) CheckIn() {
	l.q.mu.Lock()
	all := slices.Collect(maps.Values(l.q.drivers))
	l.q.mu.Unlock()
	for _, d := range all {
		d.take(&event{kind: recheck, node: l.p.index})
	}
	l.q.sink.CheckIn()
}

func (l *listener) Idle() bool { return l.q.sink.Idle() }

// Listening reports whether a quorum of the nodes can be heard.
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

// Deaf reports whether some node cannot be heard.
func (q *quorum) Deaf() bool {
	for _, p := range q.peers {
		if p.node.Deaf() {
			return true
		}
	}
	return false
}
