package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
)

// Open is the work of arrivals that do not wait for one another. Its load is the
// share of time in which an ideal lock would be held.
func Open(rig *Rig, clients int, hold time.Duration, loads []float64, d time.Duration) Work {
	w := Work{Work: result.Work{
		Key: "open", Title: "Open loop", Loop: "open loop",
		About: fmt.Sprintf("Arrivals (Poisson, the same for every entrant of a round) at %d clients, each of which wants the lock once and "+
			"holds it for %v. The wait counts from when the arrival was due. A load of 100 %% is one arrival every %v. The floor is "+
			"a first-in-first-out queue in memory, fed the same arrivals.", clients, hold, hold),
		Metrics: []result.Metric{result.Mean, result.P50, result.P99, result.Longest, result.Commands},
		Ratio:   result.Mean,
	}}
	for _, load := range loads {
		run := func(ctx context.Context, k rival.Kind, round int) (result.Sample, error) {
			due := arrivals(rand.New(rand.NewPCG(uint64(round), uint64(load*1000))), load/hold.Seconds(), d)
			return open(ctx, rig, k, clients, hold, due)
		}
		w.Points = append(w.Points, Point{
			Label: fmt.Sprintf("load %.0f %%", load*100), At: map[string]float64{"load": load * 100},
			Entrants: entrantsOf([]rival.Kind{rival.LocalQueue()}, rival.Contended(), run),
		})
	}
	return w
}

// arrivals are Poisson's: independent, rate a second on average, within d.
func arrivals(rnd *rand.Rand, rate float64, d time.Duration) (due []time.Duration) {
	for t := 0.0; ; {
		t += rnd.ExpFloat64() / rate
		if t > d.Seconds() {
			return due
		}
		due = append(due, time.Duration(t*float64(time.Second)))
	}
}

func open(ctx context.Context, rig *Rig, k rival.Kind, clients int, hold time.Duration, due []time.Duration) (result.Sample, error) {
	f, err := rig.open(ctx, k, clients+1, nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := f.warm(ctx); err != nil {
		return nil, err
	}
	name := rig.fresh("open")
	stop, err := f.meter(ctx)
	if err != nil {
		return nil, err
	}
	b, waits := newBaton(), stats.NewHist()
	errs := make([]error, len(due))
	var wg sync.WaitGroup
	began := time.Now()
	for i, at := range due {
		arrival := began.Add(at)
		if err := rest(ctx, time.Until(arrival)); err != nil {
			return nil, err
		}
		l := f.clients[i%clients].Locker(name)
		wg.Go(func() { errs[i] = visit(ctx, l, b, waits, arrival, hold) })
	}
	wg.Wait()
	u, err := stop()
	if err := errors.Join(first(errs), err, b.check()); err != nil {
		return nil, err
	}
	return result.Sample{
		result.Mean: waits.MeanMicros(), result.P50: waits.Micros(50), result.P99: waits.Micros(99),
		result.Longest: waits.MaxMicros(), result.Commands: u.commands() / float64(len(due)), result.Sections: float64(len(due)),
	}, nil
}

func visit(ctx context.Context, l rival.Locker, b *baton, waits *stats.Hist, arrival time.Time, hold time.Duration) error {
	held, err := l.Lock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	waits.Record(time.Since(arrival))
	b.take()
	_ = rest(ctx, hold) // cut short, the whole run is
	b.pass()
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}
