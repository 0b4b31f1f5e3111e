package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// How a lock of several ends.

// One member is lost; what protects the rest of the function's work is held for it.
func TestTheRestOfALockOfSeveralIsHeldUntilDosFunctionHasReturned(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		go func() {
			err := relock.Do(behaviour.Bg, behaviour.CompositeOf(t, c.Mutex("a"), c.Mutex("b")), func(ctx context.Context, _ *relock.Lease) error {
				b.Server.Del("relock:lock:{a}")
				<-ctx.Done()
				behaviour.Pass(10 * behaviour.TTL)
				if _, err := other.Mutex("b").TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
					t.Errorf("another's TryLock says %v while the function runs", err)
				}
				return nil
			})
			if !errors.Is(err, relock.ErrLost) {
				t.Errorf("Do says %v, want ErrLost", err)
			}
			behaviour.Unlock(t, behaviour.LockOf(t, other.Mutex("b")))
			behaviour.WantStats(t, "of two", withoutRenewals(c.Stats()), relock.Stats{Acquired: 2, Lost: 1, Released: 1})
		}()
		behaviour.Pass(20 * behaviour.TTL)
	})
}

func withoutRenewals(s relock.Stats) relock.Stats {
	s.Renewals, s.RenewFailures = 0, 0
	return s
}

// A member that came to its end ends the whole, and leaves the others to theirs:
// but one that the watchdog would keep for ever is given back.
func TestAMembersNormalEndLeavesTheOtherFixedOnesToTheirs(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, _ := b.Client(relock.WithTracer(d))
		start := time.Now()
		whole := behaviour.LockOf(t, behaviour.CompositeOf(t, c.Mutex("a", relock.WithLease(4*time.Second)), c.Mutex("b", relock.WithLease(7*time.Second)), c.Mutex("c")))
		<-whole.Context().Done()
		synctest.Wait()
		if took := time.Since(start); took > 4*time.Second || !errors.Is(whole.Err(), relock.ErrLost) {
			t.Errorf("ended after %v with %v", took, whole.Err())
		}
		behaviour.WantStats(t, "the first is over", withoutRenewals(c.Stats()), relock.Stats{Held: 1, Acquired: 3, Ended: 1, Released: 1})
		if b.Server.Exists("relock:lock:{c}") || !b.Server.Exists("relock:lock:{b}") {
			t.Errorf("keys left: %q", b.Server.Keys())
		}
		for _, name := range []string{"a", "b"} {
			next := behaviour.LockOf(t, c.Mutex(name))
			want := 4 * time.Second
			if name == "b" {
				want = 7 * time.Second
			}
			if took := time.Since(start); took < want || took > want+50*time.Millisecond {
				t.Errorf("%s was taken %v after the start, want %v", name, took, want)
			}
			behaviour.Unlock(t, next)
		}
		behaviour.WantStats(t, "all are over", withoutRenewals(c.Stats()), relock.Stats{Acquired: 5, Ended: 2, Released: 3, CheckIns: 2})
		for _, name := range []string{"a", "b"} {
			if e := behaviour.Event[relock.Ended](t, d, "ended of "+name); e.Reason != relock.EndLease {
				t.Errorf("got %+v", e)
			}
		}
		if slices.Contains(d.Lines, "lost of a") || slices.Contains(d.Lines, "lost of b") {
			t.Errorf("got %q", d.Lines)
		}
	})
}

// Whoever unlocks a whole that has ended gives back the rest of it.
func TestUnlockGivesBackTheRestOfAWholeThatHasEnded(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		whole := behaviour.LockOf(t, behaviour.CompositeOf(t, c.Mutex("a", relock.WithLease(4*time.Second)), c.Mutex("b", relock.WithLease(time.Hour))))
		<-whole.Context().Done()
		if err := whole.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		if b.Server.Exists("relock:lock:{b}") {
			t.Error("the rest is left")
		}
	})
}
