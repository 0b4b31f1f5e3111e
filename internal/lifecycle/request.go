package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// askFor sends the acquire of o until it is answered. A waiter first asks
// without joining the queue, unless grants can be heard already: a free lock
// then costs no subscription.
func (m *Manager) askFor(ctx context.Context, o *Hold) (engine.Answer, error) {
	if !o.req.Wait {
		bounded, cancel := context.WithTimeout(ctx, m.cfg.Call)
		defer cancel()
		ctx = bounded
	}
	var last error
	for n := 0; ; n++ {
		ans, err := m.sendAcquire(ctx, o)
		if err == nil && ans.State == engine.Taken && o.req.Wait {
			m.noteTaken(o, ans)
			if err = m.listen(ctx); err == nil || engine.IsTransient(err) && ctx.Err() == nil {
				// Without a subscription, or with one that comes and goes, it
				// queues all the same, and asks often instead.
				o.blind = err != nil || n > 1
				continue
			}
		}
		if !o.req.Wait {
			err = soFar(last, err)
		}
		last = telling(ctx, last, m.judged(o, err))
		err = last
		switch {
		case err == nil:
			return ans, nil
		case m.stageOf(o) != asking:
			return ans, nil // the grant came by itself
		case ctx.Err() != nil:
			return ans, m.waitEnded(ctx, o, err)
		case m.open.Err() != nil:
			return ans, engine.ErrClosed
		case !engine.IsTransient(err), !o.req.Wait && (engine.ClassOf(err) == engine.NoQuorum || errors.Is(err, engine.ErrUnsent)):
			return ans, err
		}
		if n == 3 {
			m.cfg.Log.Warn("relock: "+trouble(err)+" yet", "lock", o.req.Name, "error", err)
		}
		select {
		case <-m.open.Done():
			return ans, engine.ErrClosed
		default:
			m.rest(ctx, o, engine.Pause(n))
		}
		if ctx.Err() != nil && m.stageOf(o) == asking {
			return ans, m.waitEnded(ctx, o, err) // a request that cannot be answered would have to be withdrawn
		}
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
	case <-o.ready:
	}
}

func (m *Manager) listen(ctx context.Context) error {
	return m.onceOpen(ctx, m.eng.Listen)
}

func (m *Manager) sendAcquire(ctx context.Context, o *Hold) (engine.Answer, error) {
	bounded, cancel := context.WithTimeout(ctx, min(m.cfg.Call, o.req.TTL))
	defer cancel()
	r := o.req
	r.Wait = r.Wait && (o.blind || m.eng.Listening() || m.eng.Deaf())
	m.mu.Lock()
	if o.stage != asking || m.closed {
		m.mu.Unlock()
		return engine.Answer{}, engine.ErrUnknown
	}
	o.interrupt = cancel
	o.missed = false // what is lost from here on
	if o.first.IsZero() {
		o.first = time.Now()
	}
	m.mu.Unlock()
	o.unsure.Add(1)
	ans, err := m.eng.Acquire(bounded, &r)
	o.answered(err)
	return ans, err
}

// answered notes that an acquire was answered, unless err leaves that open.
func (o *Hold) answered(err error) {
	if !errors.Is(err, engine.ErrUnknown) {
		o.unsure.Add(-1)
	}
}

func (m *Manager) noteTaken(o *Hold, ans engine.Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hears(o, ans)
}

// hears notes who is in o's way. It needs m.mu.
func (m *Manager) hears(o *Hold, ans engine.Answer) {
	o.last = &ans
	m.lineOf(o).seen = &ans
}

