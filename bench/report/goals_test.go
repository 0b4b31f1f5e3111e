package report

import (
	"maps"
	"strings"
	"testing"

	"github.com/relock-go/relock/bench/result"
)

// cells are of one round, by work, point and entrant; their floor is pairsFloor.
type cells map[[3]string]result.Sample

func (cs cells) run() *result.Run {
	r := &result.Run{}
	for at, s := range cs {
		var floor []result.Sample
		if f, ok := cs[[3]string{at[0], at[1], pairsFloor}]; ok {
			floor = []result.Sample{f}
		}
		c := &result.Cell{Work: at[0], Point: at[1], Entrant: at[2], Floor: strings.HasPrefix(at[2], "floor")}
		c.Summarize([]result.Sample{s}, floor)
		r.Cells = append(r.Cells, c)
	}
	return r
}

func goal(t *testing.T, r, before *result.Run, begins string) Goal {
	t.Helper()
	for _, g := range Goals(r, before) {
		if strings.HasPrefix(g.What, begins) {
			return g
		}
	}
	t.Fatalf("no goal begins with %q", begins)
	return Goal{}
}

func names(point string, mine, first, second float64) cells {
	return cells{
		{"names", point, ours}:        {result.Pairs: mine, result.P99: 100},
		{"names", point, "redsync"}:   {result.Pairs: 1, result.P99: 300},
		{"names", point, redislock}:   {result.Pairs: first, result.P99: 200},
		{"names", point, rueidislock}: {result.Pairs: second, result.P99: 90},
	}
}

func both(a, b cells) cells {
	all := cells{}
	for _, cs := range []cells{a, b} {
		maps.Copy(all, cs)
	}
	return all
}

func TestThroughputIsJudgedByEachOfItsPoints(t *testing.T) {
	at64, at256 := names("64 goroutines", 110, 100, 200), names("256 goroutines", 119, 100, 100)
	g := goal(t, both(at64, at256).run(), nil, "pairs a second over redislock 100ms, a name each, 64 / 256")
	if g.Verdict != missed || g.Measured != "1.10x / 1.19x" || g.Goal != ">= 1.1x / >= 1.2x" {
		t.Errorf("got %+v, want 1.10x / 1.19x, the second of which misses", g)
	}
	if want := "at 64 goroutines: rueidislock 200, relock 110"; !strings.Contains(g.Ahead, want) || strings.Contains(g.Ahead, "redsync") {
		t.Errorf("got %q, want the peer that is ahead, and no other: %s", g.Ahead, want)
	}
	at256 = names("256 goroutines", 120, 100, 100)
	if g = goal(t, both(at64, at256).run(), nil, "pairs a second over redislock"); g.Verdict != reached || !strings.Contains(remarks(g), "reached. Ahead of relock at 64") {
		t.Errorf("got %+v, want reached, and who is ahead all the same", g)
	}
	if g = goal(t, at64.run(), nil, "pairs a second over redislock"); g.Verdict != unknown {
		t.Errorf("got %+v, want not measured: one of two points is not", g)
	}
}

func TestTailIsBelowEveryPeers(t *testing.T) {
	cs := both(names("64 goroutines", 1, 1, 1), names("256 goroutines", 1, 1, 1))
	if g := goal(t, cs.run(), nil, "p99 of a pair, a name"); g.Verdict != missed || !strings.Contains(g.Measured, "(rueidislock) 90 µs") {
		t.Errorf("got %+v, want missed: a peer has 90", g)
	}
	for _, point := range []string{"64 goroutines", "256 goroutines"} {
		cs[[3]string{"names", point, ours}] = result.Sample{result.Pairs: 1, result.P99: 89}
	}
	if g := goal(t, cs.run(), nil, "p99 of a pair, a name"); g.Verdict != reached {
		t.Errorf("got %+v, want reached", g)
	}
}

// Two runs are compared by their ratios to a floor: a machine that was half as fast
// makes no version better.
func TestTheVersionBeforeIsComparedOverTheFloors(t *testing.T) {
	of := func(floor, relock, hook float64) *result.Run {
		return cells{
			{"names", "1 goroutines", pairsFloor}: {result.P50: floor},
			{"names", "1 goroutines", ours}:       {result.P50: relock},
			{"names", "1 goroutines", hooked}:     {result.P50: hook},
		}.run()
	}
	const what = "a pair of one goroutine with a hook"
	g := goal(t, of(50, 100, 110), of(100, 200, 220), what)
	if g.Verdict != missed || !strings.HasPrefix(g.Measured, "110 µs (1.10x)") || !strings.HasPrefix(g.Before, "220 µs") {
		t.Errorf("got %+v, want 1.10x of before, missed", g)
	}
	if g = goal(t, of(50, 100, 104), of(100, 200, 220), what); g.Verdict != reached {
		t.Errorf("got %+v, want reached", g)
	}
	if g = goal(t, of(50, 100, 104), nil, what); g.Verdict != alone || g.Before != "" {
		t.Errorf("got %+v, want nothing to compare with", g)
	}
}

