package work

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	hist "github.com/relock-go/relock/bench/stats"
	"github.com/relock-go/relock/internal/stats"
)

// Contest is who contends in a closed loop, and for how long each holds.
type Contest struct {
	Crowd
	Hold time.Duration
}

// turns is how long each contender needs for n turns: fewer say nothing of
// fairness.
func (c Contest) turns(n int) time.Duration {
	return time.Duration(n*c.Waiters) * (c.Hold + 100*time.Microsecond)
}

// Closed is the work of contenders that want a lock again as soon as they have
// given it back.
func Closed(rig *Rig, contests []Contest, d time.Duration) Work {
	w := Work{Work: result.Work{
		Key: "closed", Title: "Closed loop", Loop: "closed loop",
		About: "Contenders want the lock again as soon as they have given it back. Sections a second; " +
			"Jain's index of the contenders' sections; the longest wait, those that had not ended when time was up included, " +
			"and over the mean wait.",
		Metrics: []result.Metric{result.Pairs, result.Jain, result.Mean, result.Longest, result.OverMean, result.Commands, result.ServerCPU},
		Ratio:   result.Pairs,
	}}
	for _, c := range contests {
		d := max(d, c.turns(6))
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			return closed(ctx, rig, k, c, d)
		}
		floor := Entrant{ringName, true, func(ctx context.Context, _ int) (result.Sample, error) {
			return ring(ctx, rig, c.Clients, max(32, int(d/(c.Hold+200*time.Microsecond))/2), c.Hold)
		}}
		label := fmt.Sprintf("%d in %d clients, hold %v", c.Waiters, c.Clients, c.Hold)
		at := c.at()
		at["hold_ms"] = c.Hold.Seconds() * 1e3
		w.Points = append(w.Points, Point{label, at, append([]Entrant{floor}, entrantsOf(nil, rival.Contended(), run)...)})
	}
	return w
}

// contender is one of a closed loop; only its goroutine touches it.
type contender struct {
	rival.Locker
	sections float64
	longest  time.Duration
}

func closed(ctx context.Context, rig *Rig, k rival.Kind, c Contest, d time.Duration) (result.Sample, error) {
	f, err := rig.open(ctx, k, c.Clients+1, nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := f.warm(ctx); err != nil {
		return nil, err
	}
	name := rig.fresh("closed")
	all := make([]*contender, c.Waiters)
	for i := range all {
		all[i] = &contender{Locker: f.clients[i%c.Clients].Locker(name)}
	}
	stop, err := f.meter(ctx)
	if err != nil {
		return nil, err
	}
	b, waits := newBaton(), hist.NewHist()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i, one := range all {
		wg.Go(func() { errs[i] = one.loop(ctx, b, waits, c.Hold, end) })
	}
	wg.Wait()
	u, err := stop()
	if err := errors.Join(first(errs), err, b.check()); err != nil {
		return nil, err
	}
	return closedSample(all, waits, u, d), nil
}

func closedSample(all []*contender, waits *hist.Hist, u usage, d time.Duration) result.Sample {
	var shares []float64
	var longest time.Duration
	sections := 0.0
	for _, c := range all {
		shares = append(shares, c.sections)
		sections += c.sections
		longest = max(longest, c.longest)
	}
	// Commands go on until the last contender has stopped: one turn each.
	turns := sections + float64(len(all))
	return result.Sample{
		result.Pairs: sections / d.Seconds(), result.Sections: sections, result.Jain: stats.Jain(shares),
		result.Mean: waits.MeanMicros(), result.Longest: micros(longest), result.OverMean: micros(longest) / waits.MeanMicros(),
		result.Commands: u.commands() / turns, result.ServerCPU: micros(u.CPU) / turns,
	}
}

// loop has turns until end. The turn for which it still waits then is no
// section, but a wait that has lasted so long.
func (c *contender) loop(ctx context.Context, b *baton, waits *hist.Hist, hold time.Duration, end time.Time) error {
	for {
		began := time.Now()
		held, err := c.Lock(ctx)
		if err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		b.take()
		over := time.Now().After(end)
		if over {
			c.longest = max(c.longest, end.Sub(began))
		} else {
			wait := time.Since(began)
			waits.Record(wait)
			c.longest = max(c.longest, wait)
			c.sections++
			if hold > 0 {
				_ = rest(ctx, hold)
			}
		}
		b.pass()
		if err := held.Unlock(ctx); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		if over {
			return nil
		}
	}
}
