package chart

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// marks are ticks at the values that were measured, each with its own label.
func marks(xs []float64) plot.Ticker {
	var ticks plot.ConstantTicks
	for _, x := range xs {
		ticks = append(ticks, plot.Tick{Value: x, Label: short(x)})
	}
	return ticks
}

func short(x float64) string {
	if x >= 1000 && math.Mod(x, 1000) == 0 {
		return strconv.FormatFloat(x/1000, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// decades are the ticks of a logarithmic axis: labels at 1, 10, 100, and at 2
// and 5 between them where the axis is short.
type decades struct {
	format func(float64) string
	zeroAt float64 // where 0 is shown, below everything else; 0: nowhere
}

func (d decades) Ticks(low, high float64) (ticks []plot.Tick) {
	if d.zeroAt > low {
		ticks = append(ticks, plot.Tick{Value: d.zeroAt, Label: "0"})
		low = math.Pow(10, math.Floor(math.Log10(d.zeroAt))+1)
	}
	span := math.Log10(high / low)
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for m := 1.0; m < 10; m++ {
			v := m * math.Pow(10, e)
			if v < low*0.999 || v > high*1.001 {
				continue
			}
			label := ""
			if m == 1 || span < 2.2 && (m == 2 || m == 5) {
				label = strings.TrimSuffix(d.format(v), ".00")
			}
			ticks = append(ticks, plot.Tick{Value: v, Label: label})
		}
	}
	return ticks
}

// linear are evenly spaced ticks.
type linear struct{ format func(float64) string }

func (l linear) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = l.format(t.Value)
		}
	}
	return ticks
}
