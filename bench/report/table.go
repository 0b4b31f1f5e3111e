package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/relock-go/relock/bench/result"
)

// table is what was measured at one point.
type table struct {
	point string
	head  []string
	rows  [][]string
	notes []string // what failed, and why
}

// tables are those of a work, one a point, with the spread of each figure.
func tables(r *result.Run, work result.Work) []table {
	return build(r, work, func(m result.Metric, f result.Figure) string {
		if m.Format(f.Min) == m.Format(f.Max) {
			return m.Format(f.Median)
		}
		return fmt.Sprintf("%s (%s to %s)", m.Format(f.Median), m.Format(f.Min), m.Format(f.Max))
	})
}

func build(r *result.Run, work result.Work, print func(result.Metric, result.Figure) string) []table {
	cells := r.Of(work.Key)
	var all []table
	for _, c := range cells {
		if n := len(all); n == 0 || all[n-1].point != c.Point {
			all = append(all, table{point: c.Point, head: head(cells, work)})
		}
		t := &all[len(all)-1]
		if c.Failed != "" {
			t.notes = append(t.notes, c.Entrant+": "+oneLine(c.Failed))
		}
		t.rows = append(t.rows, cellRow(c, t.head, columns(cells, work), work.Ratio, print))
	}
	return all
}

// columns are the metrics that at least one cell of the work has.
func columns(cells []*result.Cell, work result.Work) []result.Metric {
	return slices.DeleteFunc(slices.Clone(work.Metrics), func(m result.Metric) bool {
		return !slices.ContainsFunc(cells, func(c *result.Cell) bool { _, ok := c.Figure(m); return ok })
	})
}

func head(cells []*result.Cell, work result.Work) []string {
	h := []string{"entrant"}
	for _, m := range columns(cells, work) {
		h = append(h, m.Title())
		if m == work.Ratio {
			h = append(h, "/ floor")
		}
	}
	return h
}

func cellRow(c *result.Cell, head []string, metrics []result.Metric, ratio result.Metric, print func(result.Metric, result.Figure) string) []string {
	cells := []string{c.Entrant}
	if c.Failed != "" {
		cells = append(cells, failure(c))
		return append(cells, make([]string, max(0, len(head)-2))...)
	}
	for _, m := range metrics {
		f, ok := c.Figures[m]
		if !ok {
			f = result.Figure{Median: math.NaN(), Min: math.NaN(), Max: math.NaN()}
		}
		cells = append(cells, print(m, f))
		if m == ratio {
			cells = append(cells, overFloor(f))
		}
	}
	return cells
}

func overFloor(f result.Figure) string {
	if f.ToFloor == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", f.ToFloor)
}

// failure is what a failed cell shows in place of its first figure.
func failure(c *result.Cell) string {
	if strings.Contains(c.Failed, "not applicable: ") {
		return "n/a"
	}
	return "FAILED"
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "|", "/")), " ")
	if r := []rune(text); len(r) > 240 {
		text = string(r[:240]) + " ..."
	}
	return text
}

// Terminal prints medians as plain tables, and the goals.
func Terminal(w io.Writer, r, before *result.Run) {
	for _, work := range r.Works {
		fmt.Fprintf(w, "\n%s (%s)\n", work.Title, work.Loop)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		medians := func(m result.Metric, f result.Figure) string { return m.Format(f.Median) }
		var notes []string
		for i, t := range build(r, work, medians) {
			if i == 0 {
				fmt.Fprintln(tw, "point\t"+strings.Join(t.head, "\t")+"\t")
			}
			for _, cells := range t.rows {
				fmt.Fprintln(tw, t.point+"\t"+strings.Join(cells, "\t")+"\t")
			}
			for _, n := range t.notes {
				notes = append(notes, t.point+": "+n)
			}
		}
		_ = tw.Flush()
		for _, n := range notes {
			fmt.Fprintln(w, "  !", n)
		}
	}
	fmt.Fprintf(w, "\nGoals\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, g := range Goals(r, before) {
		fmt.Fprintf(tw, "  %s\t%s\tgoal %s\tbefore %s\tmeasured %s\n", g.Verdict, g.What, g.Goal, cmp.Or(g.Before, "unknown"), g.Measured)
	}
	_ = tw.Flush()
}
