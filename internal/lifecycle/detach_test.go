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
	"github.com/relock-go/relock/internal/lifecycle"
)

// Leases that are left to run out.

func TestADetachedLockStaysTakenToItsEnd(t *testing.T) {
	const length = 15 * time.Second
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, wire := b.Client(relock.WithTracer(d))
		other, _ := b.Client()
		start := time.Now()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(length)))
		behaviour.Pass(time.Second)
		before := wire.Writes.Load()
		if err := lease.Detach(); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"Err": lease.Err(), "the cause": context.Cause(lease.Context()), "Extend": lease.Extend(behaviour.Bg, time.Minute),
		} {
			if !errors.Is(err, relock.ErrDetached) {
				t.Errorf("%s says %v, want ErrDetached", what, err)
			}
		}
		for what, err := range map[string]error{"Unlock": lease.Unlock(behaviour.Bg), "Detach": lease.Detach()} {
			if !errors.Is(err, relock.ErrNotHeld) {
				t.Errorf("%s says %v after a Detach, want ErrNotHeld", what, err)
			}
		}
		behaviour.WantStats(t, "detached", c.Stats(), relock.Stats{Acquired: 1, Detached: 1})
		if e := behaviour.Event[relock.Ended](t, d, "ended of a"); e.Reason != relock.EndDetached || e.Held != time.Second {
			t.Errorf("got %+v", e)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := wire.Writes.Load() - before; got > 0 {
			t.Errorf("%d requests, want none", got)
		}
		if slices.Contains(d.Lines, "release of a") || slices.Contains(d.Lines, "lost of a") {
			t.Errorf("got events %q", d.Lines)
		}
		if _, err := other.Mutex("a").TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("another's TryLock says %v, want ErrNotAcquired", err)
		}
		next := behaviour.LockOf(t, other.Mutex("a"))
		if took := time.Since(start); took < length || took > length+lifecycle.MinCheck {
			t.Errorf("another had it after %v, want after %v", took, length)
		}
		behaviour.Unlock(t, next)
	})
}

func TestDetachIsRefused(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		wants := func(what string, l *relock.Lease, want error) {
			t.Helper()
			if err := l.Detach(); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
		}
		wants("a zero lease", &relock.Lease{}, relock.ErrNotHeld)
		wants("no lease", nil, relock.ErrNotHeld)

		kept := behaviour.LockOf(t, c.Mutex("a"))
		wants("a lease with a watchdog", kept, relock.ErrInvalid)
		most := behaviour.LockOf(t, c.Mutex("b", relock.WithMaxHold(time.Hour)))
		wants("a lease with a longest hold", most, relock.ErrInvalid)
		half := behaviour.LockOf(t, behaviour.CompositeOf(t, c.Mutex("c", relock.WithLease(time.Hour)), c.Mutex("d")))
		wants("a whole with a watchdog", half, relock.ErrInvalid)
		for _, l := range []*relock.Lease{kept, most, half} {
			if err := l.Err(); err != nil {
				t.Errorf("%s ended by it: %v", l.Name(), err)
			}
			behaviour.Unlock(t, l)
			wants("after Unlock", l, relock.ErrInvalid)
		}

		fixed := c.Mutex("e", relock.WithLease(10*time.Second))
		done := behaviour.LockOf(t, fixed)
		behaviour.Unlock(t, done)
		wants("after Unlock", done, relock.ErrNotHeld)
		over := behaviour.LockOf(t, fixed) // before the next, which has to wait for the server's end
		<-over.Context().Done()
		wants("after its end", over, relock.ErrLost)
		wants("after its end, again", over, relock.ErrNotHeld)
		forced := behaviour.LockOf(t, fixed)
		if _, err := fixed.ForceUnlock(behaviour.Bg); err != nil {
			t.Fatal(err)
		}
		wants("after a ForceUnlock", forced, relock.ErrLost)
		closed := behaviour.LockOf(t, fixed)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		wants("after Close", closed, relock.ErrClosed)
		behaviour.WantStats(t, "all", withoutRenewals(c.Stats()), relock.Stats{Acquired: 8, Released: 5, Ended: 1, Lost: 1, Closed: 1, Forced: 1, CheckIns: 1})
	})
}