func TestDelaysAreComparedPointByPoint(t *testing.T) {
	of := func(at1, at64 float64) *result.Run {
		return cells{
			{"delay", "1ms added, 1 goroutines", pairsFloor}:  {result.P50: 10},
			{"delay", "1ms added, 1 goroutines", ours}:        {result.P50: at1},
			{"delay", "1ms added, 1 goroutines", single}:      {result.P50: 2 * at1},
			{"delay", "1ms added, 64 goroutines", pairsFloor}: {result.P50: 10},
			{"delay", "1ms added, 64 goroutines", ours}:       {result.P50: at64},
		}.run()
	}
	const what = "p50 of a pair with 1 and 10 ms"
	if g := goal(t, of(20, 20), of(20, 19), what); g.Verdict != missed || !strings.Contains(g.Measured, "(1.05x)") || !strings.HasSuffix(g.Measured, "without batching 0.50x") {
		t.Errorf("got %+v, want missed by the second", g)
	}
	if g := goal(t, of(20, 18), of(20, 19), what); g.Verdict != reached {
		t.Errorf("got %+v, want reached", g)
	}
	if g := goal(t, of(20, 18), nil, what); g.Verdict != alone {
		t.Errorf("got %+v, want nothing to compare with", g)
	}
}

func TestAllocationsAreThoseOfOneAndOfMany(t *testing.T) {
	of := func(one, size, many float64) *result.Run {
		return cells{
			{"pairs", "1 goroutine", ours}:        {result.Allocs: one, result.Bytes: size},
			{"names", "64 goroutines", ours}:      {result.Allocs: many, result.Bytes: 1},
			{"names", "64 goroutines", redislock}: {result.Allocs: 28, result.Bytes: 1},
		}.run()
	}
	for _, c := range []struct {
		one, size, many float64
		want            string
	}{{21.1, 2200, 25, reached}, {22, 2200, 25, missed}, {21, 2300, 25, missed}, {21, 2200, 28, missed}} {
		if g := goal(t, of(c.one, c.size, c.many), nil, "allocations and bytes"); g.Verdict != c.want {
			t.Errorf("%v: got %+v, want %s", c, g, c.want)
		}
	}
}

func TestAHookThatDisagreedFailsItsGoal(t *testing.T) {
	r := cells{{"names", "1 goroutines", hooked}: {result.Hooked: 2}}.run()
	if g := goal(t, r, nil, "a counting hook"); g.Verdict != reached || g.Measured != "in 1 of 1" {
		t.Errorf("got %+v, want reached", g)
	}
	r.Cells = append(r.Cells, &result.Cell{Work: "names", Point: "64 goroutines", Entrant: hooked, Failed: "the hook saw 3"})
	if g := goal(t, r, nil, "a counting hook"); g.Verdict != missed || g.Why != "64 goroutines: the hook saw 3" {
		t.Errorf("got %+v, want not reached, and why", g)
	}
}

func TestJoiningIsFlatAndComparedAtThePaceOfTheFloor(t *testing.T) {
	of := func(pace float64, times ...float64) *result.Run {
		cs := cells{{"pairs", "1 goroutine", pairsFloor}: {result.ServerCPU: pace}}
		for i, x := range times {
			cs[[3]string{"queue", []string{"10 waiters", "10000 waiters"}[i], "relock (Reentrant)"}] = result.Sample{result.AcquireTime: x}
		}
		return cs.run()
	}
	const what = "server time of an acquire that waits"
	for _, c := range []struct {
		now  *result.Run
		want string
	}{
		{of(10, 11, 12), reached}, // 0.55x and 0.6x of 20, at the same pace
		{of(10, 12.5, 12), missed},
		{of(5, 11, 12), missed}, // twice as fast a machine
		{of(10, 4, 12), missed}, // not flat
	} {
		if g := goal(t, c.now, of(10, 20, 20), what); g.Verdict != c.want {
			t.Errorf("got %+v, want %s", g, c.want)
		}
	}
	if g := goal(t, of(10, 11, 12), nil, what); g.Verdict != alone {
		t.Errorf("got %+v, want nothing to compare with", g)
	}
}

func TestTheReportSaysWhatIsUnknownOfBefore(t *testing.T) {
	before := names("64 goroutines", 50, 100, 100).run()
	before.Machine.Commit = "abc"
	var b strings.Builder
	Markdown(&b, names("64 goroutines", 110, 100, 100).run(), before, nil)
	for _, want := range []string{"commit abc", "| 0.50x / - | 1.10x / - |", "| <= 1.55x | unknown |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
}
