package redlock_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/relock-go/relock"
)

// Two nodes are down at the first hold; another process of the same owner then
// reaches those two and only one of the others. The token is the same.
func TestReentryFromAProcessThatReachesOtherNodes(t *testing.T) {
	r := newRig(t, 5, "--appendonly", "yes")
	unlock(t, lock(t, redLock(t, r.addrs()).Mutex("x")))
	awaitClean(t, r.direct...)
	for _, s := range r.servers[3:] {
		s.Kill()
	}
	ctx := relock.WithOwner(bg, "workflow")
	first := lockIn(t, ctx, redLock(t, r.addrs()).Reentrant("x"))
	for _, s := range r.servers[3:] {
		if err := s.Restart(bg); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range r.servers[:2] {
		s.Kill()
	}
	second := lockIn(t, ctx, redLock(t, r.addrs()).Reentrant("x"))
	if second.Token() != first.Token() {
		t.Errorf("got token %d, want %d, that of the first hold", second.Token(), first.Token())
	}
	unlock(t, second)
	for _, s := range r.servers[:2] {
		if err := s.Restart(bg); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := redLock(t, r.addrs()).Mutex("x").TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("the first hold has ended with the second: %v", err)
	}
	unlock(t, first)
	awaitClean(t, r.direct...)
	next := lock(t, redLock(t, r.addrs()).Mutex("x"))
	if next.Token() <= first.Token() {
		t.Errorf("token %d after %d", next.Token(), first.Token())
	}
	unlock(t, next)
}

// A re-entry takes over no token that may be out of date: here one node still
// shows the owner's hold, which is over everywhere else, and another owner had
// the lock in between.
func TestReentryTakesNoStaleToken(t *testing.T) {
	r := newRig(t, 3, "--appendonly", "yes")
	unlock(t, lock(t, redLock(t, r.addrs()).Mutex("x")))
	ctx := relock.WithOwner(bg, "workflow")
	first := lockIn(t, ctx, redLock(t, r.addrs()).Reentrant("x"))
	eventually(t, "all nodes know the token", func() bool {
		return r.direct[0].HGet(bg, "relock:redlock:{x}", "issued").Val() == "1"
	})
	r.servers[0].Kill()
	unlock(t, first)
	between := lock(t, redLock(t, r.addrs()).Mutex("x"))
	unlock(t, between)
	if err := r.servers[0].Restart(bg); err != nil {
		t.Fatal(err)
	}
	again := lockIn(t, ctx, redLock(t, r.addrs()).Reentrant("x"))
	if again.Token() <= between.Token() {
		t.Errorf("token %d after %d", again.Token(), between.Token())
	}
	unlock(t, again)
}

func TestHoldsOfOneOwner(t *testing.T) {
	r := newRig(t, 5)
	m := redLock(t, r.addrs()).Reentrant("held")
	outer := lock(t, m)
	var inner []*relock.Lease
	for i := range 3 {
		l := lockIn(t, outer.Context(), m)
		if l.Token() != outer.Token() || l.Owner() != outer.Owner() {
			t.Errorf("hold %d: token %d of %q, want %d of %q", i, l.Token(), l.Owner(), outer.Token(), outer.Owner())
		}
		inner = append(inner, l)
	}
	if st, err := m.Status(bg); err != nil || st.Count != 4 || st.Token != outer.Token() {
		t.Errorf("got %+v, %v; want 4 holds under token %d", st, err, outer.Token())
	}
	unlock(t, outer)
	for _, l := range inner {
		if _, err := m.TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("free with holds left: %v", err)
		}
		unlock(t, l)
	}
	awaitClean(t, r.direct...)
	for _, st := range m.NodeStatus(bg) {
		if st.Held || st.Err != nil {
			t.Errorf("node %s: %+v", st.Addr, st)
		}
	}
}

// The owner that two processes name at the same time gets its tokens in order,
// whoever is first.
func TestOneOwnerInTwoProcessesAtOnce(t *testing.T) {
	r := newRig(t, 5)
	a, b := redLock(t, r.addrs()), redLock(t, r.addrs())
	last := lock(t, a.Mutex("shared"))
	unlock(t, last)
	for i := range scaled(50, 500) {
		ctx := relock.WithOwner(bg, relock.Owner(fmt.Sprint("owner-", i)))
		other := make(chan *relock.Lease, 1)
		go func() {
			l, err := b.Reentrant("shared").Lock(ctx)
			if err != nil {
				t.Errorf("Lock: %v", err)
			}
			other <- l
		}()
		mine := lockIn(t, ctx, a.Reentrant("shared"))
		theirs := <-other
		if theirs == nil {
			return
		}
		if mine.Token() <= last.Token() || theirs.Token() <= last.Token() {
			t.Fatalf("tokens %d and %d after %d", mine.Token(), theirs.Token(), last.Token())
		}
		last = mine
		if theirs.Token() > mine.Token() {
			last = theirs
		}
		unlock(t, mine)
		unlock(t, theirs)
	}
	awaitClean(t, r.direct...)
}
