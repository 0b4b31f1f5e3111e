// Package relockotel shows the locks of package relock to OpenTelemetry: a span
// for each acquire and release, and for each loss; histograms of how long a lock
// was waited for, held and given back; counters of hand-offs, renewals, losses
// and forced unlocks; and how many leases are held and calls wait now.
//
//	tracer, err := relockotel.New()
//	client, err := relock.New(rdb, relock.WithTracer(tracer))
//	stop, err := tracer.Observe(client)
//
// README.md lists every name, unit and attribute. A lock's name is an attribute
// of spans, and of metrics only where [WithMetricName] says so: one series a name
// is more than most deployments can keep.
package relockotel
