package relock

import (
	"context"

	"github.com/relock-go/relock/internal/lifecycle"
)

// tracers are the parts of a client's tracers.
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

// add takes t's parts, and reports whether it has any.
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

// tell returns a function that has each of parts told of an event, or nil where
// there are none: nothing is made for them then.
func tell[P, E any](parts []P, of func(lifecycle.Event) E, method func(P, context.Context, E)) func(context.Context, lifecycle.Event) {
	if len(parts) == 0 {
		return nil
	}
	return func(ctx context.Context, o lifecycle.Event) {
		e := of(o)
		for _, p := range parts {
			method(p, ctx, e)
		}
	}
}

// thread is tell for methods that return the context of what they are told of.
func thread[P, E any](parts []P, of func(lifecycle.Event) E, method func(P, context.Context, E) context.Context) func(context.Context, lifecycle.Event) context.Context {
	if len(parts) == 0 {
		return nil
	}
	return func(ctx context.Context, o lifecycle.Event) context.Context {
		e := of(o)
		for _, p := range parts {
			ctx = method(p, ctx, e) //nolint:fatcontext // each tracer adds to what the one before returned
		}
		return ctx
	}
}

// traced makes of what is observed the events of tracers.
type traced struct{ quorum bool }

// observer returns what tells the tracers.
func (ts *tracers) observer(quorum bool) lifecycle.Observer {
	to := traced{quorum}
	o := lifecycle.Observer{
		AcquireStart: thread(ts.acquire, to.acquireStart, AcquireTracer.TraceAcquireStart),
		AcquireEnd:   tell(ts.acquire, to.acquireEnd, AcquireTracer.TraceAcquireEnd),
		Grant:        tell(ts.grant, to.granted, GrantTracer.TraceGrant),
		Renew:        tell(ts.renew, to.renewed, RenewTracer.TraceRenew),
		Lost:         tell(ts.loss, to.lost, LostTracer.TraceLost),
		End:          tell(ts.end, to.ended, EndTracer.TraceEnd),
		ReleaseStart: thread(ts.release, to.releaseStart, ReleaseTracer.TraceReleaseStart),
		ReleaseEnd:   tell(ts.release, to.releaseEnd, ReleaseTracer.TraceReleaseEnd),
		Force:        tell(ts.force, to.forced, ForceTracer.TraceForce),
	}
	if len(ts.handOff) == 0 {
		return o
	}
	grant, handOff := o.Grant, tell(ts.handOff, to.granted, HandOffTracer.TraceHandOff)
	o.Grant = func(ctx context.Context, e lifecycle.Event) {
		if grant != nil {
			grant(ctx, e)
		}
		if e.Via != lifecycle.ViaRequest {
			handOff(ctx, e)
		}
	}
	return o
}

func (t traced) hold(o lifecycle.Event) Traced {
	return Traced{Name: o.Name, Hold: o.Hold, Owner: Owner(o.Owner), Token: Token(o.Token), Quorum: t.quorum}
}

func (t traced) acquireStart(o lifecycle.Event) AcquireStart {
	return AcquireStart{Traced: t.hold(o), Try: o.Try}
}

func (t traced) acquireEnd(o lifecycle.Event) AcquireEnd {
	return AcquireEnd{Traced: t.hold(o), Try: o.Try, Waited: o.Waited, Queued: o.Queued, Ahead: o.Ahead, Err: o.Err}
}

func (t traced) granted(o lifecycle.Event) Granted {
	return Granted{Traced: t.hold(o), Count: o.Count, Via: Via(o.Via), Waited: o.Waited, Queued: o.Queued, Ahead: o.Ahead}
}

func (t traced) renewed(o lifecycle.Event) Renewed {
	return Renewed{Traced: t.hold(o), Took: o.Took, Left: o.Left, Err: o.Err}
}

func (t traced) lost(o lifecycle.Event) Lost {
	return Lost{Traced: t.hold(o), Held: o.Held, Reason: LossReason(o.Reason)}
}

func (t traced) ended(o lifecycle.Event) Ended {
	return Ended{Traced: t.hold(o), Held: o.Held, Reason: EndReason(o.Reason)}
}

func (t traced) releaseStart(o lifecycle.Event) ReleaseStart {
	return ReleaseStart{Traced: t.hold(o), Held: o.Held}
}

func (t traced) releaseEnd(o lifecycle.Event) ReleaseEnd {
	return ReleaseEnd{Traced: t.hold(o), Held: o.Held, Took: o.Took, Err: o.Err}
}

func (t traced) forced(o lifecycle.Event) Forced {
	return Forced{Name: o.Name, Owner: Owner(o.Owner), Token: Token(o.Token), Since: o.Since, Quorum: t.quorum}
}