// Nothing will name who waits behind a detached hold: it asks for itself.
func TestALocalWaiterBehindADetachedLockHasItAtItsEnd(t *testing.T) {
	const length = 10 * time.Second
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		start := time.Now()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(length)))
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
		synctest.Wait()
		if err := lease.Detach(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st, err := c.Mutex("a").Status(behaviour.Bg); err != nil || st.Waiters != 1 {
			t.Errorf("got %+v, %v; want the waiter in the server's queue", st, err)
		}
		next := <-got
		if took := time.Since(start); took < length || took > length+lifecycle.MinCheck {
			t.Errorf("had it after %v, want after %v", took, length)
		}
		behaviour.Unlock(t, next)
	})
}

// Each hold of an owner is detached by itself.
func TestAHoldAmongOthersIsDetached(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		r := c.Reentrant("a", relock.WithLease(10*time.Second))
		count := func(want int) {
			t.Helper()
			if st, err := r.Status(behaviour.Bg); err != nil || st.Count != want {
				t.Errorf("got %+v, %v; want %d holds", st, err, want)
			}
		}
		outer := behaviour.LockOf(t, r)
		inner := behaviour.LockIn(t, outer.Context(), r)
		if err := inner.Detach(); err != nil {
			t.Fatal(err)
		}
		if err := inner.Detach(); !errors.Is(err, relock.ErrNotHeld) {
			t.Errorf("got %v, want ErrNotHeld", err)
		}
		if err := outer.Err(); err != nil {
			t.Errorf("the outer hold says %v", err)
		}
		count(2)
		behaviour.Unlock(t, outer)
		count(1)
		if _, err := other.Mutex("a").TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("another's TryLock says %v", err)
		}
		behaviour.Pass(10 * time.Second)
		behaviour.Unlock(t, behaviour.LockOf(t, other.Mutex("a")))
		behaviour.WantStats(t, "both", c.Stats(), relock.Stats{Acquired: 2, Released: 1, Detached: 1})
	})
}

// A whole ends before its members do, so that no member's end is its loss.
func TestALockOfSeveralIsDetached(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, _ := b.Client(relock.WithTracer(d))
		both := behaviour.CompositeOf(t, c.Mutex("a", relock.WithLease(4*time.Second)), c.Mutex("b", relock.WithLease(7*time.Second)))
		whole := behaviour.LockOf(t, both)
		if err := whole.Detach(); err != nil {
			t.Fatal(err)
		}
		if err := context.Cause(whole.Context()); !errors.Is(err, relock.ErrDetached) || !errors.Is(whole.Err(), relock.ErrDetached) {
			t.Errorf("got %v and %v, want ErrDetached", err, whole.Err())
		}
		for what, err := range map[string]error{"Unlock": whole.Unlock(behaviour.Bg), "Detach": whole.Detach()} {
			if !errors.Is(err, relock.ErrNotHeld) {
				t.Errorf("%s says %v, want ErrNotHeld", what, err)
			}
		}
		synctest.Wait()
		behaviour.WantStats(t, "detached", withoutRenewals(c.Stats()), relock.Stats{Acquired: 2, Detached: 2})
		behaviour.Pass(4 * time.Second)
		if _, err := both.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("TryLock says %v while a member is taken", err)
		}
		over := behaviour.LockOf(t, both)
		behaviour.Pass(4 * time.Second)
		if err := over.Detach(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v of a whole that has ended, want ErrLost", err)
		}
		synctest.Wait()
		st := withoutRenewals(c.Stats())
		if st.Ended != 1 || st.Detached != 3 || st.Held != 0 || st.Lost != 0 {
			t.Errorf("got %+v, want the rest detached", st)
		}
	})
}
