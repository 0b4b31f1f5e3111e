package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/relock-go/relock/bench/result"
)

// freeGoals are those of locks that nobody competes for, and of what a hand-off
// costs. Where one is about the version before, before is its run.
func freeGoals(r, before *result.Run) []Goal {
	return []Goal{
		overPeer(r, redislock, bound{"64 goroutines", 1.1, true}, bound{"256 goroutines", 1.2, true}),
		overPeer(r, rueidislock, bound{"64 goroutines", 0.85, true}, bound{"256 goroutines", 0.9, true}),
		overPeer(r, redislock, bound{"4 goroutines", 1, true}, bound{"8 goroutines", 0.85, true},
			bound{"16 goroutines", 0.85, true}, bound{"32 goroutines", 1, true}),
		tail(r, "64 goroutines", "256 goroutines"),
		delayed(r, before, result.P50),
		delayed(r, before, result.P99),
		oneCPU(r),
		scripts(r, "pair", 3),
		scripts(r, "hand-off", 5.8),
		floors(r, "warm", 1.05),
		floors(r, "cold", 1.45),
		joining(r, before),
		onCluster(r, before),
		allocations(r),
		withHooks(r, before),
		hooksAgree(r),
		uncontended(r),
	}
}

func overPeer(r *result.Run, peer string, bounds ...bound) Goal {
	var points []string
	for _, b := range bounds {
		points = append(points, b.point)
	}
	what := "pairs a second over " + peer + ", a name each, " + strings.ReplaceAll(strings.Join(points, " / "), " goroutines /", " /")
	g := ratios(what, bounds, func(point string) (float64, bool) { return over(r, "names", point, ours, peer, result.Pairs) })
	g.Ahead = ahead(r, "names", result.Pairs, true, points...)
	for _, point := range points {
		if cpu := serverCPU(r, "names", point, ours, peer); cpu != "" {
			g.Why = cpu
		}
	}
	return g
}

// tail looks at the slowest pairs.
func tail(r *result.Run, points ...string) Goal {
	g := Goal{What: "p99 of a pair, a name each, " + strings.Join(points, " and "), Goal: "below every peer's", Verdict: unknown}
	var got []string
	ok := true
	for _, point := range points {
		mine, measured := figure(r, "names", point, ours, result.P99)
		least, name := leastPeer(r, "names", point, result.P99)
		if !measured || name == "" {
			ok = false
			continue
		}
		got = append(got, fmt.Sprintf("%s; least of a peer (%s) %s", result.Micros(mine.Median), name, result.Micros(least)))
		if mine.Median >= least {
			g.Verdict = missed
		}
	}
	if ok && g.Verdict == unknown {
		g.Verdict = reached
	}
	g.Measured = strings.Join(got, " / ")
	g.Ahead = ahead(r, "names", result.P99, false, points...)
	return g
}

func leastPeer(r *result.Run, work, point string, m result.Metric) (least float64, name string) {
	least = math.Inf(1)
	for _, c := range r.Of(work) {
		if x, ok := c.Figure(m); ok && c.Point == point && isPeer(c) && x < least {
			least, name = x, c.Entrant
		}
	}
	return least, name
}

// delayed compares a server that is far with the version before and, in the same
// run, with requests that leave one by one.
func delayed(r, before *result.Run, m result.Metric) Goal {
	g := Goal{What: fmt.Sprintf("%s of a pair with 1 and 10 ms of delay, 1 to 64 goroutines, over the version before", m.Title()), Goal: "<= 1x", Verdict: unknown}
	var got, ratios []string
	compared := 0
	for _, c := range r.Of("delay") {
		x, ok := c.Figure(m)
		if c.Entrant != ours || !ok {
			continue
		}
		text := fmt.Sprintf("%s: %s", c.Point, m.Format(x))
		if ratio, ok := since(r, before, "delay", c.Point, ours, ours, m); ok {
			compared++
			text += fmt.Sprintf(" (%.2fx)", ratio)
			if ratio > 1 {
				g.Verdict = missed
			}
		}
		got = append(got, text)
		if ratio, ok := over(r, "delay", c.Point, ours, single, m); ok {
			ratios = append(ratios, fmt.Sprintf("%.2fx", ratio))
		}
	}
	if len(got) > 0 && g.Verdict == unknown {
		g.Verdict = compare(compared, len(got))
	}
	g.Measured = strings.Join(got, ", ")
	if len(ratios) > 0 {
		g.Measured += "; over the same without batching " + strings.Join(ratios, ", ")
	}
	return g
}

