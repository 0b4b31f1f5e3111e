package lifecycle

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// What tests reach of the inside, and what callers do not.

// MinCheck is the shortest time between two check-ins.
const MinCheck = minCheck

// Spanning is the least TTL of which d can be believed.
func Spanning(d time.Duration) time.Duration { return spanning(d) }

// Tasks is how many goroutines are in the background.
func (h *Manager) Tasks() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tasks
}

// Owed is how many holds are to be given back.
func (h *Manager) Owed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.owed)
}

// Ends is how many ends are to be announced.
func (h *Manager) Ends() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ends)
}

// Names is how many names have a line.
func (h *Manager) Names() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lines)
}

// Unbelieved is how many leases are without validity.
func (h *Manager) Unbelieved() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.holds {
		if o.stage == held && o.valid.Load() == 0 {
			n++
		}
	}
	return n
}

// Holds are all that wait or hold.
func (h *Manager) Holds() (all []*Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.holds {
		all = append(all, o)
	}
	return all
}

// Queued is one hold in the server's queue, or nil.
func (h *Manager) Queued() *Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.holds {
		if o.stage == queued {
			return o
		}
	}
	return nil
}

// StopWatchdog has nothing renewed or asked for any more.
func (h *Manager) StopWatchdog() { h.dog.stop() }

// Engine is what keeps h's locks.
func (h *Manager) Engine() engine.Engine { return h.eng }

// SetEngine puts another engine in its place.
func (h *Manager) SetEngine(e engine.Engine) { h.eng = e }

// Ask sends a request as Status does.
func (h *Manager) Ask(ctx context.Context, send func(context.Context) error) error {
	return h.ask(ctx, send)
}

// Settle is an answer to a request of o.
func (h *Manager) Settle(o *Hold, ans engine.Answer) { h.settle(o, ans, nil) }

// Renewed is an answer to a renewal of o by the watchdog.
func (h *Manager) Renewed(o *Hold, ans engine.Answer) { h.dog.renewed(o, ans, nil) }

// Renew is a renewal of o by the watchdog.
func (h *Manager) Renew(o *Hold) engine.Pulse { return h.dog.renew(o) }

// Wait has a new hold wait for a lock, in the server's queue.
func (h *Manager) Wait(l *Lock, id string) *Hold {
	o := h.newHold(context.Background(), l, "", true)
	o.req.Hold, o.stage = id, queued
	h.holds[id] = o
	return o
}

// Forget takes o out of the host; it reports whether o was granted its lock.
func (h *Manager) Forget(o *Hold) bool {
	delete(h.holds, o.req.Hold)
	return o.stage == granted
}

// Watched reports whether the watchdog knows of o.
func (o *Hold) Watched() bool {
	w := &o.lock.host.dog
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
func (o *Hold) AddInFlight(n int32) int32 { return o.unsure.Add(n) }

// Heard is the last answer to o that was no grant.
func (o *Hold) Heard() engine.Answer {
	o.lock.host.mu.Lock()
	defer o.lock.host.mu.Unlock()
	return o.heard()
}

// AgeAnswer has the last answer to o be older by d.
func (o *Hold) AgeAnswer(d time.Duration) {
	o.lock.host.mu.Lock()
	defer o.lock.host.mu.Unlock()
	o.last.Sent = o.last.Sent.Add(-d)
}

// RunOut has o's validity be over, before any timer has run.
func (o *Hold) RunOut() { o.valid.Store(o.lock.host.clock()) }

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
func (h *Manager) Observe(o *Hold) {
	ctx := h.called(context.Background(), o)
	h.granted(o)
	h.acquired(o)
	h.returned(o, nil)
	h.renewed(o, o.answer, nil)
	_, told := h.givesBack(ctx, o)
	h.released(o, nil)
	told(nil)
	o.tellEnd(h.cfg.Observer.Lost, ReasonGone)
	o.tellEnd(h.cfg.Observer.End, ReasonLease)
}
