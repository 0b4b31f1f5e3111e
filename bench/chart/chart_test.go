package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

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
	names := []string{
		"relock", "relock (AutoPipeliner)", "relock (Reentrant)", "redsync", "redislock 100ms", "redislock 1ms", "rueidislock", "Redisson's flow",
		"relock (hook)", "relock (hook, batching)", "floor: 2 EVALSHA, relock's arguments", "floor: relock's reads and writes", "floor: any",
	}
	for _, name := range names {
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

// drawn are the pictures of the run that is committed, and one whose entrants have
// long names.
func drawn(t *testing.T) []*picture {
	t.Helper()
	data, err := os.ReadFile("../results/results.json")
	if err != nil {
		t.Fatal(err)
	}
	committed, err := result.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	long := &result.Run{}
	at := []map[string]float64{{"goroutines": 1}, {"goroutines": 64}}
	names := []string{"relock", "floor: relock's reads and writes", "floor: 2 EVALSHA, relock's arguments", "a rival with a name that nobody would have given it"}
	fill(long, "names", at, names, result.Pairs, func(i int, _ map[string]float64) float64 { return float64(i + 1) })
	all := slices.DeleteFunc(append(pictures(committed), pictures(long)...), func(p *picture) bool { return p == nil })
	if len(all) < 5 {
		t.Fatalf("got %d pictures, want those of a whole run", len(all))
	}
	return all
}

func TestNoLegendTextIsWiderThanItsBox(t *testing.T) {
	for _, p := range drawn(t) {
		box := p.legendBox(draw.New(vgsvg.New(p.width(), height)))
		room := box.Max.X - box.Min.X - p.legend.ThumbnailWidth - p.legend.TextStyle.Width(" ")
		if len(p.texts) == 0 {
			t.Errorf("%s: a legend without a text", p.file)
		}
		for _, text := range p.texts {
			if w := p.legend.TextStyle.Width(text); w > room {
				t.Errorf("%s: %q is %.0f points wide and has %.0f", p.file, text, w.Points(), room.Points())
			}
		}
	}
}

func TestAPictureLeavesItsRightEdgeWhite(t *testing.T) {
	for _, p := range drawn(t) {
		c := vgimg.NewWith(vgimg.UseWH(p.width(), height), vgimg.UseDPI(dpi))
		p.draw(draw.New(c))
		img := c.Image()
		edge := img.Bounds().Max.X - 1
		for y := range img.Bounds().Max.Y {
			if r, g, b, _ := img.At(edge, y).RGBA(); r != 0xffff || g != 0xffff || b != 0xffff {
				t.Errorf("%s: something is cut off at the right edge, %d from the top", p.file, y)
				break
			}
		}
	}
}
