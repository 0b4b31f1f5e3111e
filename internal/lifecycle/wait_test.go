package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/lifecycle"
)

// An entry lives three intervals: who is there after a minute has checked in.
func TestAWaiterStaysInTheQueueAndLeavesItAtOnce(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, _ := b.Client()
		c, _ := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		done := make(chan error, 1)
		go func() { _, err := c.Mutex("a").Lock(ctx); done <- err }()
		for range 20 {
			behaviour.Pass(relock.DefaultCheckInterval + time.Millisecond)
			if n := b.Waiters(holder); n != 1 {
				t.Fatalf("%d waiters in the queue, want the one that waits", n)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("got %v, want ErrNotAcquired", err)
		}
		synctest.Wait()
		if n := b.Waiters(holder); n != 0 {
			t.Errorf("%d waiters in the queue, and the only one has given up", n)
		}
		behaviour.Unlock(t, lease)
	})
}

// The holder is gone, and so nobody sends a message: the first in the queue asks
// when the holder's time is up, and not at its next check-in.
func TestTheFirstAsksWhenTheHoldersTimeIsUp(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		dead, wire := b.Client()
		c, _ := b.Client()
		const lease = 10 * time.Second // a third of the way between two check-ins
		start := time.Now()
		behaviour.LockOf(t, dead.Mutex("a", relock.WithLease(lease)))
		wire.CutOff()
		next := behaviour.LockOf(t, c.Mutex("a"))
		if took := time.Since(start); took > lease+lifecycle.MinCheck {
			t.Errorf("had the lock %v after the grant of one that lasts %v", took, lease)
		}
		behaviour.Unlock(t, next)
	})
}

// Who expects a lock to know its holder by the thread locks it again with the
// context of before, and waits for himself.
func TestAWaitForALeaseOfTheSameClientIsTold(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		log, said := behaviour.Logged()
		c, _ := b.Client(relock.WithLogger(log))
		other, _ := b.Client()
		books := c.Reentrant("a")
		outer := behaviour.LockOf(t, books)
		for range 2 {
			ctx, cancel := context.WithTimeout(behaviour.Bg, relock.DefaultCheckInterval+time.Millisecond)
			_, err := books.Lock(ctx)
			cancel()
			wantLocal(t, err, true)
		}
		if n := strings.Count(said(), "a lease of this same client"); n != 1 {
			t.Errorf("logged %d times that the client waits for itself, want once for the lease", n)
		}
		_, err := books.TryLock(behaviour.Bg)
		wantLocal(t, err, true)
		_, err = other.Reentrant("a").TryLock(behaviour.Bg)
		wantLocal(t, err, false)
		inner, err := books.Lock(outer.Context())
		if err != nil {
			t.Fatal(err)
		}
		behaviour.Unlock(t, inner)
		behaviour.Unlock(t, outer)
	})
}

func wantLocal(t *testing.T, err error, want bool) {
	t.Helper()
	var taken *relock.NotAcquiredError
	if !errors.As(err, &taken) {
		t.Fatalf("got %v, want a NotAcquiredError", err)
	}
	if taken.Local != want || strings.Contains(err.Error(), "a Reentrant re-enters with the context of that lease") != want {
		t.Errorf("Local is %v, in %q; want %v", taken.Local, err, want)
	}
}

func TestALeaseEndsAtOnceIfItsOwnClientForcesTheLock(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(time.Hour)))
		if freed, err := c.Mutex("a").ForceUnlock(behaviour.Bg); !freed || err != nil {
			t.Fatalf("ForceUnlock: %v, %v", freed, err)
		}
		if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	})
}

// A lease that was taken away, and that its holder believes in, holds up the
// first turn of its client, and none after that.
func TestALeaseThatWasTakenAwayHoldsUpOneTurn(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		stale := behaviour.LockOf(t, c.Mutex("x", relock.WithLease(time.Hour)))
		if freed, err := other.Mutex("x").ForceUnlock(behaviour.Bg); err != nil || !freed {
			t.Fatal(freed, err)
		}
		const turns = 4
		had := make(chan time.Time, turns)
		for range turns {
			go func() {
				l, err := c.Mutex("x").Lock(behaviour.Bg)
				if err != nil {
					t.Error(err)
				}
				at := time.Now()
				behaviour.Unlock(t, l)
				had <- at
			}()
		}
		first := <-had
		for range turns - 1 {
			if after := (<-had).Sub(first); after >= relock.DefaultCheckInterval {
				t.Errorf("had the lock %v after the first", after)
			}
		}
		_ = stale.Unlock(behaviour.Bg)
	})
}
