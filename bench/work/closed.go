package work

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
	figures "github.com/relock-go/relock/internal/stats"
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
			"and over the mean wait. Commands and CPU of the server a section are those after each contender's first turn.",
		Metrics: []result.Metric{result.Pairs, result.Jain, result.Mean, result.Longest, result.OverMean, result.Commands, result.ServerCPU},
		Ratio:   result.Pairs,
	}}
	for _, c := range contests {
		d := max(d, c.turns(6))
		run := func(ctx context.Context, k rival.Kind, _ int) (result.Sample, error) {
			return closed(ctx, rig, k, c, d, 1)
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

// loop is what the contenders of a closed loop have in common.
type loop struct {
	*baton
	waits    *stats.Hist
	handoffs *stats.Hist // once all are under way
	hold     time.Duration
	end      time.Time
	early    int           // turns of each before it is under way
	starting atomic.Int64  // contenders that are not
	underWay chan struct{} // closed when all are
	steady   atomic.Bool
}

// closed runs a closed loop for d. What is counted a section is counted once each
// contender has had so many turns, or a third of d is over.
func closed(ctx context.Context, rig *Rig, k rival.Kind, c Contest, d time.Duration, early int) (result.Sample, error) {
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
	l := &loop{
		baton: newBaton(), waits: stats.NewHist(), handoffs: stats.NewHist(), hold: c.Hold, end: time.Now().Add(d),
		early: early, underWay: make(chan struct{}),
	}
	l.starting.Store(int64(len(all)))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = one.run(ctx, l) })
	}
	select {
	case <-l.underWay:
	case <-time.After(d / 3):
	}
	stop, err := f.meter(ctx)
	before := l.sections.Load()
	l.steady.Store(true)
	wg.Wait()
	if err != nil {
		return nil, err
	}
	turns := float64(l.sections.Load() - before)
	u, err := stop()
	if err := errors.Join(first(errs), err, l.check()); err != nil {
		return nil, err
	}
	s := closedSample(all, l.waits, d)
	s[result.Commands], s[result.ServerCPU], s[result.ScriptTime] = u.commands()/turns, micros(u.CPU)/turns, micros(u.scripts())/turns
	s[result.P50], s[result.P99] = l.handoffs.Micros(50), l.handoffs.Micros(99)
	return s, nil
}

func closedSample(all []*contender, waits *stats.Hist, d time.Duration) result.Sample {
	var shares []float64
	var longest time.Duration
	sections := 0.0
	for _, c := range all {
		shares = append(shares, c.sections)
		sections += c.sections
		longest = max(longest, c.longest)
	}
	return result.Sample{
		result.Pairs: sections / d.Seconds(), result.Sections: sections, result.Jain: figures.Jain(shares),
		result.Mean: waits.MeanMicros(), result.Longest: micros(longest), result.OverMean: micros(longest) / waits.MeanMicros(),
	}
}

// run has turns until the end. The turn for which it still waits then is no
// section, but a wait that has lasted so long.
func (c *contender) run(ctx context.Context, l *loop) error {
	for turn := 1; ; turn++ {
		began := time.Now()
		held, err := c.Lock(ctx)
		if err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		handoff := l.take()
		over := time.Now().After(l.end)
		if over {
			c.longest = max(c.longest, l.end.Sub(began))
		} else {
			c.section(ctx, l, time.Since(began), handoff)
		}
		l.pass()
		if err := held.Unlock(ctx); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		if turn == l.early && l.starting.Add(-1) == 0 {
			close(l.underWay)
		}
		if over {
			return nil
		}
	}
}

func (c *contender) section(ctx context.Context, l *loop, wait, handoff time.Duration) {
	l.waits.Record(wait)
	if l.steady.Load() {
		l.handoffs.Record(handoff)
	}
	c.longest = max(c.longest, wait)
	c.sections++
	if l.hold > 0 {
		_ = rest(ctx, l.hold)
	}
}
