package relockotel_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/relock-go/relock"
	relockotel "github.com/relock-go/relock/otel"
)

var (
	single = relockotel.LockKindKey.String("single")
	quorum = relockotel.LockKindKey.String("quorum")
)

func TestEveryEventIsCounted(t *testing.T) {
	r := newRig(t)
	contend(t, r.rdb, r.tracer)
	contendOnQuorum(t, r.tracer)
	got := r.metrics()
	for _, want := range []struct {
		metric string
		n      int64 // at least, if it is negative
		attrs  []attribute.KeyValue
	}{
		{"relock.acquire.duration", 3, []attribute.KeyValue{single, relockotel.OutcomeKey.String("acquired")}},
		{"relock.acquire.duration", 1, []attribute.KeyValue{single, relockotel.OutcomeKey.String("not_acquired")}},
		{"relock.acquire.duration", 1, []attribute.KeyValue{quorum, relockotel.OutcomeKey.String("acquired")}},
		{"relock.release.duration", 1, []attribute.KeyValue{single, relockotel.HoldEndKey.String("released")}},
		{"relock.hold.duration", 1, []attribute.KeyValue{single, relockotel.HoldEndKey.String("released")}},
		{"relock.hold.duration", 1, []attribute.KeyValue{single, relockotel.HoldEndKey.String("lost")}},
		{"relock.hold.duration", 1, []attribute.KeyValue{quorum, relockotel.HoldEndKey.String("released")}},
		{"relock.handoffs", 1, []attribute.KeyValue{single, relockotel.ViaKey.String("release")}},
		{"relock.renewals", -1, []attribute.KeyValue{single, relockotel.RenewalKey.String("renewed")}},
		{"relock.renewal.left", -1, []attribute.KeyValue{single, relockotel.RenewalKey.String("renewed")}},
		{"relock.losses", 1, []attribute.KeyValue{single, relockotel.LossReasonKey.String("forced")}},
		{"relock.ends", 1, []attribute.KeyValue{single, relockotel.EndReasonKey.String("detached")}},
		{"relock.hold.duration", 1, []attribute.KeyValue{single, relockotel.HoldEndKey.String("detached")}},
		{"relock.forced_unlocks", 1, []attribute.KeyValue{single}},
	} {
		n := series(got[want.metric], want.attrs...)
		if n != want.n && (want.n > 0 || n < -want.n) {
			t.Errorf("%s%v: got %d, want %d", want.metric, want.attrs, n, want.n)
		}
	}
}

func TestRenewalsThatFailAreCountedAndTheLossTheyEndIn(t *testing.T) {
	r := newRig(t)
	lease := take(t, bg, r.client.Mutex("a", relock.WithTTL(3*time.Second)))
	r.server.SetError("LOADING a server that is not ready")
	<-lease.Context().Done()
	r.server.SetError("")
	eventually(t, "the loss is told", func() bool {
		return series(r.metrics()["relock.losses"], single, relockotel.LossReasonKey.String("expired")) == 1
	})
	if got := series(r.metrics()["relock.renewals"], single, relockotel.RenewalKey.String("failed")); got < 1 {
		t.Errorf("got %d failed renewals, want one at least", got)
	}
}

// An alert on losses is no alarm clock for leases that were to end.
func TestTheEndOfAFixedLeaseIsNoLoss(t *testing.T) {
	r := newRig(t)
	lease := take(t, bg, r.client.Mutex("a", relock.WithLease(relock.MinTTL)))
	<-lease.Context().Done()
	eventually(t, "the end is told", func() bool {
		return series(r.metrics()["relock.ends"], single, relockotel.EndReasonKey.String("lease")) == 1
	})
	got := r.metrics()
	if n := series(got["relock.hold.duration"], single, relockotel.HoldEndKey.String("ended")); n != 1 {
		t.Errorf("got %d holds that ended, want 1", n)
	}
	if losses, ok := got["relock.losses"]; ok {
		t.Errorf("got losses %v", losses)
	}
	for _, s := range r.spans.Ended() {
		if s.Name() == "relock.lost" {
			t.Error("got a span of a loss")
		}
	}
}

func TestDurationsAreInSeconds(t *testing.T) {
	r := newRig(t)
	lease := take(t, bg, r.client.Mutex("a"))
	since := time.Now()
	eventually(t, "it has been held for a while", func() bool { return time.Since(since) > 20*time.Millisecond })
	give(t, lease)
	most := time.Since(since).Seconds() + 1
	hold := r.metrics()["relock.hold.duration"].(metricdata.Histogram[float64]).DataPoints[0]
	if hold.Sum < 0.02 || hold.Sum > most {
		t.Errorf("got %v held, want between 0.02 and %v seconds", hold.Sum, most)
	}
}

