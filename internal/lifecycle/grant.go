package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// take makes a lease of a granted hold; it returns nil and nil if the grant is
// too old to use.
func (m *Manager) take(ctx context.Context, o *Hold) (*Hold, error) {
	v := o.trusts(o.answer, o.req.TTL)
	o.token = o.answer.Token
	m.granted(o)
	if o.lock.terms.MaxHold > 0 {
		o.lastEnd = m.grantedAt(ctx, o).Add(o.lock.terms.MaxHold).Sub(m.epoch)
	}
	if m.needsRenewal(o, v) {
		var err error
		if v, err = m.confirm(ctx, o, v); errors.Is(err, engine.ErrNotReplicated) {
			// What is reported as released should be, if Redis can be reached.
			released := make(chan struct{})
			drop := m.drop(o)
			m.spawn(func(ctx context.Context) { drop(ctx); close(released) })
			m.left(o)
			_ = m.once(ctx, func(ctx context.Context) error {
				select {
				case <-released:
				case <-ctx.Done():
				}
				return nil
			})
			return nil, err
		} else if err != nil {
			return nil, m.abandon(o, err)
		}
	}
	now := time.Now()
	if v.remaining(now) <= 0 || o.lastEnd > 0 && now.Sub(m.epoch) >= o.lastEnd {
		if !o.req.Wait {
			return nil, m.abandon(o, fmt.Errorf("%w: answered after the hold had ended", engine.ErrLost))
		}
		return nil, nil
	}
	o.began = now.Sub(m.epoch)
	err := m.begin(ctx, o, v)
	if errors.Is(err, errForced) {
		if !o.req.Wait {
			return nil, m.abandon(o, fmt.Errorf("%w: it was taken away at once", engine.ErrLost))
		}
		return nil, nil
	}
	return o, err
}

// errForced is a grant that was taken away before it was a lease.
var errForced = errors.New("taken away")

// grantedAt returns an instant no later than o's grant. A message does not tell
// how long ago the grant was; the server does.
func (m *Manager) grantedAt(ctx context.Context, o *Hold) time.Time {
	if o.byMessage {
		sent := time.Now()
		var st engine.Status
		err := m.onceOpen(ctx, func(ctx context.Context) (err error) {
			st, err = m.eng.Status(ctx, o.req.Name)
			return err
		})
		if err == nil && st.Token == o.token {
			return sent.Add(-st.Age)
		}
	}
	return o.answer.Sent
}

// needsRenewal tells whether a grant must be renewed before Lock returns: one
// that came by message lives shorter than a TTL, and is as old as the last
// check-in. It may also be shorter than the lock's minimum.
func (m *Manager) needsRenewal(o *Hold, v validity) bool {
	if o.lock.terms.Replicas > 0 {
		return true
	}
	return o.byMessage && (o.lock.terms.Fixed || o.answer.Left < o.req.Keep || v.remaining(time.Now()) < v.left/2)
}

// confirm renews a grant. A validity that has run out says that the hold is
// gone, or cannot be had in time.
func (m *Manager) confirm(ctx context.Context, o *Hold, v validity) (validity, error) {
	for n := 0; v.remaining(time.Now()) > 0; n++ {
		var ans engine.Answer
		err := m.onceOpen(ctx, func(ctx context.Context) (err error) {
			ans, err = m.eng.Renew(ctx, o.renewal(o.req.Grant()))
			return err
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
		case !engine.IsTransient(err):
			return v, err
		}
		engine.Sleep(ctx, engine.Pause(n))
	}
	return v, nil
}

// begin makes o a lease, watched before Lock returns.
func (m *Manager) begin(ctx context.Context, o *Hold, v validity) error {
	m.mu.Lock()
	if m.closed || ctx.Err() != nil {
		// Cancelled after the grant: put it back, so that an error always means
		// that nothing is held.
		m.mu.Unlock()
		if ctx.Err() != nil {
			return m.abandon(o, m.waitEnded(ctx, o, nil))
		}
		return m.abandon(o, engine.ErrClosed)
	}
	if o.forced == o.token {
		m.mu.Unlock()
		return errForced
	}
	o.mayLast(max(v.left, o.req.Grant()))
	o.believe(v) // before it is one: Close would end a lease without validity as lost
	o.stage = held
	o.ready = nil // nothing wakes a lease, and one of many should be small
	m.waiting--
	m.holding++
	ln := m.lineOf(o)
	if o.place != nil {
		ln.waiters.Remove(o.place)
		o.place = nil
	}
	if ln.holder == nil || ln.holder.token < o.token {
		ln.holder = o
	}
	m.mu.Unlock()
	m.acquired(o)
	m.dog.watch(o, engine.Answer{Sent: v.sent, Left: v.left})
	return nil
}
