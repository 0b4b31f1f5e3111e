package relockotel

import (
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instruments are the metrics that events make; those of [Tracer.Observe] are
// asked for instead.
type instruments struct {
	acquireDuration metric.Float64Histogram
	holdDuration    metric.Float64Histogram
	releaseDuration metric.Float64Histogram
	renewalLeft     metric.Float64Histogram
	handOffs        metric.Int64Counter
	renewals        metric.Int64Counter
	losses          metric.Int64Counter
	ends            metric.Int64Counter
	forced          metric.Int64Counter

	known sync.Map // seriesKey -> options
}

// seriesKey is what tells one series of options from another.
type seriesKey struct {
	quorum bool
	key    attribute.Key
	value  string
}

// cached is the series of one attribute, or of none, made at its first use.
func (t *Tracer) cached(quorum bool, key attribute.Key, value string) options {
	k := seriesKey{quorum, key, value}
	if o, ok := t.known.Load(k); ok {
		return o.(options)
	}
	var attrs []attribute.KeyValue
	if key != "" {
		attrs = append(attrs, key.String(value))
	}
	o, _ := t.known.LoadOrStore(k, t.series(quorum, attrs...))
	return o.(options)
}

// Waits and holds last from less than a millisecond to hours.
var seconds = metric.WithExplicitBucketBoundaries(
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

func (i *instruments) make(m metric.Meter) error {
	var errs [9]error
	i.acquireDuration, errs[0] = m.Float64Histogram("relock.acquire.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("How long Lock and TryLock took, waiting included."))
	i.holdDuration, errs[1] = m.Float64Histogram("relock.hold.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("How long leases were held, from the end of Lock to their own."))
	i.releaseDuration, errs[2] = m.Float64Histogram("relock.release.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("How long giving a lease back took."))
	i.renewalLeft, errs[3] = m.Float64Histogram("relock.renewal.left", metric.WithUnit("s"), seconds,
		metric.WithDescription("How much validity a lease had left when its renewal was answered."))
	i.handOffs, errs[4] = m.Int64Counter("relock.handoffs", metric.WithUnit("{grant}"),
		metric.WithDescription("Grants that passed a lock on to a call that waited for it."))
	i.renewals, errs[5] = m.Int64Counter("relock.renewals", metric.WithUnit("{renewal}"),
		metric.WithDescription("Renewals of leases that were answered or have failed."))
	i.losses, errs[6] = m.Int64Counter("relock.losses", metric.WithUnit("{lease}"),
		metric.WithDescription("Leases that were lost."))
	i.forced, errs[7] = m.Int64Counter("relock.forced_unlocks", metric.WithUnit("{lock}"),
		metric.WithDescription("Locks that were taken away from their holder."))
	i.ends, errs[8] = m.Int64Counter("relock.ends", metric.WithUnit("{lease}"),
		metric.WithDescription("Leases that came to the end they were given, or were left to it."))
	return errors.Join(errs[:]...)
}
