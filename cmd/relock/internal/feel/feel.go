// Package feel measures locks for a quick feel of a Redis.
package feel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock"
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

// errOver is the cause of the end of a measurement.
var errOver = errors.New("measured")

// Measure measures each thing for d, on locks of its own. It returns the first
// error, or the cause of ctx.
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
	slices.Sort(took)
	s.HandOffs = len(took)
	s.HandOffP50, s.HandOffP99 = percentile(took, 50).Microseconds(), percentile(took, 99).Microseconds()
	return s, nil
}

// percentile needs sorted values; of none it is 0.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// during runs f in n goroutines until d is over, and returns the first error.
func during(ctx context.Context, n int, d time.Duration, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errOver)
	defer cancel()
	var all sync.WaitGroup
	failures := make(chan error, n)
	for i := range n {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := f(ctx, i); err != nil && ctx.Err() == nil {
					failures <- err
					cancel()
					return
				}
			}
		})
	}
	all.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, errOver) {
		return cause
	}
	return nil
}

// pairs returns how many Lock and Unlock a second n goroutines do, each on a
// name of its own.
func pairs(ctx context.Context, c *relock.Client, id string, n int, d time.Duration) (float64, error) {
	var done atomic.Int64
	began := time.Now()
	err := during(ctx, n, d, func(ctx context.Context, i int) error {
		lease, err := c.Mutex(fmt.Sprintf("relock-bench-%s-%d", id, i)).Lock(ctx)
		if err != nil {
			return err
		}
		done.Add(1)
		return lease.Unlock(context.WithoutCancel(ctx))
	})
	return float64(done.Load()) / time.Since(began).Seconds(), err
}

// handOffs has two clients take turns at one lock, and returns how long each
// turn took from the call that releases to the return of the other's Lock.
func handOffs(ctx context.Context, first, second *relock.Client, name string, d time.Duration) ([]time.Duration, error) {
	locks := []*relock.Mutex{first.Mutex(name), second.Mutex(name)}
	var (
		mu       sync.Mutex // never waited for: whoever has the lock is alone here
		took     []time.Duration
		released time.Time
		last     = -1
	)
	err := during(ctx, len(locks), d, func(ctx context.Context, i int) error {
		lease, err := locks[i].Lock(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		if last == 1-i {
			took = append(took, time.Since(released))
		}
		last, released = i, time.Now()
		mu.Unlock()
		return lease.Unlock(context.WithoutCancel(ctx))
	})
	return took, err
}
