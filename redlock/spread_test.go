package redlock_test

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
)

// A hold that began on few nodes spreads to the others.

// A hold that was refused by nodes whose last holder's release was late soon has
// their votes, and then outlives the nodes that it began on.
func TestAHoldSpreadsToNodesThatRefusedItAtFirst(t *testing.T) {
	const ttl = 30 * time.Second // its first renewal comes too late to help
	r := newRig(t, 5)
	addrs, proxies := r.between(t, 0, 1)
	const key = "relock:redlock:{spread}"
	first := redLock(t, addrs).Mutex("spread")
	unlock(t, lock(t, first))
	awaitClean(t, r.direct...)
	before := lock(t, first)
	eventually(t, "every node has the lock", func() bool {
		for _, rdb := range r.direct {
			if rdb.Exists(bg, key).Val() == 0 {
				return false
			}
		}
		return true
	})
	var late []*faultproxy.Held
	for _, p := range proxies {
		late = append(late, p.Hold(faultproxy.Word(key), 1))
	}
	unlock(t, before) // three nodes hear of it
	lease, err := redLock(t, r.addrs()).Mutex("spread", relock.WithTTL(ttl)).TryLock(bg)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range late {
		<-h.Arrived()
		h.Release()
	}
	eventually(t, "the hold is on every node", func() bool {
		for _, rdb := range r.direct {
			if rdb.HGet(bg, key, "owner:"+string(lease.Owner())).Val() == "" {
				return false
			}
		}
		return true
	})
	for _, s := range r.servers[3:] {
		s.Kill()
	}
	if err := lease.Extend(bg, 2*ttl); err != nil {
		t.Errorf("three of five nodes live, and Extend says %v", err)
	}
	unlock(t, lease)
}

// A hold that began on three of five nodes takes the others in, so that it
// outlives the loss of its first ones.
func TestAHoldSpreadsToNodesThatComeBack(t *testing.T) {
	r := newRig(t, 5, "--appendonly", "yes")
	unlock(t, lock(t, redLock(t, r.addrs()).Mutex("x")))
	awaitClean(t, r.direct...)
	for _, s := range r.servers[3:] {
		s.Kill()
	}
	lease := lock(t, redLock(t, r.addrs()).Mutex("x", relock.WithTTL(1500*time.Millisecond)))
	for _, s := range r.servers[3:] {
		if err := s.Restart(bg); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the hold is on all nodes", func() bool {
		return len(orphans(t, r.direct...)) == 5
	})
	for _, s := range r.servers[:2] {
		s.Kill()
	}
	engine.Sleep(bg, 4*time.Second)
	if err := lease.Err(); err != nil {
		t.Errorf("lost with two of five nodes: %v", err)
	}
	unlock(t, lease)
	awaitClean(t, r.direct[2:]...)
}

// It takes in a node too whose vote was somebody else's when it began.
func TestAHoldSpreadsToNodesThatWereTaken(t *testing.T) {
	r := newRig(t, 5)
	unlock(t, lock(t, redLock(t, r.addrs()).Mutex("x")))
	awaitClean(t, r.direct...)
	for _, rdb := range r.direct[3:] { // what is left of an attempt that died
		key := "relock:redlock:{x}"
		end := time.Now().Add(time.Second).UnixMilli()
		rdb.HSet(bg, key, "owner:dead", 1, "hold:dead", end, "token", 0, "since", end-1000)
		rdb.PExpire(bg, key, time.Second)
	}
	lease := lock(t, redLock(t, r.addrs()).Mutex("x", relock.WithTTL(1500*time.Millisecond)))
	eventually(t, "the hold is on all nodes", func() bool {
		return !slices.ContainsFunc(r.direct, func(rdb *redis.Client) bool {
			return !rdb.HExists(bg, "relock:redlock:{x}", "owner:"+string(lease.Owner())).Val()
		})
	})
	for _, rdb := range r.direct {
		if got := rdb.HGet(bg, "relock:redlock:{x}", "token").Val(); got != lease.Token().String() {
			t.Errorf("a node has accepted token %s, want %v", got, lease.Token())
		}
	}
	unlock(t, lease)
	awaitClean(t, r.direct...)
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
