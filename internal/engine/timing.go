package engine

import (
	"context"
	"math/rand/v2"
	"time"
)

// Drift is what two clocks may differ in d, with 2 ms for the server's own
// resolution (the rule of the Redis distributed-locks page): by so much less than
// what the server gave a hold is believed in.
func Drift(d time.Duration) time.Duration { return d/100 + 2*time.Millisecond }

// Pause is that before a request is sent again. It grows from 5 ms to 500 ms,
// with jitter.
func Pause(attempt int) time.Duration {
	d := min(5*time.Millisecond<<min(attempt, 7), 500*time.Millisecond)
	return d/2 + rand.N(d)
}

// Sleep waits for d; it reports whether ctx was still alive then.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Bounded is a context that ends at an instant, or with another, or by itself.
// Whoever waits for it with a timer of its own asks for Ends: Done would have it make
// a timer.
type Bounded interface {
	context.Context
	// Ends returns what is closed when the other context ends, and when it ends by
	// itself, and the instant at which it does if nothing is waited for. Deadline may be
	// before that: the other's, of which the other tells, and no timer of anybody else's,
	// which may be earlier.
	Ends() (other, itself <-chan struct{}, at time.Time)
}
