package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/relock-go/relock/bench/result"
)

// fill makes cells of every entrant that looks knows, at each point.
func fill(r *result.Run, work string, at []map[string]float64, entrants []string, m result.Metric, f func(entrant int, at map[string]float64) float64) {
	for _, a := range at {
		for i, e := range entrants {
			c := &result.Cell{Work: work, Point: "point", At: a, Entrant: e}
			c.Summarize([]result.Sample{{m: f(i, a)}}, nil)
			r.Cells = append(r.Cells, c)
		}
	}
}

func TestWriteDrawsWhatWasMeasuredAndNothingElse(t *testing.T) {
	r := &result.Run{}
	at := []map[string]float64{{"waiters": 2, "clients": 2}, {"waiters": 128, "clients": 128}}
	fill(r, "drain", at, []string{"relock", "redsync", "new rival"}, result.P50, func(i int, a map[string]float64) float64 {
		return float64(i+1) * 100 * a["waiters"]
	})
	fill(r, "drain", at, []string{"relock"}, result.Idle, func(int, map[string]float64) float64 { return 0 })
	dir := t.TempDir()
	charts, err := Write(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	if len(charts) != 2 || charts[0].File != "handoff" || charts[1].File != "idle" {
		t.Fatalf("got %v, want hand-off and idle", charts)
	}
	for _, file := range []string{"handoff.svg", "handoff.png"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestEveryLookIsToldApartWithoutColour(t *testing.T) {
	type plain struct {
		shape  any
		dashes string
	}
	seen := map[plain]string{}
	for _, name := range []string{"relock", "relock (AutoPipeliner)", "relock (Reentrant)", "redsync", "redislock 100ms", "redislock 1ms", "rueidislock", "Redisson's flow", "floor: any"} {
		l := lookOf(name)
		p := plain{l.shape, fmt.Sprint(l.dashes)}
		if other, taken := seen[p]; taken {
			t.Errorf("%q looks like %q", name, other)
		}
		seen[p] = name
	}
}

func TestDecadesLabelZeroApart(t *testing.T) {
	ticks := decades{result.Goroutines.Format, 0.3}.Ticks(0.2, 1000)
	if ticks[0].Label != "0" || ticks[0].Value != 0.3 {
		t.Errorf("got first tick %v, want 0 at 0.3", ticks[0])
	}
	var labels []string
	for _, tick := range ticks[1:] {
		if tick.Label != "" {
			labels = append(labels, tick.Label)
		}
	}
	if len(labels) != 4 || labels[0] != "1" || labels[3] != "1000" {
		t.Errorf("got %v, want 1, 10, 100, 1000", labels)
	}
}
