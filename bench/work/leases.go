package work

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
)

// LeaseCount is how many leases one client holds, and for how long one lives
// without a renewal.
type LeaseCount struct {
	N   int
	TTL time.Duration
}

// Leases is the work of holding many locks at once.
func Leases(rig *Rig, counts []LeaseCount) Work {
	w := Work{Work: result.Work{
		Key: "leases", Title: "Held leases", Loop: "alone",
		About: "One client holds so many locks, each kept alive. Goroutines and memory (heap and stacks, after a collection) over " +
			"those of the client without leases; commands a second and the CPU of server and client while one renewal of each " +
			"falls due (a third of the TTL). Where the library does not renew, the adapter does it as its user must: a goroutine a lock.",
		Metrics: []result.Metric{result.Goroutines, result.LeaseBytes, result.Renewals, result.ServerLoad, result.ClientLoad},
	}}
	for _, c := range counts {
		// As many are taken and given back as are held.
		w.Limit = max(w.Limit, c.TTL+time.Duration(c.N)*time.Millisecond)
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) { return leases(ctx, rig, k, c) }
		w.Points = append(w.Points, Point{
			Label: fmt.Sprintf("%d leases of %v", c.N, c.TTL), At: map[string]float64{"leases": float64(c.N)},
			Entrants: entrantsOf(nil, rival.Keeping(), run),
		})
	}
	return w
}

// keepers is for how many locks the goroutine a lock of rivals without renewal
// is run.
const keepers = 10_000

// each runs do for 0 to n-1, in parallel lanes.
func each(n int, do func(i int) error) error {
	const lanes = 64
	errs := make([]error, lanes)
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			for i := lane; i < n && errs[lane] == nil; i += lanes {
				errs[lane] = do(i)
			}
		})
	}
	wg.Wait()
	return first(errs)
}

// first is one error for many: they are all of a kind.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func leases(ctx context.Context, rig *Rig, k rival.Kind, c LeaseCount) (result.Sample, error) {
	if c.N > keepers && k.Keeper {
		return nil, fmt.Errorf("%w: its user's goroutines are measured up to %d locks", errSkipped, keepers)
	}
	f, err := rig.open(ctx, k, 1, func(env *rival.Env) { env.Keep, env.TTL = true, c.TTL })
	if err != nil {
		return nil, err
	}
	defer f.close()
	// Taken and given back once, so that pools and maps have their size.
	warm := min(c.N, 512)
	if err := each(warm, func(int) error { return pair(ctx, f.locker(0, rig.fresh("lease"))) }); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	held := make([]rival.Held, c.N)
	goroutines, memory := footprint()
	err = each(c.N, func(i int) (err error) {
		held[i], err = f.locker(0, rig.fresh("lease")).Lock(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	goroutinesNow, memoryNow := footprint()
	s := result.Sample{result.Goroutines: float64(goroutinesNow - goroutines)}
	if c.N >= 100 { // fewer drown in what else the process keeps
		s[result.LeaseBytes] = (memoryNow - memory) / float64(c.N)
	}
	// The first renewals come a third into the TTL: in the middle of what is
	// measured.
	if err := rest(ctx, c.TTL/6); err != nil {
		return nil, err
	}
	stop, err := f.meter(ctx)
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, c.TTL/3); err != nil {
		return nil, err
	}
	u, err := stop()
	if err != nil {
		return nil, err
	}
	s[result.Renewals] = float64(u.Sent(k.Commands)) / u.took.Seconds()
	s[result.ServerLoad] = 100 * u.CPU.Seconds() / u.took.Seconds()
	s[result.ClientLoad] = 100 * u.client.Seconds() / u.took.Seconds()
	return s, each(c.N, func(i int) error { return stillHeld(ctx, held[i]) })
}

// stillHeld gives a hold back, and fails if it was lost: its figures would be
// those of nothing being kept.
func stillHeld(ctx context.Context, h rival.Held) error {
	if w, ok := h.(rival.Watched); ok {
		select {
		case <-w.Lost():
			return errors.New("a lease was lost")
		default:
		}
	}
	return h.Unlock(ctx)
}

func footprint() (goroutines int, bytes float64) {
	runtime.GC()
	runtime.GC() // what the first one freed, pools included
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), float64(m.HeapAlloc) + float64(m.StackInuse)
}
