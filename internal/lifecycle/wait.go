package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// acquire is the life of every Lock and TryLock call, as others are told of it.
func (m *Manager) acquire(ctx context.Context, l *Lock, owner string, wait bool) (*Hold, error) {
	o := m.newHold(ctx, l, owner, wait)
	ctx = m.called(ctx, o)
	o, err := m.obtain(ctx, o)
	returns := false
	defer func() {
		if err == nil && !returns { // a tracer panics: nobody has the lease
			giveBackAll([]*Hold{o})
		}
	}()
	m.returned(o, err)
	if err != nil {
		return nil, err
	}
	returns = true
	return o, nil
}

// obtain takes o's lock. It returns the hold that it is by then: one whose grant
// could not be used is another.
func (m *Manager) obtain(ctx context.Context, o *Hold) (*Hold, error) {
	if err := m.enter(o); err != nil {
		return o, err
	}
	returns := false
	defer func() {
		if !returns { // a hook or a tracer panics: whoever recovers goes on without o
			m.giveUp(o)
		}
	}()
	for {
		done, err := m.advance(ctx, &o)
		if done {
			returns = true
			return o, err
		}
	}
}

// advance takes o on by one state, and reports whether that was the last: o is a
// lease then, or given up. It puts another hold in the place of one whose grant
// cannot be used.
func (m *Manager) advance(ctx context.Context, o **Hold) (done bool, err error) {
	switch m.stateOf(*o) {
	case queue.Asking:
		err = m.askFor(ctx, *o)
	case queue.Granted:
		var got outcome
		switch got, err = m.take(ctx, *o); got {
		case leased:
			return true, nil
		case unusable:
			*o = m.replace(*o)
			return false, nil
		}
	case queue.Failed:
		err = m.failure(*o)
	default:
		err = m.park(ctx, *o)
	}
	if err != nil {
		m.giveUpFor(ctx, *o, err)
	}
	return err != nil, err
}

// park waits for o's state to change.
func (m *Manager) park(ctx context.Context, o *Hold) error {
	select {
	case <-m.readyOf(o):
		return nil
	case <-ctx.Done():
		return m.waitEnded(ctx, o, nil)
	case <-m.open.Done():
		return engine.ErrClosed
	}
}

// enter adds o to the manager, and to the queue of its name.
func (m *Manager) enter(o *Hold) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return engine.ErrClosed
	}
	o.queue = m.queues[o.req.Name]
	if o.queue == nil {
		o.queue = &o.own
		m.queues[o.req.Name] = o.queue
	}
	m.holds[o.req.Hold] = o
	m.waiting++
	m.stepOf(o, queue.Event{Kind: queue.Entered})
	return nil
}

// HowToReenter is for those who expect a lock to know its holder by the thread.
const HowToReenter = "a Reentrant re-enters with the context of that lease"

// tellLocal logs that this same client waits for its lease o. It needs m.mu.
func (m *Manager) tellLocal(o *Hold) {
	if o.err() == nil {
		m.cfg.Log.Info("relock: waiting for a lease of this same client; "+HowToReenter,
			"lock", o.req.Name, "owner", o.req.Owner, "token", o.token, "held", o.held())
	}
}

// localHolder returns this client's lease on o's lock, whose release names the
// first waiter; nil: there is none. It needs Manager.mu.
func (o *Hold) localHolder() *Hold { return holdOf(o.queue.Holder()) }

func (m *Manager) stateOf(o *Hold) queue.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.waiter.State()
}

// retire takes o out of its queue, by an event that ends it, and returns what is
// left to do for it on the server. That is a task until retired is called.
func (m *Manager) retire(o *Hold, how queue.Kind) queue.Effect {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks++
	switch o.waiter.State() {
	case queue.Gone:
		return queue.Effect{}
	case queue.Held:
		m.holding--
	default:
		m.waiting--
		o.token = 0
	}
	left := m.stepOf(o, queue.Event{Kind: how})
	if o.queue.Empty() {
		delete(m.queues, o.req.Name)
	}
	return left
}

// retired ends the task that retire began: what remained to be done is done, or a
// task of its own. Until then the manager knows the hold, so that a message about
// it that is late is not taken for a grant to nobody.
func (m *Manager) retired(o *Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.holds, o.req.Hold)
	m.tasks--
	m.checkDrained()
}

// giveUp ends a call that has no lease. What may have reached the server is
// withdrawn in the background, and passed on to the next waiter: a grant that
// crosses a cancel is never swallowed. It returns a channel that is closed when the
// withdrawal is over; nil: there is none.
func (m *Manager) giveUp(o *Hold) <-chan struct{} {
	defer m.retired(o)
	left := m.retire(o, queue.GaveUp)
	if left.Do != queue.Withdraw {
		return nil
	}
	withdrawn := make(chan struct{})
	m.spawn(func(ctx context.Context) {
		defer close(withdrawn)
		m.withdraw(ctx, o, holdOf(left.Next), o.outlives())
	})
	return withdrawn
}

// giveUpFor gives up o for err. What is reported as released should be, if Redis can
// be reached.
func (m *Manager) giveUpFor(ctx context.Context, o *Hold, err error) {
	withdrawn := m.giveUp(o)
	if withdrawn == nil || !errors.Is(err, engine.ErrNotReplicated) {
		return
	}
	_ = m.once(ctx, func(ctx context.Context) error {
		select {
		case <-withdrawn:
		case <-ctx.Done():
		}
		return nil
	})
}

// replace gives up a grant that cannot be used, and returns a waiter in its place,
// with the time it has waited, under a new id: the old one is withdrawn, and
// refused from then on.
func (m *Manager) replace(old *Hold) *Hold {
	o := makeHold(old.from, old.lock, old.req)
	o.req.Hold, _ = m.newID()
	o.queue = old.queue
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.holds, old.req.Hold)
	m.holds[o.req.Hold] = o
	old.token = 0
	if left := m.stepOf(old, queue.Event{Kind: queue.TooOld, Again: &o.waiter}); left.Do == queue.Withdraw {
		m.spawnLocked(func(ctx context.Context) { m.withdraw(ctx, old, nil, old.outlives()) })
	}
	return o
}

// failure is why o cannot be had.
func (m *Manager) failure(o *Hold) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch err := o.waiter.Err(); err {
	case nil:
		return o.notAcquired(o.heard(), nil)
	case queue.ErrRefused:
		return fmt.Errorf("relock: the server refused hold %s: it was withdrawn", o.req.Hold)
	default:
		return engine.Outlasted(err, engine.Forever-1)
	}
}
