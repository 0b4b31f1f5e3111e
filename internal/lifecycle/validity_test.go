package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// What a holder believes, where the server is slow to answer.

func TestValidityCountsFromBeforeTheRequest(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client()
		m := c.Mutex("a", relock.WithLease(behaviour.TTL))
		first := behaviour.LockOf(t, m)
		if err := first.Extend(behaviour.Bg, behaviour.TTL); err != nil {
			t.Fatal(err)
		}
		behaviour.Unlock(t, first) // it is connected, and its scripts are known
		wire.Lag.Store(int64(2 * time.Second))
		start := time.Now()
		lease := behaviour.LockOf(t, m)
		if got, want := lease.ValidUntil().Sub(start), behaviour.TTL-engine.Drift(behaviour.TTL); got != want {
			t.Errorf("Lock: valid for %v from the call, want %v", got, want)
		}
		start = time.Now()
		if err := lease.Extend(behaviour.Bg, behaviour.TTL); err != nil {
			t.Fatal(err)
		}
		if got, most := lease.ValidUntil().Sub(start), lifecycle.Spanning(behaviour.TTL); got > most {
			t.Errorf("Extend: valid for %v from the call, want %v at most", got, most)
		}
	})
}

func TestALeaseIsWatchedWhenLockReturns(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		for _, m := range []*relock.Mutex{c.Mutex("a"), c.Mutex("b", relock.WithLease(behaviour.TTL))} {
			o := behaviour.HoldOf(behaviour.LockOf(t, m))
			if !o.Watched() {
				t.Errorf("Lock of %q has returned, and the watchdog does not know of it", m.Name())
			}
		}
	})
}

// A process that was paused past its deadline calls Unlock before any timer has
// run. The server may have the hold still; what it protected was not.
func TestUnlockPastTheDeadlineIsALoss(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		lease := behaviour.LockOf(t, c.Mutex("a"))
		behaviour.HoldOf(lease).RunOut()
		if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	})
}

func TestMaxHoldIsNotExceededAfterAGrantByMessage(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		const most = 5 * time.Second
		lease, since := b.Behind(relock.WithMaxHold(most))
		if got := lease.ValidUntil().Sub(since); got > most || got < most-2*time.Second {
			t.Errorf("valid for %v from the grant, want %v", got, most)
		}
	})
}

// The message grants no more than the life of a queue entry.
func TestAFixedLeaseByMessageHasItsWholeTTL(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		lease, _ := b.Behind(relock.WithLease(behaviour.TTL))
		if left := time.Until(lease.ValidUntil()); left < behaviour.TTL-engine.Drift(behaviour.TTL)-2*time.Second {
			t.Errorf("%v left of %v when Lock returns", left, behaviour.TTL)
		}
	})
}

func TestWhoWaitsBehindALocalHolderIsToldSinceWhen(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		lease := behaviour.LockOf(t, other.Mutex("a"))
		go func() {
			behaviour.Pass(relock.DefaultCheckInterval - 1)
			behaviour.Unlock(t, lease)
		}()
		lease = behaviour.LockOf(t, c.Mutex("a")) // by message, nearly an interval after its last request
		since := time.Now()
		ctx, cancel := context.WithTimeout(behaviour.Bg, time.Second)
		defer cancel()
		_, err := c.Mutex("a").Lock(ctx)
		var taken *relock.NotAcquiredError
		if !errors.As(err, &taken) || taken.Owner != lease.Owner() || !taken.Since.Equal(since) {
			t.Errorf("got %v, want that %s has held it for a second", err, lease.Owner())
		}
		behaviour.Unlock(t, lease)
	})
}

func TestALossIsHeardOfAsSoonAfterALongExtend(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		lease := behaviour.LockOf(t, c.Mutex("a"))
		if err := lease.Extend(behaviour.Bg, time.Hour); err != nil {
			t.Fatal(err)
		}
		behaviour.Pass(behaviour.TTL) // some renewals shorten nothing
		if left := time.Until(lease.ValidUntil()); left < time.Hour-behaviour.TTL-2*engine.Drift(time.Hour) {
			t.Errorf("%v left of an hour after %v", left, behaviour.TTL)
		}
		b.Server.FlushAll()
		behaviour.Pass(behaviour.TTL*11/30 + time.Second)
		if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v after a renewal was due, want ErrLost", err)
		}
	})
}

func TestAShorterExtendShortensNothing(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(behaviour.TTL)))
		until := lease.ValidUntil()
		if err := lease.Extend(behaviour.Bg, behaviour.TTL/2); err != nil {
			t.Fatal(err)
		}
		// Were the server's answer to tell of less, it would be no reason either.
		behaviour.HoldOf(lease).Believe(behaviour.TTL / 2)
		if got := lease.ValidUntil(); got.Before(until) {
			t.Errorf("shorter by %v", until.Sub(got))
		}
	})
}

func TestMaxHoldCountsFromAGrantByMessage(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		h, _ := b.Client()
		a, _ := b.Client()
		lease := behaviour.LockOf(t, h.Mutex("a"))
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, a.Mutex("a", relock.WithMaxHold(2*time.Second))) }()
		behaviour.Pass(2500 * time.Millisecond)
		behaviour.Unlock(t, lease)
		l := <-got
		if err := l.Err(); err != nil {
			t.Errorf("Lock returned a lease that is over: %v, valid for %v", err, time.Until(l.ValidUntil()))
		}
	})
}
