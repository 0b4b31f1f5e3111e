// Package report writes a run down: as Markdown, as JSON and for a terminal.
package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/relock-go/relock/bench/result"
)

// Chart is a picture that belongs to a work.
type Chart struct{ Work, Title, File string }

// Write writes report.md and results.json into dir. before is a run of the version
// before, or nil.
func Write(dir string, r, before *result.Run, charts []Chart) error {
	var md strings.Builder
	Markdown(&md, r, before, charts)
	if err := os.WriteFile(filepath.Join(dir, "report.md"), []byte(md.String()), 0o644); err != nil {
		return err
	}
	data, err := r.JSON()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.json"), append(data, '\n'), 0o644)
}

// Markdown writes the report.
func Markdown(w io.Writer, r, before *result.Run, charts []Chart) {
	fmt.Fprintf(w, "# relock beside other locks on Redis\n\n")
	if r.Mode == "quick" {
		fmt.Fprintf(w, "**A quick run: its samples are too short to be quoted.**\n\n")
	}
	if r.Unended != "" {
		fmt.Fprintf(w, "**The run is not complete: %s.**\n\n", r.Unended)
	}
	goals(w, r, before)
	for _, work := range r.Works {
		section(w, r, work, charts)
	}
	method(w, r)
}

func goals(w io.Writer, r, before *result.Run) {
	fmt.Fprintf(w, "## Goals\n\n")
	if before == nil {
		fmt.Fprintf(w, "No run of the version before is at hand: what it measured is unknown.\n\n")
	} else {
		fmt.Fprintf(w, "Before: a run of %s, commit %s; what it did not measure is unknown. A ratio to it is one of two ratios, each to the floor of its own run.\n\n",
			before.Started.UTC().Format("2006-01-02"), before.Machine.Commit)
	}
	fmt.Fprintf(w, "| what | goal | before | measured | |\n|---|---|---|---|---|\n")
	for _, g := range Goals(r, before) {
		row(w, []string{g.What, g.Goal, cmp.Or(g.Before, "unknown"), g.Measured, remarks(g)})
	}
}

// remarks are the verdict, why, and who is ahead.
func remarks(g Goal) string {
	all := []string{g.Verdict}
	if g.Verdict == missed && g.Why != "" {
		all = append(all, g.Why)
	}
	if g.Ahead != "" {
		all = append(all, g.Ahead)
	}
	return strings.Join(all, ". ")
}

// roundsOf is how often each cell of a work was measured.
func roundsOf(r *result.Run, work result.Work) int { return cmp.Or(work.Rounds, r.Rounds) }

func section(w io.Writer, r *result.Run, work result.Work, charts []Chart) {
	fmt.Fprintf(w, "\n## %s\n\n*%s, %d rounds.* %s\n", work.Title, work.Loop, roundsOf(r, work), work.About)
	for _, c := range charts {
		if c.Work == work.Key {
			fmt.Fprintf(w, "\n![%s](%s.svg)\n", c.Title, c.File)
		}
	}
	for _, t := range tables(r, work) {
		fmt.Fprintf(w, "\n**%s**\n\n", t.point)
		row(w, t.head)
		fmt.Fprintln(w, "|---"+strings.Repeat("|--:", len(t.head)-1)+"|")
		for _, cells := range t.rows {
			row(w, cells)
		}
		if len(t.notes) > 0 {
			fmt.Fprintf(w, "\n- %s\n", strings.Join(t.notes, "\n- "))
		}
	}
}

func row(w io.Writer, cells []string) { fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |") }

func method(w io.Writer, r *result.Run) {
	m := r.Machine
	fmt.Fprintf(w, `
## Method

One %s run of %s, started %s. Each figure is the median of its work's rounds, or of those that there were before the run ended, with the
least and the greatest in brackets; in every round the entrants of a point ran in turn, each with clients of its own on an emptied
server, after a warm-up. The ratio to the floor is the median of the ratios within the rounds. Latencies: HdrHistogram, three digits.
Commands: INFO commandstats (EVALSHA, EVAL and what else the rival sends); clients have no hook unless their entrant says so. CPU of the
client: getrusage of this process; of the server: INFO cpu. A counter checks in every contended cell that the lock excludes. An entrant that fails in any
way has no figures in that cell, but its failure.

Machine: %s, %d cores, %s; %s. Client and server share it, over loopback. %s, Redis %s. Commit %s.
`, r.Mode, r.Took, r.Started.UTC().Format("2006-01-02 15:04 UTC"),
		m.CPU, m.Cores, m.Memory, m.System, m.Go, m.Redis, m.Commit)
	fmt.Fprintf(w, "\n| module | version |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(m.Modules)) {
		fmt.Fprintf(w, "| %s | %s |\n", name, m.Modules[name])
	}
	fmt.Fprintf(w, "\n| entrant | settings |\n|---|---|\n")
	for _, name := range entrants(r) {
		fmt.Fprintf(w, "| %s | %s |\n", name, r.Settings[name])
	}
}

// entrants are those of the run, in the order in which they first ran.
func entrants(r *result.Run) (names []string) {
	for _, c := range r.Cells {
		if !slices.Contains(names, c.Entrant) {
			names = append(names, c.Entrant)
		}
	}
	return names
}
