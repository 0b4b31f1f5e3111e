package relock

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Leases that are left to run out.

func TestADetachedLockStaysTakenToItsEnd(t *testing.T) {
	const length = 15 * time.Second
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, wire := b.client(WithTracer(d))
		other, _ := b.client()
		start := time.Now()
		lease := lockOf(t, c.Mutex("a", WithLease(length)))
		pass(time.Second)
		before := wire.writes.Load()
		if err := lease.Detach(); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"Err": lease.Err(), "the cause": context.Cause(lease.Context()), "Extend": lease.Extend(bg, time.Minute),
		} {
			if !errors.Is(err, ErrDetached) {
				t.Errorf("%s says %v, want ErrDetached", what, err)
			}
		}
		for what, err := range map[string]error{"Unlock": lease.Unlock(bg), "Detach": lease.Detach()} {
			if !errors.Is(err, ErrNotHeld) {
				t.Errorf("%s says %v after a Detach, want ErrNotHeld", what, err)
			}
		}
		wantStats(t, "detached", c.Stats(), Stats{Acquired: 1, Detached: 1})
		if e := event[Ended](t, d, "ended of a"); e.Reason != EndDetached || e.Held != time.Second {
			t.Errorf("got %+v", e)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := wire.writes.Load() - before; got > 0 {
			t.Errorf("%d requests, want none", got)
		}
		if slices.Contains(d.lines, "release of a") || slices.Contains(d.lines, "lost of a") {
			t.Errorf("got events %q", d.lines)
		}
		if _, err := other.Mutex("a").TryLock(bg); !errors.Is(err, ErrNotAcquired) {
			t.Errorf("another's TryLock says %v, want ErrNotAcquired", err)
		}
		next := lockOf(t, other.Mutex("a"))
		if took := time.Since(start); took < length || took > length+minCheck {
			t.Errorf("another had it after %v, want after %v", took, length)
		}
		unlock(t, next)
	})
}

func TestDetachIsRefused(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		wants := func(what string, l *Lease, want error) {
			t.Helper()
			if err := l.Detach(); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
		}
		wants("a zero lease", &Lease{}, ErrNotHeld)
		wants("no lease", nil, ErrNotHeld)

		kept := lockOf(t, c.Mutex("a"))
		wants("a lease with a watchdog", kept, ErrInvalid)
		most := lockOf(t, c.Mutex("b", WithMaxHold(time.Hour)))
		wants("a lease with a longest hold", most, ErrInvalid)
		half := lockOf(t, compositeOf(t, c.Mutex("c", WithLease(time.Hour)), c.Mutex("d")))
		wants("a whole with a watchdog", half, ErrInvalid)
		for _, l := range []*Lease{kept, most, half} {
			if err := l.Err(); err != nil {
				t.Errorf("%s ended by it: %v", l.Name(), err)
			}
			unlock(t, l)
			wants("after Unlock", l, ErrInvalid)
		}

		fixed := c.Mutex("e", WithLease(10*time.Second))
		done := lockOf(t, fixed)
		unlock(t, done)
		wants("after Unlock", done, ErrNotHeld)
		over := lockOf(t, fixed) // before the next, which has to wait for the server's end
		<-over.Context().Done()
		wants("after its end", over, ErrLost)
		wants("after its end, again", over, ErrNotHeld)
		forced := lockOf(t, fixed)
		if _, err := fixed.ForceUnlock(bg); err != nil {
			t.Fatal(err)
		}
		wants("after a ForceUnlock", forced, ErrLost)
		closed := lockOf(t, fixed)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		wants("after Close", closed, ErrClosed)
		wantStats(t, "all", withoutRenewals(c.Stats()), Stats{Acquired: 8, Released: 5, Ended: 1, Lost: 1, Closed: 1, Forced: 1, CheckIns: 1})
	})
}

// Nothing will name who waits behind a detached hold: it asks for itself.
func TestALocalWaiterBehindADetachedLockHasItAtItsEnd(t *testing.T) {
	const length = 10 * time.Second
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		start := time.Now()
		lease := lockOf(t, c.Mutex("a", WithLease(length)))
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, c.Mutex("a")) }()
		synctest.Wait()
		if err := lease.Detach(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st, err := c.Mutex("a").Status(bg); err != nil || st.Waiters != 1 {
			t.Errorf("got %+v, %v; want the waiter in the server's queue", st, err)
		}
		next := <-got
		if took := time.Since(start); took < length || took > length+minCheck {
			t.Errorf("had it after %v, want after %v", took, length)
		}
		unlock(t, next)
	})
}

// Each hold of an owner is detached by itself.
func TestAHoldAmongOthersIsDetached(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		other, _ := b.client()
		r := c.Reentrant("a", WithLease(10*time.Second))
		count := func(want int) {
			t.Helper()
			if st, err := r.Status(bg); err != nil || st.Count != want {
				t.Errorf("got %+v, %v; want %d holds", st, err, want)
			}
		}
		outer := lockOf(t, r)
		inner := lockIn(t, outer.Context(), r)
		if err := inner.Detach(); err != nil {
			t.Fatal(err)
		}
		if err := inner.Detach(); !errors.Is(err, ErrNotHeld) {
			t.Errorf("got %v, want ErrNotHeld", err)
		}
		if err := outer.Err(); err != nil {
			t.Errorf("the outer hold says %v", err)
		}
		count(2)
		unlock(t, outer)
		count(1)
		if _, err := other.Mutex("a").TryLock(bg); !errors.Is(err, ErrNotAcquired) {
			t.Errorf("another's TryLock says %v", err)
		}
		pass(10 * time.Second)
		unlock(t, lockOf(t, other.Mutex("a")))
		wantStats(t, "both", c.Stats(), Stats{Acquired: 2, Released: 1, Detached: 1})
	})
}

// A whole ends before its members do, so that no member's end is its loss.
func TestALockOfSeveralIsDetached(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, _ := b.client(WithTracer(d))
		both := compositeOf(t, c.Mutex("a", WithLease(4*time.Second)), c.Mutex("b", WithLease(7*time.Second)))
		whole := lockOf(t, both)
		if err := whole.Detach(); err != nil {
			t.Fatal(err)
		}
		if err := context.Cause(whole.Context()); !errors.Is(err, ErrDetached) || !errors.Is(whole.Err(), ErrDetached) {
			t.Errorf("got %v and %v, want ErrDetached", err, whole.Err())
		}
		for what, err := range map[string]error{"Unlock": whole.Unlock(bg), "Detach": whole.Detach()} {
			if !errors.Is(err, ErrNotHeld) {
				t.Errorf("%s says %v, want ErrNotHeld", what, err)
			}
		}
		synctest.Wait()
		wantStats(t, "detached", withoutRenewals(c.Stats()), Stats{Acquired: 2, Detached: 2})
		pass(4 * time.Second)
		if _, err := both.TryLock(bg); !errors.Is(err, ErrNotAcquired) {
			t.Errorf("TryLock says %v while a member is taken", err)
		}
		over := lockOf(t, both)
		pass(4 * time.Second)
		if err := over.Detach(); !errors.Is(err, ErrLost) {
			t.Errorf("got %v of a whole that has ended, want ErrLost", err)
		}
		synctest.Wait()
		st := withoutRenewals(c.Stats())
		if st.Ended != 1 || st.Detached != 3 || st.Held != 0 || st.Lost != 0 {
			t.Errorf("got %+v, want the rest detached", st)
		}
	})
}