func TestWhatIsHeldAndWaitedForIsAskedOfTheSources(t *testing.T) {
	r := newRig(t)
	other := newClient(t, r.rdb, nil)
	where := attribute.String("where", "here")
	for src, attrs := range map[relockotel.Source][]attribute.KeyValue{r.client: nil, other: nil, newClient(t, r.rdb, nil): {where}} {
		stop, err := r.tracer.Observe(src, attrs...)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	lease := take(t, bg, r.client.Mutex("a"))
	second := take(t, bg, other.Mutex("b"))
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() {
		_, err := other.Mutex("a").Lock(ctx)
		done <- err
	}()
	eventually(t, "a waiter", func() bool { return other.Stats().Waiting == 1 })
	got := r.metrics()
	if held, waiting := series(got["relock.lease.count"]), series(got["relock.waiter.count"]); held != 2 || waiting != 1 {
		t.Errorf("got %d held and %d waiting by both, want 2 and 1", held, waiting)
	}
	if held := series(got["relock.lease.count"], where); held != 0 {
		t.Errorf("got %d held by the third, want 0", held)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("got a lock that is held")
	}
	give(t, lease)
	give(t, second)
	got = r.metrics()
	if held, waiting := series(got["relock.lease.count"]), series(got["relock.waiter.count"]); held != 0 || waiting != 0 {
		t.Errorf("got %d held and %d waiting at the end, want none", held, waiting)
	}
}

func TestASourceThatIsStoppedIsNotAsked(t *testing.T) {
	r := newRig(t)
	stop, err := r.tracer.Observe(r.client)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	stop()
	if got, ok := r.metrics()["relock.lease.count"]; ok {
		t.Errorf("got %v", got)
	}
}

func TestALocksNameIsAnAttributeOfMetricsOnlyWhereAskedFor(t *testing.T) {
	r := newRig(t)
	give(t, take(t, bg, r.client.Mutex("invoice/42")))
	for name, data := range r.metrics() {
		for _, p := range data.(metricdata.Histogram[float64]).DataPoints {
			if _, ok := p.Attributes.Value(relockotel.LockNameKey); ok {
				t.Errorf("%s has the name of a lock: %v", name, p.Attributes)
			}
		}
	}
	class := func(lock string) string {
		class, _, found := strings.Cut(lock, "/")
		if !found {
			return ""
		}
		return class
	}
	r = newRig(t, relockotel.WithMetricName(class), relockotel.WithAttributes(attribute.String("site", "a")))
	give(t, take(t, bg, r.client.Mutex("invoice/42")))
	give(t, take(t, bg, r.client.Mutex("invoice/43")))
	give(t, take(t, bg, r.client.Mutex("other")))
	data := r.metrics()["relock.acquire.duration"]
	common := []attribute.KeyValue{single, relockotel.OutcomeKey.String("acquired"), attribute.String("site", "a")}
	if got := series(data, append(common, relockotel.LockNameKey.String("invoice"))...); got != 2 {
		t.Errorf("got %d of invoice, want 2", got)
	}
	if got := series(data, common...); got != 1 {
		t.Errorf("got %d without a name, want 1", got)
	}
}

// listed are the names in the first column of README.md's tables.
func listed(t *testing.T, prefix string) (names []string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `("+prefix+"[^`]*)` \\|").FindAllStringSubmatch(string(text), -1) {
		names = append(names, row[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Every metric, span and attribute there is stands in README.md, and nothing else.
func TestReadmeListsEveryName(t *testing.T) {
	r := newRig(t)
	stop, err := r.tracer.Observe(r.client)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ctx, span := r.traces.Tracer("test").Start(bg, "test")
	defer span.End()
	contend(t, r.rdb, r.tracer)
	if _, err := r.client.Mutex("none").ForceUnlock(ctx); err != nil {
		t.Fatal(err)
	}
	var got []string
	attrs := map[string]bool{"relock.lock.name": true, "error.type": true}
	note := func(set []attribute.KeyValue) {
		for _, kv := range set {
			attrs[string(kv.Key)] = true
		}
	}
	for name, data := range r.metrics() {
		got = append(got, name)
		switch data := data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				note(p.Attributes.ToSlice())
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				note(p.Attributes.ToSlice())
			}
		}
	}
	for _, s := range r.spans.Ended() {
		got = append(got, s.Name())
		note(s.Attributes())
		for _, e := range s.Events() {
			got = append(got, e.Name)
			note(e.Attributes)
		}
	}
	got = append(got, "relock.forced") // an event of the caller's span, which is not ours
	for name := range attrs {
		got = append(got, name)
	}
	slices.Sort(got)
	got = slices.Compact(got)
	want := append(listed(t, "relock\\."), listed(t, "error\\.")...)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("there is\n%q,\nand README.md lists\n%q", got, want)
	}
}

func TestANilProviderIsRefused(t *testing.T) {
	for what, opt := range map[string]relockotel.Option{
		"meters": relockotel.WithMeterProvider(nil), "traces": relockotel.WithTracerProvider(nil),
	} {
		if _, err := relockotel.New(opt); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := relockotel.New(relockotel.WithMeterProvider(noop.NewMeterProvider())); err != nil {
		t.Error(err)
	}
}
