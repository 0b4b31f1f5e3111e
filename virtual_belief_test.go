package relock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// What a holder believes, where the server is slow to answer.

func TestValidityCountsFromBeforeTheRequest(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client()
		m := c.Mutex("a", WithLease(ttl))
		first := lockOf(t, m)
		if err := first.Extend(bg, ttl); err != nil {
			t.Fatal(err)
		}
		unlock(t, first) // it is connected, and its scripts are known
		wire.lag.Store(int64(2 * time.Second))
		start := time.Now()
		lease := lockOf(t, m)
		if got, want := lease.ValidUntil().Sub(start), ttl-engine.Drift(ttl); got != want {
			t.Errorf("Lock: valid for %v from the call, want %v", got, want)
		}
		start = time.Now()
		if err := lease.Extend(bg, ttl); err != nil {
			t.Fatal(err)
		}
		if got, most := lease.ValidUntil().Sub(start), spanning(ttl); got > most {
			t.Errorf("Extend: valid for %v from the call, want %v at most", got, most)
		}
	})
}

func TestALeaseIsWatchedWhenLockReturns(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		for _, m := range []*Mutex{c.Mutex("a"), c.Mutex("b", WithLease(ttl))} {
			o := lockOf(t, m).o.(*hold)
			c.host.dog.mu.Lock()
			if o.index == 0 {
				t.Errorf("Lock of %q has returned, and the watchdog does not know of it", m.Name())
			}
			c.host.dog.mu.Unlock()
		}
	})
}

// A process that was paused past its deadline calls Unlock before any timer has
// run. The server may have the hold still; what it protected was not.
func TestUnlockPastTheDeadlineIsALoss(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		lease := lockOf(t, c.Mutex("a"))
		lease.o.(*hold).valid.Store(c.host.clock())
		if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	})
}

// behind has c wait for a lock that is handed on by message, one second late,
// and returns its lease and when the server granted it.
func (b *bubble) behind(opts ...LockOption) (lease *Lease, since time.Time) {
	b.t.Helper()
	holder, _ := b.client()
	c, wire := b.client()
	had := lockOf(b.t, holder.Mutex("a"))
	got := make(chan *Lease, 1)
	go func() { got <- lockOf(b.t, c.Mutex("a", opts...)) }()
	pass(time.Second)
	wire.lag.Store(int64(time.Second))
	since = time.Now()
	unlock(b.t, had)
	lease = <-got
	wire.lag.Store(0)
	return lease, since
}

func TestMaxHoldIsNotExceededAfterAGrantByMessage(t *testing.T) {
	inBubble(t, func(b *bubble) {
		const most = 5 * time.Second
		lease, since := b.behind(WithMaxHold(most))
		if got := lease.ValidUntil().Sub(since); got > most || got < most-2*time.Second {
			t.Errorf("valid for %v from the grant, want %v", got, most)
		}
	})
}

// The message grants no more than the life of a queue entry.
func TestAFixedLeaseByMessageHasItsWholeTTL(t *testing.T) {
	inBubble(t, func(b *bubble) {
		lease, _ := b.behind(WithLease(ttl))
		if left := time.Until(lease.ValidUntil()); left < ttl-engine.Drift(ttl)-2*time.Second {
			t.Errorf("%v left of %v when Lock returns", left, ttl)
		}
	})
}

func TestWhoWaitsBehindALocalHolderIsToldSinceWhen(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		other, _ := b.client()
		lease := lockOf(t, other.Mutex("a"))
		go func() {
			pass(DefaultCheckInterval - 1)
			unlock(t, lease)
		}()
		lease = lockOf(t, c.Mutex("a")) // by message, nearly an interval after its last request
		since := time.Now()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err := c.Mutex("a").Lock(ctx)
		var taken *NotAcquiredError
		if !errors.As(err, &taken) || taken.Owner != lease.Owner() || !taken.Since.Equal(since) {
			t.Errorf("got %v, want that %s has held it for a second", err, lease.Owner())
		}
		unlock(t, lease)
	})
}

func TestALossIsHeardOfAsSoonAfterALongExtend(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		lease := lockOf(t, c.Mutex("a"))
		if err := lease.Extend(bg, time.Hour); err != nil {
			t.Fatal(err)
		}
		pass(ttl) // some renewals shorten nothing
		if left := time.Until(lease.ValidUntil()); left < time.Hour-ttl-2*engine.Drift(time.Hour) {
			t.Errorf("%v left of an hour after %v", left, ttl)
		}
		b.server.FlushAll()
		pass(ttl*11/30 + time.Second)
		if err := lease.Err(); !errors.Is(err, ErrLost) {
			t.Errorf("got %v after a renewal was due, want ErrLost", err)
		}
	})
}

func TestAShorterExtendShortensNothing(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		lease := lockOf(t, c.Mutex("a", WithLease(ttl)))
		until := lease.ValidUntil()
		if err := lease.Extend(bg, ttl/2); err != nil {
			t.Fatal(err)
		}
		// Were the server's answer to tell of less, it would be no reason either.
		lease.o.(*hold).believe(validity{time.Now(), ttl / 2})
		if got := lease.ValidUntil(); got.Before(until) {
			t.Errorf("shorter by %v", until.Sub(got))
		}
	})
}
