package work

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/server"
	"github.com/relock-go/relock/internal/redistest"
)

func TestMain(m *testing.M) {
	if RunWorker() { // the proxy starts this program again
		return
	}
	os.Exit(m.Run())
}

// newRig has one server.
func newRig(t *testing.T) *Rig {
	t.Helper()
	redistest.Require(t)
	s, err := server.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	rig := &Rig{Main: s}
	if err := rival.Record(t.Context(), s.Addr); err != nil {
		t.Fatal(err)
	}
	return rig
}

// run runs an entrant once, and fails rather than hang.
func run(t *testing.T, e Entrant) (result.Sample, error) {
	t.Helper()
	return (&Engine{}).once(t.Context(), e, 0, time.Minute)
}

// measured runs one entrant of a work's first point that has it.
func measured(t *testing.T, w Work, entrant string) result.Sample {
	t.Helper()
	if w.Prepare != nil {
		undo, err := w.Prepare(t.Context())
		if errors.Is(err, errSkipped) {
			redistest.Missing(t, "%v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer undo()
	}
	for _, e := range w.Points[0].Entrants {
		if e.Name != entrant {
			continue
		}
		s, err := run(t, e)
		if err != nil {
			t.Fatalf("%s: %v", entrant, err)
		}
		return s
	}
	t.Fatalf("%s has no entrant %q", w.Key, entrant)
	return nil
}

// What a hook sees is what the server executes, whether requests leave by
// themselves or as pipelines. A cell in which they differ fails.
func TestHookAndServerAgree(t *testing.T) {
	rig := newRig(t)
	for _, name := range []string{"relock (hook)", "relock (hook, batching)"} {
		s := measured(t, Names(rig, []int{16}, 50*time.Millisecond), name)
		if s[result.Hooked] < s[result.Commands] || s[result.Commands] < 2 {
			t.Errorf("%s: the server executed %.3f commands a pair, and the hook saw %.3f", name, s[result.Commands], s[result.Hooked])
		}
	}
}

func TestACellFailsWhoseHookMissedCommands(t *testing.T) {
	rig := newRig(t)
	f, err := rig.open(t.Context(), rival.RelockHooked, 1, func(env *rival.Env) { env.Hook = rival.NewHook([]string{"evalsha"}) })
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	l := f.locker(0, "missed")
	if err := pair(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	stop, err := f.meter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := pair(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, err := stop(); err == nil {
		t.Error("got no error from a meter whose hook saw nothing")
	}
}

func TestTheProxyDelaysBothWays(t *testing.T) {
	const delay = 20 * time.Millisecond
	s := measured(t, Delayed(newRig(t), []time.Duration{delay}, []int{1}, 50*time.Millisecond), "relock")
	if least := 2 * micros(delay); s[result.P50] < least {
		t.Errorf("got a pair in %s, want %s at the least", result.Micros(s[result.P50]), result.Micros(least))
	}
}

// The floor of a hand-off is a lock while nothing goes wrong: its cells are checked
// for overlaps as a lock's are.
func TestFloorsOfAHandOff(t *testing.T) {
	rig := newRig(t)
	w := HandOff(rig, []int{3}, 50*time.Millisecond)
	for _, p := range w.Points {
		for _, e := range p.Entrants {
			s, err := run(t, e)
			if err != nil {
				t.Errorf("%s, %s: %v", p.Label, e.Name, err)
			} else if s[result.P50] <= 0 || s[result.Commands] < 1 {
				t.Errorf("%s, %s: got %v, want a time and a command", p.Label, e.Name, s)
			}
		}
	}
}

func TestScriptsAreTimed(t *testing.T) {
	rig := newRig(t)
	for _, p := range Scripts(rig, 50*time.Millisecond).Points {
		for _, e := range p.Entrants {
			if s, err := run(t, e); err != nil || s[result.ScriptTime] <= 0 {
				t.Errorf("%s, %s: got %v, %v, want a time", p.Label, e.Name, s[result.ScriptTime], err)
			}
		}
	}
}

func TestAClusterCountsAllItsNodes(t *testing.T) {
	redistest.Require(t)
	s := measured(t, OnCluster(newRig(t), []int{8}, 50*time.Millisecond), "redislock 100ms")
	if s[result.Commands] < 2 {
		t.Errorf("got %.3f commands a pair, want 2 by three nodes", s[result.Commands])
	}
}

func TestAWorkThatCannotBeginHasFailedCells(t *testing.T) {
	r := &result.Run{}
	ran := false
	e := &Engine{Limit: time.Second, Progress: t.Logf, Result: r}
	e.Do(t.Context(), Work{
		Work:    result.Work{Key: "w", Rounds: 2},
		Points:  []Point{{"p", nil, []Entrant{{"one", true, func(context.Context, int) (result.Sample, error) { ran = true; return nil, nil }}}}},
		Prepare: func(context.Context) (func(), error) { return nil, errors.New("no cluster") },
	})
	if c := r.Find("w", "p", "one"); ran || c == nil || c.Failed != "no cluster" || !c.Floor {
		t.Errorf("got %+v, ran %v, want a cell that failed, and no run", c, ran)
	}
}

func TestEntrantsRunInTurnAsOftenAsTheirWorkSays(t *testing.T) {
	r := &result.Run{}
	var order string
	entrant := func(name string) Entrant {
		return Entrant{name, false, func(context.Context, int) (result.Sample, error) {
			order += name
			return result.Sample{result.P50: 1}, nil
		}}
	}
	undone := 0
	w := Work{
		Work:    result.Work{Key: "w", Rounds: 3},
		Points:  []Point{{"p", nil, []Entrant{entrant("a"), entrant("b")}}},
		Prepare: func(context.Context) (func(), error) { return func() { undone++ }, nil },
	}
	(&Engine{Limit: time.Second, Progress: t.Logf, Result: r}).Do(t.Context(), w)
	if order != "ababab" || undone != 1 {
		t.Errorf("got %q, undone %d times, want ababab, once", order, undone)
	}
	order = ""
	(&Engine{Rounds: 1, Limit: time.Second, Progress: t.Logf, Result: r}).Do(t.Context(), w)
	if order != "ab" {
		t.Errorf("got %q of an engine that is told how often, want ab", order)
	}
}

// A contender that keeps others out for long does not keep the meter from starting.
func TestAClosedLoopIsMeteredThoughOneStarves(t *testing.T) {
	rig := newRig(t)
	c := Contest{Crowd: Crowd{2, 2}, Hold: time.Millisecond}
	s, err := run(t, Entrant{"relock", false, func(ctx context.Context, _ int) (result.Sample, error) {
		return closed(ctx, rig, rival.Relock, c, 60*time.Millisecond, 1_000_000)
	}})
	if err != nil || s[result.Commands] <= 0 {
		t.Errorf("got %v, %v, want commands of the last two thirds", s, err)
	}
}
