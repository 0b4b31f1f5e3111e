package work

import (
	"slices"
	"time"

	"github.com/relock-go/relock/bench/rival"
)

const ms = time.Millisecond

// How often each cell is measured: the works by which goals are judged that hang
// on a ratio near 1 more often.
const (
	quickRounds = 3
	fullRounds  = 5
	goalRounds  = 7
)

// rounds has each work that does not say measure each cell n times.
func rounds(n int, works []Work) []Work {
	for i := range works {
		if works[i].Rounds == 0 {
			works[i].Rounds = n
		}
	}
	return works
}

// Quick is every work, small: three minutes on two cores. Its samples are too
// short to be quoted.
func Quick(rig *Rig) []Work {
	return rounds(quickRounds, []Work{
		Pairs(rig, 150*ms),
		Names(rig, []int{1, 64}, 100*ms),
		Delayed(rig, []time.Duration{1 * ms}, []int{1, 64}, 100*ms),
		OnCluster(rig, []int{64}, 100*ms),
		OneCPU(rig, 100*ms),
		Scripts(rig, 100*ms),
		HandOff(rig, []int{2, 16}, 100*ms),
		Drain(rig, []Crowd{{2, 2}, {16, 16}, {64, 4}}, glance),
		Processes(rig, []Crowd{{16, 4}}),
		Closed(rig, []Contest{{Crowd{8, 4}, 0}, {Crowd{8, 4}, 1 * ms}, {Crowd{8, 4}, 10 * ms}}, 200*ms),
		Open(rig, 8, 2*ms, []float64{0.3, 0.8}, 200*ms),
		Leases(rig, []LeaseCount{{1, 600 * ms}, {1000, 1200 * ms}}),
		RedLock(rig, []int{0, 1, 2}, 100*ms),
		Queue(rig, []int{10, 500}),
		Partition(rig, 500*ms),
	})
}

func eachItsOwn(n int) Crowd { return Crowd{n, n} }
func inFour(n int) Crowd     { return Crowd{n, 4} }

func crowds(of func(waiters int) Crowd, waiters ...int) (all []Crowd) {
	for _, n := range waiters {
		all = append(all, of(n))
	}
	return all
}

// What Full takes at scale 1 and its own rounds on two quiet cores, about, and how
// much of it no scale shortens: what is counted, and not for a time.
const (
	fullTime  = 48 * time.Minute
	fixedTime = 20 * time.Minute
)

// Scale is at which scale Full fits into budget.
func Scale(budget time.Duration) float64 {
	return max(0.1, (budget-fixedTime).Minutes()/(fullTime-fixedTime).Minutes())
}

// Full is every work at its full size. scale stretches what lasts for a time.
func Full(rig *Rig, scale float64) []Work {
	span := func(d time.Duration) time.Duration { return time.Duration(scale * float64(d)) }
	judged := rounds(goalRounds, []Work{
		Pairs(rig, span(600*ms)),
		Names(rig, []int{1, 4, 8, 16, 32, 64, 256}, span(300*ms)),
		Delayed(rig, []time.Duration{1 * ms, 10 * ms}, []int{1, 4, 16, 64}, span(300*ms)),
		OnCluster(rig, []int{64}, span(600*ms)),
		OneCPU(rig, span(600*ms)),
		Scripts(rig, span(600*ms)),
		HandOff(rig, []int{2, 8, 32, 128}, span(300*ms)),
	})
	return append(judged, rounds(fullRounds, []Work{
		Drain(rig, slices.Concat(
			crowds(eachItsOwn, 2, 8, 32, 64, 128),
			crowds(inFour, 8, 32, 128, 512),
			[]Crowd{{128, 1}},
		), twoCheckIns),
		Processes(rig, []Crowd{{32, 4}, {32, 32}}),
		Closed(rig, []Contest{
			{Crowd{32, 4}, 0}, {Crowd{32, 4}, 1 * ms}, {Crowd{32, 4}, 10 * ms}, {Crowd{128, 128}, 1 * ms},
		}, span(1200*ms)),
		Open(rig, 8, 5*ms, []float64{0.1, 0.3, 0.5, 0.7, 0.9}, span(1200*ms)),
		RedLock(rig, []int{0, 1, 2}, span(500*ms)),
		Queue(rig, []int{10, 100, 1000, 5000, 10_000}),
		Partition(rig, time.Second),
		Leases(rig, []LeaseCount{{1, 3 * time.Second}, {1000, 3 * time.Second}, {10_000, 6 * time.Second}, {100_000, 20 * time.Second}}),
	})...)
}

// Settings says how each entrant of any work is set up.
func Settings() map[string]string {
	all := map[string]string{}
	for _, k := range slices.Concat(rival.All(), rival.Floors(), []rival.Kind{ringKind}) {
		all[k.Name] = k.Settings
	}
	return all
}
