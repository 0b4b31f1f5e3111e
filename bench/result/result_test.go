package result

import (
	"math"
	"testing"
)

func TestSummarize(t *testing.T) {
	c := &Cell{}
	c.Summarize(
		[]Sample{{P50: 2}, nil, {P50: 12, Jain: math.NaN()}, {P50: 4}},
		[]Sample{{P50: 1}, {P50: 1}, {P50: 4}, nil},
	)
	got := c.Figures[P50]
	if got.Median != 4 || got.Min != 2 || got.Max != 12 || len(got.Rounds) != 3 {
		t.Errorf("got %+v, want median 4 of 2 to 12, without the missing round", got)
	}
	if got.ToFloor != 2.5 { // of 2/1 and 12/4
		t.Errorf("ratio = %v, want 2.5", got.ToFloor)
	}
	if _, ok := c.Figures[Jain]; ok {
		t.Error("got a figure of NaN")
	}
}

func TestAFailedCellHasNoFigure(t *testing.T) {
	c := &Cell{}
	c.Summarize([]Sample{{P50: 2}}, nil)
	c.Failed = "broken"
	if _, ok := c.Figure(P50); ok {
		t.Error("got a figure of a failed cell")
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		m    Metric
		x    float64
		want string
	}{
		{P50, 0.25, "0.25 µs"},
		{P50, 45.67, "45.7 µs"},
		{P50, 999.6, "1.00 ms"},
		{P50, 1_500_000, "1.50 s"},
		{Gap, -125_000, "-125 ms"},
		{Pairs, 9_800, "9800"},
		{Pairs, 25_412, "25.4k"},
		{Bytes, 592, "592 B"},
		{Bytes, 33_280, "32.5 KiB"},
		{Commands, 1.008, "1.01"},
		{Commands, 216.4, "216"},
		{Jain, 0.9996, "1.000"},
		{Goroutines, 0, "0"},
		{ServerLoad, 3.713, "3.71 %"},
		{P50, math.NaN(), "-"},
	} {
		if got := c.m.Format(c.x); got != c.want {
			t.Errorf("%s.Format(%v) = %q, want %q", c.m, c.x, got, c.want)
		}
	}
}