func compare(compared, all int) string {
	if compared < all {
		return alone
	}
	return reached
}

func oneCPU(r *result.Run) Goal {
	const point = "1 goroutine"
	g := ratios("uncontended pair on one CPU, over two bare EVALSHA with the same arguments", bounds(false, 1.55, point),
		func(point string) (float64, bool) { return over(r, "onecpu", point, ours, sameFloor, result.P50) })
	if least, ok := over(r, "onecpu", point, writes, sameFloor, result.P50); ok {
		g.Why = fmt.Sprintf("what relock must read and write (%s) is at %.2fx without a decision taken", writes, least)
	}
	g.Ahead = ahead(r, "onecpu", result.P50, false, point)
	return g
}

// scripts looks at the server's time alone. The floor of a point is its first.
func scripts(r *result.Run, point string, limit float64) Goal {
	g := ratios("script time of a "+point+", over bare EVALSHA with the same arguments", bounds(false, limit, point),
		func(point string) (float64, bool) {
			f, ok := figure(r, "scripts", point, ours, result.ScriptTime)
			return f.ToFloor, ok && f.ToFloor > 0
		})
	for _, c := range r.Of("scripts") {
		if c.Point == point && c.Floor && c.Failed == "" && c.Figures[result.ScriptTime].ToFloor > 1.001 {
			g.Why = fmt.Sprintf("%s is at %.2fx", c.Entrant, c.Figures[result.ScriptTime].ToFloor)
		}
	}
	return g
}

// floors looks at hand-offs over their floor, from 2 clients to many.
func floors(r *result.Run, how string, limit float64) Goal {
	var points []string
	for _, c := range r.Of("handoff") {
		if c.Entrant == ours && strings.HasPrefix(c.Point, how) {
			points = append(points, c.Point)
		}
	}
	what := "hand-off over the floor with the same reads and writes, " + how
	g := ratios(what, bounds(false, limit, points...), func(point string) (float64, bool) {
		f, ok := figure(r, "handoff", point, ours, result.P50)
		return f.ToFloor, ok && f.ToFloor > 0
	})
	if len(points) == 0 {
		g.Goal, g.Verdict = bound{limit: limit}.String(), unknown
		return g
	}
	g.What += " (" + strings.ReplaceAll(strings.Join(points, " / "), how+", ", "") + ")"
	var message []string
	for _, point := range points {
		if x, ok := over(r, "handoff", point, ours, publishFloor, result.P50); ok {
			message = append(message, fmt.Sprintf("%.2fx", x))
		}
	}
	if len(message) > 0 {
		g.Measured += "; over a message alone " + strings.Join(message, " / ")
	}
	return g
}

// flatWithin is by how much the server's time may differ between a short queue and
// a long one.
const flatWithin = 1.5

// pace is how much longer a bare EVALSHA took the server in r than in before.
func pace(r, before *result.Run) (float64, bool) {
	now, ok := figure(r, "pairs", "1 goroutine", pairsFloor, result.ServerCPU)
	then, ok2 := figure(before, "pairs", "1 goroutine", pairsFloor, result.ServerCPU)
	return now.Median / then.Median, ok && ok2 && then.Median > 0
}

// joining looks at what one more waiter costs the server. There is no floor beside
// it: the two runs are set side by side at the pace of a bare EVALSHA.
func joining(r, before *result.Run) Goal {
	const entrant = "relock (Reentrant)"
	g := Goal{
		What: "server time of an acquire that waits, over the version before",
		Goal: fmt.Sprintf("<= 0.6x, flat (the most at most %.1fx the least)", flatWithin), Verdict: unknown,
	}
	var got []string
	least, most, compared := math.Inf(1), 0.0, 0
	slower, paced := pace(r, before)
	for _, c := range r.Of("queue") {
		x, ok := c.Figure(result.AcquireTime)
		if c.Entrant != entrant || !ok {
			continue
		}
		least, most = math.Min(least, x), math.Max(most, x)
		text := fmt.Sprintf("%.0f: %s", c.At["waiters"], result.Micros(x))
		if then, ok := figure(before, "queue", c.Point, entrant, result.AcquireTime); ok && paced {
			compared++
			ratio := x / then.Median / slower
			text += fmt.Sprintf(" (%.2fx)", ratio)
			if ratio > 0.6 {
				g.Verdict = missed
			}
		}
		got = append(got, text)
	}
	switch {
	case len(got) > 0 && most > flatWithin*least:
		g.Verdict = missed
	case len(got) > 0 && g.Verdict == unknown:
		g.Verdict = compare(compared, len(got))
	}
	g.Measured = strings.Join(got, ", ")
	return g
}

