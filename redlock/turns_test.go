package redlock_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/stats"
	"github.com/relock-go/relock/redlock"
)

// A race is what contenders did.
type race struct {
	sections []int // of each
	longest  time.Duration
	took     time.Duration
}

// drive has n processes take one lock in turn for d, and for least sections at
// the least. All have had it once before that counts: opening connections is no
// contention.
func drive(t *testing.T, r *rig, n int, d time.Duration, least int64, name string) race {
	t.Helper()
	out := race{sections: make([]int, n)}
	ctx, cancel := context.WithTimeout(bg, 5*time.Minute)
	defer cancel()
	var inside atomic.Int32
	var all atomic.Int64
	var mu sync.Mutex
	var wg, warm sync.WaitGroup
	begin := make(chan time.Time)
	section := func(m *redlock.Mutex) (waited time.Duration, ok bool) {
		from := time.Now()
		lease, err := m.Lock(ctx)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("Lock: %v", err)
			}
			return 0, false
		}
		waited = time.Since(from)
		if inside.Add(1) != 1 {
			t.Error("two are inside")
		}
		inside.Add(-1)
		if err := lease.Unlock(bg); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		return waited, true
	}
	warm.Add(n)
	for i := range n {
		m := redLock(t, r.addrs()).Mutex(name)
		wg.Go(func() {
			_, ok := section(m)
			warm.Done()
			for start := <-begin; ok; {
				var waited time.Duration
				if waited, ok = section(m); !ok {
					return
				}
				mu.Lock()
				out.sections[i]++
				out.longest, out.took = max(out.longest, waited), time.Since(start)
				mu.Unlock()
				if all.Add(1) >= least && time.Since(start) > d {
					cancel()
				}
			}
		})
	}
	warm.Wait()
	start := time.Now()
	for range n {
		begin <- start
	}
	wg.Wait()
	return out
}

func TestContendersTakeTurns(t *testing.T) {
	for _, n := range []int{2, 3, 8, 32} {
		t.Run(fmt.Sprint(n, " contenders"), func(t *testing.T) { takeTurns(t, n, scaled(2*time.Second, time.Minute)) })
	}
}

func takeTurns(t *testing.T, n int, d time.Duration) {
	r := newRig(t, 5)
	got := drive(t, r, n, d, 20*int64(n), "contended")
	total := 0
	for _, s := range got.sections {
		total += s
	}
	var commands int64
	for _, rdb := range r.direct {
		commands += calls(t, rdb)
	}
	mean := time.Duration(n) * got.took / time.Duration(max(total, 1))
	t.Logf("%.0f sections/s, Jain %.4f, longest wait %v (mean %v), %.2f commands a section and node",
		float64(total)/got.took.Seconds(), stats.Jain(sharesOf(got.sections)), got.longest.Round(time.Millisecond), mean.Round(time.Millisecond/10),
		float64(commands)/float64(total+n)/5)
	if j := stats.Jain(sharesOf(got.sections)); j < 0.9 {
		t.Errorf("Jain's index is %.3f: %v", j, got.sections)
	}
	awaitClean(t, r.direct...)
}

func sharesOf(sections []int) []float64 {
	shares := make([]float64, len(sections))
	for i, n := range sections {
		shares[i] = float64(n)
	}
	return shares
}