// settle makes of an answer the stage it stands for. A grant that came by
// itself in the meantime stays.
func (m *Manager) settle(o *Hold, ans engine.Answer, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !o.stage.grantable() {
		return
	}
	switch {
	case err != nil:
		o.failure = err
		o.to(failed)
	case ans.State == engine.Granted:
		m.grant(o, ans, viaOf(o.stage))
	case ans.State == engine.Waiting:
		o.joined = true
		if ans.Sent.After(o.heard().Sent) || o.heard().State != engine.Waiting {
			m.hears(o, ans)
		}
		if o.stage == named && !m.eng.Listening() && !m.eng.Deaf() {
			o.to(asking) // it has joined the queue, but its grant would not be heard
			return
		}
		o.waits(ans.Place)
		o.stage = queued
		m.dog.await(o, ans)
		if o.missed {
			m.dog.at(o, time.Now())
		}
	case ans.State == engine.Taken:
		taken := ans
		o.last = &taken
		o.failure = o.notAcquired(nil)
		o.to(failed)
	case o.stage == named:
		o.to(asking) // nobody took it over
	default:
		o.failure = fmt.Errorf("relock: the server refused hold %s: it was withdrawn", o.req.Hold)
		o.to(failed)
	}
}

// viaOf is how an answer grants a lock to a hold that has come as far as s.
func viaOf(s stage) Via {
	switch s {
	case named:
		return ViaRelease
	case queued:
		return ViaCheckIn
	}
	return ViaRequest
}

// grant gives o the lock. It needs m.mu.
func (m *Manager) grant(o *Hold, ans engine.Answer, via Via) {
	o.answer, o.via = ans, via
	m.dog.forget(o)
	if o.interrupt != nil {
		o.interrupt()
		o.interrupt = nil
	}
	o.to(granted)
}

// Deliver hands over a grant that came by message: the message is the grant.
//
// Its validity counts from when the last request left that was answered
// "waiting": the server granted it after that. A token that is not greater than
// the one in that answer is from before it: the grant has ended since, and o
// queues again. An engine that knows when it asked for the grant says so, and
// vouches for it.
func (m *Manager) Deliver(msg engine.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.holds[msg.Hold]
	if o == nil {
		m.spawnLocked(func(ctx context.Context) { m.returnStray(ctx, msg) })
		return
	}
	if !o.stage.grantable() {
		return
	}
	sent := msg.Sent
	if sent.IsZero() {
		if msg.Token <= o.heard().Token {
			return
		}
		if sent = o.first; o.heard().State == engine.Waiting {
			sent = o.heard().Sent
		}
		o.byMessage = true
	}
	m.grant(o, engine.Answer{State: engine.Granted, Token: msg.Token, Count: 1, Left: msg.Left, Sent: sent}, ViaMessage)
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
	if o.heard().Owner != "" || o.behind && err == nil {
		if ln := m.lines[o.req.Name]; o.heard().Owner == "" && ln != nil {
			if ln.seen != nil {
				o.last = ln.seen
			}
			if ln.holder != nil {
				holder := ln.holder.asHolder()
				o.last = &holder
			}
		}
		return o.notAcquired(cause)
	}
	if err == nil {
		return cause
	}
	return fmt.Errorf("%s: %w: %w", trouble(err), cause, err)
}

// notAcquired needs Manager.mu.
func (o *Hold) notAcquired(cause error) error {
	last := o.heard()
	holder := o.lock.manager.holderOf(o.req.Name)
	return o.lock.manager.cfg.NotAcquired(NotAcquired{
		Name: o.req.Name, Owner: last.Owner, Token: last.Token,
		Since: Ago(last.Owner != "", last.Age), TTL: max(last.Left, 0), Cause: cause,
		Local: holder != nil && holder.req.Owner == last.Owner && holder.err() == nil,
	})
}

// holderOf returns this client's lease on a lock, if it has one. It needs m.mu.
func (m *Manager) holderOf(name string) *Hold {
	if ln := m.lines[name]; ln != nil {
		return ln.holder
	}
	return nil
}

// asHolder describes a local hold to one that waits behind it.
func (o *Hold) asHolder() engine.Answer {
	return engine.Answer{
		State: engine.Taken, Owner: o.req.Owner, Token: o.token,
		Left: time.Until(o.validUntil()), Age: o.held(),
	}
}
