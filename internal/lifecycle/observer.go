package lifecycle

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// An Observer is told of the life of locks. A function that is nil is not called,
// and what it would be told is not made. Its functions are called with no mutex
// held.
type Observer struct {
	AcquireStart func(context.Context, Event) context.Context
	AcquireEnd   func(context.Context, Event)
	Grant        func(context.Context, Event)
	Renew        func(context.Context, Event)
	Lost         func(context.Context, Event)
	End          func(context.Context, Event)
	ReleaseStart func(context.Context, Event) context.Context
	ReleaseEnd   func(context.Context, Event)
	Force        func(context.Context, Event)
}

// Event is one thing that an observer is told. What an event does not have is
// zero.
type Event struct {
	Name, Hold, Owner string
	Token             int64 // 0 before the grant

	Try    bool          // AcquireStart, AcquireEnd: a call that does not wait
	Waited time.Duration // AcquireEnd, Grant: since the call began
	Queued bool          // AcquireEnd, Grant: it had to wait for its turn
	Ahead  int           // AcquireEnd, Grant: of how many, when it began to wait
	Count  int           // Grant: holds of the owner, this one included
	Via    Via           // Grant
	Held   time.Duration // Lost, End, ReleaseStart, ReleaseEnd: since it is a lease
	Reason string        // Lost, End: one of the reasons below
	Took   time.Duration // Renew, ReleaseEnd: from request to answer; 0 where none came
	Left   time.Duration // Renew: of the validity, before
	Since  time.Time     // Force: since when it was held
	Err    error         // AcquireEnd, Renew, ReleaseEnd: what came of it
}

// Via is how a grant came.
type Via uint8

// The ways of a grant.
const (
	ViaRequest Via = iota // it was free, or the owner's, when it was asked for
	ViaMessage            // a release passed it on by message
	ViaRelease            // a release of this manager passed it on by its reply
	ViaCheckIn            // a waiter found it to be its own when it asked again
)

// Why a lease was lost.
const (
	ReasonExpired = "expired" // its validity ran out
	ReasonGone    = "gone"    // the server had it no longer
	ReasonForced  = "forced"  // it was taken away by this manager
)

// To which end a lease came that was given it.
const (
	ReasonLease    = "lease"    // of a fixed lease
	ReasonMaxHold  = "max-hold" // the longest that it may be held
	ReasonDetached = "detached" // it was left to its end
)

// Stats are what a manager's locks have come to, and how many there are now.
type Stats struct {
	Held    int
	Waiting int

	Acquired    uint64
	HandOffs    uint64
	CheckIns    uint64
	NotAcquired uint64
	Failed      uint64

	Renewals      uint64
	RenewFailures uint64

	Released   uint64
	Unanswered uint64
	Lost       uint64
	Ended      uint64
	Detached   uint64
	Closed     uint64
	Forced     uint64
}

// counts are the Stats that only rise.
type counts struct {
	acquired, handOffs, checkIns, notAcquired, failed atomic.Uint64
	renewals, renewFailures                           atomic.Uint64
	released, unanswered, lost, ended, detached       atomic.Uint64
	closed, forced                                    atomic.Uint64
}

// Stats returns what the manager's locks have come to.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	held, waiting := m.holding, m.waiting
	m.mu.Unlock()
	n := &m.counts
	return Stats{
		Held: held, Waiting: waiting,
		Acquired: n.acquired.Load(), HandOffs: n.handOffs.Load(), CheckIns: n.checkIns.Load(),
		NotAcquired: n.notAcquired.Load(), Failed: n.failed.Load(),
		Renewals: n.renewals.Load(), RenewFailures: n.renewFailures.Load(),
		Released: n.released.Load(), Unanswered: n.unanswered.Load(), Lost: n.lost.Load(),
		Ended: n.ended.Load(), Detached: n.detached.Load(), Closed: n.closed.Load(), Forced: n.forced.Load(),
	}
}

// tracedContext is a hold's context for its observer, beside that of its caller,
// which the lease's context comes from.
type tracedContext struct {
	context.Context
	traced context.Context
}

// traced is the context that an observer is told of o with.
func (o *Hold) traced() context.Context {
	if c, ok := o.from.(*tracedContext); ok {
		return c.traced
	}
	return o.from
}

func (o *Hold) event() Event {
	return Event{Name: o.req.Name, Hold: o.req.Hold, Owner: o.req.Owner, Token: o.token}
}

// waited fills in how o has waited.
func (e *Event) waited(o *Hold) {
	ahead := o.waiter.Ahead()
	e.Waited, e.Queued, e.Ahead = time.Since(o.req.Arrived), ahead >= 0, max(ahead, 0)
}

// What follows is where the life of a lock is counted, logged and observed: each
// is one call in it.

// called is when o's call begins; it returns the context for its requests.
func (m *Manager) called(ctx context.Context, o *Hold) context.Context {
	tell := m.cfg.Observer.AcquireStart
	if tell == nil {
		return ctx
	}
	e := o.event()
	e.Try = !o.req.Wait
	traced := tell(ctx, e)
	o.from = &tracedContext{ctx, traced}
	return traced
}

