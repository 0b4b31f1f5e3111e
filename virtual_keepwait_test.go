package relock

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// How those who wait behind a minimum are served, in virtual time.

// keptTurn is when one that waited had the lock.
type keptTurn struct {
	who int
	at  time.Duration
}

// queueUp has a waiter of each client wait in that order, and returns where they tell of
// their turns, which they give back at once.
func queueUp(t *testing.T, start time.Time, waiters ...*Client) chan keptTurn {
	t.Helper()
	turns := make(chan keptTurn, len(waiters))
	for i, c := range waiters {
		go func() {
			lease, err := c.Mutex("a").Lock(bg)
			if err != nil {
				return // its client was cut off
			}
			turns <- keptTurn{i, time.Since(start)}
			_ = lease.Unlock(bg)
		}()
		pass(10 * time.Millisecond)
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
		if late := got.at - from; late < 0 || late > 3*minCheck {
			t.Errorf("waiter %d had it %v after the grant, want it at %v", got.who, got.at, from)
		}
	}
}

// nudgeless is a client from before there were nudges: it reads none.
type nudgeless struct{ engine.Sink }

func (nudgeless) Nudge(engine.Message) {}

func TestWaitersAreServedWhenTheMinimumIsOver(t *testing.T) {
	stays := func(*Client, *wire) {}
	for name, c := range map[string]struct {
		nudged bool
		leaves func(c *Client, w *wire)
	}{
		"the holder's client lives":     {true, stays},
		"the holder's client is gone":   {true, func(_ *Client, w *wire) { w.cutOff() }},
		"the holder's client is closed": {true, func(c *Client, _ *wire) { _ = c.Close() }},
		"no waiter is nudged":           {false, stays},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				holder, wire := b.client()
				waiters, _ := b.clients(3)
				for _, w := range waiters {
					if !c.nudged {
						w.eng.notify.sink = nudgeless{w.host}
					}
				}
				start := time.Now()
				lease := lockOf(t, holder.Mutex("a", WithMinHold(minHold)))
				turns := queueUp(t, start, waiters...)
				unlock(t, lease)
				synctest.Wait()
				c.leaves(holder, wire)
				wantTurns(t, turns, minHold, 0, 1, 2)
			})
		})
	}
}

func (b *bubble) clients(n int) (clients []*Client, wires []*wire) {
	for range n {
		c, w := b.client()
		clients, wires = append(clients, c), append(wires, w)
	}
	return clients, wires
}

// The first in the queue dies while the lock is kept, and nobody announces the
// end: the second asks then.
func TestTheSecondAsksWhenTheMinimumIsOver(t *testing.T) {
	for _, early := range []bool{true, false} {
		inBubble(t, func(b *bubble) {
			holder, holders := b.client()
			waiters, _ := b.clients(2)
			start := time.Now()
			lease := lockOf(t, holder.Mutex("a", WithMinHold(minHold)))
			var turns chan keptTurn
			if early {
				turns = queueUp(t, start, waiters...)
			}
			unlock(t, lease)
			holders.cutOff()
			if !early {
				turns = queueUp(t, start, waiters...)
			}
			synctest.Wait()
			waiters[0].eng.notify.close() // the server then knows of no subscriber of its
			waiters[0].host.dog.stop()
			wantTurns(t, turns, minHold, 1)
		})
	}
}

// lateCheckIn has the answer to the first check-in arrive a while after messages do.
type lateCheckIn struct {
	engine.Engine
	once sync.Once
}

func (e *lateCheckIn) Pulse(ctx context.Context, batch []engine.Pulse) {
	for i := range batch {
		done := batch[i].Done
		batch[i].Done = func(ans engine.Answer, err error) {
			e.once.Do(func() { pass(200 * time.Millisecond) })
			done(ans, err)
		}
	}
	e.Engine.Pulse(ctx, batch)
}

// A nudge is heard before the answer to a check-in from before the lock was given
// back, which says that its holder has it for a TTL.
func TestANudgeCrossesAnAnswer(t *testing.T) {
	inBubble(t, func(b *bubble) {
		holder, holders := b.client()
		waiters, _ := b.clients(1)
		const d = DefaultCheckInterval + 2*time.Second
		start := time.Now()
		lease := lockOf(t, holder.Mutex("a", WithMinHold(d)))
		waiters[0].host.eng = &lateCheckIn{Engine: waiters[0].host.eng}
		turns := queueUp(t, start, waiters...)
		pass(DefaultCheckInterval - time.Since(start) + 100*time.Millisecond) // it has just asked
		unlock(t, lease)
		holders.cutOff()
		wantTurns(t, turns, d, 0)
	})
}

func TestAWaiterOfTheSameClientIsServedWhenTheMinimumIsOver(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		other, _ := b.client()
		start := time.Now()
		lease := lockOf(t, c.Mutex("a", WithMinHold(minHold)))
		turns := queueUp(t, start, c, other, c)
		unlock(t, lease)
		b.wantKept(c, "a", minHold-time.Since(start))
		wantTurns(t, turns, minHold, 0, 1, 2)
	})
}
