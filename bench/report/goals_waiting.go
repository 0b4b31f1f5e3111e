package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/relock-go/relock/bench/result"
)

// waitingGoals are those of a lock that several want, and of locks that are held.
func waitingGoals(r *result.Run) []Goal {
	all := []Goal{
		atMost(r, "commands a section, drain of 128 waiters in 4 clients", result.Commands, 1.05, "drain", "128 waiters in 4 clients"),
		atMost(r, "the same, 128 clients with one waiter each", result.Commands, 2.05, "drain", "128 waiters in 128 clients"),
		atMost(r, "the same, closed loop, after each client's first turn", result.Commands, 2.05, "closed", "128 in 128 clients, hold 1ms"),
		handoff(r),
		idle(r, "128 waiters in 4 clients", 4),
		idle(r, "128 waiters in 128 clients", 128),
	}
	for _, hold := range []string{"0s", "1ms", "10ms"} {
		all = append(all, fairness(r, "32 in 4 clients, hold "+hold))
	}
	return append(all, leases(r), longQueue(r), hungNode(r))
}

func atMost(r *result.Run, what string, m result.Metric, limit float64, work, point string) Goal {
	g := Goal{What: what, Goal: "at most " + m.Format(limit), Verdict: unknown}
	if f, ok := figure(r, work, point, ours, m); ok {
		g.Measured, g.Verdict = m.Format(f.Median), verdict(f.Median <= limit)
	}
	return g
}

// handoff looks at the drains in which every waiter is a client of its own.
func handoff(r *result.Run) Goal {
	g := Goal{What: "hand-off over the floor, a waiter a client", Goal: "at most 1.5x, flat from 2 to 128", Verdict: unknown}
	var each []string
	worst := 0.0
	for _, c := range r.Of("drain") {
		if c.Entrant != ours || c.At["waiters"] != c.At["clients"] {
			continue
		}
		if c.Failed != "" {
			each, worst = append(each, fmt.Sprintf("%.0f: failed", c.At["clients"])), math.Inf(1)
			continue
		}
		ratio := c.Figures[result.P50].ToFloor
		if ratio > 1.5 && ratio > worst {
			g.Why = serverCPU(r, c.Work, c.Point, ours, handoffFloor)
			if g.Why != "" {
				g.Why = "one command gives the lock up, mints the next token, grants and publishes. " + g.Why
			}
		}
		worst = math.Max(worst, ratio)
		each = append(each, fmt.Sprintf("%.0f: %.2fx", c.At["clients"], ratio))
	}
	if len(each) > 0 {
		g.Measured, g.Verdict = strings.Join(each, ", "), verdict(worst <= 1.5)
	}
	return g
}

// checkInterval is relock's default.
const checkInterval = 3

func idle(r *result.Run, point string, clients float64) Goal {
	limit := clients / checkInterval
	g := Goal{
		What: "commands of idle waiters in a second, " + point, Goal: "one check-in a client and interval: " + result.Idle.Format(limit),
		Verdict: unknown,
	}
	if f, ok := figure(r, "drain", point, ours, result.Idle); ok {
		g.Measured, g.Verdict = result.Idle.Format(f.Median), verdict(f.Median <= limit*1.1)
	}
	return g
}

func fairness(r *result.Run, point string) Goal {
	g := Goal{What: "fairness, closed loop of " + point, Goal: "Jain >= 0.99, longest wait <= 3x the mean", Verdict: unknown}
	jain, ok := figure(r, "closed", point, ours, result.Jain)
	over, _ := figure(r, "closed", point, ours, result.OverMean)
	if ok {
		g.Measured = fmt.Sprintf("%.3f, %.1fx", jain.Median, over.Median)
		g.Verdict = verdict(jain.Median >= 0.99 && over.Median <= 3)
	}
	return g
}

func leases(r *result.Run) Goal {
	g := Goal{What: "10,000 leases held by one client", Goal: "O(1) goroutines, at most 1 KiB each", Verdict: unknown}
	for _, c := range r.Of("leases") {
		if c.Entrant != ours || c.At["leases"] != 10_000 || c.Failed != "" {
			continue
		}
		n, size := c.Figures[result.Goroutines].Median, c.Figures[result.LeaseBytes].Median
		g.Measured = fmt.Sprintf("%.0f goroutines, %.0f bytes each", n, size)
		g.Verdict = verdict(n < 16 && size <= 1024)
	}
	return g
}

func longQueue(r *result.Run) Goal {
	g := Goal{What: "server time with 5,000 waiters, acquire and release", Goal: "at most 50 µs", Verdict: unknown}
	acquire, ok := figure(r, "queue", "5000 waiters", "relock (Reentrant)", result.AcquireTime)
	release, _ := figure(r, "queue", "5000 waiters", "relock (Reentrant)", result.HandoffTime)
	if ok {
		g.Measured = result.Micros(acquire.Median) + ", " + result.Micros(release.Median)
		g.Verdict = verdict(acquire.Median <= 50 && release.Median <= 50)
	}
	return g
}

// hungNode allows a fifth for the one node less that can be among the first.
func hungNode(r *result.Run) Goal {
	g := Goal{What: "RedLock, one of 5 nodes hung: Lock", Goal: "one round trip of the others: the hung node costs nothing", Verdict: unknown}
	none, ok0 := figure(r, "redlock", "0 of 5 hung", redlock, result.P50)
	one, ok1 := figure(r, "redlock", "1 of 5 hung", redlock, result.P50)
	if ok0 && ok1 {
		g.Measured = result.Micros(one.Median) + ", with none hung " + result.Micros(none.Median)
		g.Verdict = verdict(one.Median <= 1.2*none.Median)
	}
	return g
}
