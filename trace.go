package relock

import (
	"context"
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// tracers are the parts of a client's tracers. A nil *tracers, which is most
// clients', costs a comparison where it is asked: nothing is measured or made
// for it.
type tracers struct {
	acquire []AcquireTracer
	grant   []GrantTracer
	handOff []HandOffTracer
	renew   []RenewTracer
	loss    []LostTracer
	end     []EndTracer
	release []ReleaseTracer
	force   []ForceTracer
}

// add takes t's parts, and tells whether it has any.
func (ts *tracers) add(t Tracer) bool {
	parts := [...]bool{
		addPart(&ts.acquire, t), addPart(&ts.grant, t), addPart(&ts.handOff, t), addPart(&ts.renew, t),
		addPart(&ts.loss, t), addPart(&ts.end, t), addPart(&ts.release, t), addPart(&ts.force, t),
	}
	return parts != [len(parts)]bool{}
}

func addPart[P any](parts *[]P, t Tracer) bool {
	p, ok := t.(P)
	if ok {
		*parts = append(*parts, p)
	}
	return ok
}

// tracedContext is a hold's context for its tracers, beside that of its caller,
// which the lease's context comes from.
type tracedContext struct {
	context.Context
	traced context.Context
}

// traced is the context that a tracer is told of o with.
func (o *hold) traced() context.Context {
	if c, ok := o.from.(*tracedContext); ok {
		return c.traced
	}
	return o.from
}

func (o *hold) event() Traced {
	return Traced{
		Name: o.req.Name, Hold: o.req.Hold, Owner: Owner(o.req.Owner), Token: Token(o.token),
		Quorum: o.lock.host.set.quorum,
	}
}

// called tells that o's call begins, and returns the context for its requests.
func (ts *tracers) called(ctx context.Context, o *hold) context.Context {
	if ts == nil || len(ts.acquire) == 0 {
		return ctx
	}
	traced := ctx
	for _, t := range ts.acquire {
		traced = t.TraceAcquireStart(traced, AcquireStart{Traced: o.event(), Try: !o.req.Wait}) //nolint:fatcontext // each tracer adds to what the one before returned
	}
	o.from = &tracedContext{ctx, traced}
	return traced
}

// returned tells what o's call returns.
func (ts *tracers) returned(o *hold, err error) {
	if ts == nil || len(ts.acquire) == 0 {
		return
	}
	e := AcquireEnd{
		Traced: o.event(), Try: !o.req.Wait, Waited: time.Since(o.req.Arrived),
		Queued: o.waited, Ahead: int(o.ahead), Err: err,
	}
	for _, t := range ts.acquire {
		t.TraceAcquireEnd(o.traced(), e)
	}
}

// granted tells that the server has given o the lock.
func (ts *tracers) granted(o *hold) {
	if ts == nil || len(ts.grant)+len(ts.handOff) == 0 {
		return
	}
	e := Granted{
		Traced: o.event(), Count: o.answer.Count, Via: o.via, Waited: time.Since(o.req.Arrived),
		Queued: o.waited, Ahead: int(o.ahead),
	}
	for _, t := range ts.grant {
		t.TraceGrant(o.traced(), e)
	}
	if o.via == ViaRequest {
		return
	}
	for _, t := range ts.handOff {
		t.TraceHandOff(o.traced(), e)
	}
}

// renewed tells what came of a renewal.
func (ts *tracers) renewed(o *hold, ans engine.Answer, err error) {
	if ts == nil || len(ts.renew) == 0 {
		return
	}
	e := Renewed{Traced: o.event(), Left: time.Until(o.validUntil()), Err: err}
	switch {
	case err == nil && ans.State != engine.Granted:
		e.Err = ErrLost
		fallthrough
	case err == nil:
		e.Took = time.Since(ans.Sent)
	}
	for _, t := range ts.renew {
		t.TraceRenew(o.traced(), e)
	}
}

// lost tells that o is lost.
func (ts *tracers) lost(o *hold, why LossReason) {
	if ts == nil || len(ts.loss) == 0 {
		return
	}
	e := Lost{Traced: o.event(), Held: o.held(), Reason: why}
	for _, t := range ts.loss {
		t.TraceLost(o.traced(), e)
	}
}

// ended tells that o has come to the end it was given.
func (ts *tracers) ended(o *hold, why EndReason) {
	if ts == nil || len(ts.end) == 0 {
		return
	}
	e := Ended{Traced: o.event(), Held: o.held(), Reason: why}
	for _, t := range ts.end {
		t.TraceEnd(o.traced(), e)
	}
}

// givesBack tells that the release of o is sent, and returns the context for it,
// and a function that tells what came of it.
func (ts *tracers) givesBack(ctx context.Context, o *hold) (context.Context, func(error)) {
	if ts == nil || len(ts.release) == 0 {
		return ctx, nothing
	}
	return ts.givingBack(ctx, o)
}

func nothing(error) {}

// givingBack is apart from givesBack since what its function captures is made
// where it begins.
func (ts *tracers) givingBack(ctx context.Context, o *hold) (context.Context, func(error)) {
	start := time.Now()
	e := ReleaseStart{Traced: o.event(), Held: o.held()}
	for _, t := range ts.release {
		ctx = t.TraceReleaseStart(ctx, e) //nolint:fatcontext // likewise
	}
	return ctx, func(err error) {
		for _, t := range ts.release {
			t.TraceReleaseEnd(ctx, ReleaseEnd{Traced: e.Traced, Held: e.Held, Took: time.Since(start), Err: err})
		}
	}
}

// forced tells that the lock was taken away from whom st says.
func (ts *tracers) forced(ctx context.Context, l *lock, st Status) {
	if ts == nil {
		return
	}
	for _, t := range ts.force {
		t.TraceForce(ctx, Forced{Name: l.name, Owner: st.Owner, Token: st.Token, Since: st.Since, Quorum: l.host.set.quorum})
	}
}

// What follows is where the life of a lock is counted, logged and traced: each
// is one call in it.

// called is when o's call begins.
func (h *host) called(ctx context.Context, o *hold) context.Context {
	return h.set.trace.called(ctx, o)
}

// returned is when o's call returns.
func (h *host) returned(o *hold, err error) {
	switch {
	case err == nil, o.valid.Load() != 0: // begin has counted it
	case errors.Is(err, ErrNotAcquired):
		h.counts.notAcquired.Add(1)
	default:
		h.counts.failed.Add(1)
	}
	h.set.trace.returned(o, err)
}

// acquired is when o becomes a lease.
func (h *host) acquired(o *hold) {
	h.counts.acquired.Add(1)
	switch o.via {
	case ViaMessage, ViaRelease:
		h.counts.handOffs.Add(1)
	case ViaCheckIn:
		h.counts.checkIns.Add(1)
	}
}

// renewed is when a renewal of o was answered or has failed. What comes after
// the lease's end says nothing of it.
func (h *host) renewed(o *hold, ans engine.Answer, err error) {
	if o.cause.Load() != nil {
		return
	}
	if err == nil && ans.State == engine.Granted {
		h.counts.renewals.Add(1)
	} else {
		h.counts.renewFailures.Add(1)
	}
	h.set.trace.renewed(o, ans, err)
}

// ended is when o ended as e, and not by Unlock or Close.
func (h *host) ended(o *hold, e *ending) {
	switch {
	case e.lost != "":
		h.counts.lost.Add(1)
		h.set.log.Warn("relock: lease lost", "lock", o.req.Name, "owner", o.req.Owner, "token", o.token, "reason", string(e.lost))
		h.set.trace.lost(o, e.lost)
		return
	case e.over == EndDetached:
		h.counts.detached.Add(1)
	default:
		h.counts.ended.Add(1)
	}
	h.set.log.Debug("relock: lease ended", "lock", o.req.Name, "owner", o.req.Owner, "token", o.token, "reason", string(e.over))
	h.set.trace.ended(o, e.over)
}

// released is when the release of o was answered, or has failed.
func (h *host) released(o *hold, err error) {
	switch {
	case err == nil:
		h.counts.released.Add(1)
	case errors.Is(err, ErrLost):
		h.ended(o, o.goneAtRelease())
	default:
		h.counts.unanswered.Add(1)
		h.set.log.Warn("relock: release not answered, sent again in the background",
			"lock", o.req.Name, "owner", o.req.Owner, "token", o.token, "error", err)
	}
}

// forced is when a lock was taken away from whom st says.
func (h *host) forced(ctx context.Context, l *lock, st Status) {
	h.counts.forced.Add(1)
	h.set.log.Info("relock: lock taken away by force",
		"lock", l.name, "owner", string(st.Owner), "token", int64(st.Token), "since", st.Since)
	h.set.trace.forced(ctx, l, st)
}
