package chaos

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/work"
)

var errNoFault = errors.New("chaos: no such fault")

// turn is one fault of a schedule.
type turn struct {
	fault *fault
	seed  uint64
	rest  time.Duration // after it
}

// turns draws a schedule without end.
func turns(seed uint64, list []*fault) iter.Seq[turn] {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func(yield func(turn) bool) {
		for one := range deal(rng, list) {
			t := turn{fault: one, seed: rng.Uint64()}
			// Mostly short rests: the next fault meets what is left of the last.
			t.rest = time.Duration(rng.Int64N(int64(500 * time.Millisecond)))
			if rng.IntN(4) == 0 {
				t.rest += Timing.TTL + Timing.Check
			}
			if !yield(t) {
				return
			}
		}
	}
}

// Run injects faults until d is over and the last one is healed.
func (f *Field) Run(ctx context.Context, d time.Duration, tell func(history.Window)) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	list := menu(f.Rig.Topology, f.only)
	if len(list) == 0 {
		return fmt.Errorf("%w of %s", errNoFault, f.Rig.Topology)
	}
	missed := 0
	for t := range turns(f.seed, list) {
		if ctx.Err() != nil {
			break
		}
		// On a busy machine a fault may fail to be injected: its window says so. What
		// is wrong with the harness fails more often.
		if err := f.strike(ctx, t, tell); err != nil {
			if missed++; missed > missable {
				return fmt.Errorf("%d faults could not be injected; the last: %w", missed, err)
			}
		}
		_ = wait(ctx, t.rest)
	}
	return nil
}

// missable is how many faults of a round may fail to be injected.
const missable = 3

// strike runs one fault and notes its window. What the end of the run cut short
// is no error.
func (f *Field) strike(ctx context.Context, t turn, tell func(history.Window)) error {
	f.rng = rand.New(rand.NewPCG(t.seed, 2))
	w := history.Window{Kind: t.fault.kind, Lossy: t.fault.lossy, Start: history.Now()}
	err := t.fault.strike(f, ctx, &w)
	w.End = history.Now()
	if ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("chaos: inject %q: %w", w.Kind, err)
		w.Note = err.Error()
	}
	f.Windows = append(f.Windows, w)
	tell(w)
	return err
}

// Finish ends the workers in order and reports what they left over.
func (f *Field) Finish() {
	const patience = 60 * time.Second
	for _, p := range f.procs {
		p.say(work.OrderFinish)
	}
	for _, p := range f.procs {
		if p.wasKilled() { // by the last fault, and nobody came in its place
			continue
		}
		f.Verdict.Checked["S6"]++
		leak, err := p.Finish(patience)
		if err != nil {
			f.Verdict.Add("S6", "", history.Now(), "%v", err)
		}
		if leak != "" {
			f.Verdict.Add("S6", "", history.Now(), "goroutines of worker %d are left: %s", p.Job.Worker, leak)
		}
	}
}
