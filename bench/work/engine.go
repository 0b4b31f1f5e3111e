// Package work is what the entrants are put to, one work a file, and the engine
// that runs them in turn.
package work

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
)

// Point is one setting of a work.
type Point struct {
	Label    string
	At       map[string]float64
	Entrants []Entrant
}

// Entrant is one rival, or a floor, at one point.
type Entrant struct {
	Name  string
	Floor bool
	// Run measures once, round tells which time it is. It fails rather than
	// return a figure of a run in which anything failed.
	Run func(ctx context.Context, round int) (result.Sample, error)
}

// Work is one table of the report.
type Work struct {
	result.Work
	Points []Point
	Limit  time.Duration // for one run of one entrant; 0: the engine's
	// Prepare makes ready what only this work needs; what it returns undoes it. nil:
	// nothing.
	Prepare func(ctx context.Context) (undo func(), err error)
}

// errSkipped marks entrants that cannot do a work at all.
var errSkipped = errors.New("not applicable")

// Engine runs works and keeps what they measured.
type Engine struct {
	Rounds   int           // of every work; 0: as each says
	Limit    time.Duration // for one run of one entrant, where its work has none
	Progress func(format string, args ...any)
	Result   *result.Run
}

// Do runs one work: at each point the entrants in turn, A B C A B C, so that
// what disturbs the machine for a while disturbs all of them. It returns early,
// with what was measured summarized, when ctx ends.
func (e *Engine) Do(ctx context.Context, w Work) {
	if e.Rounds > 0 {
		w.Rounds = e.Rounds
	}
	e.Result.Works = append(e.Result.Works, w.Work)
	if w.Prepare != nil {
		undo, err := w.Prepare(ctx)
		if err != nil {
			e.fail(w, err)
			return
		}
		defer undo()
	}
	for _, p := range w.Points {
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		e.point(ctx, w, p)
		e.Progress("  %-7s %-34s %5.1fs", w.Key, p.Label, time.Since(began).Seconds())
	}
}

// fail makes failed cells of a work that cannot begin.
func (e *Engine) fail(w Work, err error) {
	for _, p := range w.Points {
		for _, entrant := range p.Entrants {
			e.Result.Cells = append(e.Result.Cells, &result.Cell{
				Work: w.Key, Point: p.Label, At: maps.Clone(p.At), Entrant: entrant.Name, Floor: entrant.Floor, Failed: err.Error(),
			})
		}
	}
	e.Progress("  %s FAILED: %v", w.Key, err)
}

func (e *Engine) point(ctx context.Context, w Work, p Point) {
	samples := make([][]result.Sample, len(p.Entrants))
	failures := make([]error, len(p.Entrants))
	for round := range w.Rounds {
		for i, entrant := range p.Entrants {
			var s result.Sample
			if failures[i] == nil && ctx.Err() == nil {
				var err error
				s, err = e.once(ctx, entrant, round, max(w.Limit, e.Limit))
				if err != nil && ctx.Err() == nil {
					failures[i] = fmt.Errorf("round %d: %w", round+1, err)
				}
			}
			samples[i] = append(samples[i], s)
		}
	}
	var floor []result.Sample
	for i, entrant := range p.Entrants {
		if entrant.Floor && failures[i] == nil && floor == nil {
			floor = samples[i]
		}
	}
	for i, entrant := range p.Entrants {
		c := &result.Cell{Work: w.Key, Point: p.Label, At: maps.Clone(p.At), Entrant: entrant.Name, Floor: entrant.Floor}
		if failures[i] != nil {
			c.Failed = failures[i].Error()
			if !errors.Is(failures[i], errSkipped) {
				e.Progress("  %s: %s at %s FAILED: %v", w.Key, entrant.Name, p.Label, failures[i])
			}
		} else if c.Summarize(samples[i], floor); len(c.Figures) == 0 {
			continue // interrupted before its first run ended
		}
		e.Result.Cells = append(e.Result.Cells, c)
	}
}

// once runs one entrant, bounded. One that does not come back by itself when its
// time is up fails all the same; what it left behind is its own goroutines.
func (e *Engine) once(ctx context.Context, entrant Entrant, round int, limit time.Duration) (result.Sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	type outcome struct {
		s   result.Sample
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		s, err := entrant.Run(ctx, round)
		done <- outcome{s, err}
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		select {
		case o = <-done:
		case <-time.After(5 * time.Second):
			return nil, fmt.Errorf("%w, nor 5s after it was cancelled", context.Cause(ctx))
		}
	}
	if o.err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", context.Cause(ctx), o.err)
	}
	return o.s, o.err
}

// entrantsOf makes entrants of rivals, floors first.
func entrantsOf(floors, kinds []rival.Kind, run func(ctx context.Context, k rival.Kind, round int) (result.Sample, error)) []Entrant {
	var all []Entrant
	add := func(kinds []rival.Kind, floor bool) {
		for _, k := range kinds {
			all = append(all, Entrant{k.Name, floor, func(ctx context.Context, round int) (result.Sample, error) {
				return run(ctx, k, round)
			}})
		}
	}
	add(floors, true)
	add(kinds, false)
	return all
}
