package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// A Hold is one Lock call: it waits, holds, and ends.
type Hold struct {
	lock   *Lock
	req    engine.Request
	from   context.Context // Lock's; for its values
	copies atomic.Int32    // that the engine made of acquires, and that may come late
	index  int32           // in the watchdog's heap, from 1; 0: not in it. Guarded by its mutex

	// As a waiter; guarded by Manager.mu.
	waiter   queue.Waiter
	queue    *queue.Queue  // of its name
	ready    chan struct{} // a buffer of one: its state has changed; nil: nobody has waited for that yet
	changed  bool          // before somebody did
	underWay *bound        // of the acquire that is under way
	own      queue.Queue   // the queue of its name, if it was the first there

	// As a lease.
	token     int64
	began     time.Duration // since epoch: when Lock returned it
	lastEnd   time.Duration // of WithMaxHold, since epoch; 0: none
	valid     atomic.Int64  // nanoseconds since epoch
	heldUntil atomic.Int64  // as valid: until when the server may hold it
	cause     atomic.Pointer[ending]
	blurred   atomic.Bool // an Extend had no answer
	unlocked  atomic.Bool // or detached
	had       atomic.Bool // the caller has had it, so that its minimum counts
	retries   int32       // of renewals in a row; guarded by the watchdog's mutex
	ctxMu     sync.Mutex
	inUse     <-chan struct{} // closed when the function that uses the lease has returned; nil: none does
	usedBy    User
	ctx       context.Context
	cancel    context.CancelCauseFunc

	// The watchdog's; guarded by its mutex.
	fixed   bool          // nothing renews it: of a member of a group so only once the whole is held
	due     time.Duration // in the heap, since epoch
	renewAt time.Time
}

func (m *Manager) newHold(ctx context.Context, l *Lock, owner string, wait bool) *Hold {
	id, own := m.newID()
	shared := owner != ""
	if !shared {
		owner = own
	}
	check := min(m.cfg.Check, l.terms.TTL/3)
	o := makeHold(ctx, l, engine.Request{
		Name: l.Name, Hold: id, Owner: owner, TTL: l.terms.TTL, Keep: l.terms.MinHold,
		Life: 3 * check, Arrived: time.Now(), Wait: wait, Shared: shared, Fixed: l.terms.Fixed,
	})
	if shared {
		if outer := l.outer(ctx); outer != nil && outer.req.Owner == owner {
			o.req.Within = outer.req.Hold
		}
	}
	_, each := m.eng.(engine.Individual)
	o.waiter.Wait, o.waiter.Fresh, o.waiter.Check = wait, !shared && !each, check
	return o
}

// makeHold makes a hold of l that asks for r.
func makeHold(ctx context.Context, l *Lock, r engine.Request) *Hold {
	o := &Hold{lock: l, req: r, from: ctx, fixed: l.terms.Fixed}
	o.req.Copies, o.waiter.Of = &o.copies, o
	return o
}

// inFlight is how many acquires of o, copies included, were sent and may come late.
// It needs Manager.mu.
func (o *Hold) inFlight() int32 { return o.waiter.InFlight() + o.copies.Load() }

// outlives returns an instant at which the server has nothing of a call that was
// given up now, whatever is still on its way.
func (o *Hold) outlives() time.Time {
	return time.Now().Add(max(o.req.Grant(), o.lock.manager.cfg.Call))
}

// heard returns who is in o's way, as it was last told; zero: nobody was. It needs
// Manager.mu.
func (o *Hold) heard() engine.Answer {
	if heard := o.waiter.Heard(); heard != nil {
		return *heard
	}
	return engine.Answer{}
}

// grant returns the grant that o has.
func (o *Hold) grant() engine.Answer {
	grant, _ := o.waiter.Grant()
	return grant
}

// via is how o's grant came.
func (o *Hold) via() Via {
	switch _, via := o.waiter.Grant(); via {
	case queue.ByMessage, queue.ByVoucher:
		return ViaMessage
	case queue.ByRelease:
		return ViaRelease
	case queue.ByCheckIn:
		return ViaCheckIn
	}
	return ViaRequest
}

// context returns the lease's context, made at the first call: most leases
// never need one.
func (o *Hold) context() context.Context {
	o.ctxMu.Lock()
	defer o.ctxMu.Unlock()
	if o.ctx == nil {
		o.ctx, o.cancel = context.WithCancelCause(&heldContext{context.WithoutCancel(o.from), []*Hold{o}})
		if cause := o.cause.Load(); cause != nil {
			o.cancel(cause.err)
		}
	}
	return o.ctx
}

