package relock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A Lease is one grant of a lock: what Lock returns. It is a handle; copies are
// the same lease. It is safe for concurrent use. Every call on a zero Lease
// returns [ErrNotHeld] or a zero value.
//
// A lease ends by Unlock, by loss or by Close, and never comes back.
type Lease struct{ o grant }

// grant is what a lease is a handle of: one hold, or those of a MultiLock.
type grant interface {
	context() context.Context
	err() error
	lockName() string
	fence() Token
	holder() Owner
	members() []*Lease
	validUntil() time.Time
	wrap(error) error
	extend(context.Context, time.Duration) error
	unlock(context.Context) error
}

func (o *hold) lockName() string  { return o.req.Name }
func (o *hold) fence() Token      { return Token(o.token) }
func (o *hold) holder() Owner     { return Owner(o.req.Owner) }
func (o *hold) members() []*Lease { return nil }

// validity is the time for which a grant may be believed: it counts from before
// the request left, so the server's end can only be later.
type validity struct {
	sent time.Time
	left time.Duration // what the server gave
}

// drift is what two clocks may differ in d, with 2 ms for the server's own
// resolution (the rule of the Redis distributed-locks page).
func drift(d time.Duration) time.Duration { return d/100 + 2*time.Millisecond }

// spanning returns the least TTL of which d can be believed.
func spanning(d time.Duration) time.Duration { return (d+2*time.Millisecond)*100/99 + time.Millisecond }

func (v validity) until() time.Time { return v.sent.Add(v.left - drift(v.left)) }

func (v validity) remaining(now time.Time) time.Duration { return v.until().Sub(now) }

// endedContext is the context of a zero Lease.
var endedContext = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(ErrNotHeld)
	return ctx
}()

// Context returns a context that lives as long as the lease. It has the values
// of the context that Lock was given, but not its end. Its cause is [ErrLost],
// [ErrUnlocked] or [ErrClosed]. It ends with ErrLost no later than ValidUntil
// allows the process to be scheduled, whether or not Redis can be reached.
func (l *Lease) Context() context.Context {
	if l == nil || l.o == nil {
		return endedContext
	}
	return l.o.context()
}

// Err returns nil while the lease may be believed, and else why not: [ErrLost],
// [ErrUnlocked], [ErrClosed], or [ErrNotHeld] for a zero Lease. It reads the
// clock: it is never nil past ValidUntil, even in a process that has just been
// woken from a long pause.
func (l *Lease) Err() error {
	if l == nil || l.o == nil {
		return ErrNotHeld
	}
	return l.o.err()
}

// Name returns the name of the lock.
func (l *Lease) Name() string {
	if l == nil || l.o == nil {
		return ""
	}
	return l.o.lockName()
}

// Token returns the fencing token of the grant, the same for every hold of one
// owner; 0 for a zero Lease and for a MultiLock's.
func (l *Lease) Token() Token {
	if l == nil || l.o == nil {
		return 0
	}
	return l.o.fence()
}

// Owner returns in whose name the lock is held.
func (l *Lease) Owner() Owner {
	if l == nil || l.o == nil {
		return ""
	}
	return l.o.holder()
}

// ValidUntil returns until when the lease may be believed, unless it is renewed
// or ended before. It is on the local monotonic clock and counts from before
// the last successful request was sent.
func (l *Lease) ValidUntil() time.Time {
	if l == nil || l.o == nil {
		return time.Time{}
	}
	return l.o.validUntil()
}

// Sequencer returns what a storage needs to refuse this holder once a later one
// has been there.
func (l *Lease) Sequencer() Sequencer {
	return Sequencer{Name: l.Name(), Token: l.Token(), Owner: l.Owner()}
}

// Members returns the leases of a MultiLock's members, in the order in which
// they were given; nil for every other kind.
func (l *Lease) Members() []*Lease {
	if l == nil || l.o == nil {
		return nil
	}
	return l.o.members()
}

// Extend makes the lease valid for at least d from now, between [MinTTL] and
// [MaxTTL]; it never shortens it. The watchdog goes on as before.
//
// It returns [ErrLost] if the lease was or is found lost, [ErrUnlocked] or
// [ErrNotHeld] after Unlock, [ErrInvalid] for a d out of range or beyond
// WithMaxHold, and else what Redis said or the cause of ctx: the lease is then
// valid until ValidUntil, which may have moved.
func (l *Lease) Extend(ctx context.Context, d time.Duration) error {
	if l == nil || l.o == nil {
		return ErrNotHeld
	}
	return l.o.wrap(l.o.extend(ctx, d))
}

// Unlock ends the lease and gives the hold back. It is sent even if ctx or the
// lease is over; nothing renews the hold once Unlock was called.
//
// It returns nil when the hold was given back; [ErrLost] if the lease ended
// before it was; [ErrNotHeld] if it was unlocked before, without any effect;
// [ErrClosed] after Close. On any other error, and where ctx ended first, the
// release goes on in the background until the validity ends.
func (l *Lease) Unlock(ctx context.Context) error {
	if l == nil || l.o == nil {
		return ErrNotHeld
	}
	return l.o.wrap(l.o.unlock(ctx))
}

// Do takes l, calls fn and releases l whatever happens, panics included. fn's
// context ends with ctx or with the lease, with the cause of the one that was
// first.
//
// Do returns fn's error, and [ErrLost] too if the lease was lost while fn ran;
// where the lock was not had, the error of Lock, within the bound of
// [WithWait].
func Do(ctx context.Context, l Locker, fn func(ctx context.Context, lease *Lease) error) (err error) {
	lease, err := waitFor(ctx, l)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancelCause(lease.Context())
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer func() {
		stop()
		cancel(nil)
		// A lock that was used is given back even if ctx is over by now.
		unlocked := lease.Unlock(ctx)
		switch {
		case errors.Is(unlocked, ErrLost):
			err = join(err, unlocked)
		case errors.Is(unlocked, ErrNotHeld): // fn did it itself
		case unlocked != nil && err == nil:
			err = unlocked
		}
	}()
	return fn(inner, lease)
}

