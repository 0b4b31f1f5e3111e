package relockotel

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/relock-go/relock"
)

// Scope is the instrumentation scope of all spans and metrics.
const Scope = "github.com/relock-go/relock/otel"

// A Tracer makes spans and metrics of the events of a client: it is a
// [relock.Tracer], for any number of clients. It is safe for concurrent use.
type Tracer struct {
	tracer trace.Tracer
	meter  metric.Meter
	set    settings
	instruments
}

var _ interface {
	relock.AcquireTracer
	relock.GrantTracer
	relock.HandOffTracer
	relock.RenewTracer
	relock.LostTracer
	relock.EndTracer
	relock.ReleaseTracer
	relock.ForceTracer
} = (*Tracer)(nil)

// Option configures a [Tracer].
type Option func(*settings)

type settings struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
	attrs   []attribute.KeyValue
	name    func(string) string
}

// WithTracerProvider sets where spans go (default: the global provider).
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(s *settings) { s.tracers = p }
}

// WithMeterProvider sets where metrics go (default: the global provider).
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(s *settings) { s.meters = p }
}

// WithAttributes adds attributes to every span and metric, as which of several
// Redis deployments it is.
func WithAttributes(attrs ...attribute.KeyValue) Option {
	return func(s *settings) { s.attrs = append(s.attrs, attrs...) }
}

// WithMetricName gives metrics the attribute relock.lock.name, of the value that
// f returns for a lock's name; "" leaves it out. By default metrics have none:
// each value is a series a metric, so f must return few. It may cut a name down
// to what many have in common, as "invoice" of "invoice/42".
func WithMetricName(f func(lock string) string) Option {
	return func(s *settings) { s.name = f }
}

// New returns a Tracer. It returns the error of a provider that refuses an
// instrument, and one for a nil provider.
func New(opts ...Option) (*Tracer, error) {
	set := settings{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider()}
	for _, o := range opts {
		o(&set)
	}
	if set.tracers == nil || set.meters == nil {
		return nil, errors.New("relockotel: a nil provider")
	}
	t := &Tracer{tracer: set.tracers.Tracer(Scope), meter: set.meters.Meter(Scope), set: set}
	if err := t.make(t.meter); err != nil {
		return nil, fmt.Errorf("relockotel: %w", err)
	}
	return t, nil
}
