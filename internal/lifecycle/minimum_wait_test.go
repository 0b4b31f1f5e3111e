package lifecycle_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// How those who wait behind a minimum are served, in virtual time.

// keptTurn is when one that waited had the lock.
type keptTurn struct {
	who int
	at  time.Duration
}

// queueUp has a waiter of each client wait in that order, and returns where they tell of
// their turns, which they give back at once.
func queueUp(t *testing.T, start time.Time, waiters ...*relock.Client) chan keptTurn {
	t.Helper()
	turns := make(chan keptTurn, len(waiters))
	for i, c := range waiters {
		go func() {
			lease, err := c.Mutex("a").Lock(behaviour.Bg)
			if err != nil {
				return // its client was cut off
			}
			turns <- keptTurn{i, time.Since(start)}
			_ = lease.Unlock(behaviour.Bg)
		}()
		behaviour.Pass(10 * time.Millisecond)
	}
	synctest.Wait()
	return turns
}

func wantTurns(t *testing.T, turns chan keptTurn, from time.Duration, who ...int) {
	t.Helper()
	for _, want := range who {
		got := <-turns
		if got.who != want {
			t.Errorf("waiter %d had the lock, want %d", got.who, want)
		}
		if late := got.at - from; late < 0 || late > 3*lifecycle.MinCheck {
			t.Errorf("waiter %d had it %v after the grant, want it at %v", got.who, got.at, from)
		}
	}
}

// nudgeless is a client from before there were nudges: it reads none.
type nudgeless struct{ engine.Sink }

func (nudgeless) Nudge(engine.Message) {}

func TestWaitersAreServedWhenTheMinimumIsOver(t *testing.T) {
	stays := func(*relock.Client, *behaviour.Wire) {}
	for name, c := range map[string]struct {
		nudged bool
		leaves func(c *relock.Client, w *behaviour.Wire)
	}{
		"the holder's client lives":     {true, stays},
		"the holder's client is gone":   {true, func(_ *relock.Client, w *behaviour.Wire) { w.CutOff() }},
		"the holder's client is closed": {true, func(c *relock.Client, _ *behaviour.Wire) { _ = c.Close() }},
		"no waiter is nudged":           {false, stays},
	} {
		t.Run(name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				holder, wire := b.Client()
				waiters, _ := b.Clients(3)
				for _, w := range waiters {
					if !c.nudged {
						behaviour.EngineOf(w).Start(nudgeless{behaviour.ManagerOf(w)})
					}
				}
				start := time.Now()
				lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithMinHold(minHold)))
				turns := queueUp(t, start, waiters...)
				behaviour.Unlock(t, lease)
				synctest.Wait()
				c.leaves(holder, wire)
				wantTurns(t, turns, minHold, 0, 1, 2)
			})
		})
	}
}

// The first in the queue dies while the lock is kept, and nobody announces the
// end: the second asks then.
func TestTheSecondAsksWhenTheMinimumIsOver(t *testing.T) {
	for _, early := range []bool{true, false} {
		behaviour.InBubble(t, func(b *behaviour.Bubble) {
			holder, holders := b.Client()
			waiters, _ := b.Clients(2)
			start := time.Now()
			lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithMinHold(minHold)))
			var turns chan keptTurn
			if early {
				turns = queueUp(t, start, waiters...)
			}
			behaviour.Unlock(t, lease)
			holders.CutOff()
			if !early {
				turns = queueUp(t, start, waiters...)
			}
			synctest.Wait()
			behaviour.EngineOf(waiters[0]).Close() // the server then knows of no subscriber of its
			behaviour.ManagerOf(waiters[0]).StopWatchdog()
			wantTurns(t, turns, minHold, 1)
		})
	}
}

// lateCheckIn has the answer to the first check-in arrive a while after messages do.
type lateCheckIn struct {
	engine.Engine
	once sync.Once
}

func (e *lateCheckIn) SendBatch(ctx context.Context, batch []engine.BatchItem) {
	for i := range batch {
		done := batch[i].Done
		batch[i].Done = func(ans engine.Answer, err error) {
			e.once.Do(func() { behaviour.Pass(200 * time.Millisecond) })
			done(ans, err)
		}
	}
	e.Engine.SendBatch(ctx, batch)
}

// A nudge is heard before the answer to a check-in from before the lock was given
// back, which says that its holder has it for a TTL.
func TestANudgeCrossesAnAnswer(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, holders := b.Client()
		waiters, _ := b.Clients(1)
		const d = relock.DefaultCheckInterval + 2*time.Second
		start := time.Now()
		lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithMinHold(d)))
		behaviour.ManagerOf(waiters[0]).SetEngine(&lateCheckIn{Engine: behaviour.ManagerOf(waiters[0]).Engine()})
		turns := queueUp(t, start, waiters...)
		behaviour.Pass(relock.DefaultCheckInterval - time.Since(start) + 100*time.Millisecond) // it has just asked
		behaviour.Unlock(t, lease)
		holders.CutOff()
		wantTurns(t, turns, d, 0)
	})
}

func TestAWaiterOfTheSameClientIsServedWhenTheMinimumIsOver(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		start := time.Now()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(minHold)))
		turns := queueUp(t, start, c, other, c)
		behaviour.Unlock(t, lease)
		b.WantKept(c, "a", minHold-time.Since(start))
		wantTurns(t, turns, minHold, 0, 1, 2)
	})
}
