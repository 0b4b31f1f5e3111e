package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// What happens to a waiter goes to the queue of its name, which is a machine
// without clocks or mutexes (package queue). This is where it has both.

// stepOf takes an event of o to its queue, and returns what is left to do for who
// brings it. It needs m.mu.
func (m *Manager) stepOf(o *Hold, e queue.Event) queue.Effect {
	e.W = &o.waiter
	return m.step(o.queue, e)
}

// step takes an event to a queue, and performs what comes of it, but for the part
// that is left to who brings the event: to ask, listen, pause, check in, withdraw,
// release or return. It needs m.mu.
func (m *Manager) step(q *queue.Queue, e queue.Event) (left queue.Effect) {
	fx := q.Step(e, time.Now())
	for _, e := range fx.All() {
		switch o := holdOf(e.W); e.Do {
		case queue.Schedule:
			m.dog.schedule(o, e.At)
		case queue.Hasten:
			m.dog.hasten(o, e.At)
		case queue.Unschedule:
			m.dog.forget(o)
		case queue.Wake:
			o.wake()
		case queue.Tell:
			m.tellLocal(o)
		case queue.Impossible:
			m.cfg.Log.Error("relock: a defect: an event came to a waiter that cannot have it", "lock", o.req.Name, "hold", o.req.Hold)
		default:
			left = e
		}
	}
	return left
}

// holdOf returns whose waiter w is; nil is nobody's.
func holdOf(w *queue.Waiter) *Hold {
	if w == nil {
		return nil
	}
	return w.Of.(*Hold)
}

// wake has o's goroutine see that its state has changed, and ends the request that
// it waits for. It needs Manager.mu.
func (o *Hold) wake() {
	if o.underWay != nil {
		o.underWay.cancel()
		o.underWay = nil
	}
	o.changed = true
	select {
	case o.ready <- struct{}{}:
	default: // nobody waits for it yet, or has not seen the last change: both are then seen at once
	}
}

// answered takes what came of an acquire of o to its queue: of its goroutine's, of
// a check-in, or of a release that names it.
func (m *Manager) answered(o *Hold, ans engine.Answer, err error) queue.Effect {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stepOf(o, m.eventOf(ans, err))
}

// eventOf is what an answer comes to. What passes for a while only is a refusal to
// be asked at all, as by a server that should not have been.
func (m *Manager) eventOf(ans engine.Answer, err error) queue.Event {
	e := queue.Event{Kind: queue.EventOf(ans.State), Answer: ans, Err: err, Copied: ans.Copied}
	if err == nil {
		if ans.State == engine.Waiting {
			e.Subscription = m.subscription()
		}
		return e
	}
	e.Kind = queue.GotError
	if errors.Is(err, engine.ErrUnknown) {
		e.Kind = queue.GotNoAnswer
	}
	grace := engine.GraceOf(err)
	e.Final, e.Leaves = grace == 0, leaves(err)
	if grace < engine.Forever {
		e.Grace = time.Duration(grace) * m.cfg.Call
	}
	return e
}

// leaves reports whether a request that failed with err may have left something on
// the server, as on a quorum's minority.
func leaves(err error) bool {
	switch engine.ClassOf(err) {
	case engine.Refused, engine.Unsent, engine.Denied, engine.Closed:
		return false
	}
	return true
}

// subscription is whether grants by message reach this client now.
func (m *Manager) subscription() queue.Subscription {
	switch {
	case m.eng.CannotSubscribe():
		return queue.CannotSubscribe
	case m.eng.Listening():
		return queue.Subscribed
	}
	return queue.NotSubscribed
}

// Deliver hands over a grant that came by message: the message is the grant.
func (m *Manager) Deliver(msg engine.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := queue.Event{Kind: queue.Pushed, Answer: engine.Answer{Token: msg.Token, Left: msg.Left, Sent: msg.Sent}}
	if o := m.holds[msg.Hold]; o != nil {
		m.stepOf(o, e)
		return
	}
	if m.step(new(queue.Queue), e).Do == queue.Return {
		m.spawnLocked(func(ctx context.Context) { m.returnStray(ctx, msg) })
	}
}

// Nudge has a waiter ask when the lock will be free.
func (m *Manager) Nudge(msg engine.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.holds[msg.Hold]; o != nil {
		m.stepOf(o, queue.Event{Kind: queue.Nudged, Answer: engine.Answer{Left: msg.Left}})
	}
}

// CheckIn has every waiter ask for its state now: messages may have been lost.
func (m *Manager) CheckIn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.holds {
		m.stepOf(o, queue.Event{Kind: queue.Resubscribed})
	}
}

// Idle reports whether nobody waits.
func (m *Manager) Idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting == 0
}

// loseAll ends the leases of this manager on a grant that was taken away. A grant
// that is not a lease yet, or not answered yet, becomes none.
func (m *Manager) loseAll(name string, token int64) {
	var lost []*Hold
	m.mu.Lock()
	if q := m.queues[name]; q != nil {
		m.step(q, queue.Event{Kind: queue.Forced, Answer: engine.Answer{Token: token}})
	}
	for _, o := range m.holds {
		if o.req.Name == name && o.waiter.State() == queue.Held && o.token == token {
			lost = append(lost, o)
		}
	}
	m.mu.Unlock()
	for _, o := range lost {
		o.lose(ReasonForced)
	}
}
