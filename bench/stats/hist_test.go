package stats

import (
	"math"
	"testing"
	"time"
)

func TestHist(t *testing.T) {
	h := NewHist()
	for i := 1; i <= 100; i++ {
		h.Record(time.Duration(i) * time.Millisecond)
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"p50", h.Micros(50), 50_000},
		{"p99", h.Micros(99), 99_000},
		{"mean", h.MeanMicros(), 50_500},
		{"max", h.MaxMicros(), 100_000},
	} {
		if math.Abs(c.got-c.want) > c.want/500 {
			t.Errorf("%s = %v µs, want %v", c.what, c.got, c.want)
		}
	}
}
