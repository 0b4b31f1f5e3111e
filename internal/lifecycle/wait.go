package lifecycle

import (
	"container/list"
	"context"
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// stage is how far a hold has come. Who waits is woken at each change.
//
//	local -> asking | named -> queued -> granted -> held
//
// From any but local and held it may also fail; every stage but held may be
// given up, which takes the hold out of the manager's map.
type stage uint8

const (
	local   stage = iota // behind another hold of this client; the server knows nothing of it
	asking               // its own goroutine asks the server
	named                // a release is under way that hands it over as next
	queued               // in the server's queue; the watchdog checks in
	granted              // it has the lock; its goroutine has not seen that yet
	failed               // it cannot be had
	held                 // a lease
	gone                 // given up: no answer changes it any more
)

// grantable tells whether the server may grant to a hold that has come as far as s.
func (s stage) grantable() bool { return s == asking || s == named || s == queued }

type place = list.Element

// A line is the queue of one name in this client. Only its first waiter is
// registered with the server, so that the server's queue grows with clients and
// not with goroutines. While a local hold lasts nobody needs to be: its release
// hands the first over, by name, with the time it has waited, which is its
// place among the clients.
//
// Invariant, whenever Manager.mu is free: if waiters is not empty, either holder is
// set or the first waiter is not in stage local.
type line struct {
	holder  *Hold          // the hold whose release will name the first waiter
	waiters list.List      // of *hold, by arrival; fresh owners only
	seen    *engine.Answer // the holder in the way of the first, as last heard; nil: nothing was
}

// acquire is the life of every Lock and TryLock call, as others are told of it.
func (m *Manager) acquire(ctx context.Context, l *Lock, owner string, wait bool) (*Hold, error) {
	o := m.newHold(ctx, l, owner, wait)
	ctx = m.called(ctx, o)
	o, err := m.obtain(ctx, o, owner == "" && wait)
	m.returned(o, err)
	if err != nil {
		return nil, err
	}
	return o, nil
}

// obtain takes o's lock, in its line if it is to queue. It returns the hold that
// it is by then: one that was retried is another.
func (m *Manager) obtain(ctx context.Context, o *Hold, queue bool) (*Hold, error) {
	if err := m.enter(o, queue); err != nil {
		return o, err
	}
	returns := false
	defer func() {
		if !returns { // a hook or a tracer panics: whoever recovers goes on without o
			_ = m.abandon(o, nil)
		}
	}()
	for {
		done, err := m.step(ctx, &o)
		if done {
			returns = true
			return o, err
		}
	}
}

// step takes o on by one stage, and reports whether that was the last. It puts
// another hold in the place of one that is retried.
func (m *Manager) step(ctx context.Context, o **Hold) (done bool, err error) {
	switch m.stageOf(*o) {
	case asking:
		ans, err := m.askFor(ctx, *o)
		m.settle(*o, ans, err)
		return false, nil
	case granted:
		lease, err := m.take(ctx, *o)
		if lease != nil || err != nil {
			return true, err
		}
		*o = m.retry(*o)
		return false, nil
	case failed:
		return true, m.abandon(*o, (*o).failure)
	}
	if err := m.park(ctx, *o); err != nil {
		return true, m.abandon(*o, err)
	}
	return false, nil
}

// park waits for o's stage to change.
func (m *Manager) park(ctx context.Context, o *Hold) error {
	var patience <-chan time.Time
	if o.behind {
		t := time.NewTimer(o.checkEvery())
		defer t.Stop()
		patience = t.C
	}
	select {
	case <-o.ready:
	case <-patience:
		m.registerFirst(o)
	case <-ctx.Done():
		return m.waitEnded(ctx, o, nil)
	case <-m.open.Done():
		return engine.ErrClosed
	}
	return nil
}

// registerFirst has o ask the server if it is the first behind a local hold that
// has lasted for an interval: that hold may have been lost on the server and not
// know it, as a fixed lease that was taken away.
func (m *Manager) registerFirst(o *Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tellLocal(o)
	if ln := m.lines[o.req.Name]; o.stage == local && ln.waiters.Front() == o.place {
		o.to(asking)
	}
}

// HowToReenter is for those who expect a lock to know its holder by the thread.
const HowToReenter = "a Reentrant re-enters with the context of that lease"

// tellLocal logs, once for a lease, that this same client waits for it: it may be
// its own caller that does, and then for ever. It needs m.mu.
func (m *Manager) tellLocal(o *Hold) {
	holder := m.holderOf(o.req.Name)
	if holder == nil || holder.told || holder.err() != nil {
		return
	}
	holder.told = true
	m.cfg.Log.Info("relock: waiting for a lease of this same client; "+HowToReenter,
		"lock", o.req.Name, "owner", holder.req.Owner, "token", holder.token, "held", holder.held())
}

// enter adds o to the manager, and to its line if it is to wait there.
func (m *Manager) enter(o *Hold, queue bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return engine.ErrClosed
	}
	m.holds[o.req.Hold] = o
	m.waiting++
	o.stage = asking
	ln := m.lineOf(o)
	if queue {
		// An owner of its own never waits here: a stranger in front of it may be
		// waiting for that very owner, in another process.
		if ln.holder != nil || ln.waiters.Len() > 0 {
			o.stage, o.behind = local, true
			o.waits(ln.waiters.Len())
		}
		o.place = ln.waiters.PushBack(o)
	}
	return nil
}