func join(err, other error) error {
	if err == nil {
		return other
	}
	return fmt.Errorf("%w; %w", err, other)
}

// waitFor locks l within its WithWait.
func waitFor(ctx context.Context, l Locker) (*Lease, error) {
	bounded, ok := l.(interface{ settings() lockSettings })
	if !ok || !bounded.settings().hasWait {
		return l.Lock(ctx)
	}
	wait := bounded.settings().wait
	if wait == 0 {
		return l.TryLock(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return l.Lock(ctx)
}

// context returns the lease's context, made at the first call: most leases
// never need one.
func (o *hold) context() context.Context {
	o.ctxMu.Lock()
	defer o.ctxMu.Unlock()
	if o.ctx == nil {
		values := context.WithValue(context.WithoutCancel(o.from), heldKey{o.lock.host, o.lock.name}, o)
		o.ctx, o.cancel = context.WithCancelCause(values)
		if cause := o.cause.Load(); cause != nil {
			o.cancel(*cause)
		}
	}
	return o.ctx
}

// end ends the lease with cause, and tells whether this call did.
func (o *hold) end(cause error) bool {
	if !o.cause.CompareAndSwap(nil, &cause) {
		return false
	}
	o.ctxMu.Lock()
	defer o.ctxMu.Unlock()
	if o.cancel != nil {
		o.cancel(cause)
	}
	return true
}

func (o *hold) err() error {
	if cause := o.cause.Load(); cause != nil {
		return *cause
	}
	if o.lock.host.clock() >= o.valid.Load() {
		return ErrLost
	}
	return nil
}

func (o *hold) validUntil() time.Time {
	return o.lock.host.epoch.Add(time.Duration(o.valid.Load()))
}

func (o *hold) wrap(err error) error { return o.lock.wrap(err) }

// believe moves the end of the lease's validity to v's, never back, and never
// past WithMaxHold.
func (o *hold) believe(v validity) {
	until := v.until().Sub(o.lock.host.epoch)
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

func (o *hold) renewal(ttl time.Duration) *engine.Renewal {
	return &engine.Renewal{
		Name: o.req.Name, Hold: o.req.Hold, Token: o.token, TTL: ttl,
		Replicas: o.lock.set.replicas, ReplicaTimeout: o.lock.set.replicaTimeout,
	}
}

func (o *hold) extend(ctx context.Context, d time.Duration) error {
	if err := checkTTL("Extend", d); err != nil {
		return err
	}
	h := o.lock.host
	if o.lastEnd > 0 && h.clock()+int64(d) > int64(o.lastEnd) {
		return invalid("Extend(%v) goes beyond WithMaxHold(%v)", d, o.lock.set.maxHold)
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
func (o *hold) renewNow(ctx context.Context, ttl time.Duration) error {
	h := o.lock.host
	var ans engine.Answer
	r := o.renewal(ttl)
	err := h.ask(ctx, func(ctx context.Context) (err error) {
		if err := o.err(); err != nil {
			return err
		}
		ans, err = h.eng.Renew(ctx, r)
		return err
	})
	switch {
	case o.err() != nil:
		return o.err()
	case err != nil:
		return err
	case ans.State != engine.Granted:
		o.lose()
		return ErrLost
	}
	o.believe(validity{ans.Sent, ans.Left})
	h.dog.watch(o, ans)
	return nil
}

// unlock is argued by its order: the lease ends first, so that the answer to a
// renewal that is under way cannot put it back into the watchdog; the watchdog
// lets go before the release is sent, so that nothing renews the hold
// afterwards; and a renewal that comes late finds its hold gone.
func (o *hold) unlock(ctx context.Context) error {
	h := o.lock.host
	if !o.unlocked.CompareAndSwap(false, true) {
		return ErrNotHeld
	}
	if o.err() != nil {
		o.lose() // its deadline may have passed unnoticed
	}
	if !o.end(ErrUnlocked) {
		return *o.cause.Load()
	}
	h.dog.forget(o)
	next := h.leave(o)
	err := h.giveBack(ctx, o, next)
	if err != nil && (!errors.Is(err, ErrLost) || o.unsure.Load() > 0) {
		h.spawn(func(ctx context.Context) { h.withdraw(ctx, o, nil, o.validUntil()) })
	}
	h.left(o)
	return err
}

// lose ends the lease as lost. The hold is given back all the same, in the
// background: the server may still count it, or a late copy of its acquire may
// yet put it there.
func (o *hold) lose() {
	if !o.end(ErrLost) {
		return
	}
	h := o.lock.host
	h.dog.forget(o)
	h.set.log.Warn("relock: lease lost", "lock", o.req.Name, "owner", o.req.Owner, "token", o.token)
	if next := h.leave(o); next != nil {
		h.unname(next)
	}
	h.spawn(func(ctx context.Context) {
		h.withdraw(ctx, o, nil, time.Now().Add(max(o.req.TTL, h.set.call)))
	})
	h.left(o)
}

// loseAll ends the leases of this host on a grant that was taken away.
func (h *host) loseAll(name string, token int64) {
	var lost []*hold
	h.mu.Lock()
	for _, o := range h.holds {
		if o.stage == held && o.req.Name == name && o.token == token {
			lost = append(lost, o)
		}
	}
	h.mu.Unlock()
	for _, o := range lost {
		o.lose()
	}
}
