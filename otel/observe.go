package relockotel

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/relock-go/relock"
)

// Source is what has [relock.Stats]: a *relock.Client or a *redlock.RedLock.
type Source interface{ Stats() relock.Stats }

// Observe has src asked, whenever metrics are collected, how many leases it
// holds and how many of its calls wait (relock.lease.count and
// relock.waiter.count), with these attributes beside the Tracer's. Sources with
// the same attributes are added up. What it returns ends that, and is to be
// called before or after src is closed.
func (t *Tracer) Observe(src Source, attrs ...attribute.KeyValue) (stop func(), err error) {
	held, err1 := t.meter.Int64ObservableUpDownCounter("relock.lease.count", metric.WithUnit("{lease}"),
		metric.WithDescription("Leases that are held now."))
	waiting, err2 := t.meter.Int64ObservableUpDownCounter("relock.waiter.count", metric.WithUnit("{call}"),
		metric.WithDescription("Calls of Lock and TryLock that are under way now."))
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("relockotel: %w", err)
	}
	all := metric.WithAttributes(append(append([]attribute.KeyValue(nil), t.set.attrs...), attrs...)...)
	reg, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		st := src.Stats()
		o.ObserveInt64(held, int64(st.Held), all)
		o.ObserveInt64(waiting, int64(st.Waiting), all)
		return nil
	}, held, waiting)
	if err != nil {
		return nil, fmt.Errorf("relockotel: %w", err)
	}
	return sync.OnceFunc(func() { _ = reg.Unregister() }), nil
}
