package lifecycle

import (
	"context"
	"sync"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A bound is a context that ends with its parent, or at an instant, or by cancel.
// It is what context.WithDeadline returns, but for what it costs: before somebody
// asks for Done it has no timer, and its parent does not know of it. Most requests
// are sent and answered by their caller, who looks at the deadline alone.
type bound struct {
	context.Context
	until time.Time

	mu    sync.Mutex
	err   error
	done  chan struct{} // nil: nobody has asked for it
	timer *time.Timer   // nil: nobody has asked for Done
	leave func() bool   // leaves the parent
}

var _ engine.Bounded = (*bound)(nil)

// newBound returns a bound that ends d from now; cancel must be called.
func newBound(parent context.Context, d time.Duration) *bound {
	b := new(bound)
	b.begin(parent, d)
	return b
}

func (b *bound) begin(parent context.Context, d time.Duration) {
	b.Context, b.until = parent, time.Now().Add(d)
}

// Deadline is described in [context.Context].
func (b *bound) Deadline() (time.Time, bool) {
	if d, ok := b.Context.Deadline(); ok && d.Before(b.until) {
		return d, true
	}
	return b.until, true
}

// Done is described in [context.Context].
func (b *bound) Done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.makeDone()
	if b.timer != nil || b.look() != nil {
		return b.done
	}
	b.timer = time.AfterFunc(time.Until(b.until), func() { b.end(context.DeadlineExceeded) })
	if b.Context.Done() != nil {
		b.leave = context.AfterFunc(b.Context, func() { b.end(b.Context.Err()) })
	}
	return b.done
}

// Ends is described in [engine.Bounded].
func (b *bound) Ends() (other, itself <-chan struct{}, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.makeDone()
	return b.Context.Done(), b.done, b.until
}

// makeDone needs b.mu.
func (b *bound) makeDone() {
	if b.done != nil {
		return
	}
	b.done = make(chan struct{})
	if b.err != nil {
		close(b.done)
	}
}

// Err is described in [context.Context].
func (b *bound) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.look()
}

// look ends b if it is time, and returns why it has ended. It needs b.mu.
func (b *bound) look() error {
	if b.err != nil {
		return b.err
	}
	if err := b.Context.Err(); err != nil {
		b.endLocked(err)
	} else if !time.Now().Before(b.until) {
		b.endLocked(context.DeadlineExceeded)
	}
	return b.err
}

func (b *bound) cancel() { b.end(context.Canceled) }

func (b *bound) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endLocked(err)
}

func (b *bound) endLocked(err error) {
	if b.err != nil {
		return
	}
	b.err = err
	if b.done == nil {
		return
	}
	close(b.done)
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.leave != nil {
		b.leave()
	}
}
