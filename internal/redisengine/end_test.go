package redisengine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A twofold context ends with its other, which has a deadline, or at an instant.
type twofold struct {
	context.Context
	at time.Time
}

var _ engine.Bounded = twofold{}

// Ends is described in [engine.Bounded].
func (b twofold) Ends() (other, itself <-chan struct{}, at time.Time) {
	return b.Done(), nil, b.at
}

// overdue is a context past its deadline whose timer is late: it has not ended.
type overdue struct{ context.Context }

func (overdue) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// That a deadline is over does not mean that its context has ended. Who takes one for
// the other has copies leave at each deadline, and asks again and again meanwhile.
func TestAnEndWaitsForAContextWhoseTimerIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnd(twofold{overdue{context.Background()}, time.Now().Add(time.Minute)})
		defer e.stop()
		for _, d := range []time.Duration{never, 2 * time.Second} {
			e.set(d)
			select {
			case <-e.due():
				t.Fatal("it tells of an end that has not come")
			case <-time.After(time.Second):
			}
		}
		e.set(never)
		began := time.Now()
		if <-e.due(); time.Since(began) != 58*time.Second {
			t.Errorf("it tells of the instant after %v", time.Since(began))
		}
	})
}