// waits notes that o begins to wait, behind so many. It needs Manager.mu.
func (o *Hold) waits(ahead int) {
	if !o.waited {
		o.waited, o.ahead = true, int32(ahead)
	}
}

// lineOf needs m.mu.
func (m *Manager) lineOf(o *Hold) *line {
	ln := m.lines[o.req.Name]
	if ln == nil {
		ln = &line{}
		m.lines[o.req.Name] = ln
	}
	return ln
}

// tidy drops the line if it is empty. It needs m.mu.
func (m *Manager) tidy(o *Hold) {
	if ln := m.lines[o.req.Name]; ln != nil && ln.holder == nil && ln.waiters.Len() == 0 {
		delete(m.lines, o.req.Name)
	}
}

func (m *Manager) stageOf(o *Hold) stage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.stage
}

// to changes the stage of o and wakes it. It needs m.mu.
func (o *Hold) to(s stage) {
	o.stage = s
	select {
	case o.ready <- struct{}{}:
	default: // it has not seen the last change yet, and will see both
	}
}

// nextOf returns the first waiter of ln, now named, if the server does not know
// it yet. It needs m.mu.
func (m *Manager) nextOf(ln *line) *Hold {
	if ln == nil || ln.holder != nil || ln.waiters.Len() == 0 {
		return nil
	}
	o := ln.waiters.Front().Value.(*Hold)
	if o.stage != local {
		return nil
	}
	// From here on a request may carry it: its cancel must withdraw it, and have
	// the server refuse what comes late.
	o.stage, o.first = named, time.Now()
	o.unsure.Add(1)
	return o
}

// unname has a waiter ask the server itself that no request will carry after
// all.
func (m *Manager) unname(o *Hold) {
	o.unsure.Add(-1)
	m.toAsk(o)
}

// toAsk has a named waiter ask the server itself.
func (m *Manager) toAsk(o *Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.stage == named {
		o.to(asking)
	}
}

// CheckIn has every waiter ask for its state now. Where a request is under way,
// its answer may be from before what was lost: "waiting" has it ask again.
func (m *Manager) CheckIn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.holds {
		if o.stage.grantable() {
			o.missed = true
			m.dog.at(o, time.Now())
		}
	}
}

// Idle tells whether nobody waits.
func (m *Manager) Idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting == 0
}

// leave takes o out of the manager. It returns the next waiter of its line, now
// named, if o's end is its turn. What remains to be done for o is a task until
// left is called.
func (m *Manager) leave(o *Hold) *Hold {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leaveLocked(o)
}

func (m *Manager) leaveLocked(o *Hold) *Hold {
	m.tasks++
	if o.stage == gone {
		return nil
	}
	if o.stage == held {
		m.holding--
	} else {
		m.waiting--
	}
	o.stage = gone
	ln := m.lines[o.req.Name]
	if o.place != nil {
		ln.waiters.Remove(o.place)
		o.place = nil
	}
	if ln != nil && ln.holder == o {
		ln.holder = nil
	}
	next := m.nextOf(ln)
	m.tidy(o)
	return next
}

// abandon gives up a hold that is no lease yet, and returns err. What may have
// reached the server is withdrawn in the background, and passed on to the next
// waiter: a grant that crosses a cancel is never swallowed.
func (m *Manager) abandon(o *Hold, err error) error {
	if drop := m.drop(o); drop != nil {
		m.spawn(drop)
	}
	m.left(o)
	return err
}

// drop takes a hold that is no lease yet out of the manager, and returns what is
// left to do for that on the server, or nil.
func (m *Manager) drop(o *Hold) func(context.Context) {
	m.mu.Lock()
	m.dog.forget(o)
	known := o.stage != local && !o.first.IsZero() && !o.refused()
	o.token = 0
	next := m.leaveLocked(o)
	m.mu.Unlock()
	if !known {
		if next != nil {
			m.unname(next)
		}
		return nil
	}
	until := time.Now().Add(max(o.req.Grant(), o.req.Life, m.cfg.Call))
	return func(ctx context.Context) { m.withdraw(ctx, o, next, until) }
}

// refused tells whether o failed and left nothing on the server: every request
// about it was answered or never left, the last one with "taken" or an error of
// the server's, and none with a place in the queue. One command was enough then;
// and where Redis refuses them all, calls in vain do not pile up withdrawals in
// vain. It needs m.mu.
func (o *Hold) refused() bool {
	if o.stage != failed || o.joined || o.unsure.Load() > 0 {
		return false
	}
	switch engine.ClassOf(o.failure) {
	case engine.Refused, engine.Unsent, engine.Denied, engine.Closed:
		return true
	}
	return errors.Is(o.failure, engine.ErrNotAcquired)
}

// retry gives up a grant that is too old to use, and returns a waiter in its
// place, with the time it has waited, under a new id: the old one is withdrawn,
// and refused from then on.
func (m *Manager) retry(old *Hold) *Hold {
	o := &Hold{
		lock: old.lock, req: old.req, from: old.from, ready: make(chan struct{}, 1), stage: asking,
		waited: old.waited, ahead: old.ahead,
	}
	o.req.Hold, o.req.Copies = m.newID(), &o.unsure
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.holds, old.req.Hold)
	m.holds[o.req.Hold] = o
	if o.place = old.place; o.place != nil {
		o.place.Value = o
	}
	old.place, old.token, old.stage = nil, 0, gone
	until := time.Now().Add(max(old.req.Grant(), m.cfg.Call))
	m.spawnLocked(func(ctx context.Context) { m.withdraw(ctx, old, nil, until) })
	return o
}
