package report

import (
	"strings"
	"testing"

	"github.com/relock-go/relock/bench/result"
)

func sampleRun() *result.Run {
	r := &result.Run{
		Mode: "full", Rounds: 2, Settings: map[string]string{"relock": "defaults"},
		Works: []result.Work{{
			Key: "drain", Title: "Drain", Loop: "drain", About: "About it.",
			Metrics: []result.Metric{result.P50, result.Commands, result.Jain}, Ratio: result.P50,
		}},
	}
	floor := []result.Sample{{result.P50: 100}, {result.P50: 200}}
	add := func(entrant string, rounds []result.Sample, failed string) {
		c := &result.Cell{
			Work: "drain", Point: "128 waiters in 4 clients", Entrant: entrant, Failed: failed,
			At: map[string]float64{"waiters": 128, "clients": 4},
		}
		if failed == "" {
			c.Summarize(rounds, floor)
		}
		r.Cells = append(r.Cells, c)
	}
	add("floor: x", floor, "")
	add("relock", []result.Sample{{result.P50: 150, result.Commands: 1.01}, {result.P50: 300, result.Commands: 1.01}}, "")
	add("rival", nil, "lock: a | b\nbroken")
	add("other", nil, "not applicable: it cannot")
	return r
}

func markdown(r *result.Run) string {
	var b strings.Builder
	Markdown(&b, r, nil, []Chart{{"drain", "A chart", "handoff"}})
	return b.String()
}

func TestMarkdownHasMedianSpreadAndRatio(t *testing.T) {
	got := markdown(sampleRun())
	for _, want := range []string{
		"| entrant | p50 | / floor | commands / section |",
		"| relock | 225 µs (150 µs to 300 µs) | 1.50x | 1.01 |",
		"*drain, 2 rounds.* About it.",
		"![A chart](handoff.svg)",
		"| relock | defaults |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
}

func TestMarkdownHasNoColumnWithoutFigures(t *testing.T) {
	if got := markdown(sampleRun()); strings.Contains(got, "Jain's index |") {
		t.Errorf("got a column that no cell has a figure for")
	}
}

func TestAFailureIsShownInItsCellWithoutFigures(t *testing.T) {
	got := markdown(sampleRun())
	if !strings.Contains(got, "| rival | FAILED |  |  |") || !strings.Contains(got, "- rival: lock: a / b broken") {
		t.Errorf("the failure, or why, is missing:\n%s", got)
	}
	if !strings.Contains(got, "| other | n/a |  |  |") {
		t.Errorf("what cannot be done is not shown as n/a:\n%s", got)
	}
}

func TestAnUnendedRunSaysSo(t *testing.T) {
	r := sampleRun()
	r.Unended = "interrupted"
	if got := markdown(r); !strings.Contains(got, "not complete: interrupted") {
		t.Error("the report does not say that it is not complete")
	}
}

func TestGoalsAreJudgedByTheirOwnPoint(t *testing.T) {
	verdicts := map[string]Goal{}
	for _, g := range Goals(sampleRun(), nil) {
		verdicts[g.What] = g
	}
	if g := verdicts["commands a section, drain of 128 waiters in 4 clients"]; g.Verdict != reached || g.Measured != "1.01" {
		t.Errorf("got %+v, want reached with 1.01", g)
	}
	if g := verdicts["the same, 128 clients with one waiter each"]; g.Verdict != unknown {
		t.Errorf("got %+v, want not measured", g)
	}
}

func TestAGoalThatWasNotReachedSaysWhatTheRunKnowsOfIt(t *testing.T) {
	r := &result.Run{}
	for entrant, s := range map[string]result.Sample{
		ours:       {result.P50: 150, result.Commands: 2, result.ServerCPU: 40},
		pairsFloor: {result.P50: 100, result.Commands: 2, result.ServerCPU: 20},
		setNX:      {result.P50: 108, result.Commands: 2, result.ServerCPU: 24},
	} {
		c := &result.Cell{Work: "pairs", Point: "1 goroutine", Entrant: entrant}
		c.Summarize([]result.Sample{s}, []result.Sample{{result.P50: 100}})
		r.Cells = append(r.Cells, c)
	}
	got := markdown(r)
	for _, want := range []string{"1.50x, 2.00 commands | not reached. ", "40 µs; of " + pairsFloor + ": 20 µs", "no queue) is at 1.08x"} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
}

func TestAHandOffThatFailedIsNoGoalReached(t *testing.T) {
	r := &result.Run{Cells: []*result.Cell{{
		Work: "drain", Point: "2 waiters in 2 clients", Entrant: ours, Failed: "broken",
		At: map[string]float64{"waiters": 2, "clients": 2},
	}}}
	if g := handoff(r); g.Verdict != missed || !strings.Contains(g.Measured, "failed") {
		t.Errorf("got %+v, want not reached, and that it failed", g)
	}
}

func TestTerminalNamesEveryEntrantAndFailure(t *testing.T) {
	var b strings.Builder
	Terminal(&b, sampleRun(), nil)
	for _, want := range []string{"floor: x", "225 µs", "FAILED", "! 128 waiters in 4 clients: rival: lock: a / b broken", "Goals"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the tables lack %q:\n%s", want, b.String())
		}
	}
}
