package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

func TestAGrantIsBelievedForItsTTLLessTheDrift(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		start := time.Now()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(behaviour.TTL)))
		if got, want := lease.ValidUntil().Sub(start), behaviour.TTL-engine.Drift(behaviour.TTL); got != want {
			t.Errorf("valid for %v, want %v", got, want)
		}
		behaviour.Pass(behaviour.TTL - engine.Drift(behaviour.TTL) - 1)
		if err := lease.Err(); err != nil {
			t.Errorf("a nanosecond before its end: %v", err)
		}
		if err := lease.Context().Err(); err != nil {
			t.Errorf("the context ended early: %v", err)
		}
		behaviour.Pass(1)
		if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("at its end: %v, want ErrLost", err)
		}
		synctest.Wait()
		if err := context.Cause(lease.Context()); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got cause %v at the end, want ErrLost", err)
		}
	})
}

func TestTheWatchdogRenewsEveryThirdOfTheTTL(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client()
		lease := behaviour.LockOf(t, c.Mutex("a"))
		before := wire.Writes.Load()
		const span = time.Hour
		for range int(span / time.Second) {
			behaviour.Pass(time.Second)
			if err := lease.Err(); err != nil {
				t.Fatal(err)
			}
			if left := b.Server.TTL("relock:lock:{a}"); left < behaviour.TTL*6/10 {
				t.Fatalf("%v left on the server", left)
			}
		}
		got, want := int(wire.Writes.Load()-before), int(3*span/behaviour.TTL)
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%d renewals in %v, want about %d", got, span, want)
		}
		behaviour.Unlock(t, lease)
	})
}

func TestACutOffHolderIsLostAtItsDeadlineAndNotBefore(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client()
		lease := behaviour.LockOf(t, c.Mutex("a"))
		behaviour.Pass(5 * behaviour.TTL)
		synctest.Wait()
		until := lease.ValidUntil()
		wire.CutOff()
		behaviour.Pass(time.Until(until) - 1)
		if lease.Err() != nil || lease.Context().Err() != nil {
			t.Errorf("lost early: %v, %v", lease.Err(), lease.Context().Err())
		}
		behaviour.Pass(1)
		synctest.Wait()
		if err := context.Cause(lease.Context()); !errors.Is(err, relock.ErrLost) || lease.Err() == nil {
			t.Errorf("got cause %v and %v at the deadline, want ErrLost", err, lease.Err())
		}
		if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v from Unlock, want ErrLost", err)
		}
	})
}

func TestAHolderWhoseKeyIsGoneLearnsOfItByTheNextRenewal(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		lease := behaviour.LockOf(t, c.Mutex("a"))
		b.Server.Del("relock:lock:{a}")
		start := time.Now()
		select {
		case <-lease.Context().Done():
		case <-time.After(10 * behaviour.TTL):
		}
		if took := time.Since(start); took > behaviour.TTL/3+behaviour.TTL/30 {
			t.Errorf("learnt of it after %v, want within a third of %v", took, behaviour.TTL)
		}
		if b.Server.Exists("relock:lock:{a}") {
			t.Error("the key has been put back")
		}
	})
}

func TestADeadHolderKeepsTheLockNoLongerThanItsTTL(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		dead, wire := b.Client()
		behaviour.LockOf(t, dead.Mutex("a"))
		behaviour.Pass(time.Minute)
		synctest.Wait()
		next, _ := b.Client()
		got := make(chan time.Time, 1)
		go func() {
			lease, err := next.Mutex("a").Lock(behaviour.Bg)
			if err != nil {
				t.Error(err)
			}
			had := time.Now()
			behaviour.Unlock(t, lease)
			got <- had
		}()
		synctest.Wait()
		wire.CutOff()
		died := time.Now()
		if took := (<-got).Sub(died); took > behaviour.TTL+lifecycle.MinCheck {
			t.Errorf("the head of the queue had the lock %v after the death, want within %v", took, behaviour.TTL)
		}
	})
}

func TestAWaiterChecksInOnceAnInterval(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, _ := b.Client()
		waiter, wire := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithTTL(time.Hour)))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		done := make(chan struct{})
		for range 10 {
			go func() {
				_, err := waiter.Mutex("a").Lock(ctx)
				if !errors.Is(err, relock.ErrNotAcquired) {
					t.Errorf("got %v, want ErrNotAcquired", err)
				}
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		before := wire.Writes.Load()
		const span = 5 * time.Minute
		behaviour.Pass(span)
		// A silent subscription is pinged once an interval as well.
		got, want := int(wire.Writes.Load()-before), int(span/relock.DefaultCheckInterval)
		if got > 2*want+2 || got < want {
			t.Errorf("%d commands of 10 idle waiters in %v, want about %d check-ins and as many pings", got, span, want)
		}
		cancel()
		for range 10 {
			<-done
		}
		behaviour.Unlock(t, lease)
	})
}

