package relockotel

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/relock-go/relock"
)

// start begins a span about a hold.
func (t *Tracer) start(ctx context.Context, name string, e relock.Traced, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(ctx, name, opts...)
	if span.IsRecording() {
		span.SetAttributes(t.set.attrs...)
		span.SetAttributes(LockNameKey.String(e.Name), kind(e.Quorum), OwnerKey.String(string(e.Owner)))
		if e.Token > 0 {
			span.SetAttributes(TokenKey.Int64(int64(e.Token)))
		}
	}
	return ctx, span
}

// fail notes on a span what went wrong.
func fail(span trace.Span, err error) {
	span.SetAttributes(ErrorTypeKey.String(errorType(err)))
	span.SetStatus(codes.Error, err.Error())
}

// TraceAcquireStart begins the span relock.acquire.
func (t *Tracer) TraceAcquireStart(ctx context.Context, e relock.AcquireStart) context.Context {
	ctx, span := t.start(ctx, "relock.acquire", e.Traced)
	if span.IsRecording() {
		span.SetAttributes(TryKey.Bool(e.Try))
	}
	return ctx
}

// TraceAcquireEnd ends the span relock.acquire.
func (t *Tracer) TraceAcquireEnd(ctx context.Context, e relock.AcquireEnd) {
	how := outcome(e.Err)
	t.acquireDuration.Record(ctx, e.Waited.Seconds(), t.of(t.cached(e.Quorum, OutcomeKey, how), e.Name))
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(OutcomeKey.String(how), QueuedKey.Bool(e.Queued))
		if e.Queued {
			span.SetAttributes(AheadKey.Int(e.Ahead))
		}
		if e.Token > 0 {
			span.SetAttributes(TokenKey.Int64(int64(e.Token)))
		}
		if how == failed {
			fail(span, e.Err)
		}
	}
	span.End()
}

// TraceGrant notes on the span relock.acquire that the server has granted the
// lock.
func (t *Tracer) TraceGrant(ctx context.Context, e relock.Granted) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("relock.granted", trace.WithAttributes(ViaKey.String(e.Via.String()), TokenKey.Int64(int64(e.Token))))
	}
}

// TraceHandOff counts a hand-off.
func (t *Tracer) TraceHandOff(ctx context.Context, e relock.Granted) {
	t.handOffs.Add(ctx, 1, t.of(t.cached(e.Quorum, ViaKey, e.Via.String()), e.Name))
}

// TraceRenew counts a renewal.
func (t *Tracer) TraceRenew(ctx context.Context, e relock.Renewed) {
	how := "renewed"
	if e.Err != nil {
		how = failed
	}
	t.renewals.Add(ctx, 1, t.of(t.cached(e.Quorum, RenewalKey, how), e.Name))
	t.renewalLeft.Record(ctx, max(e.Left.Seconds(), 0), t.of(t.cached(e.Quorum, RenewalKey, how), e.Name))
}

// TraceLost counts a loss, and makes of it the span relock.lost, below that of
// the acquire, which has ended by then.
func (t *Tracer) TraceLost(ctx context.Context, e relock.Lost) {
	why := string(e.Reason)
	t.losses.Add(ctx, 1, t.of(t.cached(e.Quorum, LossReasonKey, why), e.Name))
	t.holdDuration.Record(ctx, e.Held.Seconds(), t.of(t.cached(e.Quorum, HoldEndKey, "lost"), e.Name))
	_, span := t.start(ctx, "relock.lost", e.Traced, trace.WithAttributes(LossReasonKey.String(why)))
	fail(span, relock.ErrLost)
	span.End()
}

// TraceEnd counts a lease that ended as it was meant to, or was left to.
func (t *Tracer) TraceEnd(ctx context.Context, e relock.Ended) {
	how := "ended"
	if e.Reason == relock.EndDetached {
		how = "detached"
	}
	t.ends.Add(ctx, 1, t.of(t.cached(e.Quorum, EndReasonKey, string(e.Reason)), e.Name))
	t.holdDuration.Record(ctx, e.Held.Seconds(), t.of(t.cached(e.Quorum, HoldEndKey, how), e.Name))
}

// TraceReleaseStart begins the span relock.release, in the trace of Unlock.
func (t *Tracer) TraceReleaseStart(ctx context.Context, e relock.ReleaseStart) context.Context {
	ctx, _ = t.start(ctx, "relock.release", e.Traced)
	return ctx
}

// TraceReleaseEnd ends the span relock.release.
func (t *Tracer) TraceReleaseEnd(ctx context.Context, e relock.ReleaseEnd) {
	how := end(e.Err)
	series := t.of(t.cached(e.Quorum, HoldEndKey, how), e.Name)
	t.releaseDuration.Record(ctx, e.Took.Seconds(), series)
	if how != "lost" { // TraceLost has recorded it, or TraceEnd
		t.holdDuration.Record(ctx, e.Held.Seconds(), series)
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(HoldEndKey.String(how))
	if how == "lost" || how == "unanswered" {
		fail(span, e.Err)
	}
	span.End()
}

// TraceForce counts a forced unlock, and notes it on the caller's span.
func (t *Tracer) TraceForce(ctx context.Context, e relock.Forced) {
	t.forced.Add(ctx, 1, t.of(t.cached(e.Quorum, "", ""), e.Name))
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("relock.forced", trace.WithAttributes(
			LockNameKey.String(e.Name), kind(e.Quorum), OwnerKey.String(string(e.Owner)), TokenKey.Int64(int64(e.Token))))
	}
}
