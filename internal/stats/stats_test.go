package stats

import (
	"math"
	"testing"
	"time"
)

func same(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-9
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		what string
		xs   []float64
		want float64
	}{
		{"none", nil, math.NaN()},
		{"one", []float64{3}, 3},
		{"an odd number, unsorted", []float64{9, 1, 5}, 5},
		{"an even number", []float64{4, 1, 3, 2}, 2.5},
		{"an outlier does not move it", []float64{1, 1, 1, 1, 1e9}, 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := Median(c.xs); !same(got, c.want) {
				t.Errorf("Median(%v) = %v, want %v", c.xs, got, c.want)
			}
		})
	}
}

func TestMedianLeavesItsArgumentAlone(t *testing.T) {
	xs := []float64{3, 1, 2}
	Median(xs)
	if xs[0] != 3 || xs[1] != 1 || xs[2] != 2 {
		t.Errorf("got %v, want it as it was", xs)
	}
}

func TestJain(t *testing.T) {
	for _, c := range []struct {
		what   string
		shares []float64
		want   float64
	}{
		{"equal shares", []float64{7, 7, 7, 7}, 1},
		{"one has everything", []float64{9, 0, 0}, 1.0 / 3},
		{"half have nothing", []float64{5, 5, 0, 0}, 0.5},
		{"nobody has anything", []float64{0, 0}, math.NaN()},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := Jain(c.shares); !same(got, c.want) {
				t.Errorf("Jain(%v) = %v, want %v", c.shares, got, c.want)
			}
		})
	}
}

func TestRatioIsTakenWithinARound(t *testing.T) {
	// The second round ran on a machine ten times slower: the ratio is the same.
	if got := Ratio([]float64{2, 20, 2}, []float64{1, 10, 1}); !same(got, 2) {
		t.Errorf("got %v, want 2", got)
	}
	if got := Ratio([]float64{2, math.NaN(), 6}, []float64{0, 1, 2}); !same(got, 3) {
		t.Errorf("got %v, want 3: rounds without a figure or with a floor of 0 do not count", got)
	}
	if got := Ratio(nil, []float64{1}); !math.IsNaN(got) {
		t.Errorf("got %v, want NaN", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i) // unsorted on purpose
	}
	for name, tt := range map[string]struct {
		ds   []time.Duration
		p    float64
		want time.Duration
	}{
		"the median of a hundred":     {hundred, 0.5, 50},
		"the 99th of a hundred":       {hundred, 0.99, 99},
		"all of them is the greatest": {hundred, 1, 100},
		"none of them is the least":   {hundred, 0, 1},
		"one value is every one":      {[]time.Duration{3}, 0.99, 3},
		"no values are 0":             {nil, 0.5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Percentile(tt.ds, tt.p); got != tt.want {
				t.Errorf("Percentile(%v) = %v, want %v", tt.p, got, tt.want)
			}
		})
	}
}