func TestAWaitEndsWithItsContextToTheInstant(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, _ := b.Client()
		waiter, wire := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		for _, cut := range []bool{false, true} {
			if cut {
				wire.CutOff()
			}
			ctx, cancel := context.WithTimeout(behaviour.Bg, 7*time.Second)
			start := time.Now()
			_, err := waiter.Mutex("a").Lock(ctx)
			cancel()
			if took := time.Since(start); took != 7*time.Second {
				t.Errorf("cut off %v: returned after %v, want 7s", cut, took)
			}
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, relock.ErrNotAcquired) == cut {
				t.Errorf("cut off %v: got %v", cut, err)
			}
		}
		behaviour.Unlock(t, lease)
	})
}

// A grant whose message is lost is found by the next check-in, whenever in the
// interval it was made.
func TestAWaiterWhoseMessagesAreLostHasTheLockWithinTheCheckInterval(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, _ := b.Client()
		waiter, _ := b.Client()
		behaviour.EngineOf(waiter).Start(unheardSink{behaviour.ManagerOf(waiter)})
		for i := range 20 {
			lease := behaviour.LockOf(t, holder.Mutex("a"))
			got := make(chan *relock.Lease, 1)
			go func() { got <- behaviour.LockOf(t, waiter.Mutex("a")) }()
			behaviour.Pass(time.Second + time.Duration(i)*200*time.Millisecond)
			start := time.Now()
			behaviour.Unlock(t, lease)
			next := <-got
			if took := time.Since(start); took > relock.DefaultCheckInterval {
				t.Errorf("had the lock after %v, want within %v", took, relock.DefaultCheckInterval)
			}
			behaviour.Unlock(t, next)
		}
	})
}

// unheardSink hears no grant.
type unheardSink struct{ engine.Sink }

func (unheardSink) Deliver(engine.Message) {}

func TestCloseIsBoundedThoughNothingIsAnswered(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client(relock.WithCallTimeout(2 * time.Second))
		lease := behaviour.LockOf(t, c.Mutex("a"))
		wire.CutOff()
		start := time.Now()
		if err := c.Close(); err == nil {
			t.Error("Close says that all was released")
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("Close took %v, want 2s at most", took)
		}
		if err := context.Cause(lease.Context()); !errors.Is(err, relock.ErrClosed) {
			t.Errorf("got cause %v, want ErrClosed", err)
		}
	})
}

func TestNothingRenewsAfterUnlock(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client()
		for i := range 200 {
			lease := behaviour.LockOf(t, c.Mutex("a"))
			behaviour.Pass(behaviour.TTL/3 + time.Duration(i-100)*10*time.Millisecond) // around the renewal
			behaviour.Unlock(t, lease)
			if b.Server.Exists("relock:lock:{a}") {
				t.Fatal("the key is there after Unlock")
			}
		}
		before := wire.Writes.Load()
		behaviour.Pass(10 * behaviour.TTL)
		if got := wire.Writes.Load() - before; got > 0 {
			t.Errorf("%d commands from a client that holds nothing", got)
		}
	})
}

// lateSink hears of grants when they are over.
type lateSink struct{ engine.Sink }

func (s lateSink) Deliver(m engine.Message) {
	go func() {
		behaviour.Pass(m.Left + time.Second)
		s.Sink.Deliver(m)
	}()
}

// messagesAreLate has c hear of grants when they are over, and not ask meanwhile.
func messagesAreLate(c *relock.Client) {
	behaviour.EngineOf(c).Start(lateSink{behaviour.ManagerOf(c)})
	behaviour.ManagerOf(c).StopWatchdog()
}

// A message that was on its way for longer than the grant lives is no lock: the
// waiter gives it back and goes on waiting, at its place.
func TestAGrantTooOldIsReleasedAndTheWaitGoesOn(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		holder, _ := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		got := make(chan *relock.Lease)
		go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
		synctest.Wait()
		o := behaviour.ManagerOf(c).Holds()[0]
		id := o.Request().Hold
		messagesAreLate(c)
		behaviour.Unlock(t, lease)
		next := <-got
		if err := next.Err(); err != nil {
			t.Errorf("Lock returned a lease that is over: %v", err)
		}
		if behaviour.HoldOf(next).Request().Hold == id {
			t.Error("the hold was not given up")
		}
		behaviour.Unlock(t, next)
		synctest.Wait()
		if b.Server.Exists("relock:lock:{a}") || b.Server.Exists("relock:queue:{a}") {
			t.Errorf("keys left: %q", b.Server.Keys())
		}
	})
}
