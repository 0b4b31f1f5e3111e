package work

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
)

// Crowd is how many wait, and in how many processes' worth of clients.
type Crowd struct{ Waiters, Clients int }

func (c Crowd) label() string { return fmt.Sprintf("%d waiters in %d clients", c.Waiters, c.Clients) }

func (c Crowd) at() map[string]float64 {
	return map[string]float64{"waiters": float64(c.Waiters), "clients": float64(c.Clients)}
}

type lockFunc = func(context.Context) (rival.Held, error)

// Drain is the work of waiters that queue behind a held lock and, once it is
// released, have one turn each.
func Drain(rig *Rig, crowds []Crowd, idle idleWindow) Work {
	w := Work{Work: result.Work{
		Key: "drain", Title: "Drain", Loop: "drain",
		About: "Waiters queue behind a held lock; once it is released each has one empty turn. Hand-off: from the call " +
			"of Unlock to the return of the next holder's Lock. Commands a section are all those that the clients sent from the " +
			"release on. Idle: all commands of all waiters in a second " +
			"before the release, as a rate; where it is given, they were looked at for " + idle.about + ". Clients have their own connections, as processes have, and share this process.",
		Metrics: []result.Metric{result.P50, result.P99, result.Commands, result.Idle, result.ServerCPU},
		Ratio:   result.P50,
	}}
	for _, c := range crowds {
		run := func(ctx context.Context, k rival.Kind, round int) (result.Sample, error) {
			return drain(ctx, rig, k, c, idle.of(c, round))
		}
		floor := Entrant{ringName, true, func(ctx context.Context, _ int) (result.Sample, error) {
			return ring(ctx, rig, c.Clients, c.Waiters*drains(c), 0)
		}}
		w.Points = append(w.Points, Point{c.label(), c.at(), append([]Entrant{floor}, entrantsOf(nil, rival.Contended(), run)...)})
	}
	return w
}

// An idleWindow says for how long the waiters of a crowd are looked at in a round
// before they are released; 0: not at all.
type idleWindow struct {
	of    func(c Crowd, round int) time.Duration
	about string
}

// glance is too short for relock's waiters to check in: it shows who polls.
var glance = idleWindow{func(Crowd, int) time.Duration { return 100 * ms }, "0.1 s right after they have queued"}

// twoCheckIns is long enough for every waiter of relock's that is registered to
// check in twice, every 3 s by default.
var twoCheckIns = idleWindow{
	func(c Crowd, round int) time.Duration {
		if round > 0 || c != eachItsOwn(2) && c != eachItsOwn(32) && c != eachItsOwn(128) && c != inFour(128) {
			return 0
		}
		return 6500 * ms
	},
	"6.5 s, once, in which a client of relock's checks in twice",
}

// drains is how many drains one sample takes: a median of two hand-offs would be
// none.
func drains(c Crowd) int { return max(1, 8/c.Waiters) }

func drain(ctx context.Context, rig *Rig, k rival.Kind, c Crowd, idle time.Duration) (result.Sample, error) {
	f, err := rig.open(ctx, k, c.Clients+1, nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := f.warm(ctx); err != nil {
		return nil, err
	}
	s := result.Sample{}
	lat := stats.NewHist()
	for n := range drains(c) {
		crowd, err := f.gather(ctx, c.Waiters, lat)
		if err != nil {
			return nil, err
		}
		if n == 0 && idle > 0 {
			quiet, err := f.idle(ctx, idle)
			if err != nil {
				return nil, err
			}
			maps.Copy(s, quiet)
		}
		stop, err := f.meter(ctx)
		if err != nil {
			return nil, err
		}
		if err := crowd.drain(); err != nil {
			return nil, err
		}
		u, err := stop()
		if err != nil {
			return nil, err
		}
		s[result.Commands] += u.commands()
		s[result.ServerCPU] += micros(u.CPU)
	}
	sections := float64(lat.Count())
	s[result.Commands] /= sections
	s[result.ServerCPU] /= sections
	s[result.P50], s[result.P99] = lat.Micros(50), lat.Micros(99)
	return s, nil
}
