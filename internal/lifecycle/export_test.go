package lifecycle

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// What tests reach of the inside, and what callers do not.

// MinCheck is the shortest time between two check-ins.
const MinCheck = queue.MinCheck

// Spanning is the least TTL of which d can be believed.
func Spanning(d time.Duration) time.Duration { return spanning(d) }

// Tasks is how many goroutines are in the background.
func (m *Manager) Tasks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tasks
}

// Owed is how many holds are to be given back.
func (m *Manager) Owed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.owed)
}

// Ends is how many ends are to be announced.
func (m *Manager) Ends() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ends)
}

// Names is how many names have a queue.
func (m *Manager) Names() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queues)
}

// Unbelieved is how many leases are without validity.
func (m *Manager) Unbelieved() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.holds {
		if o.waiter.State() == queue.Held && o.valid.Load() == 0 {
			n++
		}
	}
	return n
}

// Holds are all that wait or hold.
func (m *Manager) Holds() (all []*Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.holds {
		all = append(all, o)
	}
	return all
}

// Queued is one hold in the server's queue, or nil.
func (m *Manager) Queued() *Hold {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.holds {
		if o.waiter.State() == queue.Queued {
			return o
		}
	}
	return nil
}

// StopWatchdog has nothing renewed or asked for any more.
func (m *Manager) StopWatchdog() { m.dog.stop() }

// Engine is what keeps m's locks.
func (m *Manager) Engine() engine.Engine { return m.eng }

// SetEngine puts another engine in its place.
func (m *Manager) SetEngine(e engine.Engine) { m.eng = e }

// Ask sends a request as Status does.
func (m *Manager) Ask(ctx context.Context, send func(context.Context) error) error {
	return m.ask(ctx, send)
}

// Settle is an answer to a request of o.
func (m *Manager) Settle(o *Hold, ans engine.Answer) { m.answered(o, ans, nil) }

// Renewed is an answer to a renewal of o by the watchdog.
func (m *Manager) Renewed(o *Hold, ans engine.Answer) { m.dog.renewed(o, ans, nil) }

// Renew is a renewal of o by the watchdog.
func (m *Manager) Renew(o *Hold) engine.BatchItem { return m.dog.renew(o) }

// Wait has a new hold wait for a lock, in the server's queue.
func (m *Manager) Wait(l *Lock, id string) *Hold {
	o := m.newHold(context.Background(), l, "", true)
	o.req.Hold = id
	r := o.req
	if err := m.enter(o); err != nil || !m.send(o, &r, nil) {
		panic("it does not ask")
	}
	m.answered(o, engine.Answer{State: engine.Waiting, Sent: time.Now()}, nil)
	return o
}

// Forget takes o out of the manager; it reports whether o was granted its lock.
func (m *Manager) Forget(o *Hold) bool {
	granted := m.stateOf(o) == queue.Granted
	m.retire(o, queue.GaveUp)
	m.retired(o)
	return granted
}

// Watched reports whether the watchdog knows of o.
func (o *Hold) Watched() bool {
	w := &o.lock.manager.dog
	w.mu.Lock()
	defer w.mu.Unlock()
	return o.index > 0
}

// Request is what o asks for.
func (o *Hold) Request() engine.Request { return o.req }

// Renewal is a request that renews o.
func (o *Hold) Renewal(ttl time.Duration) *engine.Renewal { return o.renewal(ttl) }

// AddInFlight notes n more acquires that are not answered, and returns how many
// there are.
func (o *Hold) AddInFlight(n int32) int32 {
	o.copies.Add(n)
	o.lock.manager.mu.Lock()
	defer o.lock.manager.mu.Unlock()
	return o.inFlight()
}

// Heard is the last answer to o that was no grant.
func (o *Hold) Heard() engine.Answer {
	o.lock.manager.mu.Lock()
	defer o.lock.manager.mu.Unlock()
	return o.heard()
}

// RunOut has o's validity be over, before any timer has run.
func (o *Hold) RunOut() { o.valid.Store(o.lock.manager.clock()) }

// Believe is an answer from now that gives o so long.
func (o *Hold) Believe(left time.Duration) { o.believe(validity{time.Now(), left}) }

// NotHad has o be a grant that no caller was given.
func (o *Hold) NotHad() { o.had.Store(false) }

// Part is a member of a group.
type Part struct {
	Name, ID string
	Place    int
}

// Order is in which order the members are waited for.
func (c *Group) Order(ctx context.Context) ([]Part, error) {
	sorted, err := c.order(ctx)
	var all []Part
	for _, p := range sorted {
		all = append(all, Part{p.Name, p.id, p.place})
	}
	return all, err
}

// Observe has all that is told of o told.
func (m *Manager) Observe(o *Hold) {
	ctx := m.called(context.Background(), o)
	m.granted(o)
	m.acquired(o)
	m.returned(o, nil)
	m.renewed(o, o.grant(), nil)
	_, told := m.givesBack(ctx, o)
	m.released(o, nil)
	told(nil)
	o.tellEnd(m.cfg.Observer.Lost, ReasonGone)
	o.tellEnd(m.cfg.Observer.End, ReasonLease)
}