func onCluster(r, before *result.Run) Goal {
	const point = "64 goroutines"
	g := Goal{What: "pairs a second on a Cluster of 3, 64 goroutines, over the version before", Goal: ">= 1.7x", Verdict: unknown}
	mine, ok := figure(r, "cluster", point, ours, result.Pairs)
	if !ok {
		return g
	}
	g.Measured, g.Verdict = result.Pairs.Format(mine.Median), alone
	if ratio, ok := since(r, before, "cluster", point, ours, ours, result.Pairs); ok {
		g.Measured += fmt.Sprintf(" (%.2fx)", ratio)
		g.Verdict = verdict(ratio >= 1.7)
	}
	if ratio, ok := over(r, "cluster", point, ours, redislock, result.Pairs); ok {
		g.Measured += fmt.Sprintf("; %.2fx of %s", ratio, redislock)
	}
	g.Ahead = ahead(r, "cluster", result.Pairs, true, point)
	return g
}

// mostBytes is 2.2 KB, rounded.
const mostBytes = 2249

func allocations(r *result.Run) Goal {
	g := Goal{What: "allocations and bytes a pair, 1 goroutine / 64", Goal: "<= 21, 2.2 KB / allocations fewer than every peer's", Verdict: unknown}
	one, ok := figure(r, "pairs", "1 goroutine", ours, result.Allocs)
	size, _ := figure(r, "pairs", "1 goroutine", ours, result.Bytes)
	if !ok {
		return g
	}
	g.Measured = fmt.Sprintf("%s, %.0f bytes", result.Allocs.Format(one.Median), size.Median)
	g.Ahead = ahead(r, "names", result.Allocs, false, "64 goroutines")
	small := math.Round(one.Median) <= 21 && size.Median <= mostBytes
	many, ok := figure(r, "names", "64 goroutines", ours, result.Allocs)
	least, name := leastPeer(r, "names", "64 goroutines", result.Allocs)
	if !ok || name == "" {
		if !small {
			g.Verdict = missed
		}
		return g
	}
	size, _ = figure(r, "names", "64 goroutines", ours, result.Bytes)
	g.Measured += fmt.Sprintf(" / %s, %.0f bytes; least of a peer (%s) %s", result.Allocs.Format(many.Median), size.Median, name, result.Allocs.Format(least))
	g.Verdict = verdict(small && many.Median < least)
	return g
}

// withHooks compares a client with a hook with one without: that of the version
// before, and this run's own.
func withHooks(r, before *result.Run) Goal {
	const point = "1 goroutines"
	g := Goal{What: "a pair of one goroutine with a hook on the client, over the version before without", Goal: "<= 1.05x", Verdict: unknown}
	mine, ok := figure(r, "names", point, hooked, result.P50)
	if !ok {
		if plain, ok := figure(r, "names", point, ours, result.P50); ok {
			g.Measured = "without a hook " + result.Micros(plain.Median)
		}
		return g
	}
	g.Measured, g.Verdict = result.Micros(mine.Median), alone
	if ratio, ok := since(r, before, "names", point, hooked, ours, result.P50); ok {
		g.Measured += fmt.Sprintf(" (%.2fx)", ratio)
		g.Verdict = verdict(ratio <= 1.05)
	}
	if ratio, ok := over(r, "names", point, hooked, ours, result.P50); ok {
		g.Measured += fmt.Sprintf("; %.2fx of relock without, in this run", ratio)
	}
	return g
}

// hooksAgree counts the cells whose hook saw what the server executed: one in which
// it did not has failed.
func hooksAgree(r *result.Run) Goal {
	g := Goal{What: "a counting hook and commandstats", Goal: "agree in every cell that has a hook", Verdict: unknown}
	agreed, failed := 0, 0
	for _, c := range r.Cells {
		if !strings.HasPrefix(c.Entrant, "relock (hook") {
			continue
		}
		if c.Failed != "" {
			failed++
			g.Why = c.Point + ": " + oneLine(c.Failed)
		} else if _, ok := c.Figure(result.Hooked); ok {
			agreed++
		}
	}
	if agreed+failed > 0 {
		g.Measured = fmt.Sprintf("in %d of %d", agreed, agreed+failed)
		g.Verdict = verdict(failed == 0)
	}
	return g
}

func uncontended(r *result.Run) Goal {
	g := Goal{What: "uncontended pair over two bare EVALSHA", Goal: "at most 1.1x, 2 commands", Verdict: unknown}
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
