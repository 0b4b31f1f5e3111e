package redlock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A driver has a request take its steps, one after the other, and does what they
// say.
type driver struct {
	q *quorum

	mu      sync.Mutex
	request request
	done    func(engine.Answer, error) // answers the manager; nil: it has asked nothing
	changed chan struct{}              // closed and replaced at each step; nil: nobody looks
}

// acquire asks for the hold, or checks in; done is told what came of it. It
// reports whether the request was not over.
func (d *driver) acquire(r *engine.Request, done func(engine.Answer, error)) bool {
	d.mu.Lock()
	if d.request.state == over {
		d.mu.Unlock()
		return false
	}
	before := d.done
	d.done = done
	d.stepAndUnlock(&event{kind: asked, asks: r})
	if before != nil {
		before(engine.Answer{}, engine.ErrUnknown) // its question is superseded by this one
	}
	return true
}

// take has the request take a step.
func (d *driver) take(e *event) {
	d.mu.Lock()
	d.stepAndUnlock(e)
}

// stepAndUnlock has the request take a step. It returns what is to be sent to the
// node that e came from, now that this has answered. It needs d.mu, and unlocks it.
func (d *driver) stepAndUnlock(e *event) (next action, ok bool) {
	did := d.request.step(e, time.Now())
	for _, a := range did.list {
		if a.do == doSend && (e.kind == answered || e.kind == returned) && a.node == e.node {
			next, ok = a, true
		} else {
			d.do(a)
		}
	}
	d.share()
	tell, ans, err, n := did.tell, did.answer, did.err, did.renewal
	var done func(engine.Answer, error)
	var m engine.Message
	switch tell {
	case tellReply:
		done, d.done = d.done, nil
	case tellGrant:
		m = engine.Message{Name: d.request.current.req.Name, Hold: d.request.hold, Token: ans.Token, Left: ans.Left, Sent: ans.Sent}
	}
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
	d.mu.Unlock()
	switch tell {
	case tellReply:
		done(ans, err)
	case tellGrant:
		d.q.sink.Deliver(m)
	case tellAsk:
		d.q.sink.CheckIn()
	}
	if n != nil {
		n.done(n.answer, n.err)
	}
	return next, ok
}

// do does what a step says. It does not block, and needs d.mu.
func (d *driver) do(a action) {
	q, t := d.q, a.attempt
	switch a.do {
	case doSend:
		q.tasks.run(func() { d.exchange(a) })
	case doWatch:
		time.AfterFunc(q.set.patience(t.req.TTL), func() { d.take(&event{kind: expired, attempt: t, round: a.round}) })
	case doProbe:
		name, patience := t.req.Name, q.set.patience(t.req.TTL)
		q.tasks.run(func() { d.probe(a, name, patience) })
	case doContended:
		q.contended.add(t.req.Name, t.req.Life)
	case doUncontended:
		q.contended.remove(t.req.Name)
	case doOwn:
		q.holds(&t.req, t.answer.Token)
	case doDisown:
		q.heldNoMore(&t.req)
	case doRefresh:
		q.membership.look(q.set.patience(t.req.TTL))
	case doForget:
		q.forget(d)
	}
}

// share tells the other requests which nodes owe this one an answer. It needs d.mu.
func (d *driver) share() {
	for i := range d.request.outboxes {
		if o := &d.request.outboxes[i]; o.late != o.told {
			d.q.peers[i].late.Add(int32(o.late - o.told))
			o.told = o.late
		}
	}
}

// exchange sends what a says, and then what follows it to that node.
func (d *driver) exchange(a action) {
	for ok := true; ok; {
		e := &event{node: a.node, attempt: a.attempt}
		if a.acquire != nil {
			d.sendAcquire(a, e)
		} else {
			d.sendRelease(a, e)
		}
		d.mu.Lock()
		a, ok = d.stepAndUnlock(e)
	}
}

func (d *driver) sendAcquire(a action, e *event) {
	q, p := d.q, d.q.peers[a.node]
	if a.acquire.Wait {
		p.listen(q.bg, q.set.patience(a.acquire.TTL))
	}
	e.kind = answered
	e.answer, e.err = p.acquire(q.bg, a.acquire)
	if errors.Is(e.err, engine.ErrForgot) {
		q.membership.expel(a.node, e.err)
	}
	q.sees(e.answer.Accepted)
}

func (d *driver) sendRelease(a action, e *event) {
	e.kind, e.err = returned, errStopped
	if a.resend > 0 && !engine.Sleep(d.q.bg, engine.Pause(a.resend-1)) {
		return
	}
	rel, err := d.q.peers[a.node].release(d.q.bg, a.release)
	e.gone, e.err = rel.Gone, err
}

func (d *driver) probe(a action, name string, patience time.Duration) {
	ctx, cancel := context.WithTimeout(d.q.bg, patience)
	_, err := d.q.peers[a.node].node.Status(ctx, name)
	cancel()
	d.take(&event{kind: probed, attempt: a.attempt, node: a.node, err: err})
}

// awaitChange returns a channel that is closed at the next step. It needs d.mu.
func (d *driver) awaitChange() <-chan struct{} {
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}
