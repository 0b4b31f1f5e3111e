package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// release is the request that gives o back, or withdraws it.
func (o *Hold) release(token int64) engine.Release {
	return engine.Release{
		Name: o.req.Name, Hold: o.req.Hold, Token: token, Tombstone: o.mayComeLate(),
		Keep: o.minimum(), Lease: o.token,
	}
}

// mayComeLate reports whether an acquire of o may yet come, so that what ends o must
// have the server refuse it.
func (o *Hold) mayComeLate() bool {
	m := o.lock.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.inFlight() > 0
}

// mayBeBack reports whether the server may hold o though a release has found it
// gone: an acquire that came late may have put it there under another token.
func (o *Hold) mayBeBack() bool {
	m := o.lock.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.waiter.IsRepeated() || o.inFlight() > 0
}

// sendRelease sends one release or withdrawal of o, with next handed over. If
// it is not answered next asks for itself: an acquire of the same hold id is
// safe beside a release that may still name it.
func (m *Manager) sendRelease(ctx context.Context, o, next *Hold, token int64) (rel engine.Released, err error) {
	a := &struct {
		bound bound
		req   engine.Release
	}{req: o.release(token)}
	r, bounded := &a.req, &a.bound
	if next != nil {
		req := next.req
		r.Next = &req
		err = engine.ErrUnknown // if a hook panics
		defer func() { m.answered(next, rel.Next, err) }()
	}
	bounded.begin(ctx, m.cfg.Call)
	defer bounded.cancel()
	rel, err = m.eng.Release(bounded, r)
	if rel.Kept > 0 {
		m.keeps(r, rel.Kept)
	}
	return rel, err
}

// giveBack releases a lease until it is answered, for as long as ctx lives and
// the lease is valid, and for no longer than two requests may take. A ctx that
// is over already bounds nothing more: the release is sent all the same.
//
// "Gone" as the first answer is a loss. As the answer to a resend, or to one of
// several copies, it is the work of another copy, and what the lock protected was
// protected: the lease was valid when Unlock was called.
func (m *Manager) giveBack(ctx context.Context, o, next *Hold) error {
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	start, sent, gone := time.Now(), 0, false
	err := retry(ctx, func() error {
		rel, err := m.sendRelease(ctx, o, next, o.token)
		gone = err == nil && rel.Gone && !rel.Copied && sent == 0
		next, sent = nil, sent+1
		return err
	}, func(n int, err error) bool {
		return !engine.IsTransient(err) || engine.ClassOf(err) == engine.Denied ||
			time.Until(o.validUntil()) < 0 || n > 0 && time.Since(start) > m.cfg.Call
	})
	switch {
	case gone:
		return engine.ErrLost
	case err != nil && ctx.Err() != nil:
		return engine.Join(engine.ContextError(ctx), err)
	}
	return err
}

// withdraw gives up in the background what o may have on the server, under
// whichever token: a late copy of its acquire may have brought it back under
// another. It ends when it is answered, or with until: what is there expires.
func (m *Manager) withdraw(ctx context.Context, o, next *Hold, until time.Time) {
	if _, lasting := m.eng.(engine.Lasting); lasting {
		until = time.Now().Add(engine.MaxTTL)
	}
	m.owe(o, until)
	err := m.persist(ctx, until, func() error {
		_, err := m.sendRelease(ctx, o, next, 0)
		next = nil
		return err
	})
	m.paid(o, err)
}

// persist sends until that is answered, or in vain.
func (m *Manager) persist(ctx context.Context, until time.Time, send func() error) error {
	err := retry(ctx, send, func(_ int, err error) bool {
		return errors.Is(err, engine.ErrDisconnected) || errors.Is(err, engine.ErrWrongType) || ctx.Err() != nil || time.Now().After(until)
	})
	if errors.Is(err, engine.ErrWrongType) {
		return nil // what is there is not ours
	}
	return err
}
