package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// A minority of nodes that cannot help: too late, too far ahead, or full.

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

// late returns a lease of a lock on three nodes that the node in the middle has
// not heard of, the RedLock of another process, and what lets it hear.
func late(t *testing.T, name string) (r *rig, lease *relock.Lease, other *redlock.RedLock, hears func()) {
	t.Helper()
	r = newRig(t, 3)
	proxy, err := faultproxy.New(r.servers[1].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	mine, other := redLock(t, []string{r.servers[0].Addr(), proxy.Addr(), r.servers[2].Addr()}), redLock(t, r.addrs())
	for _, red := range []*redlock.RedLock{mine, other} {
		unlock(t, lock(t, red.Mutex("warm")))
	}
	awaitClean(t, r.direct...)
	held := proxy.Hold(faultproxy.Word("relock:redlock:{"+name+"}"), 1)
	lease = lock(t, mine.Mutex(name))
	<-held.Arrived()
	return r, lease, other, func() {
		t.Helper()
		held.Release()
		awaitOn(t, lease, r.direct[1])
	}
}

// awaitOn waits until a node has a lease.
func awaitOn(t *testing.T, lease *relock.Lease, rdb *redis.Client) {
	t.Helper()
	eventually(t, "the node has the lock", func() bool {
		return rdb.HExists(bg, "relock:redlock:{"+lease.Name()+"}", "owner:"+string(lease.Owner())).Val()
	})
}

// Where a node forgot a lock and another had it since, a vote that comes only
// now does not make up for it.
func TestALateVoteDoesNotHideThatAnotherHadTheLock(t *testing.T) {
	for name, ask := range map[string]func(*relock.Lease) error{
		"Extend": func(l *relock.Lease) error { return l.Extend(bg, time.Minute) },
		"Unlock": func(l *relock.Lease) error { return l.Unlock(bg) },
	} {
		t.Run(name, func(t *testing.T) {
			r, lease, other, hears := late(t, "forgotten")
			r.direct[0].Del(bg, "relock:redlock:{forgotten}")
			next := lock(t, other.Mutex("forgotten"))
			if next.Token() <= lease.Token() {
				t.Errorf("token %d after %d", next.Token(), lease.Token())
			}
			unlock(t, next)
			awaitClean(t, r.direct[:2]...)
			hears()
			if err := ask(lease); !errors.Is(err, relock.ErrLost) {
				t.Errorf("another had the lock meanwhile, and %s says %v", name, err)
			}
			awaitClean(t, r.direct...)
		})
	}
}

// An outage is never the answer that a lease was given back.
func TestAnOutageIsNotNotHeld(t *testing.T) {
	r, lease, _, hears := late(t, "outage")
	r.servers[2].Kill()
	err := lease.Extend(within(t, time.Second), time.Minute)
	var quorum *relock.QuorumError
	if !errors.As(err, &quorum) || errors.Is(err, relock.ErrNotHeld) || errors.Is(err, relock.ErrLost) {
		t.Errorf("one of three nodes does not answer, and one has not heard of the hold: got %v", err)
	}
	hears()
	unlock(t, lease)
	awaitClean(t, r.direct[:2]...)
}

// Nodes that have another holder do not make an outage a lock that is taken.
func TestAnOutageIsNotTaken(t *testing.T) {
	r := newRig(t, 5)
	first := lock(t, redLock(t, r.addrs()).Mutex("x"))
	for _, s := range r.servers[:3] {
		s.Kill()
	}
	_, err := redLock(t, r.addrs()).Mutex("x").TryLock(bg)
	var quorum *relock.QuorumError
	if !errors.As(err, &quorum) || errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("three of five nodes are down: got %v, want a QuorumError and no ErrNotAcquired", err)
	}
	_ = first.Unlock(bg)
}

// The counter of a minority is where no other node will follow: it is done
// without them.
func TestAMinorityWhoseCounterIsFarAheadIsDoneWithout(t *testing.T) {
	r := newRig(t, 5)
	red := redLock(t, r.addrs())
	unlock(t, lock(t, red.Mutex("warm")))
	for i := range 10 {
		name := fmt.Sprint("ahead-", i)
		for _, n := range []int{i % 5, (i + 1) % 5} {
			r.direct[n].Set(bg, "relock:redfence:{"+name+"}", int64(1<<53-1), time.Minute)
		}
		for range 3 {
			unlock(t, lock(t, red.Mutex(name)))
		}
	}
	awaitClean(t, r.direct...)
}

// What a quorum refuses for good is an error of Lock at once, as on one server;
// a node that may yet answer otherwise is waited for.
func TestLockDoesNotWaitForWhatAQuorumRefuses(t *testing.T) {
	r := newRig(t, 5)
	red := redLock(t, r.addrs(), redlock.WithNodeTimeout(time.Second))
	unlock(t, lock(t, red.Mutex("warm")))
	for _, rdb := range r.direct[:3] {
		rdb.Set(bg, "relock:redlock:{foreign}", "x", 0)
	}
	start := time.Now()
	_, err := red.Mutex("foreign").Lock(within(t, 15*time.Second))
	var quorum *relock.QuorumError
	if !errors.As(err, &quorum) || !errors.Is(err, relock.ErrWrongType) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after %v: got %v, want a QuorumError of ErrWrongType", time.Since(start), err)
	}
	for _, rdb := range r.direct[:3] {
		if got := rdb.Get(bg, "relock:redlock:{foreign}").Val(); got != "x" {
			t.Errorf("the key is %q now", got)
		}
		rdb.Del(bg, "relock:redlock:{foreign}")
	}
	unlock(t, lock(t, red.Mutex("foreign")))
	awaitClean(t, r.direct...)
}
