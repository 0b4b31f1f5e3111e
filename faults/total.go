package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/relock-go/relock/faults/chaos"
	"github.com/relock-go/relock/faults/history"
)

// total is the running sum of all rounds.
type total struct {
	Seed       uint64                    `json:"seed"`
	Start      time.Time                 `json:"start"`
	Took       time.Duration             `json:"took"`
	Rounds     int                       `json:"rounds"`
	Injections int                       `json:"injections"` // faults that struck
	Faults     map[string]map[string]int `json:"faults"`     // by kind and topology
	Strikes    map[string]int            `json:"strikes"`    // replies dropped, servers killed ..., by kind
	Operations map[string]int            `json:"operations"` // by topology
	Verdict    *history.Verdict          `json:"verdict"`

	struck int // in the round that is on
}

func newTotal(seed uint64) *total {
	return &total{
		Seed: seed, Start: time.Now(), Faults: map[string]map[string]int{},
		Strikes: map[string]int{}, Operations: map[string]int{}, Verdict: history.NewVerdict(),
	}
}

func (t *total) elapsed() string { return time.Since(t.Start).Round(time.Second).String() }

// tell is the live progress: each fault as it is healed.
func (t *total) tell(out io.Writer, p chaos.Plan, w history.Window) {
	t.struck++
	took := time.Duration(w.End - w.Start).Round(time.Millisecond)
	fmt.Fprintf(out, "%8s  %-10s %3d  %s, struck %d times in %v", t.elapsed(), p.Topology, t.struck, w.Kind, w.Hits, took)
	if w.Hits == 0 && w.Note != "" {
		fmt.Fprintf(out, " (%s)", w.Note)
	}
	fmt.Fprintln(out)
}

func (t *total) add(o *chaos.Outcome) {
	t.Rounds++
	t.struck = 0
	t.Took = time.Since(t.Start)
	t.Operations[string(o.Topology)] += o.Verdict.Operations
	t.Verdict.Merge(o.Verdict)
	for kind, n := range o.Faults {
		if t.Faults[kind] == nil {
			t.Faults[kind] = map[string]int{}
		}
		t.Faults[kind][string(o.Topology)] += n
		t.Injections += n
		t.Strikes[kind] += o.Strikes[kind]
	}
}

func (t *total) round(out io.Writer, o *chaos.Outcome) {
	fmt.Fprintf(out, "%8s  %-10s round %d: %d operations, %d violations, %d undecided; in all %d operations, %d faults, %d violations\n",
		t.elapsed(), o.Topology, t.Rounds, o.Verdict.Operations, len(o.Verdict.Violations), o.Verdict.Unknown,
		t.Verdict.Operations, t.Injections, len(t.Verdict.Violations))
}

// figure prints what is to be published.
func (t *total) figure(out io.Writer) {
	v := t.Verdict
	fmt.Fprintf(out, "\nseed %d, %d rounds in %v\n\nfaults injected\n", t.Seed, t.Rounds, t.Took.Round(time.Second))
	for _, kind := range slices.Sorted(maps.Keys(t.Faults)) {
		var on []string
		sum := 0
		for _, topology := range slices.Sorted(maps.Keys(t.Faults[kind])) {
			n := t.Faults[kind][topology]
			sum += n
			on = append(on, fmt.Sprintf("%s %d", topology, n))
		}
		fmt.Fprintf(out, "%6d  %-42s struck %-6d %s\n", sum, kind, t.Strikes[kind], strings.Join(on, ", "))
	}
	fmt.Fprintf(out, "%6d  in all\n\noperations\n", t.Injections)
	for _, topology := range slices.Sorted(maps.Keys(t.Operations)) {
		fmt.Fprintf(out, "%10d  %s\n", t.Operations[topology], topology)
	}
	fmt.Fprintf(out, "%10d  in all\n\njudged\n", v.Operations)
	for _, check := range slices.Sorted(maps.Keys(v.Checked)) {
		fmt.Fprintf(out, "%10d  %s\n", v.Checked[check], check)
	}
	fmt.Fprintf(out, "\ngreatest delays\n")
	for _, bound := range slices.Sorted(maps.Keys(v.Delays)) {
		fmt.Fprintf(out, "%10v  %s\n", v.Delays[bound].Round(time.Millisecond), bound)
	}
	fmt.Fprintf(out, "\n%d violations; %d breaches of S3 inside faults that lose acknowledged locks; %d partitions undecided; %d re-entries with a greater token\n",
		len(v.Violations), v.Excused, v.Unknown, v.Anew)
	if len(v.Violations) == 0 && t.Injections > 0 {
		fmt.Fprintf(out, "0 violations in %d injections bounds the rate at %.2g (95 %%)\n", t.Injections, 3/float64(t.Injections))
	}
}

// save writes the sum so far as JSON.
func (t *total) save(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(t, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o600)
}
