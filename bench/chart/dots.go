package chart

import (
	"image/color"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/relock-go/relock/bench/result"
)

// dots describes a chart with a row an entrant and a marker a point.
type dots struct {
	work, title, file string
	metric            result.Metric
	label             string
	logarithmic       bool
	from, to          float64 // of a linear axis
	keep              func(*result.Cell) bool
}

var markers = []struct {
	shape  draw.GlyphDrawer
	colour color.RGBA
}{
	{draw.CircleGlyph{}, blue}, {draw.BoxGlyph{}, vermillion}, {draw.PyramidGlyph{}, green}, {draw.CrossGlyph{}, black}, {draw.RingGlyph{}, purple},
}

func (d dots) build(r *result.Run) *picture {
	var entrants, points []string
	rows := map[string]plotter.XYs{}
	cells := slices.DeleteFunc(r.Of(d.work), func(c *result.Cell) bool {
		_, ok := c.Figure(d.metric)
		return !ok || d.keep != nil && !d.keep(c)
	})
	for _, c := range cells {
		if !slices.Contains(entrants, c.Entrant) {
			entrants = append(entrants, c.Entrant)
		}
		if !slices.Contains(points, c.Point) {
			points = append(points, c.Point)
		}
	}
	for _, c := range cells {
		x, _ := c.Figure(d.metric)
		y := float64(len(entrants)-1-slices.Index(entrants, c.Entrant)) + lane(slices.Index(points, c.Point), len(points))
		rows[c.Point] = append(rows[c.Point], plotter.XY{X: x, Y: y})
	}
	if len(cells) == 0 {
		return nil
	}
	p := newPlot(d.title, d.label, "")
	legend := newLegend()
	var texts []string
	for i, point := range points {
		scatter, err := plotter.NewScatter(rows[point])
		if err != nil {
			continue
		}
		m := markers[i%len(markers)]
		scatter.GlyphStyle = draw.GlyphStyle{Color: m.colour, Shape: m.shape, Radius: vg.Points(4.5)}
		p.Add(scatter)
		text := strings.TrimSpace(point[strings.LastIndex(point, ", ")+1:])
		legend.Add(text, scatter)
		texts = append(texts, text)
	}
	d.scale(p, entrants)
	return &picture{d.work, d.title, d.file, p, legend, texts}
}

// lane keeps the markers of a row from lying on one another: the first point is
// the uppermost.
func lane(i, of int) float64 { return 0.22 * (float64(of-1)/2 - float64(i)) }

func (d dots) scale(p *plot.Plot, entrants []string) {
	if d.logarithmic {
		p.X.Scale = plot.LogScale{}
		p.X.Min, p.X.Max = p.X.Min/1.4, p.X.Max*1.4
		p.X.Tick.Marker = decades{format: d.metric.Format}
	} else {
		p.X.Min, p.X.Max = d.from, d.to
		p.X.Tick.Marker = linear{short}
	}
	var ticks plot.ConstantTicks
	for i, e := range entrants {
		ticks = append(ticks, plot.Tick{Value: float64(len(entrants) - 1 - i), Label: e})
	}
	p.Y.Min, p.Y.Max = -0.5, float64(len(entrants))-0.5
	p.Y.Tick.Marker = ticks
	p.Y.Tick.Label.Font.Size = vg.Points(10.5)
}
