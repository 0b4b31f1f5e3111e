package feel

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// LeastSamples is how many samples a figure rests on at least, however slow the
// machine or the Redis is.
const LeastSamples = 20

// patience is how long the next sample may take.
const patience = 15 * time.Second

// ErrStalled is returned when Redis stops answering in the middle.
var ErrStalled = errors.New("Redis has stopped answering: no lock was had for " + patience.String())

// errOver is the cause of the end of a span.
var errOver = errors.New("measured")

// A span is over when it has lasted for d and has its least number of samples.
type span struct {
	d       time.Duration
	samples atomic.Int64 // counted by what is measured
}

// fill runs f in n goroutines, again and again, until the span is over. It
// returns the first error of f, the cause of ctx, or [ErrStalled].
func (s *span) fill(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	began := time.Now()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := f(ctx, i); err != nil {
					end(err) // no effect where f failed because of the end
				}
				if time.Since(began) >= s.d && s.samples.Load() >= LeastSamples {
					end(errOver)
				}
			}
		})
	}
	all.Go(func() { s.watch(ctx, end) })
	all.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errOver) {
		return cause
	}
	return nil
}

// watch ends a span that gets no further.
func (s *span) watch(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := s.samples.Load()
		if now == last {
			end(ErrStalled)
		}
		last = now
	}
}
