package redlock_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// Nodes that hang, and what they do when they go on.

func TestOneRoundTrip(t *testing.T) {
	r := newRig(t, 5)
	m := redLock(t, r.addrs()).Mutex("free")
	unlock(t, lock(t, m)) // scripts and ids are known from now on
	awaitClean(t, r.direct...)
	var before []int64
	for _, rdb := range r.direct {
		before = append(before, calls(t, rdb))
	}
	const pairs = 50
	for range pairs {
		unlock(t, lock(t, m))
		awaitClean(t, r.direct...)
	}
	for i, rdb := range r.direct {
		if got := calls(t, rdb) - before[i]; got > pairs*2+pairs/10 {
			t.Errorf("node %d: %d commands for %d Lock and Unlock, want 2 each", i, got, pairs)
		}
	}
}

// A node that has voted, and hangs before it has heard of the token, is not waited
// for.
func TestANodeThatHangsBetweenVoteAndToken(t *testing.T) {
	r := newRig(t, 3)
	addrs, proxies := r.between(t, 0, 1, 2)
	const timeout = 300 * time.Millisecond
	red := redLock(t, addrs, redlock.WithNodeTimeout(timeout))
	x, named := red.Reentrant("x"), relock.WithOwner(bg, "w")
	unlock(t, lockIn(t, named, x))
	awaitClean(t, r.direct...)
	proxies[2].Cut(faultproxy.Refuse)
	held := proxies[1].Hold(faultproxy.Word("relock:redlock:{other}"), 0)
	other := make(chan error, 1)
	go func() {
		_, err := red.Mutex("other").TryLock(bg)
		other <- err
	}()
	<-held.Arrived() // and is late when timeout is over: between the two votes for x
	<-time.After(timeout / 2)
	proxies[0].Delay(faultproxy.Up, timeout*2/3)
	began := time.Now()
	lease, err := x.TryLock(named)
	var few *relock.QuorumError
	if err != nil && !errors.As(err, &few) {
		t.Errorf("after %v: got %v, want a QuorumError", time.Since(began), err)
	}
	if err == nil { // it did not hang in time
		unlock(t, lease)
	}
	<-other
	held.Release()
}

// A hung node costs nothing once it owes an answer, and executes what it was
// sent when it goes on: nothing of that stays.
func TestHungNodesLeaveNoOrphan(t *testing.T) {
	for hung := 1; hung <= 2; hung++ {
		r := newRig(t, 5)
		m := redLock(t, r.addrs()).Mutex("hung")
		unlock(t, lock(t, m))
		for _, s := range r.servers[:hung] {
			if err := s.Pause(); err != nil {
				t.Fatal(err)
			}
		}
		// A hung node costs its timeout of a second at most once. Were it waited for
		// each time, each would take that long; a stall of the machine is no such thing.
		slow := 0
		for range 50 {
			start := time.Now()
			unlock(t, lock(t, m))
			if time.Since(start) > redlock.MaxDefaultNodeTimeout/2 {
				slow++
			}
		}
		if slow > 10 {
			t.Errorf("%d hung: %d of 50 pairs waited for them", hung, slow)
		}
		for _, s := range r.servers[:hung] {
			if err := s.Resume(); err != nil {
				t.Fatal(err)
			}
		}
		awaitClean(t, r.direct...)
	}
}

// An acquire that is held up beyond the node timeout arrives when its attempt
// was given up: it must not leave the node locked. And what is released meanwhile
// must not overtake it.
func TestLateAcquiresLeaveNoOrphan(t *testing.T) {
	r := newRig(t, 3)
	p, err := faultproxy.New(r.servers[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	addrs := r.addrs()
	addrs[0] = p.Addr()
	red := redLock(t, addrs, redlock.WithNodeTimeout(20*time.Millisecond))
	unlock(t, lock(t, red.Mutex("warm")))
	awaitClean(t, r.direct...)
	for i := range scaled(100, 1000) {
		name := fmt.Sprint("late-", i)
		key := "relock:redlock:{" + name + "}"
		held := p.Hold(faultproxy.Word(key), 1)
		lease := lock(t, red.Mutex(name))
		await(t, held.Arrived()) // a request that has not left when the lock is given back never does
		// Two nodes decide, before and after the third one's late answer.
		if i%2 == 0 {
			held.Release()
			unlock(t, lease)
		} else {
			unlock(t, lease)
			held.Release()
		}
		if err := held.Delivered(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the late acquire is gone", func() bool {
			return r.direct[0].Exists(bg, key).Val() == 0
		})
	}
	awaitClean(t, r.direct...)
}

// A release that could not wait for the acquire before it, since that has had its
// call timeout, is executed first: the node refuses the acquire then.
func TestALateAcquireIsRefusedAfterItsRelease(t *testing.T) {
	r := newRig(t, 3)
	p, err := faultproxy.New(r.servers[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	addrs := append([]string{p.Addr()}, r.addrs()[1:]...)
	red, err := redlock.New(clients(t, addrs, relock.WithCallTimeout(time.Second)), redlock.WithNodeTimeout(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = red.Close() })
	unlock(t, lock(t, red.Mutex("warm")))
	awaitClean(t, r.direct...)
	for i := range 5 {
		name := fmt.Sprint("buried-", i)
		held := p.Hold(faultproxy.Word("relock:redlock:{"+name+"}"), 1)
		lease := lock(t, red.Mutex(name))
		await(t, held.Arrived())
		unlock(t, lease)
		eventually(t, "the release came first", func() bool {
			return r.direct[0].Exists(bg, "relock:redtombstones:{"+name+"}").Val() == 1
		})
		held.Release()
		if err := held.Delivered(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		if left := orphans(t, r.direct[0]); len(left) > 0 {
			t.Errorf("the late acquire was granted: %q", left)
		}
	}
}
