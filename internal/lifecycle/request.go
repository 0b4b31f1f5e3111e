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
func (h *Manager) askFor(ctx context.Context, o *Hold) (engine.Answer, error) {
	if !o.req.Wait {
		bounded, cancel := context.WithTimeout(ctx, h.cfg.Call)
		defer cancel()
		ctx = bounded
	}
	var last error
	for n := 0; ; n++ {
		ans, err := h.sendAcquire(ctx, o)
		if err == nil && ans.State == engine.Taken && o.req.Wait {
			h.noteTaken(o, ans)
			if err = h.listen(ctx); err == nil || engine.IsTransient(err) && ctx.Err() == nil {
				// Without a subscription, or with one that comes and goes, it
				// queues all the same, and asks often instead.
				o.blind = err != nil || n > 1
				continue
			}
		}
		if !o.req.Wait {
			err = soFar(last, err)
		}
		last = telling(ctx, last, h.judged(o, err))
		err = last
		switch {
		case err == nil:
			return ans, nil
		case h.stageOf(o) != asking:
			return ans, nil // the grant came by itself
		case ctx.Err() != nil:
			return ans, h.waitEnded(ctx, o, err)
		case h.open.Err() != nil:
			return ans, engine.ErrClosed
		case !engine.IsTransient(err), !o.req.Wait && (engine.ClassOf(err) == engine.NoQuorum || errors.Is(err, engine.ErrUnsent)):
			return ans, err
		}
		if n == 3 {
			h.cfg.Log.Warn("relock: "+trouble(err)+" yet", "lock", o.req.Name, "error", err)
		}
		select {
		case <-h.open.Done():
			return ans, engine.ErrClosed
		default:
			h.rest(ctx, o, engine.Pause(n))
		}
		if ctx.Err() != nil && h.stageOf(o) == asking {
			return ans, h.waitEnded(ctx, o, err) // a request that cannot be answered would have to be withdrawn
		}
	}
}

// rest waits before a resend, but not once o is granted or the host closed.
func (h *Manager) rest(ctx context.Context, o *Hold, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-h.open.Done():
	case <-o.ready:
	}
}

func (h *Manager) listen(ctx context.Context) error {
	return h.onceOpen(ctx, h.eng.Listen)
}

func (h *Manager) sendAcquire(ctx context.Context, o *Hold) (engine.Answer, error) {
	bounded, cancel := context.WithTimeout(ctx, min(h.cfg.Call, o.req.TTL))
	defer cancel()
	r := o.req
	r.Wait = r.Wait && (o.blind || h.eng.Listening() || h.eng.Deaf())
	h.mu.Lock()
	if o.stage != asking || h.closed {
		h.mu.Unlock()
		return engine.Answer{}, engine.ErrUnknown
	}
	o.interrupt = cancel
	o.missed = false // what is lost from here on
	if o.first.IsZero() {
		o.first = time.Now()
	}
	h.mu.Unlock()
	o.unsure.Add(1)
	ans, err := h.eng.Acquire(bounded, &r)
	o.answered(err)
	return ans, err
}

// answered notes that an acquire was answered, unless err leaves that open.
func (o *Hold) answered(err error) {
	if !errors.Is(err, engine.ErrUnknown) {
		o.unsure.Add(-1)
	}
}

func (h *Manager) noteTaken(o *Hold, ans engine.Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hears(o, ans)
}

// hears notes who is in o's way. It needs h.mu.
func (h *Manager) hears(o *Hold, ans engine.Answer) {
	o.last = &ans
	h.lineOf(o).seen = &ans
}

// settle makes of an answer the stage it stands for. A grant that came by
// itself in the meantime stays.
func (h *Manager) settle(o *Hold, ans engine.Answer, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !o.stage.grantable() {
		return
	}
	switch {
	case err != nil:
		o.failure = err
		o.to(failed)
	case ans.State == engine.Granted:
		h.grant(o, ans, viaOf(o.stage))
	case ans.State == engine.Waiting:
		o.joined = true
		if ans.Sent.After(o.heard().Sent) || o.heard().State != engine.Waiting {
			h.hears(o, ans)
		}
		if o.stage == named && !h.eng.Listening() && !h.eng.Deaf() {
			o.to(asking) // it has joined the queue, but its grant would not be heard
			return
		}
		o.waits(ans.Place)
		o.stage = queued
		h.dog.await(o, ans)
		if o.missed {
			h.dog.at(o, time.Now())
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

// grant gives o the lock. It needs h.mu.
func (h *Manager) grant(o *Hold, ans engine.Answer, via Via) {
	o.answer, o.via = ans, via
	h.dog.forget(o)
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
func (h *Manager) Deliver(m engine.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.holds[m.Hold]
	if o == nil {
		h.spawnLocked(func(ctx context.Context) { h.returnStray(ctx, m) })
		return
	}
	if !o.stage.grantable() {
		return
	}
	sent := m.Sent
	if sent.IsZero() {
		if m.Token <= o.heard().Token {
			return
		}
		if sent = o.first; o.heard().State == engine.Waiting {
			sent = o.heard().Sent
		}
		o.byMessage = true
	}
	h.grant(o, engine.Answer{State: engine.Granted, Token: m.Token, Count: 1, Left: m.Left, Sent: sent}, ViaMessage)
}

// returnStray releases a grant for nobody: its waiter is gone, and its
// withdrawal may have been lost.
func (h *Manager) returnStray(ctx context.Context, m engine.Message) {
	_ = h.ask(ctx, func(ctx context.Context) error {
		_, err := h.eng.Release(ctx, &engine.Release{Name: m.Name, Hold: m.Hold, Token: m.Token})
		return err
	})
}

// waitEnded is the error of a wait that ctx ended: ErrNotAcquired if another is
// known to hold the lock, else what came of asking Redis.
func (h *Manager) waitEnded(ctx context.Context, o *Hold, err error) error {
	cause := engine.ContextError(ctx)
	if cause == nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.heard().Owner != "" || o.behind && err == nil {
		if ln := h.lines[o.req.Name]; o.heard().Owner == "" && ln != nil {
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

// notAcquired needs host.mu.
func (o *Hold) notAcquired(cause error) error {
	last := o.heard()
	holder := o.lock.host.holderOf(o.req.Name)
	return o.lock.host.cfg.NotAcquired(NotAcquired{
		Name: o.req.Name, Owner: last.Owner, Token: last.Token,
		Since: Ago(last.Owner != "", last.Age), TTL: max(last.Left, 0), Cause: cause,
		Local: holder != nil && holder.req.Owner == last.Owner && holder.err() == nil,
	})
}

// holderOf returns this client's lease on a lock, if it has one. It needs h.mu.
func (h *Manager) holderOf(name string) *Hold {
	if ln := h.lines[name]; ln != nil {
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
