package relockotel_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
	relockotel "github.com/relock-go/relock/otel"
)

// drop takes spans and does nothing with them: what is measured is making them.
type drop struct{}

func (drop) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (drop) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (drop) Shutdown(context.Context) error                  { return nil }
func (drop) ForceFlush(context.Context) error                { return nil }

func benchTracer(b *testing.B, traces trace.TracerProvider, opts ...relockotel.Option) *relockotel.Tracer {
	b.Helper()
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	tracer, err := relockotel.New(append(opts, relockotel.WithTracerProvider(traces), relockotel.WithMeterProvider(meters))...)
	if err != nil {
		b.Fatal(err)
	}
	return tracer
}

// BenchmarkEvents is what a Lock and an Unlock of a free lock cost more with a
// Tracer: their five events.
func BenchmarkEvents(b *testing.B) {
	spans := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(drop{}))
	sampled := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(drop{}), sdktrace.WithSampler(sdktrace.NeverSample()))
	name := relockotel.WithMetricName(func(lock string) string { return lock })
	for what, tracer := range map[string]*relockotel.Tracer{
		"metrics":                      benchTracer(b, noop.NewTracerProvider()),
		"metrics with the lock's name": benchTracer(b, noop.NewTracerProvider(), name),
		"metrics, spans not sampled":   benchTracer(b, sampled),
		"metrics and spans":            benchTracer(b, spans),
	} {
		b.Run(what, func(b *testing.B) {
			hold := relock.Traced{Name: "a", Hold: "1", Owner: "host/1/a", Token: 1}
			b.ReportAllocs()
			for b.Loop() {
				ctx := tracer.TraceAcquireStart(bg, relock.AcquireStart{Traced: hold})
				tracer.TraceGrant(ctx, relock.Granted{Traced: hold, Count: 1})
				tracer.TraceAcquireEnd(ctx, relock.AcquireEnd{Traced: hold})
				ctx = tracer.TraceReleaseStart(bg, relock.ReleaseStart{Traced: hold})
				tracer.TraceReleaseEnd(ctx, relock.ReleaseEnd{Traced: hold})
			}
		})
	}
}

// BenchmarkPair is a Lock and an Unlock of a free lock on a real server.
func BenchmarkPair(b *testing.B) {
	spans := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(drop{}))
	for _, with := range []struct {
		what   string
		tracer *relockotel.Tracer
	}{
		{"no tracer", nil},
		{"metrics", benchTracer(b, noop.NewTracerProvider())},
		{"metrics and spans", benchTracer(b, spans)},
	} {
		b.Run(with.what, func(b *testing.B) {
			redistest.Require(b)
			m := newClient(b, redistest.StartT(b).Client(), with.tracer).Mutex("pair")
			b.ReportAllocs()
			for b.Loop() {
				lease, err := m.Lock(bg)
				if err == nil {
					err = lease.Unlock(bg)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
