package redisengine

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// An end tells of the end of a context, and of an instant before it, with one timer
// for both.
type end struct {
	other, itself <-chan struct{} // closed when the context ends, but at that instant
	at            time.Time       // zero: there is none that other does not tell of
	timer         *time.Timer     // nil: there is nothing to tell of
}

// never is a wait for nothing but the end.
const never time.Duration = 1<<63 - 1

func newEnd(ctx context.Context) *end {
	b, ok := ctx.(engine.Bounded)
	if !ok {
		return &end{other: ctx.Done()}
	}
	e := new(end)
	e.other, e.itself, e.at = b.Ends()
	e.set(never)
	return e
}

// set has due tell when d has passed, or at the end's instant.
func (e *end) set(d time.Duration) {
	if !e.at.IsZero() {
		d = min(d, time.Until(e.at))
	}
	switch {
	case e.timer != nil:
		e.timer.Reset(d)
	case d < never:
		e.timer = time.NewTimer(d)
	}
}

func (e *end) due() <-chan time.Time {
	if e.timer == nil {
		return nil
	}
	return e.timer.C
}

func (e *end) stop() {
	if e.timer != nil {
		e.timer.Stop()
	}
}
