package chart

import (
	"image/color"
	"math"
	"slices"

	stdfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/relock-go/relock/bench/result"
)

// lines describes a chart of a metric against a property of the points.
type lines struct {
	work, title, file string
	x                 string // key of Cell.At
	xLabel            string
	xLinear           bool
	y                 result.Metric
	yLabel            string
	yLinear           bool
	yFromZero         bool
	zeroAt            float64 // where a logarithmic axis shows 0; 0: not at all
	keep              func(*result.Cell) bool
}

func (d lines) build(r *result.Run) *picture {
	series, names, xs := d.series(r)
	if len(xs) < 2 {
		return nil
	}
	p := newPlot(d.title, d.xLabel, d.yLabel)
	legend := newLegend()
	var texts []string
	for _, name := range names {
		look := lookOf(name)
		line, points, err := plotter.NewLinePoints(series[name])
		if err != nil {
			continue // it has no figure that can be drawn
		}
		line.LineStyle, points.GlyphStyle = look.line(), look.glyph()
		p.Add(line, points)
		legend.Add(name, line, points)
		texts = append(texts, name)
	}
	if d.xLinear {
		p.X.Min, p.X.Max = p.X.Min-2, p.X.Max+2
	} else {
		p.X.Scale = plot.LogScale{}
		p.X.Min, p.X.Max = p.X.Min/1.08, p.X.Max*1.08
	}
	p.X.Tick.Marker = marks(xs)
	d.scaleY(p)
	return &picture{d.work, d.title, d.file, p, legend, texts}
}

func (d lines) scaleY(p *plot.Plot) {
	if d.yLinear {
		p.Y.Tick.Marker = linear{d.y.Format}
		if d.yFromZero {
			p.Y.Min = 0
		}
		return
	}
	p.Y.Scale = plot.LogScale{}
	p.Y.Min, p.Y.Max = p.Y.Min/1.3, p.Y.Max*1.3
	p.Y.Tick.Marker = decades{d.y.Format, d.zeroAt}
}

// series are the medians by entrant, in the order of the cells; what a
// logarithmic axis cannot show is left out.
func (d lines) series(r *result.Run) (map[string]plotter.XYs, []string, []float64) {
	series := map[string]plotter.XYs{}
	var names []string
	var xs []float64
	for _, c := range r.Of(d.work) {
		y, ok := c.Figure(d.y)
		x := c.At[d.x]
		if y == 0 && d.zeroAt > 0 {
			y = d.zeroAt
		}
		if !ok || d.keep != nil && !d.keep(c) || math.IsNaN(y) || !d.yLinear && y <= 0 {
			continue
		}
		if !slices.Contains(names, c.Entrant) {
			names = append(names, c.Entrant)
		}
		if !slices.Contains(xs, x) {
			xs = append(xs, x)
		}
		series[c.Entrant] = append(series[c.Entrant], plotter.XY{X: x, Y: y})
	}
	for _, s := range series {
		slices.SortFunc(s, func(a, b plotter.XY) int { return int(math.Copysign(1, a.X-b.X)) })
	}
	return series, names, xs
}

func init() { plot.DefaultFont.Variant = "Sans" }

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Weight = stdfont.WeightBold
	p.Title.TextStyle.Font.Size = vg.Points(13)
	p.Title.Padding = vg.Points(9)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size = vg.Points(11)
		axis.Label.Padding = vg.Points(5)
		axis.Tick.Label.Font.Size = vg.Points(10)
	}
	p.BackgroundColor = color.White
	grid := plotter.NewGrid()
	grid.Vertical.Color = color.RGBA{0xd9, 0xd9, 0xd9, 0xff}
	grid.Horizontal.Color = grid.Vertical.Color
	p.Add(grid)
	return p
}

func newLegend() plot.Legend {
	l := plot.NewLegend()
	l.Top, l.Left = true, true
	l.TextStyle.Font.Size = vg.Points(10)
	l.ThumbnailWidth = vg.Points(34)
	l.Padding = vg.Points(4)
	return l
}
