package relockotel_test

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/relock-go/relock"
	relockotel "github.com/relock-go/relock/otel"
)

// span returns the last span of that name that has ended.
func (r *rig) span(name string) sdktrace.ReadOnlySpan {
	r.Helper()
	var last sdktrace.ReadOnlySpan
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			last = s
		}
	}
	if last == nil {
		r.Fatalf("no span %s", name)
	}
	return last
}

func wantAttrs(t *testing.T, s sdktrace.ReadOnlySpan, want ...attribute.KeyValue) {
	t.Helper()
	set := attribute.NewSet(s.Attributes()...)
	for _, kv := range want {
		if got, ok := set.Value(kv.Key); !ok || got != kv.Value {
			t.Errorf("%s: got %s = %v, want %v", s.Name(), kv.Key, got, kv.Value)
		}
	}
}

func TestAnAcquireAndAReleaseAreSpansBelowTheCallers(t *testing.T) {
	r := newRig(t, relockotel.WithAttributes(attribute.String("site", "a")))
	ctx, caller := r.traces.Tracer("test").Start(bg, "caller")
	lease := take(t, ctx, r.client.Mutex("a"))
	if got := trace.SpanFromContext(lease.Context()); got.SpanContext().SpanID() != caller.SpanContext().SpanID() {
		t.Error("the lease's context is of another span than the caller's")
	}
	if err := lease.Unlock(ctx); err != nil {
		t.Error(err)
	}
	caller.End()
	for _, name := range []string{"relock.acquire", "relock.release"} {
		s := r.span(name)
		if s.Parent().SpanID() != caller.SpanContext().SpanID() {
			t.Errorf("%s is not below its caller's span", name)
		}
		if s.Status().Code != codes.Unset {
			t.Errorf("%s: got status %v", name, s.Status())
		}
		wantAttrs(t, s, relockotel.LockNameKey.String("a"), single, relockotel.OwnerKey.String(string(lease.Owner())),
			relockotel.TokenKey.Int64(int64(lease.Token())), attribute.String("site", "a"))
	}
	acquire := r.span("relock.acquire")
	wantAttrs(t, acquire, relockotel.TryKey.Bool(false), relockotel.QueuedKey.Bool(false), relockotel.OutcomeKey.String("acquired"))
	if events := acquire.Events(); len(events) != 1 || events[0].Name != "relock.granted" {
		t.Errorf("got events %v, want relock.granted", events)
	}
	wantAttrs(t, r.span("relock.release"), relockotel.HoldEndKey.String("released"))
}

func TestThatALockIsTakenIsNoError(t *testing.T) {
	r := newRig(t)
	lease := take(t, bg, r.client.Mutex("a"))
	if _, err := r.client.Mutex("a").TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Fatal(err)
	}
	s := r.span("relock.acquire")
	wantAttrs(t, s, relockotel.TryKey.Bool(true), relockotel.OutcomeKey.String("not_acquired"))
	if s.Status().Code != codes.Unset {
		t.Errorf("got status %v", s.Status())
	}
	give(t, lease)
}

func TestAnAcquireThatFailsIsAnErrorOfAFewKinds(t *testing.T) {
	r := newRig(t)
	if err := r.server.Set("relock:lock:{a}", "not ours"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Mutex("a").Lock(bg); !errors.Is(err, relock.ErrWrongType) {
		t.Fatal(err)
	}
	s := r.span("relock.acquire")
	wantAttrs(t, s, relockotel.OutcomeKey.String("failed"), relockotel.ErrorTypeKey.String("wrong_type"))
	if s.Status().Code != codes.Error {
		t.Errorf("got status %v, want an error", s.Status())
	}
	r.server.SetError("ERR something new")
	if _, err := r.client.Mutex("b").Lock(bg); err == nil {
		t.Fatal("got a lock")
	}
	r.server.SetError("")
	wantAttrs(t, r.span("relock.acquire"), relockotel.ErrorTypeKey.String("_OTHER"))
}

func TestALossIsASpanBelowItsAcquire(t *testing.T) {
	r := newRig(t)
	lease := take(t, bg, r.client.Mutex("a"))
	r.server.FlushAll()
	if err := lease.Unlock(bg); !errors.Is(err, relock.ErrLost) {
		t.Fatal(err)
	}
	lost := r.span("relock.lost")
	wantAttrs(t, lost, relockotel.LossReasonKey.String("gone"), relockotel.ErrorTypeKey.String("lost"))
	if lost.Parent().SpanID() != r.span("relock.acquire").SpanContext().SpanID() || lost.Status().Code != codes.Error {
		t.Errorf("got a loss with parent %v and status %v", lost.Parent().SpanID(), lost.Status())
	}
	wantAttrs(t, r.span("relock.release"), relockotel.HoldEndKey.String("lost"))
}

func TestAForcedUnlockIsAnEventOfTheCallersSpan(t *testing.T) {
	r := newRig(t)
	lease := take(t, bg, r.client.Mutex("a"))
	ctx, caller := r.traces.Tracer("test").Start(bg, "operator")
	if freed, err := r.client.Mutex("a").ForceUnlock(ctx); err != nil || !freed {
		t.Errorf("got %v, %v", freed, err)
	}
	caller.End()
	events := r.span("operator").Events()
	if len(events) != 1 || events[0].Name != "relock.forced" {
		t.Fatalf("got events %v, want relock.forced", events)
	}
	set := attribute.NewSet(events[0].Attributes...)
	if got, _ := set.Value(relockotel.OwnerKey); got.AsString() != string(lease.Owner()) {
		t.Errorf("got owner %v, want %v", got.AsString(), lease.Owner())
	}
}

func TestAHandOffIsSeenInTheSpanOfWhoGetsTheLock(t *testing.T) {
	r := newRig(t)
	lease := take(t, bg, newClient(t, r.rdb, nil).Mutex("a"))
	done := make(chan error)
	go func() {
		next, err := r.client.Mutex("a").Lock(context.WithoutCancel(bg))
		if err == nil {
			err = next.Unlock(bg)
		}
		done <- err
	}()
	eventually(t, "a waiter in the queue", func() bool {
		st, err := r.client.Mutex("a").Status(bg)
		return err == nil && st.Waiters == 1
	})
	give(t, lease)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s := r.span("relock.acquire")
	wantAttrs(t, s, relockotel.QueuedKey.Bool(true), relockotel.AheadKey.Int(0), relockotel.OutcomeKey.String("acquired"))
	granted := attribute.NewSet(s.Events()[0].Attributes...)
	if via, _ := granted.Value(relockotel.ViaKey); via.AsString() != "message" && via.AsString() != "check-in" {
		t.Errorf("got a grant by %q, want by message", via.AsString())
	}
}
