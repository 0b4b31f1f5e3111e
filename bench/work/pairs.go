package work

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
)

// Pairs is the work of one goroutine that takes and gives back a free lock.
func Pairs(rig *Rig, d time.Duration) Work {
	run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
		return pairs(ctx, rig, k, 1, d)
	}
	return Work{
		Work: result.Work{
			Key: "pairs", Title: "Uncontended pairs", Loop: "closed loop of one",
			About: "One goroutine takes and gives back a lock that nobody else wants. Latency of the pair; bytes and " +
				"allocations of the whole process a pair, go-redis and adapters included; commands a pair.",
			Metrics: []result.Metric{result.P50, result.P99, result.Allocs, result.Bytes, result.Commands, result.ServerCPU},
			Ratio:   result.P50,
		},
		Points: []Point{{
			Label: "1 goroutine", At: map[string]float64{"goroutines": 1},
			Entrants: entrantsOf([]rival.Kind{rival.Bare, rival.SetNX, rival.Writes}, append(rival.Single(), rival.Composite()...), run),
		}},
	}
}

// Names is the work of many goroutines, each with a lock of its own.
func Names(rig *Rig, goroutines []int, d time.Duration) Work {
	w := Work{Work: result.Work{
		Key: "names", Title: "Many goroutines on as many names", Loop: "closed loop",
		About: "Goroutines of one client take and give back a lock each, with no think time. Pairs a second of all " +
			"of them; latency of a pair; CPU, allocations and bytes of the whole process a pair, go-redis and adapters included; commands a " +
			"pair, as the server counted them and, where the client has a hook, as that saw them: a cell in which these differ has failed.",
		Metrics: []result.Metric{
			result.Pairs, result.P50, result.P99, result.ClientCPU, result.ServerCPU, result.Allocs, result.Bytes, result.Commands, result.Hooked,
		},
		Ratio: result.Pairs,
	}}
	for _, n := range goroutines {
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			return pairs(ctx, rig, k, n, d)
		}
		w.Points = append(w.Points, Point{
			Label: fmt.Sprintf("%d goroutines", n), At: map[string]float64{"goroutines": float64(n)},
			Entrants: entrantsOf([]rival.Kind{rival.Bare, rival.BareSame, rival.Writes}, rival.Free(), run),
		})
	}
	return w
}

func pairs(ctx context.Context, rig *Rig, k rival.Kind, goroutines int, d time.Duration) (result.Sample, error) {
	f, err := rig.open(ctx, k, 1, nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.pairs(ctx, goroutines, d)
}

// pairs has so many goroutines make pairs for d, each on a name of its own.
func (f *fleet) pairs(ctx context.Context, goroutines int, d time.Duration) (result.Sample, error) {
	lockers := make([]rival.Locker, goroutines)
	for i := range lockers {
		lockers[i] = f.locker(i, f.rig.fresh("pairs"))
	}
	if err := hammer(ctx, lockers, max(d/5, 100*time.Millisecond), nil); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}

	runtime.GC()
	lat := stats.NewHist()
	var before, after runtime.MemStats
	stop, err := f.meter(ctx)
	if err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&before)
	if err := hammer(ctx, lockers, d, lat); err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&after)
	u, err := stop()
	n := float64(lat.Count())
	sample := result.Sample{
		result.P50: lat.Micros(50), result.P99: lat.Micros(99), result.Pairs: n / u.took.Seconds(),
		result.Allocs: float64(after.Mallocs-before.Mallocs) / n, result.Bytes: float64(after.TotalAlloc-before.TotalAlloc) / n,
		result.Commands: u.commands() / n, result.ServerCPU: micros(u.CPU) / n, result.ClientCPU: micros(u.client) / n,
		result.ScriptTime: micros(u.scripts()) / n,
	}
	if f.kind.Hooked {
		sample[result.Hooked] = float64(u.hook.Seen) / n
	}
	return sample, err
}

// hammer has each locker make pairs for d, and records them.
func hammer(ctx context.Context, lockers []rival.Locker, d time.Duration, lat *stats.Hist) error {
	var wg sync.WaitGroup
	failed := make(chan error, len(lockers))
	end := time.Now().Add(d)
	for _, l := range lockers {
		wg.Go(func() {
			for began := time.Now(); began.Before(end); {
				if err := pair(ctx, l); err != nil {
					failed <- err
					return
				}
				now := time.Now()
				if lat != nil {
					lat.Record(now.Sub(began))
				}
				began = now
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
