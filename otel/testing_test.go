package relockotel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/relock-go/relock"
	relockotel "github.com/relock-go/relock/otel"
	"github.com/relock-go/relock/redlock"
)

var bg = context.Background()

// rig is a server in this process, a client on it, and what is seen of that.
type rig struct {
	*testing.T
	server *miniredis.Miniredis
	rdb    *redis.Client
	client *relock.Client
	tracer *relockotel.Tracer
	reader *metric.ManualReader
	spans  *tracetest.SpanRecorder
	traces *sdktrace.TracerProvider
}

func newRig(t *testing.T, opts ...relockotel.Option) *rig {
	t.Helper()
	r := &rig{T: t, reader: metric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	r.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	meters := metric.NewMeterProvider(metric.WithReader(r.reader))
	var err error
	r.tracer, err = relockotel.New(append([]relockotel.Option{
		relockotel.WithTracerProvider(r.traces), relockotel.WithMeterProvider(meters),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	r.server, r.rdb = embedded(t)
	r.client = newClient(t, r.rdb, r.tracer)
	return r
}

func embedded(t testing.TB) (*miniredis.Miniredis, *redis.Client) {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return m, rdb
}

// newClient returns a client that is traced by t, if that is not nil.
func newClient(t testing.TB, rdb *redis.Client, tracer *relockotel.Tracer) *relock.Client {
	t.Helper()
	var opts []relock.Option
	if tracer != nil {
		opts = append(opts, relock.WithTracer(tracer))
	}
	c, err := relock.New(rdb, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func take(t testing.TB, ctx context.Context, l relock.Locker) *relock.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	lease, err := l.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func give(t testing.TB, lease *relock.Lease) {
	t.Helper()
	if err := lease.Unlock(bg); err != nil {
		t.Fatal(err)
	}
}

// eventually asks until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// contend does what every metric is about: locks that are taken, passed on,
// given up, renewed, lost, taken away and left to their end.
func contend(t testing.TB, rdb *redis.Client, tracer *relockotel.Tracer) {
	t.Helper()
	c := newClient(t, rdb, tracer)
	m := c.Mutex("contended", relock.WithTTL(3*time.Second))
	lease := take(t, bg, m)
	next := make(chan *relock.Lease, 1)
	go func() {
		lease, err := m.Lock(bg)
		if err != nil {
			t.Error(err)
		}
		next <- lease
	}()
	eventually(t, "a waiter", func() bool { return c.Stats().Waiting == 1 })
	if _, err := m.TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want ErrNotAcquired", err)
	}
	give(t, lease)
	lease = <-next
	eventually(t, "a renewal", func() bool { return c.Stats().Renewals > 0 })
	if freed, err := m.ForceUnlock(bg); err != nil || !freed {
		t.Errorf("got %v, %v from ForceUnlock", freed, err)
	}
	if err := lease.Unlock(bg); !errors.Is(err, relock.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	if err := take(t, bg, c.Mutex("limit", relock.WithLease(relock.MinTTL))).Detach(); err != nil {
		t.Error(err)
	}
}

// contendOnQuorum takes and gives back a RedLock of three servers.
func contendOnQuorum(t testing.TB, tracer *relockotel.Tracer) {
	t.Helper()
	var clients []*relock.Client
	for range 3 {
		_, rdb := embedded(t)
		clients = append(clients, newClient(t, rdb, tracer))
	}
	red, err := redlock.New(clients)
	if err != nil {
		t.Fatal(err)
	}
	defer red.Close()
	give(t, take(t, bg, red.Mutex("quorum")))
}

// metrics are what is collected now, by name.
func (r *rig) metrics() map[string]metricdata.Aggregation {
	r.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(bg, &all); err != nil {
		r.Fatal(err)
	}
	byName := map[string]metricdata.Aggregation{}
	for _, scope := range all.ScopeMetrics {
		if scope.Scope.Name != relockotel.Scope {
			r.Errorf("got a scope %q", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			byName[m.Name] = m.Data
		}
	}
	return byName
}

// series is how much there is of a metric with these attributes: the sum, or
// how many values a histogram has.
func series(data metricdata.Aggregation, attrs ...attribute.KeyValue) int64 {
	want := attribute.NewSet(attrs...)
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			if p.Attributes.Equals(&want) {
				return p.Value
			}
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			if p.Attributes.Equals(&want) {
				return int64(p.Count)
			}
		}
	}
	return -1
}
