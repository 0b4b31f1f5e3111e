package relock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

func TestReentryByTheContextOfTheSameLock(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	l := c.Reentrant("a")
	outer := behaviour.LockOf(t, l)
	inner := behaviour.LockIn(t, outer.Context(), l)
	if inner.Token() != outer.Token() || inner.Owner() != outer.Owner() {
		t.Errorf("re-entered as %q with token %d; the outer hold is %q with %d",
			inner.Owner(), inner.Token(), outer.Owner(), outer.Token())
	}
	if _, err := l.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("without the outer context TryLock says %v", err)
	}
	if _, err := c.Mutex("a").Lock(outer.Context()); !errors.Is(err, relock.ErrSelfDeadlock) {
		t.Errorf("a plain Mutex under its own lease says %v, want ErrSelfDeadlock", err)
	}
	behaviour.Unlock(t, inner)
	if _, err := l.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("after the inner Unlock TryLock says %v", err)
	}
	behaviour.Unlock(t, outer)
	after := behaviour.LockIn(t, context.WithoutCancel(outer.Context()), l)
	if after.Token() <= outer.Token() {
		t.Error("the context of a lease that is over still re-enters")
	}
	behaviour.Unlock(t, after)
	behaviour.AwaitClean(t, r.Direct)
}

func TestUnlocksInAnyOrderFreeTheLockWithTheLast(t *testing.T) {
	r := behaviour.NewRig(t)
	l, m := r.Client(t, false).Reentrant("a"), r.Client(t, false).Mutex("a")
	for range 20 {
		ctx := relock.WithOwner(behaviour.Bg, "workflow-7")
		var leases []*relock.Lease
		for range 5 {
			leases = append(leases, behaviour.LockIn(t, ctx, l))
		}
		rand.Shuffle(len(leases), func(i, j int) { leases[i], leases[j] = leases[j], leases[i] })
		for i, lease := range leases {
			st, err := m.Status(behaviour.Bg)
			if err != nil || st.Count != len(leases)-i || st.Owner != "workflow-7" {
				t.Fatalf("got %+v, %v; want %d holds", st, err, len(leases)-i)
			}
			if _, err := m.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
				t.Fatalf("with %d holds left TryLock says %v", len(leases)-i, err)
			}
			behaviour.Unlock(t, lease)
		}
		if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
			t.Fatalf("keys left: %q", left)
		}
	}
}

func TestALeaseInTheContextSaysNothingOfOtherLocks(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	outer := behaviour.LockOf(t, c.Reentrant("a"))
	inside := 0 // unguarded on purpose
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				lease := behaviour.LockIn(t, outer.Context(), c.Reentrant("b"))
				if inside++; inside != 1 {
					t.Errorf("%d under lock b", inside)
				}
				inside--
				behaviour.Unlock(t, lease)
			}
		})
	}
	wg.Wait()
	behaviour.Unlock(t, outer)
}

// Two steps of one owner in two processes, and a stranger that waits in the
// second: were the second step to queue behind the stranger, neither would end.
func TestTwoStepsOfOneOwnerDoNotDeadlockBehindAStranger(t *testing.T) {
	r := behaviour.NewRig(t)
	first, second := r.Client(t, false), r.Client(t, false)
	ctx := relock.WithOwner(behaviour.Bg, "workflow-7")
	outer := behaviour.LockIn(t, ctx, first.Reentrant("a"))
	stranger := make(chan *relock.Lease)
	go func() { stranger <- behaviour.LockOf(t, second.Mutex("a")) }()
	behaviour.AwaitWaiters(t, second.Mutex("a"), 1)
	inner := behaviour.LockIn(t, ctx, second.Reentrant("a"))
	if inner.Token() != outer.Token() {
		t.Errorf("the second step has token %d, the first %d", inner.Token(), outer.Token())
	}
	behaviour.Unlock(t, inner)
	behaviour.Unlock(t, outer)
	behaviour.Unlock(t, <-stranger)
	behaviour.AwaitClean(t, r.Direct)
}

