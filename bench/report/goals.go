package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/internal/stats"
)

// Goal is a number that relock set itself, beside what a run measured, and why
// it was not reached, as far as the run's other figures tell.
type Goal struct {
	What     string
	Goal     string
	Before   string // what the run of the version before measured; "": unknown
	Measured string
	Verdict  string
	Why      string // it was not reached
	Ahead    string // peers that are ahead, reached or not
}

const (
	reached = "reached"
	missed  = "not reached"
	unknown = "not measured"
	alone   = "nothing to compare with"

	ours    = "relock"
	hooked  = "relock (hook)"
	single  = "relock (no batching)"
	redlock = "relock RedLock"

	redislock   = "redislock 100ms"
	rueidislock = "rueidislock"

	pairsFloor   = "floor: 2 bare EVALSHA"
	sameFloor    = "floor: 2 EVALSHA, relock's arguments"
	setNX        = "floor: SET NX + delete"
	writes       = "floor: relock's reads and writes"
	handoffFloor = "floor: PUBLISH to receive"
	publishFloor = "floor: PUBLISH to who waits"
)

// Goals judges the run by relock's goals. before is a run of the version before, or
// nil.
func Goals(r, before *result.Run) []Goal {
	if before == nil {
		before = &result.Run{}
	}
	all, then := judge(r, before), judge(before, &result.Run{})
	for i := range all {
		all[i].Before = then[i].Measured
	}
	return all
}

// judge returns the same goals in the same order for every run.
func judge(r, before *result.Run) []Goal {
	return append(freeGoals(r, before), waitingGoals(r)...)
}

func verdict(ok bool) string {
	if ok {
		return reached
	}
	return missed
}

// figure is the median of a figure, and its ratio to the floor.
func figure(r *result.Run, work, point, entrant string, m result.Metric) (f result.Figure, ok bool) {
	c := r.Find(work, point, entrant)
	if c == nil || c.Failed != "" {
		return result.Figure{}, false
	}
	f, ok = c.Figures[m]
	return f, ok
}

// over returns a figure of one entrant over that of another: the median of the
// rounds' ratios, or of a run that has kept no rounds the ratio of the medians.
func over(r *result.Run, work, point, entrant, other string, m result.Metric) (float64, bool) {
	f, ok := figure(r, work, point, entrant, m)
	than, ok2 := figure(r, work, point, other, m)
	switch {
	case !ok || !ok2 || than.Median == 0:
		return 0, false
	case len(f.Rounds) > 0 && len(f.Rounds) == len(than.Rounds):
		return stats.Ratio(f.Rounds, than.Rounds), true
	}
	return f.Median / than.Median, true
}

// since returns a figure of relock's over what the run of the version before has at
// the same point. Each is taken over the floor of its own run: what else the machine
// did differs from run to run, by more than the versions do.
func since(r, before *result.Run, work, point, entrant, then string, m result.Metric) (float64, bool) {
	now, ok := figure(r, work, point, entrant, m)
	old, ok2 := figure(before, work, point, then, m)
	if !ok || !ok2 || now.ToFloor == 0 || old.ToFloor == 0 {
		return 0, false
	}
	return now.ToFloor / old.ToFloor, true
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

// A bound is what a goal asks at one point.
type bound struct {
	point string
	limit float64
	least bool // the figure is to be no less than limit; else no more
}

func (b bound) holds(x float64) bool {
	if b.least {
		return x >= b.limit
	}
	return x <= b.limit
}

func (b bound) String() string {
	if b.least {
		return fmt.Sprintf(">= %.4gx", b.limit)
	}
	return fmt.Sprintf("<= %.4gx", b.limit)
}

// bounds are the same for several points.
func bounds(least bool, limit float64, points ...string) (all []bound) {
	for _, p := range points {
		all = append(all, bound{p, limit, least})
	}
	return all
}

// ratios judges a ratio at several points: missed by one is missed, and reached is
// what is reached at all of them.
func ratios(what string, bounds []bound, ratio func(point string) (x float64, ok bool)) Goal {
	g := Goal{What: what, Verdict: reached}
	var asked, got []string
	for _, b := range bounds {
		asked = append(asked, b.String())
		x, ok := ratio(b.point)
		switch {
		case !ok:
			got = append(got, "-")
			if g.Verdict == reached {
				g.Verdict = unknown
			}
			continue
		case !b.holds(x):
			g.Verdict = missed
		}
		got = append(got, fmt.Sprintf("%.2fx", x))
	}
	g.Goal, g.Measured = strings.Join(asked, " / "), strings.Join(got, " / ")
	if same := slices.Compact(slices.Clone(asked)); len(same) == 1 {
		g.Goal = same[0]
	}
	if strings.Trim(g.Measured, "- /") == "" {
		g.Measured = ""
	}
	return g
}

// isPeer tells whether a cell is one of another library's.
func isPeer(c *result.Cell) bool { return !c.Floor && !strings.HasPrefix(c.Entrant, ours) }

// ahead names the peers whose figure is better than relock's.
func ahead(r *result.Run, work string, m result.Metric, more bool, points ...string) string {
	var all []string
	for _, point := range points {
		mine, ok := figure(r, work, point, ours, m)
		if !ok {
			continue
		}
		var better []string
		for _, c := range r.Of(work) {
			x, ok := c.Figure(m)
			if ok && c.Point == point && isPeer(c) && x != mine.Median && x > mine.Median == more {
				better = append(better, c.Entrant+" "+m.Format(x))
			}
		}
		if len(better) > 0 {
			all = append(all, fmt.Sprintf("%s: %s, relock %s", point, strings.Join(better, ", "), m.Format(mine.Median)))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "Ahead of relock at " + strings.Join(all, "; at ")
}
