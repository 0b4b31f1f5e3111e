package redlock_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// Nodes that forget while others are out of reach, and votes that run out.

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

// A vote that has run out counts no more, whatever comes late: here a node forgot
// meanwhile, and another had the lock.
func TestAVoteThatRanOutDoesNotCount(t *testing.T) {
	const name, key = "back", "relock:redlock:{back}"
	r := newRig(t, 3)
	addrs, proxies := r.between(t, 0, 1, 2)
	mine, other := redLock(t, addrs), redLock(t, r.addrs())
	unlock(t, lock(t, mine.Mutex("warm")))
	unlock(t, lock(t, other.Mutex("warm")))
	awaitClean(t, r.direct...)
	for _, rdb := range r.direct { // the first proposal is refused by all, and has their votes
		rdb.Set(bg, "relock:redfence:{"+name+"}", time.Now().Add(time.Minute).UnixMicro(), time.Hour)
	}
	proxies[0].Delay(faultproxy.Down, 20*time.Millisecond)
	proxies[2].Delay(faultproxy.Down, 20*time.Millisecond)
	var n atomic.Int32
	held := proxies[1].Hold(func(words []string) bool { return slices.Contains(words, key) && n.Add(1) == 2 }, 1)
	lease := lock(t, mine.Mutex(name, relock.WithTTL(4*time.Second)))
	<-held.Arrived()
	drop := proxies[1].DropRequest(faultproxy.Word(key), 0, faultproxy.Silence)
	eventually(t, "the vote has run out", func() bool { return r.direct[1].Exists(bg, key).Val() == 0 })
	if err := lease.Err(); err != nil {
		t.Fatal(err)
	}
	r.direct[0].Del(bg, key)
	next := lock(t, other.Mutex(name))
	unlock(t, next)
	drop.Remove()
	held.Release()
	awaitOn(t, lease, r.direct[1])
	if err := lease.Extend(bg, time.Minute); !errors.Is(err, relock.ErrLost) {
		t.Errorf("another had the lock under %d, after %d, and Extend says %v", next.Token(), lease.Token(), err)
	}
}

// Renewals that reach too few spread the hold as well: the nodes that it began on
// may go one after the other.
func TestAHoldSpreadsWhileItsRenewalsFail(t *testing.T) {
	r := newRig(t, 5)
	addrs, cut := r.between(t, 3, 4)
	red := redLock(t, addrs)
	unlock(t, lock(t, red.Mutex("warm")))
	awaitClean(t, r.direct...)
	for _, p := range cut {
		p.Cut(faultproxy.Refuse)
	}
	lease := lock(t, red.Mutex("x", relock.WithTTL(6*time.Second)))
	<-time.After(time.Second) // it was spread for a first time, in vain
	for _, p := range cut {
		if err := p.Restore(); err != nil {
			t.Fatal(err)
		}
	}
	r.servers[0].Kill()
	until := lease.ValidUntil()
	eventually(t, "the lease was renewed past its first end", func() bool {
		if err := lease.Err(); err != nil {
			t.Fatalf("four of five nodes live: %v", err)
		}
		return time.Now().After(until)
	})
	unlock(t, lease)
}

// A vote that comes after an Extend lasts as long as the others.
func TestAVoteAfterExtendLasts(t *testing.T) {
	const ttl, extended = 5 * time.Second, time.Hour
	r := newRig(t, 3)
	addrs, cut := r.between(t, 2)
	red := redLock(t, addrs)
	unlock(t, lock(t, red.Mutex("warm")))
	awaitClean(t, r.direct...)
	cut[0].Cut(faultproxy.Refuse)
	lease := lock(t, red.Mutex("x", relock.WithTTL(ttl)))
	<-time.After(ttl / 5) // it was spread for a first time, in vain
	if err := cut[0].Restore(); err != nil {
		t.Fatal(err)
	}
	if err := lease.Extend(bg, extended); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the third node has the hold for as long", func() bool {
		return r.direct[2].PTTL(bg, "relock:redlock:{x}").Val() > extended/2
	})
	unlock(t, lease)
	awaitClean(t, r.direct...)
}
