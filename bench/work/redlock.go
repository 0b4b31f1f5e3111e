package work

import (
	"context"
	"fmt"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
)

// RedLock is the work of a quorum lock on five nodes of which some hang.
func RedLock(rig *Rig, hung []int, d time.Duration) Work {
	w := Work{Work: result.Work{
		Key: "redlock", Title: "RedLock with hung nodes", Loop: "closed loop of one",
		About: "One goroutine takes and gives back a quorum lock on five nodes, of which some are stopped (SIGSTOP: their " +
			"connections stay open and answer nothing) before the first pair that counts. Latency of Lock, and of Unlock.",
		Metrics: []result.Metric{result.P50, result.P99, result.Slowest, result.UnlockP50, result.Sections},
		Ratio:   result.P50,
	}}
	for _, n := range hung {
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			return redlock(ctx, rig, k, n, d)
		}
		w.Points = append(w.Points, Point{
			Label: fmt.Sprintf("%d of 5 hung", n), At: map[string]float64{"hung": float64(n)},
			Entrants: entrantsOf([]rival.Kind{rival.BareQuorum}, rival.Quorum(), run),
		})
	}
	return w
}

func redlock(ctx context.Context, rig *Rig, k rival.Kind, hung int, d time.Duration) (result.Sample, error) {
	f, err := rig.open(ctx, k, 1, nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	l := f.locker(0, rig.fresh("redlock"))
	for range 20 {
		if err := pair(ctx, l); err != nil {
			return nil, fmt.Errorf("warm-up: %w", err)
		}
	}
	for _, s := range rig.Nodes[:hung] {
		if err := s.Hang(); err != nil {
			return nil, err
		}
		defer func() { _ = s.Wake() }()
	}
	locks, unlocks := stats.NewHist(), stats.NewHist()
	for end := time.Now().Add(d); locks.Count() == 0 || time.Now().Before(end); {
		began := time.Now()
		held, err := l.Lock(ctx)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		locks.Record(time.Since(began))
		began = time.Now()
		if err := held.Unlock(ctx); err != nil {
			return nil, fmt.Errorf("unlock: %w", err)
		}
		unlocks.Record(time.Since(began))
	}
	return result.Sample{
		result.P50: locks.Micros(50), result.P99: locks.Micros(99), result.Slowest: locks.MaxMicros(),
		result.UnlockP50: unlocks.Micros(50), result.Sections: float64(locks.Count()),
	}, nil
}
