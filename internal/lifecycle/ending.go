package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// An ending is how a lease came to its end.
type ending struct {
	err  error  // what its holder is told: the cause of its context
	lost string // why it is lost; "": it is not
	over string // which end was meant; "": none, or Unlock
}

var (
	unlockedEnd = &ending{err: engine.ErrUnlocked}
	closedEnd   = &ending{err: engine.ErrClosed}
	detachedEnd = &ending{err: engine.ErrDetached, over: ReasonDetached}
)

// A fate is what is to become on the server of a hold whose lease has ended and
// that no call gives back.
type fate int

const (
	// withdrawn: at once, in the background. The server says that the hold is
	// gone, but a late copy of its acquire may put it there again.
	withdrawn fate = iota
	// deferred: withdrawn once it is not in use. The server may still hold it for
	// somebody who is not done: the function that Do runs is given until the
	// server's last possible end, before which nobody else need have the lock.
	deferred
	// overdue: withdrawn at the server's last possible end, where it should be gone
	// by itself: but its clock may have stepped back.
	overdue
	// staying: to the end it has there. Late copies of its acquire are refused:
	// they would grant the lock again, to nobody.
	staying
)

// fate is the one place that says what is sent for a lease that ended as e
// without a call that gives it back, and when.
//
// A fixed lease that is over ends on the server by itself, a drift later: to
// withdraw it at once would end it there before its time, which is what it was
// taken for where it is left to run out. Who waits first asks at that very end.
// But a WithMaxHold's hold was renewed beyond its end, and so may one be whose
// Extend had no answer.
func (o *Hold) fate(e *ending) fate {
	switch {
	case e.lost == ReasonGone, e.lost == ReasonForced:
		return withdrawn
	case e.lost != "":
		return deferred
	case e.over == ReasonDetached:
		return staying
	case o.lock.manager.dog.isFixed(o) && !o.blurred.Load():
		return overdue
	}
	return deferred
}

// end ends the lease as e, and reports whether this call did.
func (o *Hold) end(e *ending) bool {
	if !o.cause.CompareAndSwap(nil, e) {
		return false
	}
	o.ctxMu.Lock()
	defer o.ctxMu.Unlock()
	if o.cancel != nil {
		o.cancel(e.err)
	}
	return true
}

// endBy ends the lease as e by a call, and reports whether it did.
func (o *Hold) endBy(e *ending) bool {
	if o.err() != nil {
		o.expire() // its deadline may have passed unnoticed
	}
	if !o.end(e) {
		return false
	}
	o.lock.manager.dog.forget(o)
	return true
}

// finish ends the lease as e at its holder's call, of which only the first
// counts. It returns why the lease had ended before.
func (o *Hold) finish(e *ending) error {
	if !o.unlocked.CompareAndSwap(false, true) {
		return engine.ErrNotHeld
	}
	if !o.endBy(e) {
		return o.cause.Load().err
	}
	return nil
}

// lose ends the lease as lost.
func (o *Hold) lose(why string) { o.runOut(&ending{err: engine.ErrLost, lost: why}) }

// expire ends a lease whose validity is over.
func (o *Hold) expire() { o.runOut(o.expired()) }

// expired is how a lease ends whose validity is over: as it was meant to, or for
// want of a renewal.
func (o *Hold) expired() *ending {
	switch {
	case o.lastEnd > 0 && o.valid.Load() >= int64(o.lastEnd):
		return &ending{err: engine.ErrLost, over: ReasonMaxHold}
	case o.lock.manager.dog.isFixed(o):
		return &ending{err: engine.ErrLost, over: ReasonLease}
	}
	return &ending{err: engine.ErrLost, lost: ReasonExpired}
}

func (o *Hold) runOut(e *ending) {
	if !o.end(e) {
		return
	}
	o.lock.manager.dog.forget(o)
	o.settleFate(e)
}

// settleFate does what is left to do for a lease that ended as e and is not given
// back by a call. Nothing names the next waiter, which asks for itself.
func (o *Hold) settleFate(e *ending) {
	m := o.lock.manager
	m.retire(o, queue.Ended)
	fate := o.fate(e)
	if fate == overdue && m.later(o.req.Hold, time.Until(o.serverEnd()), func(ctx context.Context) {
		r := o.release(0)
		m.announce(ctx, &r)
	}) {
		m.retired(o)
		m.ended(o, e)
		return
	}
	m.spawn(func(ctx context.Context) {
		switch fate {
		case staying, overdue:
			m.layTombstone(ctx, o)
			return
		case deferred:
			if !o.awaitUser(o.serverEnd) {
				return
			}
		}
		m.withdraw(ctx, o, nil, time.Now().Add(max(o.req.TTL, m.cfg.Call)))
	})
	m.retired(o)
	m.ended(o, e)
}