// returned is when o's call returns.
func (m *Manager) returned(o *Hold, err error) {
	switch {
	case err == nil, o.valid.Load() != 0: // begin has counted it
	case errors.Is(err, engine.ErrNotAcquired):
		m.counts.notAcquired.Add(1)
	default:
		m.counts.failed.Add(1)
	}
	if tell := m.cfg.Observer.AcquireEnd; tell != nil {
		e := o.event()
		e.Try, e.Err = !o.req.Wait, err
		e.waited(o)
		tell(o.traced(), e)
	}
}

// granted is when the server has given o the lock.
func (m *Manager) granted(o *Hold) {
	if tell := m.cfg.Observer.Grant; tell != nil {
		e := o.event()
		e.Count, e.Via = o.grant().Count, o.via()
		e.waited(o)
		tell(o.traced(), e)
	}
}

// acquired is when o becomes a lease.
func (m *Manager) acquired(o *Hold) {
	m.counts.acquired.Add(1)
	switch o.via() {
	case ViaMessage, ViaRelease:
		m.counts.handOffs.Add(1)
	case ViaCheckIn:
		m.counts.checkIns.Add(1)
	}
}

// renewed is when a renewal of o was answered or has failed. What comes after
// the lease's end says nothing of it.
func (m *Manager) renewed(o *Hold, ans engine.Answer, err error) {
	if o.cause.Load() != nil {
		return
	}
	if err == nil && ans.State == engine.Granted {
		m.counts.renewals.Add(1)
	} else {
		m.counts.renewFailures.Add(1)
	}
	tell := m.cfg.Observer.Renew
	if tell == nil {
		return
	}
	e := o.event()
	e.Left, e.Err = time.Until(o.validUntil()), err
	if err == nil {
		e.Took = time.Since(ans.Sent)
		if ans.State != engine.Granted {
			e.Err = engine.ErrLost
		}
	}
	tell(o.traced(), e)
}

// ended is when o ended as e, and not by Unlock or Close.
func (m *Manager) ended(o *Hold, e *ending) {
	switch {
	case e.lost != "":
		m.counts.lost.Add(1)
		m.cfg.Log.Warn("relock: lease lost", "lock", o.req.Name, "owner", o.req.Owner, "token", o.token, "reason", e.lost)
		o.tellEnd(m.cfg.Observer.Lost, e.lost)
		return
	case e.over == ReasonDetached:
		m.counts.detached.Add(1)
	default:
		m.counts.ended.Add(1)
	}
	m.cfg.Log.Debug("relock: lease ended", "lock", o.req.Name, "owner", o.req.Owner, "token", o.token, "reason", e.over)
	o.tellEnd(m.cfg.Observer.End, e.over)
}

func (o *Hold) tellEnd(tell func(context.Context, Event), reason string) {
	if tell != nil {
		e := o.event()
		e.Held, e.Reason = o.held(), reason
		tell(o.traced(), e)
	}
}

// givesBack is when the release of o is sent; it returns the context for it, and a
// function that tells what came of it.
func (m *Manager) givesBack(ctx context.Context, o *Hold) (context.Context, func(error)) {
	if m.cfg.Observer.ReleaseStart == nil {
		return ctx, nothing
	}
	return m.givingBack(ctx, o)
}

func nothing(error) {}

// givingBack is apart from givesBack since what its function captures is made
// where it begins.
func (m *Manager) givingBack(ctx context.Context, o *Hold) (context.Context, func(error)) {
	start := time.Now()
	e := o.event()
	e.Held = o.held()
	ctx = m.cfg.Observer.ReleaseStart(ctx, e)
	return ctx, func(err error) {
		e.Took, e.Err = time.Since(start), err
		m.cfg.Observer.ReleaseEnd(ctx, e)
	}
}

// released is when the release of o was answered, or has failed.
func (m *Manager) released(o *Hold, err error) {
	switch {
	case err == nil:
		m.counts.released.Add(1)
	case errors.Is(err, engine.ErrLost):
		m.ended(o, o.goneAtRelease())
	default:
		m.counts.unanswered.Add(1)
		m.cfg.Log.Warn("relock: release not answered, sent again in the background",
			"lock", o.req.Name, "owner", o.req.Owner, "token", o.token, "error", err)
	}
}

// forced is when a lock was taken away from whom st says, who had it since then.
func (m *Manager) forced(ctx context.Context, name string, st engine.Status, since time.Time) {
	m.counts.forced.Add(1)
	m.cfg.Log.Info("relock: lock taken away by force", "lock", name, "owner", st.Owner, "token", st.Token, "since", since)
	if tell := m.cfg.Observer.Force; tell != nil {
		tell(ctx, Event{Name: name, Owner: st.Owner, Token: st.Token, Since: since})
	}
}
