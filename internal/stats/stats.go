// Package stats is the arithmetic of figures: pure functions, for the comparison,
// the command and tests.
package stats

import (
	"math"
	"slices"
	"time"
)

// Median returns the middle of xs, the mean of the two middle ones for an even
// number, and NaN for none.
func Median(xs []float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// Jain returns Jain's fairness index of the shares: 1 if all are equal, 1/n if
// one has everything (Jain, Chiu, Hawe, DEC-TR-301). NaN if nobody has anything.
func Jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return math.NaN()
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// Percentile returns the smallest of ds that p of them (0 to 1) do not exceed; 0
// for none. It sorts ds.
func Percentile(ds []time.Duration, p float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	rank := int(math.Ceil(p * float64(len(ds))))
	return ds[min(max(rank, 1), len(ds))-1]
}

// Ratio returns the median of xs[i]/floor[i]: each figure over the floor of its
// own round, so that what slows a whole round down cancels. Rounds where either
// is missing (NaN) or the floor is 0 do not count; NaN if none is left.
func Ratio(xs, floor []float64) float64 {
	var ratios []float64
	for i := range min(len(xs), len(floor)) {
		if r := xs[i] / floor[i]; !math.IsNaN(r) && !math.IsInf(r, 0) {
			ratios = append(ratios, r)
		}
	}
	return Median(ratios)
}
