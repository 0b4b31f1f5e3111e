package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// What becomes of votes that are not enough. The nodes are embedded: three, in
// the order of their ids, so that the first is the coordinator.
type panel struct {
	nodes  []*miniredis.Miniredis
	direct []*redis.Client
}

func newPanel(t *testing.T) *panel {
	t.Helper()
	p := &panel{}
	for range 3 {
		m, rdb := redistest.Embedded(t)
		p.nodes, p.direct = append(p.nodes, m), append(p.direct, rdb)
	}
	unlock(t, lock(t, redLock(t, p.addrs()).Mutex("first"))) // the nodes know one another
	awaitClean(t, p.direct...)
	id := func(rdb *redis.Client) string { return rdb.HGet(bg, "relock:rednode", "id").Val() }
	slices.SortFunc(p.direct, func(a, b *redis.Client) int { return strings.Compare(id(a), id(b)) })
	slices.SortFunc(p.nodes, func(a, b *miniredis.Miniredis) int { return p.place(a) - p.place(b) })
	return p
}

func (p *panel) place(m *miniredis.Miniredis) int {
	return slices.IndexFunc(p.direct, func(rdb *redis.Client) bool { return rdb.Options().Addr == m.Addr() })
}

func (p *panel) addrs() (all []string) {
	for _, m := range p.nodes {
		all = append(all, m.Addr())
	}
	return all
}

// taken has a stranger hold the lock on one node.
func (p *panel) taken(t *testing.T, i int, name string) {
	t.Helper()
	key := "relock:redlock:{" + name + "}"
	err := p.direct[i].HSet(bg, key, "owner:stranger", 1, "token", 7, "hold:x", time.Now().Add(time.Hour).UnixMilli()).Err()
	if err != nil {
		t.Fatal(err)
	}
	p.direct[i].PExpire(bg, key, time.Hour)
}

func TestVotesShortOfAQuorumAreGivenBack(t *testing.T) {
	p := newPanel(t)
	red := redLock(t, p.addrs())
	unlock(t, lock(t, red.Mutex("second"))) // it knows the nodes
	awaitClean(t, p.direct...)
	for _, m := range p.nodes[1:] {
		m.Close()
	}
	var q *relock.QuorumError
	if _, err := red.Mutex("a").TryLock(bg); !errors.As(err, &q) || q.Acquired != 1 {
		t.Errorf("got %v, want a QuorumError with one vote", err)
	}
	if err := red.Close(); err != nil { // what was to be given back is by then
		t.Error(err)
	}
	if left := orphans(t, p.direct[0]); len(left) > 0 {
		t.Errorf("the one vote was kept: %q", left)
	}
}

func TestNobodyKeepsAMinorityOfTheVotesWhileWaiting(t *testing.T) {
	p := newPanel(t)
	for i := range 2 {
		p.taken(t, i, "a")
		p.taken(t, i, "heard")
	}
	ctx, cancel := context.WithCancel(bg)
	addrs := p.addrs()
	for i := range 2 { // the free node's vote is there before the others' refusals
		slow, err := faultproxy.New(addrs[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(slow.Close)
		slow.Delay(faultproxy.Both, 100*time.Millisecond)
		addrs[i] = slow.Addr()
	}
	red := redLock(t, addrs, redlock.WithNodeTimeout(5*time.Second))
	done := make(chan error, 2)
	wait := func(name string) {
		go func() {
			_, err := red.Mutex(name, relock.WithTTL(time.Hour)).Lock(ctx) // nothing expires here
			done <- err
		}()
		eventually(t, "it waits at the coordinator", func() bool {
			return p.direct[0].ZCard(bg, "relock:redqueue:{"+name+"}").Val() == 1
		})
	}
	wait("heard") // from here on grants are heard, and a waiter says at once that it waits
	wait("a")
	eventually(t, "the free node is free", func() bool { return len(orphans(t, p.direct[2])) == 0 })
	if n := p.direct[1].ZCard(bg, "relock:redqueue:{a}").Val(); n != 0 {
		t.Error("it waits behind the coordinator without the coordinator's vote")
	}
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the end of its context", err)
		}
	}
}

// Whatever the nodes have accepted, of which no other node may know: what is
// issued is above it on a quorum.
func TestATokenIsIssuedOnlyAboveWhatAQuorumAccepted(t *testing.T) {
	p := newPanel(t)
	ahead := time.Now().Add(time.Minute).UnixMicro()
	// Which nodes are heard first is chance: each case is met in many orders.
	cases := [][3]int64{{0, 0, 1}, {0, 1, 2}, {3, 2, 1}, {1, 1, 1}}
	for i, fences := range slices.Repeat(cases, 20) {
		name := fmt.Sprint("a", i)
		for n, above := range fences {
			if above > 0 {
				p.direct[n].Set(bg, "relock:redfence:{"+name+"}", ahead+above, time.Hour)
			}
		}
		lease := lock(t, redLock(t, p.addrs()).Mutex(name))
		var knows int
		for _, rdb := range p.direct {
			if n, _ := rdb.Get(bg, "relock:redfence:{"+name+"}").Int64(); n == int64(lease.Token()) {
				knows++
			}
		}
		sorted := slices.Sorted(slices.Values(fences[:]))
		if second := sorted[1]; knows < 2 || second > 0 && int64(lease.Token()) <= ahead+second {
			t.Errorf("fences %v: token %d, which %d nodes have accepted", fences, lease.Token(), knows)
		}
		unlock(t, lease)
	}
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

func TestALockWithLittleValidityLeftIsNotHad(t *testing.T) {
	p := newPanel(t)
	const ttl = 10 * time.Second
	red := redLock(t, p.addrs(), redlock.WithMinValidity(ttl))
	if _, err := red.Mutex("a", relock.WithTTL(ttl)).TryLock(within(t, time.Second)); err == nil {
		t.Error("a lock was granted whose validity is never enough")
	}
	awaitClean(t, p.direct...)
}
