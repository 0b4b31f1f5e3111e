// Package feel measures locks for a quick feel of a Redis.
package feel

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/stats"
)

// Summary is what was measured.
type Summary struct {
	Redis      string  `json:"redis"`
	OnePairs   float64 `json:"one_goroutine_pairs_per_s"`
	Goroutines int     `json:"goroutines"`
	ManyPairs  float64 `json:"many_goroutines_pairs_per_s"`
	HandOffs   int     `json:"hand_offs"`
	HandOffP50 int64   `json:"hand_off_p50_us"`
	HandOffP99 int64   `json:"hand_off_p99_us"`
}

// Measure measures each thing for d, or longer where that gives too few samples,
// on locks of its own. It returns the first error, the cause of ctx, or
// [ErrStalled].
func Measure(ctx context.Context, first, second *relock.Client, many int, d time.Duration) (*Summary, error) {
	id := rand.Text()[:8]
	s := &Summary{Goroutines: many}
	var err error
	if s.OnePairs, err = pairs(ctx, first, id, 1, d); err != nil {
		return nil, err
	}
	if s.ManyPairs, err = pairs(ctx, first, id, many, d); err != nil {
		return nil, err
	}
	took, err := handOffs(ctx, first, second, "relock-bench-"+id, d)
	if err != nil {
		return nil, err
	}
	s.HandOffs = len(took)
	s.HandOffP50, s.HandOffP99 = stats.Percentile(took, 0.50).Microseconds(), stats.Percentile(took, 0.99).Microseconds()
	return s, nil
}

// handOffs has two clients take turns at one lock, and returns how long each
// turn took from the call that releases to the return of the other's Lock.
func handOffs(ctx context.Context, first, second *relock.Client, name string, d time.Duration) ([]time.Duration, error) {
	locks := []*relock.Mutex{first.Mutex(name), second.Mutex(name)}
	var (
		m        = span{d: d}
		mu       sync.Mutex // never waited for: whoever has the lock is alone here
		took     []time.Duration
		released time.Time
		last     = -1
	)
	err := m.fill(ctx, len(locks), func(ctx context.Context, i int) error {
		lease, err := locks[i].Lock(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		if last == 1-i {
			took = append(took, time.Since(released))
			m.samples.Add(1)
		}
		last, released = i, time.Now()
		mu.Unlock()
		return lease.Unlock(context.WithoutCancel(ctx))
	})
	return took, err
}

// pairs returns how many Lock and Unlock a second n goroutines do, each on a
// name of its own.
func pairs(ctx context.Context, c *relock.Client, id string, n int, d time.Duration) (float64, error) {
	m := span{d: d}
	began := time.Now()
	err := m.fill(ctx, n, func(ctx context.Context, i int) error {
		lease, err := c.Mutex(fmt.Sprintf("relock-bench-%s-%d", id, i)).Lock(ctx)
		if err != nil {
			return err
		}
		m.samples.Add(1)
		return lease.Unlock(context.WithoutCancel(ctx))
	})
	return float64(m.samples.Load()) / time.Since(began).Seconds(), err
}
