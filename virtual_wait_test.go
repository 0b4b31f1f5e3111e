package relock

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a waiter does while it waits, and when it gives up.

func (b *bubble) waiters(c *Client) int {
	b.t.Helper()
	st, err := c.Mutex("a").Status(bg)
	if err != nil {
		b.t.Fatal(err)
	}
	return st.Waiters
}

// An entry lives three intervals: who is there after a minute has checked in.
func TestAWaiterStaysInTheQueueAndLeavesItAtOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		holder, _ := b.client()
		c, _ := b.client()
		lease := lockOf(t, holder.Mutex("a"))
		ctx, cancel := context.WithCancel(bg)
		done := make(chan error, 1)
		go func() { _, err := c.Mutex("a").Lock(ctx); done <- err }()
		for range 20 {
			pass(DefaultCheckInterval + time.Millisecond)
			if n := b.waiters(holder); n != 1 {
				t.Fatalf("%d waiters in the queue, want the one that waits", n)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, ErrNotAcquired) {
			t.Errorf("got %v, want ErrNotAcquired", err)
		}
		synctest.Wait()
		if n := b.waiters(holder); n != 0 {
			t.Errorf("%d waiters in the queue, and the only one has given up", n)
		}
		unlock(t, lease)
	})
}

// The holder is gone, and so nobody sends a message: the first in the queue asks
// when the holder's time is up, and not at its next check-in.
func TestTheFirstAsksWhenTheHoldersTimeIsUp(t *testing.T) {
	inBubble(t, func(b *bubble) {
		dead, wire := b.client()
		c, _ := b.client()
		const lease = 10 * time.Second // a third of the way between two check-ins
		start := time.Now()
		lockOf(t, dead.Mutex("a", WithLease(lease)))
		wire.cutOff()
		next := lockOf(t, c.Mutex("a"))
		if took := time.Since(start); took > lease+minCheck {
			t.Errorf("had the lock %v after the grant of one that lasts %v", took, lease)
		}
		unlock(t, next)
	})
}

// Who expects a lock to know its holder by the thread locks it again with the
// context of before, and waits for himself.
func TestAWaitForALeaseOfTheSameClientIsTold(t *testing.T) {
	inBubble(t, func(b *bubble) {
		log, said := logged()
		c, _ := b.client(WithLogger(log))
		other, _ := b.client()
		books := c.Reentrant("a")
		outer := lockOf(t, books)
		for range 2 {
			ctx, cancel := context.WithTimeout(bg, DefaultCheckInterval+time.Millisecond)
			_, err := books.Lock(ctx)
			cancel()
			wantLocal(t, err, true)
		}
		if n := strings.Count(said(), "a lease of this same client"); n != 1 {
			t.Errorf("logged %d times that the client waits for itself, want once for the lease", n)
		}
		_, err := books.TryLock(bg)
		wantLocal(t, err, true)
		_, err = other.Reentrant("a").TryLock(bg)
		wantLocal(t, err, false)
		inner, err := books.Lock(outer.Context())
		if err != nil {
			t.Fatal(err)
		}
		unlock(t, inner)
		unlock(t, outer)
	})
}

func wantLocal(t *testing.T, err error, want bool) {
	t.Helper()
	var taken *NotAcquiredError
	if !errors.As(err, &taken) {
		t.Fatalf("got %v, want a NotAcquiredError", err)
	}
	if taken.Local != want || strings.Contains(err.Error(), howToReenter) != want {
		t.Errorf("Local is %v, in %q; want %v", taken.Local, err, want)
	}
}

func TestALeaseEndsAtOnceIfItsOwnClientForcesTheLock(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		lease := lockOf(t, c.Mutex("a", WithLease(time.Hour)))
		if freed, err := c.Mutex("a").ForceUnlock(bg); !freed || err != nil {
			t.Fatalf("ForceUnlock: %v, %v", freed, err)
		}
		if err := lease.Err(); !errors.Is(err, ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	})
}

// A lease that was taken away, and that its holder believes in, holds up the
// first turn of its client, and none after that.
func TestALeaseThatWasTakenAwayHoldsUpOneTurn(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		other, _ := b.client()
		stale := lockOf(t, c.Mutex("x", WithLease(time.Hour)))
		if freed, err := other.Mutex("x").ForceUnlock(bg); err != nil || !freed {
			t.Fatal(freed, err)
		}
		const turns = 4
		had := make(chan time.Time, turns)
		for range turns {
			go func() {
				l, err := c.Mutex("x").Lock(bg)
				if err != nil {
					t.Error(err)
				}
				at := time.Now()
				unlock(t, l)
				had <- at
			}()
		}
		first := <-had
		for range turns - 1 {
			if after := (<-had).Sub(first); after >= DefaultCheckInterval {
				t.Errorf("had the lock %v after the first", after)
			}
		}
		_ = stale.Unlock(bg)
	})
}
