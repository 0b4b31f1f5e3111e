package relockotel_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	relockotel "github.com/relock-go/relock/otel"
)

// dashboard is what is checked of dashboard.json.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct{ List []struct{ Definition string } }
}

// exported is what Prometheus gets of a Tracer: metrics and their labels.
func exported(t *testing.T) (metrics map[string]bool, labels map[string]bool) {
	t.Helper()
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	tracer, err := relockotel.New(relockotel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	_, rdb := embedded(t)
	stop, err := tracer.Observe(newClient(t, rdb, tracer))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	contend(t, rdb, tracer)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	metrics, labels = map[string]bool{}, map[string]bool{}
	for _, f := range families {
		name := f.GetName()
		metrics[name] = true
		for _, m := range f.GetMetric() {
			if m.GetHistogram() != nil {
				metrics[name+"_bucket"], metrics[name+"_count"], metrics[name+"_sum"] = true, true, true
				labels["le"] = true
			}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
	}
	return metrics, labels
}

// scraped are labels that Prometheus adds by itself.
var scraped = []string{"job", "instance"}

var (
	names    = regexp.MustCompile(`\brelock_\w+`)
	selector = regexp.MustCompile(`(\w+)\s*(?:=~|!=|!~|=)`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	words    = regexp.MustCompile(`\w+`)
)

// A query of a metric or by a label that is not exported shows an empty panel,
// and nobody knows why.
func TestTheDashboardAsksForWhatIsExported(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	metrics, labels := exported(t)
	asked := map[string]bool{}
	check := func(where, query string) {
		used := words.FindAllString(grouped(query), -1)
		for _, m := range selector.FindAllStringSubmatch(query, -1) {
			used = append(used, m[1])
		}
		for _, label := range used {
			if !labels[label] && !slices.Contains(scraped, label) {
				t.Errorf("%s: no label %s in what is exported", where, label)
			}
		}
		found := 0
		for _, name := range names.FindAllString(query, -1) {
			if labels[name] {
				continue
			}
			found++
			asked[name] = true
			if !metrics[name] {
				t.Errorf("%s: no metric %s in what is exported", where, name)
			}
		}
		if found == 0 {
			t.Errorf("%s: a query of no metric: %s", where, query)
		}
	}
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("%s: no query", p.Title)
		}
		for _, target := range p.Targets {
			check(p.Title, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			check("variable", v.Definition)
		}
	}
	for _, shown := range []string{
		"relock_lease_count", "relock_waiter_count", "relock_losses_total", "relock_handoffs_total", "relock_renewals_total",
		"relock_acquire_duration_seconds_bucket", "relock_forced_unlocks_total",
	} {
		if !asked[shown] {
			t.Errorf("the dashboard does not show %s", shown)
		}
	}
}

// grouped are the labels that a query groups by.
func grouped(query string) (all string) {
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		all += " " + m[1]
	}
	return all
}
