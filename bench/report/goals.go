package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/relock-go/relock/bench/result"
)

// Goal is a number that relock set itself, beside what a run measured, and why
// it was not reached, as far as the run's other figures tell.
type Goal struct{ What, Goal, Measured, Verdict, Why string }

const (
	reached   = "reached"
	missed    = "not reached"
	unknown   = "not measured"
	ours      = "relock"
	pipelined = "relock (AutoPipeliner)"
	redlock   = "relock RedLock"

	pairsFloor   = "floor: 2 bare EVALSHA"
	setNX        = "floor: SET NX + delete"
	writes       = "floor: relock's reads and writes"
	handoffFloor = "floor: PUBLISH to receive"
)

// Goals judges the run by relock's goals.
func Goals(r *result.Run) []Goal {
	all := []Goal{
		atMost(r, "commands a section, drain of 128 waiters in 4 clients", result.Commands, 1.05, "drain", "128 waiters in 4 clients"),
		atMost(r, "the same, 128 clients with one waiter each", result.Commands, 2.05, "drain", "128 waiters in 128 clients"),
		closedLoop(r),
		handoff(r),
		idle(r, "128 waiters in 4 clients", 4),
		idle(r, "128 waiters in 128 clients", 128),
	}
	for _, hold := range []string{"0s", "1ms", "10ms"} {
		all = append(all, fairness(r, "32 in 4 clients, hold "+hold))
	}
	return append(all, uncontended(r), throughput(r), leases(r), longQueue(r), hungNode(r))
}

func verdict(ok bool) string {
	if ok {
		return reached
	}
	return missed
}

// figure is the median of one of relock's figures, and its ratio to the floor.
func figure(r *result.Run, work, point, entrant string, m result.Metric) (f result.Figure, ok bool) {
	c := r.Find(work, point, entrant)
	if c == nil || c.Failed != "" {
		return result.Figure{}, false
	}
	f, ok = c.Figures[m]
	return f, ok
}

func atMost(r *result.Run, what string, m result.Metric, limit float64, work, point string) Goal {
	g := Goal{what, "at most " + m.Format(limit), "", unknown, ""}
	if f, ok := figure(r, work, point, ours, m); ok {
		g.Measured, g.Verdict = m.Format(f.Median), verdict(f.Median <= limit)
	}
	return g
}

// closedLoop tells what of the figure is the beginning's.
func closedLoop(r *result.Run) Goal {
	const point, clients = "128 in 128 clients, hold 1ms", 128
	g := atMost(r, "the same, closed loop", result.Commands, 2.05, "closed", point)
	sections, ok := figure(r, "closed", point, ours, result.Sections)
	all, _ := figure(r, "closed", point, ours, result.Commands)
	if ok && g.Verdict == missed {
		turns := sections.Median + clients
		g.Why = fmt.Sprintf("a client subscribes before it waits for the first time, which takes a command more, and has but %.1f turns here: "+
			"%.2f without", turns/clients, all.Median-clients/turns)
	}
	return g
}

// serverCPU compares what the server spends on a section of two entrants.
func serverCPU(r *result.Run, work, point, entrant, other string) string {
	f, ok := figure(r, work, point, entrant, result.ServerCPU)
	than, ok2 := figure(r, work, point, other, result.ServerCPU)
	if !ok || !ok2 {
		return ""
	}
	return fmt.Sprintf("CPU of the server a section, %s: %s; of %s: %s", point, result.Micros(f.Median), other, result.Micros(than.Median))
}

// handoff looks at the drains in which every waiter is a client of its own.
func handoff(r *result.Run) Goal {
	g := Goal{"hand-off over the floor, a waiter a client", "at most 1.5x, flat from 2 to 128", "", unknown, ""}
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
	g := Goal{"commands of idle waiters in a second, " + point, "one check-in a client and interval: " + result.Idle.Format(limit), "", unknown, ""}
	if f, ok := figure(r, "drain", point, ours, result.Idle); ok {
		g.Measured, g.Verdict = result.Idle.Format(f.Median), verdict(f.Median <= limit*1.1)
	}
	return g
}

func fairness(r *result.Run, point string) Goal {
	g := Goal{"fairness, closed loop of " + point, "Jain >= 0.99, longest wait <= 3x the mean", "", unknown, ""}
	jain, ok := figure(r, "closed", point, ours, result.Jain)
	over, _ := figure(r, "closed", point, ours, result.OverMean)
	if ok {
		g.Measured = fmt.Sprintf("%.3f, %.1fx", jain.Median, over.Median)
		g.Verdict = verdict(jain.Median >= 0.99 && over.Median <= 3)
	}
	return g
}

func uncontended(r *result.Run) Goal {
	g := Goal{"uncontended pair over two bare EVALSHA", "at most 1.1x, 2 commands", "", unknown, ""}
	lat, ok := figure(r, "pairs", "1 goroutine", ours, result.P50)
	commands, _ := figure(r, "pairs", "1 goroutine", ours, result.Commands)
	if ok {
		g.Measured = fmt.Sprintf("%.2fx, %.2f commands", lat.ToFloor, commands.Median)
		g.Verdict = verdict(lat.ToFloor <= 1.1 && commands.Median <= 2.005)
		g.Why = serverCPU(r, "pairs", "1 goroutine", ours, pairsFloor)
		if least, ok := figure(r, "pairs", "1 goroutine", setNX, result.P50); ok && g.Why != "" {
			g.Why += fmt.Sprintf(". The least that a lock can do (%s: no token, no queue) is at %.2fx", setNX, least.ToFloor)
		}
		if least, ok := figure(r, "pairs", "1 goroutine", writes, result.P50); ok && g.Why != "" {
			g.Why += fmt.Sprintf(". What relock must read and write for its token, its hold and an empty queue (%s) is at %.2fx "+
				"without a decision taken", writes, least.ToFloor)
		}
	}
	return g
}

func throughput(r *result.Run) Goal {
	const point = "64 goroutines"
	g := Goal{"pairs a second, 64 goroutines on 64 names (AutoPipeliner)", "ahead of every peer", "", unknown, ""}
	f, ok := figure(r, "names", point, pipelined, result.Pairs)
	if !ok {
		return g
	}
	best, name := 0.0, "none"
	for _, c := range r.Of("names") {
		x, ok := c.Figure(result.Pairs)
		if ok && c.Point == point && !c.Floor && !strings.HasPrefix(c.Entrant, ours) && x > best {
			best, name = x, c.Entrant
		}
	}
	g.Measured = fmt.Sprintf("%s; best peer %s with %s", result.Pairs.Format(f.Median), name, result.Pairs.Format(best))
	g.Verdict = verdict(f.Median > best)
	g.Why = serverCPU(r, "names", point, pipelined, name)
	return g
}

func leases(r *result.Run) Goal {
	g := Goal{"10,000 leases held by one client", "O(1) goroutines, at most 1 KiB each", "", unknown, ""}
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
	g := Goal{"server time with 5,000 waiters, acquire and release", "at most 50 µs", "", unknown, ""}
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
	g := Goal{"RedLock, one of 5 nodes hung: Lock", "one round trip of the others: the hung node costs nothing", "", unknown, ""}
	none, ok0 := figure(r, "redlock", "0 of 5 hung", redlock, result.P50)
	one, ok1 := figure(r, "redlock", "1 of 5 hung", redlock, result.P50)
	if ok0 && ok1 {
		g.Measured = result.Micros(one.Median) + ", with none hung " + result.Micros(none.Median)
		g.Verdict = verdict(one.Median <= 1.2*none.Median)
	}
	return g
}
