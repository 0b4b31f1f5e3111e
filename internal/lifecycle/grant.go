package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// An outcome is what came of a grant.
type outcome uint8

const (
	inVain   outcome = iota // nothing, for the error beside it: the call is over
	leased                  // a lease
	unusable                // nothing, and the wait goes on: it is too old, or was taken away
)

// take makes a lease of o's grant. Whatever else comes of it is for the caller to
// give up.
func (m *Manager) take(ctx context.Context, o *Hold) (outcome, error) {
	o.token = o.grant().Token
	m.granted(o)
	if o.lock.terms.MaxHold > 0 {
		o.lastEnd = max(m.grantedAt(ctx, o).Add(o.lock.terms.MaxHold).Sub(m.epoch), 1) // 0 is none
	}
	v := o.trusts(o.grant(), o.req.TTL)
	if m.needsRenewal(o, v) {
		var err error
		if v, err = m.confirm(ctx, o, v); err != nil {
			return inVain, err
		}
	}
	now := time.Now()
	if v.remaining(now) <= 0 || o.lastEnd > 0 && now.Sub(m.epoch) >= o.lastEnd {
		return o.useless("answered after the hold had ended")
	}
	o.began = now.Sub(m.epoch)
	return m.begin(ctx, o, v)
}

// useless has a waiter wait on, and ends a try.
func (o *Hold) useless(why string) (outcome, error) {
	if o.req.Wait {
		return unusable, nil
	}
	return inVain, fmt.Errorf("%w: %s", engine.ErrLost, why)
}

// grantedAt returns an instant no later than o's grant. A message does not tell
// how long ago the grant was; the server does.
func (m *Manager) grantedAt(ctx context.Context, o *Hold) time.Time {
	if o.isByMessage() {
		sent := time.Now()
		var st engine.Status
		err := m.onceOpen(ctx, func(ctx context.Context) (err error) {
			st, err = m.eng.Status(ctx, o.req.Name)
			return err
		})
		if err == nil && st.Token == o.token && st.Age != engine.AgeUnknown {
			return sent.Add(-st.Age)
		}
	}
	if since := o.grant().Since; !since.IsZero() {
		return since
	}
	return o.grant().Sent
}

// needsRenewal reports whether a grant must be renewed before Lock returns: one
// that came by message lives shorter than a TTL, and is as old as the last
// check-in. It may also be shorter than the lock's minimum.
func (m *Manager) needsRenewal(o *Hold, v validity) bool {
	if o.lock.terms.Replicas > 0 {
		return true
	}
	return o.isByMessage() && (o.lock.terms.Fixed || o.grant().Left < o.req.Keep || v.remaining(time.Now()) < v.left/2)
}

// isByMessage reports whether o's grant came by a message that does not say when it
// was made.
func (o *Hold) isByMessage() bool {
	_, via := o.waiter.Grant()
	return via == queue.ByMessage
}

// confirm renews a grant. A validity that has run out says that the hold is
// gone, or cannot be had in time.
func (m *Manager) confirm(ctx context.Context, o *Hold, v validity) (validity, error) {
	var ans engine.Answer
	err := retry(ctx, func() error {
		if v.remaining(time.Now()) <= 0 {
			ans = engine.Answer{}
			return nil
		}
		return m.onceOpen(ctx, func(ctx context.Context) (err error) {
			ans, err = m.eng.Renew(ctx, o.renewal(o.req.Grant()))
			return err
		})
	}, func(_ int, err error) bool {
		return ctx.Err() != nil || m.open.Err() != nil || !engine.IsTransient(err)
	})
	switch {
	case err == nil && ans.State == engine.Granted:
		return o.trusts(ans, o.req.TTL), nil
	case err == nil:
		return validity{}, nil
	case ctx.Err() != nil:
		return v, m.waitEnded(ctx, o, err)
	case m.open.Err() != nil:
		return v, engine.ErrClosed
	}
	return v, err
}

// begin makes o a lease, watched before Lock returns. One that was cancelled after
// the grant is none, so that an error always means that nothing is held.
func (m *Manager) begin(ctx context.Context, o *Hold, v validity) (outcome, error) {
	if ctx.Err() != nil {
		return inVain, m.waitEnded(ctx, o, nil)
	}
	switch began, err := m.hold(o, v); {
	case err != nil:
		return inVain, err
	case !began:
		return o.useless("it was taken away at once")
	}
	m.acquired(o)
	m.dog.watch(o, engine.Answer{Sent: v.sent, Left: v.left})
	return leased, nil
}

// hold has o be held, and reports whether it is: not if its grant was taken away.
func (m *Manager) hold(o *Hold, v validity) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false, engine.ErrClosed
	}
	if m.stepOf(o, queue.Event{Kind: queue.Took}); o.waiter.State() != queue.Held {
		return false, nil
	}
	o.mayLast(max(v.left, o.req.Grant()))
	o.believe(v)
	o.ready, o.changed = nil, false // nothing wakes a lease, and one of many should be small
	m.waiting--
	m.holding++
	return true, nil
}