// detach ends a fixed lease and leaves the server's hold to its end.
func (o *Hold) detach() error {
	if err := o.detachable(); err != nil {
		return err
	}
	if err := o.finish(detachedEnd); err != nil {
		return err
	}
	o.settleFate(detachedEnd)
	return nil
}

// detachable refuses a lease that the watchdog keeps: nothing would end it when it
// says so.
func (o *Hold) detachable() error {
	if !o.lock.manager.dog.isFixed(o) {
		return engine.Invalid("Detach of a lease without WithLease")
	}
	return nil
}

// mayLast notes that the server may hold o for d from now on.
func (o *Hold) mayLast(d time.Duration) {
	end := int64(time.Since(o.lock.manager.epoch) + d)
	for {
		old := o.heldUntil.Load()
		if end <= old || o.heldUntil.CompareAndSwap(old, end) {
			return
		}
	}
}

// serverEnd is the last instant at which the server may hold o, by the requests
// that were sent.
func (o *Hold) serverEnd() time.Time {
	return o.lock.manager.epoch.Add(time.Duration(o.heldUntil.Load()))
}

// Use notes that o is in use by that user until done is closed.
func (o *Hold) Use(done <-chan struct{}, by User) {
	o.ctxMu.Lock()
	defer o.ctxMu.Unlock()
	o.inUse, o.usedBy = done, by
}

// user returns what is closed when o is not in use any more, or nil, and by whom
// it is.
func (o *Hold) user() (done <-chan struct{}, by User) {
	o.ctxMu.Lock()
	defer o.ctxMu.Unlock()
	return o.inUse, o.usedBy
}

// awaitUser waits until o is not in use, for no longer than until end, which may
// move meanwhile, and not once the manager is closed: Close takes back what a
// Worker uses. It reports whether o may be given back: not where a Leader uses it
// when Close is over.
func (o *Hold) awaitUser(end func() time.Time) bool {
	m := o.lock.manager
	done, by := o.user()
	closing := m.open
	if by == Leader {
		closing = m.bg
		m.oweUsed(o)
	}
	for left := time.Until(end()); done != nil && left > 0; left = time.Until(end()) {
		t := time.NewTimer(left)
		select {
		case <-t.C:
			continue
		case <-done:
		case <-closing.Done():
		}
		t.Stop()
		return by != Leader || isClosed(done)
	}
	return true
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// layTombstone has the server refuse late copies of o's acquire, and leaves what it holds.
func (m *Manager) layTombstone(ctx context.Context, o *Hold) {
	until := time.Now().Add(max(o.req.TTL, m.cfg.Call))
	_ = m.persist(ctx, until, func() error {
		return m.once(ctx, func(ctx context.Context) error {
			_, err := m.eng.Release(ctx, &engine.Release{
				Name: o.req.Name, Hold: o.req.Hold, Detach: true, Tombstone: o.mayComeLate(),
			})
			return err
		})
	})
}

// errPanics stands for the error of a release in which a hook or a tracer panics.
var errPanics = errors.New("panic")

// unlock is argued by its order: the lease ends first, so that the answer to a
// renewal that is under way cannot put it back into the watchdog; the watchdog
// lets go before the release is sent, so that nothing renews the hold
// afterwards; and a renewal that comes late finds its hold gone.
func (o *Hold) unlock(ctx context.Context) error {
	if err := o.finish(unlockedEnd); err != nil {
		return err
	}
	m := o.lock.manager
	err, retired := errPanics, false
	defer func() {
		if !retired { // a tracer panics, before a release could name the next
			m.retire(o, queue.Ended)
		}
		if err != nil && (!errors.Is(err, engine.ErrLost) || o.mayBeBack()) {
			m.spawn(func(ctx context.Context) { m.withdraw(ctx, o, nil, o.serverEnd()) })
		}
		m.retired(o)
	}()
	ctx, told := m.givesBack(ctx, o)
	next := holdOf(m.retire(o, queue.Released).Next)
	retired = true
	err = m.giveBack(ctx, o, next)
	m.released(o, err)
	told(err)
	return err
}

// goneAtRelease is how a lease ended whose hold was gone when its release came
// there: a fixed one may have run out while that was under way.
func (o *Hold) goneAtRelease() *ending {
	if e := o.expired(); e.over != "" && time.Until(o.validUntil()) <= 0 {
		return e
	}
	return &ending{err: engine.ErrLost, lost: ReasonGone}
}
