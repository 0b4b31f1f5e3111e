package redlock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// Which servers have a vote.

// apart returns five nodes, a RedLock with proxies before its last two nodes that
// has been used, and the addresses for another, with a proxy before its first.
func apart(t *testing.T) (r *rig, her *redlock.RedLock, cut []*faultproxy.Proxy, mine []string, far []*faultproxy.Proxy) {
	t.Helper()
	r = newRig(t, 5)
	hers, cut := r.between(t, 3, 4)
	mine, far = r.between(t, 0, 1)
	her = redLock(t, hers)
	unlock(t, lock(t, her.Mutex("warm")))
	awaitClean(t, r.direct...)
	return r, her, cut, mine, far
}

// A node that is emptied while it is asked who it is, beside one that does not
// answer, has no vote for a moment either.
func TestANodeIsTrustedOnlyOnceTheOthersWereAsked(t *testing.T) {
	r, her, cut, mine, far := apart(t)
	far[0].Blackhole(faultproxy.Up)
	my := redLock(t, mine, redlock.WithNodeTimeout(500*time.Millisecond))
	// A lease that has the nodes asked again, now and then, since one does not
	// answer. It was granted without the one that will forget, and outlives that.
	held := far[1].Hold(faultproxy.Word("relock:redlock:{other}"), 1)
	other := lock(t, my.Mutex("other"))
	<-held.Arrived()
	held.Release()
	if err := held.Delivered(bg); err != nil {
		t.Fatal(err)
	}
	for _, p := range cut {
		p.Blackhole(faultproxy.Up)
	}
	first := lock(t, her.Mutex("x", relock.WithTTL(time.Minute))) // on the others
	r.direct[1].FlushAll(bg)
	eventually(t, "the node was asked who it is", func() bool {
		if err := other.Extend(bg, time.Minute); err != nil {
			t.Fatal(err)
		}
		return r.direct[1].HExists(bg, "relock:rednode", "id").Val()
	})
	for range 3 {
		if second, err := my.Mutex("x").TryLock(bg); err == nil {
			t.Fatalf("two holders: under %d (%v) and %d (%v)", first.Token(), first.Err(), second.Token(), second.Err())
		}
	}
	_ = first.Unlock(bg)
	unlock(t, other)
}

// The second half of that asking makes no emptied node what it was.
func TestAnEmptiedNodeIsNotGivenItsIDBack(t *testing.T) {
	r, her, cut, mine, far := apart(t)
	r.direct[1].HDel(bg, "relock:rednode", "roster") // as if it could not be written
	id := r.direct[1].HGet(bg, "relock:rednode", "id").Val()
	for _, p := range append(cut, far[0]) {
		p.Blackhole(faultproxy.Up)
	}
	first := lock(t, her.Mutex("x", relock.WithTTL(time.Minute)))
	my := redLock(t, mine, redlock.WithNodeTimeout(500*time.Millisecond))
	asked := calls(t, r.direct[1])
	go func() {
		for calls(t, r.direct[1]) == asked {
			<-time.After(time.Millisecond)
		}
		r.direct[1].FlushAll(bg) // while the node that does not answer is waited for
	}()
	if second, err := my.Mutex("x").TryLock(bg); err == nil {
		t.Errorf("two holders: under %d (%v) and %d (%v)", first.Token(), first.Err(), second.Token(), second.Err())
	}
	if got := r.direct[1].HGet(bg, "relock:rednode", "id").Val(); got == id {
		t.Error("the node has its id again, and nothing else")
	}
	_ = first.Unlock(bg)
}

// A node that loses its data while it is in use has no vote from then on.
func TestANodeThatForgetsInUseHasNoVote(t *testing.T) {
	p := newPanel(t)
	red := redLock(t, p.addrs())
	unlock(t, lock(t, red.Mutex("a")))
	awaitClean(t, p.direct...)
	p.nodes[0].FlushAll()
	p.taken(t, 1, "a")
	if lease, err := red.Mutex("a").TryLock(bg); err == nil {
		t.Errorf("token %d by the vote of a node that has forgotten", lease.Token())
	} else if !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want ErrNotAcquired", err)
	}
}
