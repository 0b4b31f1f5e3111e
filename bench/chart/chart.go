// Package chart draws a run: SVG and PNG of each picture.
package chart

import (
	"fmt"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/relock-go/relock/bench/report"
	"github.com/relock-go/relock/bench/result"
)

const (
	plotWidth = 6.55 * vg.Inch
	height    = 4.6 * vg.Inch
	sideLeast = 2.45 * vg.Inch // of the legend's side: most pictures have one width
	gap       = 0.12 * vg.Inch // between plot and legend
	margin    = 0.1 * vg.Inch
	dpi       = 110

	// otherFont is how much wider a text may be in the font that shows an SVG where
	// ours is missing.
	otherFont = 1.15
)

// picture is a plot with its legend beside it, where it hides nothing.
type picture struct {
	work, title, file string
	plot              *plot.Plot
	legend            plot.Legend
	texts             []string // of the legend
}

// Write draws every chart that the run has figures for.
func Write(dir string, r *result.Run) ([]report.Chart, error) {
	var charts []report.Chart
	for _, p := range pictures(r) {
		if p == nil {
			continue
		}
		if err := p.save(dir); err != nil {
			return nil, fmt.Errorf("chart %s: %w", p.file, err)
		}
		charts = append(charts, report.Chart{Work: p.work, Title: p.title, File: p.file})
	}
	return charts, nil
}

// side is the room beside the plot: as much as the legend's longest text needs.
func (p *picture) side() vg.Length {
	box := p.legend.Rectangle(draw.Canvas{})
	return max(sideLeast, gap+otherFont*(box.Max.X-box.Min.X)+margin)
}

func (p *picture) width() vg.Length { return plotWidth + p.side() }

func (p *picture) draw(c draw.Canvas) {
	p.plot.Draw(draw.Crop(c, margin, -p.side(), margin, -margin))
	p.legend.Draw(p.legendBox(c))
}

// legendBox is where the legend is drawn.
func (p *picture) legendBox(c draw.Canvas) draw.Canvas {
	return draw.Crop(c, plotWidth+gap, 0, 0, -0.42*vg.Inch)
}

func (p *picture) save(dir string) error {
	img := vgimg.NewWith(vgimg.UseWH(p.width(), height), vgimg.UseDPI(dpi))
	p.draw(draw.New(img))
	if err := write(filepath.Join(dir, p.file+".png"), vgimg.PngCanvas{Canvas: img}); err != nil {
		return err
	}
	svg := vgsvg.New(p.width(), height)
	p.draw(draw.New(svg))
	return write(filepath.Join(dir, p.file+".svg"), svg)
}

func write(path string, c vg.CanvasWriterTo) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := c.WriteTo(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
