package relockotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relock-go/relock"
)

// The attributes of spans and metrics; README.md says which has which.
const (
	LockNameKey   = attribute.Key("relock.lock.name")
	LockKindKey   = attribute.Key("relock.lock.kind")       // "single", "quorum"
	OwnerKey      = attribute.Key("relock.owner")           // of spans only
	TokenKey      = attribute.Key("relock.token")           // of spans only
	TryKey        = attribute.Key("relock.acquire.try")     // a TryLock
	QueuedKey     = attribute.Key("relock.acquire.queued")  // it had to wait for its turn
	AheadKey      = attribute.Key("relock.acquire.ahead")   // how many were in front of it
	OutcomeKey    = attribute.Key("relock.acquire.outcome") // "acquired", "not_acquired", "failed"
	ViaKey        = attribute.Key("relock.grant.via")       // "request", "message", "release", "check-in"
	HoldEndKey    = attribute.Key("relock.hold.end")        // "released", "unanswered", "lost", "ended", "detached", "closed"
	LossReasonKey = attribute.Key("relock.loss.reason")     // "expired", "gone", "forced"
	EndReasonKey  = attribute.Key("relock.end.reason")      // "lease", "max-hold", "detached"
	RenewalKey    = attribute.Key("relock.renewal.outcome") // "renewed", "failed"
	ErrorTypeKey  = attribute.Key("error.type")
)

const (
	acquired    = "acquired"
	notAcquired = "not_acquired"
	failed      = "failed"
)

func kind(quorum bool) attribute.KeyValue {
	if quorum {
		return LockKindKey.String("quorum")
	}
	return LockKindKey.String("single")
}

// outcome is how a Lock or a TryLock ended. That another has the lock is no
// error.
func outcome(err error) string {
	switch {
	case err == nil:
		return acquired
	case errors.Is(err, relock.ErrNotAcquired):
		return notAcquired
	}
	return failed
}

// end is how a lease ended that was given back.
func end(err error) string {
	switch {
	case err == nil:
		return "released"
	case errors.Is(err, relock.ErrLost):
		return "lost"
	case errors.Is(err, relock.ErrClosed):
		return "closed"
	}
	return "unanswered"
}

// errorType is one of a few words for err.
func errorType(err error) string {
	if _, ok := errors.AsType[*relock.QuorumError](err); ok {
		return "no_quorum" // what single nodes said is in it, and not what it is
	}
	for _, known := range []struct {
		err  error
		word string
	}{
		{relock.ErrNotAcquired, notAcquired},
		{relock.ErrLost, "lost"},
		{relock.ErrClosed, "closed"},
		{relock.ErrNotReplicated, "not_replicated"},
		{relock.ErrWrongType, "wrong_type"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return "_OTHER"
}

// options are the attributes of one series, made once for each: a measurement
// of a lock whose name is no attribute allocates none.
type options struct {
	record metric.MeasurementOption
	attrs  []attribute.KeyValue
}

func (t *Tracer) series(quorum bool, attrs ...attribute.KeyValue) options {
	all := append([]attribute.KeyValue{kind(quorum)}, attrs...)
	all = append(all, t.set.attrs...)
	return options{metric.WithAttributeSet(attribute.NewSet(all...)), all}
}

// of returns the option for a measurement of that lock.
func (t *Tracer) of(o options, lock string) metric.MeasurementOption {
	if t.set.name == nil {
		return o.record
	}
	name := t.set.name(lock)
	if name == "" {
		return o.record
	}
	return metric.WithAttributes(append(o.attrs[:len(o.attrs):len(o.attrs)], LockNameKey.String(name))...)
}