// Of two waiters of one owner, the second is let in with the first.
func TestWaitersOfOneOwnerAreLetInTogether(t *testing.T) {
	r := behaviour.NewRig(t)
	holder := r.Client(t, false)
	lease := behaviour.LockOf(t, holder.Mutex("a"))
	ctx := relock.WithOwner(behaviour.Bg, "workflow-7")
	got := make(chan *relock.Lease)
	for i := range 2 {
		l := r.Client(t, false, relock.WithCheckInterval(time.Second)).Reentrant("a")
		go func() { got <- behaviour.LockIn(t, ctx, l) }()
		behaviour.AwaitWaiters(t, holder.Mutex("a"), i+1)
	}
	behaviour.Unlock(t, lease)
	first, second := <-got, <-got
	if first.Token() != second.Token() {
		t.Errorf("got tokens %d and %d, want one", first.Token(), second.Token())
	}
	behaviour.Unlock(t, first)
	behaviour.Unlock(t, second)
	behaviour.AwaitClean(t, r.Direct)
}

// A process that dies while it holds for a shared owner does not keep the lock
// past its own TTL, though another of the owner's holds is renewed.
func TestADeadProcessOfASharedOwnerDoesNotKeepTheLock(t *testing.T) {
	t.Parallel()
	r := behaviour.NewRig(t)
	ctx := relock.WithOwner(behaviour.Bg, "workflow-7")
	const ttl = 600 * time.Millisecond
	dead := r.Client(t, true, relock.WithTTL(ttl))
	behaviour.LockIn(t, ctx, dead.Reentrant("a"))
	alive := r.Client(t, false, relock.WithTTL(5*time.Second))
	lease := behaviour.LockIn(t, ctx, alive.Reentrant("a"))
	r.Proxy.Blackhole(3) // the process is gone
	died := time.Now()
	behaviour.Unlock(t, lease)
	next := behaviour.LockOf(t, r.Client(t, false).Mutex("a"))
	if took := time.Since(died); took > ttl+behaviour.Slack {
		t.Errorf("the lock was had %v after the death, want within %v", took, ttl)
	}
	behaviour.Unlock(t, next)

	if err := r.Proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	dead = r.Client(t, true, relock.WithTTL(ttl))
	behaviour.LockIn(t, ctx, dead.Reentrant("b"))
	r.Proxy.Blackhole(3)
	lease = behaviour.LockIn(t, ctx, alive.Reentrant("b"))
	behaviour.Eventually(t, "the dead hold no longer counts", func() bool {
		st, err := alive.Reentrant("b").Status(behaviour.Bg)
		return err == nil && st.Count == 1
	})
	behaviour.Unlock(t, lease) // the last that counts
	if _, err := r.Client(t, false).Mutex("b").TryLock(behaviour.Bg); err != nil {
		t.Errorf("a hold that has ended keeps the lock: %v", err)
	}
}

func TestOwnersOutOfRangeAreInvalid(t *testing.T) {
	r := behaviour.NewRig(t)
	l := r.Client(t, false).Reentrant("a")
	for _, o := range []relock.Owner{"", relock.Owner(strings.Repeat("x", relock.MaxOwner+1)), relock.KeptOwner} {
		if _, err := l.Lock(relock.WithOwner(behaviour.Bg, o)); !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("owner of %d bytes: got %v, want ErrInvalid", len(o), err)
		}
	}
	for _, o := range []relock.Owner{"a b\n\x00{}", relock.Owner(strings.Repeat("x", relock.MaxOwner)), "\U0001F512"} {
		lease := behaviour.LockIn(t, relock.WithOwner(behaviour.Bg, o), l)
		var held *relock.NotAcquiredError
		if _, err := l.TryLock(behaviour.Bg); !errors.As(err, &held) || held.Owner != o {
			t.Errorf("got %v, want holder %q", err, o)
		}
		behaviour.Unlock(t, lease)
	}
	if got := relock.NewOwner(); len(got) > relock.MaxOwner || got == relock.NewOwner() {
		t.Errorf("NewOwner gave %q", got)
	}
}

func TestOwnerFromIsWhatWithOwnerPut(t *testing.T) {
	if _, ok := relock.OwnerFrom(behaviour.Bg); ok {
		t.Error("an empty context has an owner")
	}
	if o, ok := relock.OwnerFrom(relock.WithOwner(relock.WithOwner(behaviour.Bg, "x"), "y")); !ok || o != "y" {
		t.Errorf("got %q, %v; want the innermost", o, ok)
	}
}
