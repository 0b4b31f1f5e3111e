package chart

import (
	"image/color"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// look tells an entrant apart by colour, by dash and by marker, each of which
// would do alone. The colours are those of Okabe and Ito, which colour-blind
// readers can tell apart.
type look struct {
	colour color.RGBA
	dashes []vg.Length
	shape  draw.GlyphDrawer
	width  vg.Length
	radius float64 // those that lie on one another show each other: large and open, small and filled
}

var (
	black      = color.RGBA{0x22, 0x22, 0x22, 0xff}
	blue       = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	skyBlue    = color.RGBA{0x56, 0xb4, 0xe9, 0xff}
	green      = color.RGBA{0x00, 0x9e, 0x73, 0xff}
	orange     = color.RGBA{0xe6, 0x9f, 0x00, 0xff}
	vermillion = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	purple     = color.RGBA{0xcc, 0x79, 0xa7, 0xff}
	grey       = color.RGBA{0x77, 0x77, 0x77, 0xff}
)

func dash(lengths ...float64) []vg.Length {
	var all []vg.Length
	for _, l := range lengths {
		all = append(all, vg.Points(l))
	}
	return all
}

var looks = map[string]look{
	"relock":                               {blue, nil, draw.CircleGlyph{}, vg.Points(2.4), 3.6},
	"relock (AutoPipeliner)":               {skyBlue, dash(9, 3), draw.SquareGlyph{}, vg.Points(1.8), 4.6},
	"relock (hook)":                        {blue, dash(4, 3), draw.CrossGlyph{}, vg.Points(1.8), 4.2},
	"relock (hook, batching)":              {skyBlue, dash(9, 2, 2, 2), draw.RingGlyph{}, vg.Points(1.8), 5},
	"relock (no batching)":                 {skyBlue, dash(4, 3), draw.CrossGlyph{}, vg.Points(1.8), 4.2},
	"relock (Reentrant)":                   {skyBlue, dash(2, 2), draw.PyramidGlyph{}, vg.Points(1.8), 3.6},
	"relock RedLock":                       {blue, nil, draw.CircleGlyph{}, vg.Points(2.4), 3.6},
	"relock MultiLock":                     {skyBlue, dash(6, 2, 2, 2), draw.PlusGlyph{}, vg.Points(1.8), 5.5},
	"redsync":                              {vermillion, dash(7, 3), draw.TriangleGlyph{}, vg.Points(1.4), 6.2},
	"redsync x5":                           {vermillion, dash(7, 3), draw.TriangleGlyph{}, vg.Points(1.4), 6.2},
	"redsync x5 (fail-fast)":               {orange, dash(3, 3), draw.SquareGlyph{}, vg.Points(1.4), 4.6},
	"redislock 100ms":                      {orange, dash(3, 3), draw.SquareGlyph{}, vg.Points(1.4), 4.6},
	"redislock 1ms":                        {purple, dash(10, 3, 2, 3), draw.PlusGlyph{}, vg.Points(1.4), 5.5},
	"rueidislock":                          {green, dash(12, 4), draw.BoxGlyph{}, vg.Points(1.4), 2.8},
	"floor: 2 EVALSHA, relock's arguments": {grey, dash(8, 3), draw.SquareGlyph{}, vg.Points(1.4), 3.4},
	"floor: relock's reads and writes":     {grey, dash(4, 2), draw.TriangleGlyph{}, vg.Points(1.4), 4},
	"floor: a hand-off's reads and writes": {grey, dash(4, 2), draw.TriangleGlyph{}, vg.Points(1.4), 4},
	"Redisson's flow":                      {black, dash(5, 2, 1, 2), draw.CrossGlyph{}, vg.Points(1.4), 3.6},
}

// floorLook is that of the floors without a look of their own.
var floorLook = look{grey, dash(1.5, 2.5), draw.RingGlyph{}, vg.Points(1.4), 3.4}

func lookOf(entrant string) look {
	if l, ok := looks[entrant]; ok {
		return l
	}
	if strings.HasPrefix(entrant, "floor") {
		return floorLook
	}
	return look{grey, nil, draw.RingGlyph{}, vg.Points(1), 3.4}
}

func (l look) line() draw.LineStyle {
	return draw.LineStyle{Color: l.colour, Width: l.width, Dashes: l.dashes}
}

func (l look) glyph() draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.colour, Radius: vg.Points(l.radius), Shape: l.shape}
}
