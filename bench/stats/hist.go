// Package stats has what the comparison measures many times.
package stats

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Hist is a histogram of durations from a microsecond's tenth to ten minutes, at
// three digits. It is safe for concurrent use.
type Hist struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

const tick = 100 * time.Nanosecond

// NewHist returns an empty histogram.
func NewHist() *Hist {
	return &Hist{h: hdrhistogram.New(1, int64(10*time.Minute/tick), 3)}
}

// Record adds d.
func (h *Hist) Record(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.h.RecordValue(max(int64(d/tick), 1)) // beyond ten minutes no cell lives
}

// Count is how many durations were recorded.
func (h *Hist) Count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.h.TotalCount()
}

// Micros returns the q-th percentile in microseconds.
func (h *Hist) Micros(q float64) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return float64(h.h.ValueAtQuantile(q)) * tick.Seconds() * 1e6
}

// MeanMicros returns the mean in microseconds.
func (h *Hist) MeanMicros() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.h.Mean() * tick.Seconds() * 1e6
}

// MaxMicros returns the greatest in microseconds.
func (h *Hist) MaxMicros() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return float64(h.h.Max()) * tick.Seconds() * 1e6
}
