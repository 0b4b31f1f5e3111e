package redlock_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// drive has n processes take one lock in turn for d, and returns how often each
// had it and how long the longest wait was.
func drive(t *testing.T, r *rig, n int, d time.Duration, name string) (sections []int, longest time.Duration) {
	t.Helper()
	sections = make([]int, n)
	var inside atomic.Int32
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(bg, d)
	defer cancel()
	for i := range n {
		m := redLock(t, r.addrs()).Mutex(name)
		wg.Go(func() {
			for {
				from := time.Now()
				lease, err := m.Lock(ctx)
				if ctx.Err() != nil {
					if lease != nil {
						unlock(t, lease)
					}
					return
				}
				if err != nil {
					t.Errorf("Lock: %v", err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two are inside")
				}
				sections[i]++
				mu.Lock()
				longest = max(longest, time.Since(from))
				mu.Unlock()
				inside.Add(-1)
				if err := lease.Unlock(bg); err != nil {
					t.Errorf("Unlock: %v", err)
				}
			}
		})
	}
	wg.Wait()
	return sections, longest
}

func jain(x []int) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	return sum * sum / (float64(len(x)) * squares)
}

func TestContendersTakeTurns(t *testing.T) {
	for _, n := range []int{2, 3, 8, 32} {
		t.Run(fmt.Sprint(n, " contenders"), func(t *testing.T) { takeTurns(t, n, scaled(2*time.Second, time.Minute)) })
	}
}

func takeTurns(t *testing.T, n int, d time.Duration) {
	r := newRig(t, 5)
	sections, longest := drive(t, r, n, d, "contended")
	total := 0
	for _, s := range sections {
		total += s
	}
	var commands int64
	for _, rdb := range r.direct {
		commands += calls(t, rdb)
	}
	mean := time.Duration(n) * d / time.Duration(max(total, 1))
	t.Logf("%d sections/s, Jain %.4f, longest wait %v (mean %v), %.2f commands a section and node",
		total*int(time.Second)/int(d), jain(sections), longest.Round(time.Millisecond), mean.Round(time.Millisecond/10),
		float64(commands)/float64(total)/5)
	if j := jain(sections); j < 0.9 {
		t.Errorf("Jain's index is %.3f: %v", j, sections)
	}
	awaitClean(t, r.direct...)
}
