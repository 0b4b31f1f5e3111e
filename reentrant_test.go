package relock

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReentryByTheContextOfTheSameLock(t *testing.T) {
	r := newRig(t)
	c := r.client(t, false)
	l := c.Reentrant("a")
	outer := lockOf(t, l)
	inner := lockIn(t, outer.Context(), l)
	if inner.Token() != outer.Token() || inner.Owner() != outer.Owner() {
		t.Errorf("re-entered as %q with token %d; the outer hold is %q with %d",
			inner.Owner(), inner.Token(), outer.Owner(), outer.Token())
	}
	if _, err := l.TryLock(bg); !errors.Is(err, ErrNotAcquired) {
		t.Errorf("without the outer context TryLock says %v", err)
	}
	if _, err := c.Mutex("a").Lock(outer.Context()); !errors.Is(err, ErrSelfDeadlock) {
		t.Errorf("a plain Mutex under its own lease says %v, want ErrSelfDeadlock", err)
	}
	unlock(t, inner)
	if _, err := l.TryLock(bg); !errors.Is(err, ErrNotAcquired) {
		t.Errorf("after the inner Unlock TryLock says %v", err)
	}
	unlock(t, outer)
	after := lockIn(t, context.WithoutCancel(outer.Context()), l)
	if after.Token() <= outer.Token() {
		t.Error("the context of a lease that is over still re-enters")
	}
	unlock(t, after)
	awaitClean(t, r.direct)
}

func TestUnlocksInAnyOrderFreeTheLockWithTheLast(t *testing.T) {
	r := newRig(t)
	l, m := r.client(t, false).Reentrant("a"), r.client(t, false).Mutex("a")
	for range 20 {
		ctx := WithOwner(bg, "workflow-7")
		var leases []*Lease
		for range 5 {
			leases = append(leases, lockIn(t, ctx, l))
		}
		rand.Shuffle(len(leases), func(i, j int) { leases[i], leases[j] = leases[j], leases[i] })
		for i, lease := range leases {
			st, err := m.Status(bg)
			if err != nil || st.Count != len(leases)-i || st.Owner != "workflow-7" {
				t.Fatalf("got %+v, %v; want %d holds", st, err, len(leases)-i)
			}
			if _, err := m.TryLock(bg); !errors.Is(err, ErrNotAcquired) {
				t.Fatalf("with %d holds left TryLock says %v", len(leases)-i, err)
			}
			unlock(t, lease)
		}
		if left := keysLeft(t, r.direct); len(left) > 0 {
			t.Fatalf("keys left: %q", left)
		}
	}
}

func TestALeaseInTheContextSaysNothingOfOtherLocks(t *testing.T) {
	r := newRig(t)
	c := r.client(t, false)
	outer := lockOf(t, c.Reentrant("a"))
	inside := 0 // unguarded on purpose
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				lease := lockIn(t, outer.Context(), c.Reentrant("b"))
				if inside++; inside != 1 {
					t.Errorf("%d under lock b", inside)
				}
				inside--
				unlock(t, lease)
			}
		})
	}
	wg.Wait()
	unlock(t, outer)
}

// Two steps of one owner in two processes, and a stranger that waits in the
// second: were the second step to queue behind the stranger, neither would end.
func TestTwoStepsOfOneOwnerDoNotDeadlockBehindAStranger(t *testing.T) {
	r := newRig(t)
	first, second := r.client(t, false), r.client(t, false)
	ctx := WithOwner(bg, "workflow-7")
	outer := lockIn(t, ctx, first.Reentrant("a"))
	stranger := make(chan *Lease)
	go func() { stranger <- lockOf(t, second.Mutex("a")) }()
	awaitWaiters(t, second.Mutex("a"), 1)
	inner := lockIn(t, ctx, second.Reentrant("a"))
	if inner.Token() != outer.Token() {
		t.Errorf("the second step has token %d, the first %d", inner.Token(), outer.Token())
	}
	unlock(t, inner)
	unlock(t, outer)
	unlock(t, <-stranger)
	awaitClean(t, r.direct)
}

