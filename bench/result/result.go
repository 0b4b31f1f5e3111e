// Package result is what a run of the comparison leaves: cells of figures, as
// they go into results.json.
package result

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/relock-go/relock/internal/stats"
)

// Sample is what one run of one entrant measured.
type Sample map[Metric]float64

// Figure is a metric over the rounds of a cell.
type Figure struct {
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
	ToFloor float64   `json:"to_floor,omitempty"` // the median of the rounds' ratios; 0: no floor
	Rounds  []float64 `json:"rounds"`
}

// Cell is one entrant at one point of a work.
type Cell struct {
	Work    string             `json:"work"`
	Point   string             `json:"point"`
	At      map[string]float64 `json:"at"` // the point, for charts
	Entrant string             `json:"entrant"`
	Floor   bool               `json:"floor,omitempty"`
	Failed  string             `json:"failed,omitempty"` // why; there are no figures then
	Figures map[Metric]Figure  `json:"figures,omitempty"`
}

// Figure returns the median of a metric, and whether the cell has it.
func (c *Cell) Figure(m Metric) (float64, bool) {
	f, ok := c.Figures[m]
	return f.Median, ok && c.Failed == ""
}

// Work describes a table.
type Work struct {
	Key     string   `json:"key"`
	Title   string   `json:"title"`
	Loop    string   `json:"loop"` // alone, drain, closed loop, open loop
	About   string   `json:"about"`
	Metrics []Metric `json:"metrics"` // its columns
	Ratio   Metric   `json:"ratio,omitempty"`
	Rounds  int      `json:"rounds,omitempty"` // of each cell; 0: the run's
}

// Run is everything one run leaves.
type Run struct {
	Machine  Machine           `json:"machine"`
	Mode     string            `json:"mode"`             // quick or full
	Rounds   int               `json:"rounds,omitempty"` // of the works that do not say
	Started  time.Time         `json:"started"`
	Took     string            `json:"took"`
	Unended  string            `json:"unended,omitempty"` // why the run is not complete
	Settings map[string]string `json:"settings"`          // by entrant
	Works    []Work            `json:"works"`
	Cells    []*Cell           `json:"cells"`
}

// Machine is where a run took place.
type Machine struct {
	CPU     string            `json:"cpu"`
	Cores   int               `json:"cores"`
	Memory  string            `json:"memory"`
	System  string            `json:"system"`
	Go      string            `json:"go"`
	Redis   string            `json:"redis"`
	Commit  string            `json:"commit"`
	Modules map[string]string `json:"modules"`
}

// Of returns the cells of one work, in the order in which they were measured.
func (r *Run) Of(work string) []*Cell {
	return slices.DeleteFunc(slices.Clone(r.Cells), func(c *Cell) bool { return c.Work != work })
}

// Find returns a cell, or nil.
func (r *Run) Find(work, point, entrant string) *Cell {
	for _, c := range r.Cells {
		if c.Work == work && c.Point == point && c.Entrant == entrant {
			return c
		}
	}
	return nil
}

// Summarize fills c from the samples of its rounds. floor are those of the floor
// in the same rounds, or nil; a round without a sample is nil.
func (c *Cell) Summarize(rounds, floor []Sample) {
	c.Figures = map[Metric]Figure{}
	for _, m := range metricsOf(rounds) {
		xs := column(rounds, m)
		have := slices.DeleteFunc(slices.Clone(xs), math.IsNaN)
		if len(have) == 0 {
			continue
		}
		f := Figure{Median: stats.Median(have), Min: slices.Min(have), Max: slices.Max(have), Rounds: have}
		if r := stats.Ratio(xs, column(floor, m)); !math.IsNaN(r) {
			f.ToFloor = r
		}
		c.Figures[m] = f
	}
}

func metricsOf(rounds []Sample) (all []Metric) {
	for _, s := range rounds {
		for m := range s {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// column is NaN where a round has no figure.
func column(rounds []Sample, m Metric) []float64 {
	xs := make([]float64, len(rounds))
	for i, s := range rounds {
		x, ok := s[m]
		if !ok || math.IsInf(x, 0) {
			x = math.NaN()
		}
		xs[i] = x
	}
	return xs
}

// JSON returns the run as indented JSON.
func (r *Run) JSON() ([]byte, error) { return json.MarshalIndent(r, "", " ") }

// Parse reads what JSON wrote.
func Parse(data []byte) (*Run, error) {
	r := &Run{}
	return r, json.Unmarshal(data, r)
}
