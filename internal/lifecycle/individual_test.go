package lifecycle_test

import (
	"testing"

	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// individual is an engine of which each waiter queues by itself.
type individual struct{ engine.Engine }

func (individual) QueuesEach() {}

var _ engine.Individual = individual{}

func TestWaitersOfAClientQueueOneByOneWhereTheEngineSaysSo(t *testing.T) {
	for name, want := range map[string]int{"each": 2, "the first only": 0} {
		t.Run(name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				other, _ := b.Client()
				c, _ := b.Client()
				if name == "each" {
					behaviour.ManagerOf(c).SetEngine(individual{behaviour.ManagerOf(c).Engine()})
				}
				lease := behaviour.LockOf(t, c.Mutex("a"))
				first := waitingFor(t, c.Mutex("a"))
				behaviour.Pass(lag)
				second := waitingFor(t, c.Mutex("a"))
				if n := b.Waiters(other); n != want {
					t.Errorf("%d waiters in the server's queue, want %d", n, want)
				}
				behaviour.Unlock(t, lease)
				behaviour.Unlock(t, <-first)
				behaviour.Unlock(t, <-second)
			})
		})
	}
}