// Of two waiters of one owner, the second is let in with the first.
func TestWaitersOfOneOwnerAreLetInTogether(t *testing.T) {
	r := newRig(t)
	holder := r.client(t, false)
	lease := lockOf(t, holder.Mutex("a"))
	ctx := WithOwner(bg, "workflow-7")
	got := make(chan *Lease)
	for i := range 2 {
		l := r.client(t, false, WithCheckInterval(time.Second)).Reentrant("a")
		go func() { got <- lockIn(t, ctx, l) }()
		awaitWaiters(t, holder.Mutex("a"), i+1)
	}
	unlock(t, lease)
	first, second := <-got, <-got
	if first.Token() != second.Token() {
		t.Errorf("got tokens %d and %d, want one", first.Token(), second.Token())
	}
	unlock(t, first)
	unlock(t, second)
	awaitClean(t, r.direct)
}

// A process that dies while it holds for a shared owner does not keep the lock
// past its own TTL, though another of the owner's holds is renewed.
func TestADeadProcessOfASharedOwnerDoesNotKeepTheLock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := WithOwner(bg, "workflow-7")
	const ttl = 600 * time.Millisecond
	dead := r.client(t, true, WithTTL(ttl))
	lockIn(t, ctx, dead.Reentrant("a"))
	alive := r.client(t, false, WithTTL(5*time.Second))
	lease := lockIn(t, ctx, alive.Reentrant("a"))
	r.proxy.Blackhole(3) // the process is gone
	died := time.Now()
	unlock(t, lease)
	next := lockOf(t, r.client(t, false).Mutex("a"))
	if took := time.Since(died); took > ttl+slack {
		t.Errorf("the lock was had %v after the death, want within %v", took, ttl)
	}
	unlock(t, next)

	if err := r.proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	dead = r.client(t, true, WithTTL(ttl))
	lockIn(t, ctx, dead.Reentrant("b"))
	r.proxy.Blackhole(3)
	lease = lockIn(t, ctx, alive.Reentrant("b"))
	eventually(t, "the dead hold no longer counts", func() bool {
		st, err := alive.Reentrant("b").Status(bg)
		return err == nil && st.Count == 1
	})
	unlock(t, lease) // the last that counts
	if _, err := r.client(t, false).Mutex("b").TryLock(bg); err != nil {
		t.Errorf("a hold that has ended keeps the lock: %v", err)
	}
}

func TestOwnersOutOfRangeAreInvalid(t *testing.T) {
	r := newRig(t)
	l := r.client(t, false).Reentrant("a")
	for _, o := range []Owner{"", Owner(strings.Repeat("x", MaxOwner+1)), KeptOwner} {
		if _, err := l.Lock(WithOwner(bg, o)); !errors.Is(err, ErrInvalid) {
			t.Errorf("owner of %d bytes: got %v, want ErrInvalid", len(o), err)
		}
	}
	for _, o := range []Owner{"a b\n\x00{}", Owner(strings.Repeat("x", MaxOwner)), "\U0001F512"} {
		lease := lockIn(t, WithOwner(bg, o), l)
		var held *NotAcquiredError
		if _, err := l.TryLock(bg); !errors.As(err, &held) || held.Owner != o {
			t.Errorf("got %v, want holder %q", err, o)
		}
		unlock(t, lease)
	}
	if got := NewOwner(); len(got) > MaxOwner || got == NewOwner() {
		t.Errorf("NewOwner gave %q", got)
	}
}

func TestOwnerFromIsWhatWithOwnerPut(t *testing.T) {
	if _, ok := OwnerFrom(bg); ok {
		t.Error("an empty context has an owner")
	}
	if o, ok := OwnerFrom(context.WithValue(WithOwner(bg, "x"), ownerKey{}, Owner("y"))); !ok || o != "y" {
		t.Errorf("got %q, %v; want the innermost", o, ok)
	}
}