func (o *Hold) err() error {
	if cause := o.cause.Load(); cause != nil {
		return cause.err
	}
	if o.lock.manager.clock() >= o.valid.Load() {
		return engine.ErrLost
	}
	return nil
}

func (o *Hold) validUntil() time.Time {
	return o.lock.manager.epoch.Add(time.Duration(o.valid.Load()))
}

// held is for how long o has been a lease.
func (o *Hold) held() time.Duration { return time.Since(o.lock.manager.epoch) - o.began }

func (o *Hold) wrap(err error) error { return o.lock.wrap(err) }

// A Lease is what a holder has: one hold, or those of a group.
type Lease interface {
	Context() context.Context
	Err() error
	Name() string
	Token() int64
	Owner() string
	Members() []Lease // nil: it is no group
	ValidUntil() time.Time
	Extend(context.Context, time.Duration) error
	Unlock(context.Context) error
	Detach() error
	Use(done <-chan struct{}, by User)
}

var _ Lease = (*Hold)(nil)

// Context returns a context that lives as long as the lease.
func (o *Hold) Context() context.Context { return o.context() }

// Err returns nil while the lease may be believed, and else why not.
func (o *Hold) Err() error { return o.err() }

// ID is what tells this hold from all others.
func (o *Hold) ID() string { return o.req.Hold }

// Name returns the lock's name.
func (o *Hold) Name() string { return o.req.Name }

// Token returns the fencing token.
func (o *Hold) Token() int64 { return o.token }

// Owner returns in whose name the lock is held.
func (o *Hold) Owner() string { return o.req.Owner }

// Members returns nil.
func (o *Hold) Members() []Lease { return nil }

// ValidUntil returns the end of the lease's validity.
func (o *Hold) ValidUntil() time.Time { return o.validUntil() }

// Extend makes the lease valid for at least d from now.
func (o *Hold) Extend(ctx context.Context, d time.Duration) error { return o.wrap(o.extend(ctx, d)) }

// Unlock ends the lease and gives the hold back.
func (o *Hold) Unlock(ctx context.Context) error { return o.wrap(o.unlock(ctx)) }

// Detach ends the lease and leaves the server's hold to its end.
func (o *Hold) Detach() error { return o.wrap(o.detach()) }

// believe moves the end of the lease's validity to v's, never back, and never
// past WithMaxHold.
func (o *Hold) believe(v validity) {
	until := v.until().Sub(o.lock.manager.epoch)
	if o.lastEnd > 0 {
		until = min(until, o.lastEnd)
	}
	for {
		old := o.valid.Load()
		if int64(until) <= old || o.valid.CompareAndSwap(old, int64(until)) {
			return
		}
	}
}

func (o *Hold) renewal(ttl time.Duration) *engine.Renewal {
	return &engine.Renewal{
		Name: o.req.Name, Hold: o.req.Hold, Token: o.token, TTL: ttl,
		Replicas: o.lock.terms.Replicas, ReplicaTimeout: o.lock.terms.ReplicaTimeout,
	}
}

func (o *Hold) extend(ctx context.Context, d time.Duration) error {
	if err := engine.CheckTTL("Extend", d); err != nil {
		return err
	}
	m := o.lock.manager
	if o.lastEnd > 0 && m.clock()+int64(d) > int64(o.lastEnd) {
		return engine.Invalid("Extend(%v) goes beyond WithMaxHold(%v)", d, o.lock.terms.MaxHold)
	}
	until := time.Now().Add(d)
	if err := o.renewNow(ctx, spanning(d)); err != nil {
		return err
	}
	if o.validUntil().Before(until) {
		return fmt.Errorf("relock: Extend(%v) was answered too late", d)
	}
	return nil
}

// renewNow gives the hold ttl from now on.
func (o *Hold) renewNow(ctx context.Context, ttl time.Duration) error {
	m := o.lock.manager
	var ans engine.Answer
	r := o.renewal(ttl)
	err := m.insist(ctx, func(ctx context.Context) (err error) {
		if err := o.err(); err != nil {
			return err
		}
		o.mayLast(ttl)
		ans, err = m.eng.Renew(ctx, r)
		o.mayLast(ttl)
		if errors.Is(err, engine.ErrUnknown) {
			o.blurred.Store(true)
		}
		return err
	})
	m.renewed(o, ans, err)
	switch {
	case o.err() != nil:
		return o.err()
	case err != nil:
		return err
	case ans.State != engine.Granted:
		o.lose(ReasonGone)
		return engine.ErrLost
	}
	o.believe(o.trusts(ans, ttl))
	m.dog.watch(o, ans)
	return nil
}
