package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// askFor asks for o until its state is another, or nothing comes of it.
func (m *Manager) askFor(ctx context.Context, o *Hold) error {
	if !o.req.Wait {
		bounded := newBound(ctx, m.cfg.Call)
		defer bounded.cancel()
		ctx = bounded
	}
	var last error
	for {
		next, err := m.request(ctx, o)
		if next.Do == queue.Listen {
			if err = m.listen(ctx, o); err == nil || engine.IsTransient(err) && ctx.Err() == nil {
				continue
			}
		}
		if !o.req.Wait {
			err = soFar(last, err)
		}
		last = latest(ctx, last, err)
		state := m.stateOf(o)
		switch {
		case last == nil:
			return nil
		case state != queue.Asking && state != queue.Failed:
			return nil // the grant came by itself
		case ctx.Err() != nil:
			return m.waitEnded(ctx, o, last)
		case m.open.Err() != nil:
			return engine.ErrClosed
		case state == queue.Failed:
			return nil
		case !o.req.Wait && (engine.ClassOf(last) == engine.NoQuorum || errors.Is(last, engine.ErrUnsent)):
			return last
		}
		m.warnOf(o, next.N, last)
		m.rest(ctx, o, engine.Pause(next.N))
		if ctx.Err() != nil && m.stateOf(o) == queue.Asking {
			return m.waitEnded(ctx, o, last) // a request that cannot be answered would have to be withdrawn
		}
	}
}

// warnOf logs that a waiter is in trouble, at the third attempt in a row that
// brought it no further.
func (m *Manager) warnOf(o *Hold, attempt int, err error) {
	if attempt == 3 {
		m.cfg.Log.Warn("relock: "+trouble(err)+" yet", "lock", o.req.Name, "error", err)
	}
}

// rest waits before a resend, but not once o is granted or the manager closed.
func (m *Manager) rest(ctx context.Context, o *Hold, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-m.open.Done():
	case <-m.readyOf(o):
	}
}

// request sends the acquire of o, and takes the answer to its queue. It returns
// what is next, and the error of the request.
func (m *Manager) request(ctx context.Context, o *Hold) (queue.Effect, error) {
	a := &struct {
		bound bound
		req   engine.Request
	}{req: o.req}
	a.bound.begin(ctx, min(m.cfg.Call, o.req.TTL))
	defer a.bound.cancel()
	if !m.send(o, &a.req, &a.bound) {
		return queue.Effect{}, engine.ErrUnknown
	}
	ans, err := m.eng.Acquire(&a.bound, &a.req)
	return m.answered(o, ans, err), err
}

// readyOf returns what tells that o's state has changed.
func (m *Manager) readyOf(o *Hold) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.ready == nil {
		o.ready = make(chan struct{}, 1)
		if o.changed {
			o.ready <- struct{}{}
		}
	}
	return o.ready
}

// send has the request r of o leave, bounded by ctx, unless o's state is
// another by now, or the manager is closed.
func (m *Manager) send(o *Hold, r *engine.Request, ctx *bound) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || o.waiter.State() != queue.Asking {
		return false
	}
	r.Wait = m.stepOf(o, queue.Event{Kind: queue.Sending, Subscription: m.subscription()}).Join
	o.underWay = ctx
	return true
}

// listen asks for the subscription by which o's grant is heard. Without one, or
// with one that comes and goes, it is to queue all the same, and ask often instead.
func (m *Manager) listen(ctx context.Context, o *Hold) error {
	err := m.onceOpen(ctx, m.eng.Listen)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stepOf(o, queue.Event{Kind: queue.Listened, Err: err, Final: err != nil && !engine.IsTransient(err)})
	return err
}

// returnStray releases a grant for nobody: its waiter is gone, and its
// withdrawal may have been lost.
func (m *Manager) returnStray(ctx context.Context, msg engine.Message) {
	_ = m.ask(ctx, func(ctx context.Context) error {
		_, err := m.eng.Release(ctx, &engine.Release{Name: msg.Name, Hold: msg.Hold, Token: msg.Token})
		return err
	})
}

// waitEnded is the error of a wait that ctx ended: ErrNotAcquired if another is
// known to hold the lock, else what came of asking Redis.
func (m *Manager) waitEnded(ctx context.Context, o *Hold, err error) error {
	cause := engine.ContextError(ctx)
	if cause == nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	last := o.heard()
	if last.Owner == "" && err == nil && o.waiter.Ahead() >= 0 {
		last = o.inFront()
	} else if last.Owner == "" {
		return afterTrouble(cause, err)
	}
	return o.notAcquired(last, cause)
}

// afterTrouble is the error of a wait that cause ended, of which err is what came of
// asking; nil: nothing did.
func afterTrouble(cause, err error) error {
	if err == nil {
		return cause
	}
	return fmt.Errorf("%s: %w: %w", trouble(err), cause, err)
}

// inFront describes whom one that has heard of nobody waits behind. It needs
// Manager.mu.
func (o *Hold) inFront() engine.Answer {
	if holder := o.localHolder(); holder != nil {
		return holder.asHolder()
	}
	if seen := o.queue.Seen(); seen != nil {
		return *seen
	}
	return o.heard()
}

// notAcquired says that last is in o's way. It needs Manager.mu.
func (o *Hold) notAcquired(last engine.Answer, cause error) error {
	holder := o.localHolder()
	return o.lock.manager.cfg.NotAcquired(NotAcquired{
		Name: o.req.Name, Owner: last.Owner, Token: last.Token,
		Since: Ago(last.Owner != "", last.Age), TTL: max(last.Left, 0), Cause: cause,
		Local: holder != nil && holder.req.Owner == last.Owner && holder.err() == nil,
	})
}

// asHolder describes a local hold to one that waits behind it.
func (o *Hold) asHolder() engine.Answer {
	return engine.Answer{
		State: engine.Taken, Owner: o.req.Owner, Token: o.token,
		Left: time.Until(o.validUntil()), Age: o.held(),
	}
}
