package matrix

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// A quorum of nodes, and locks of several.

var (
	// five is a RedLock of five, of which two may fail.
	five = kind{name: "RedLock of five", nodes: 5, hit: 2, outlives: true, lock: redLock}
	// mixed has a RedLock for a member.
	mixed = kind{name: "MultiLock of a RedLock and a Mutex", nodes: 3, hit: 1, outlives: true, lock: mixedLock}
)

func mixedLock(p *process, name string, opts []relock.LockOption) relock.Locker {
	last := p.clients[len(p.clients)-1]
	m, err := redlock.NewMultiLock(p.quorum().Reentrant(name, opts...), last.Mutex(name, opts...))
	if err != nil {
		panic(err)
	}
	return m
}

var quorums = []fault{
	{
		number: 35,
		name:   "nodes of a quorum fail",
		injection: "a minority and a majority cut off; a node slowed down beyond the node timeout; the answer of one node lost in each " +
			"attempt; a node that comes back empty; processes with different lists of nodes",
		asserted: "a minority changes nothing, a slow node costs nothing; a majority is a QuorumError within the node timeout, with what was " +
			"taken given back; an empty node has no vote until the node ids are deleted; different lists are ErrInvalid",
		see: "TestSubsetsOfDeadNodes, TestThreeHungNodesAreNamedWithinTheNodeTimeout, TestHungNodesLeaveNoOrphan, TestTheCoordinatorDies",
		checks: []check{
			{of: "cut off", kinds: []kind{minority, five, mixed}, run: strike{begin: cut, end: restore}.run},
			{of: "cut off", kinds: []kind{majority}, run: noQuorumTry},
			{of: "slow", kinds: []kind{minority, five}, run: slowNodes},
			{of: "partly had", kinds: []kind{majority, minority, five}, run: partlyHad},
			{of: "back empty", kinds: []kind{five}, run: nodesComeBackEmpty},
			{of: "different lists", kinds: []kind{minority, five}, run: differentLists},
		},
	},
	{
		number:    36,
		name:      "a member of a MultiLock fails",
		injection: "a member that is taken or refused while the others are free; the key of one deleted while all are held; two processes with opposite orders",
		asserted: "none is held where one cannot be had; the loss of one is the loss of all, and the others are released at once; opposite " +
			"orders do not deadlock",
		see: "TestMultiLocksInAnyOrder, TestTheLossOfOneMemberIsTheLossOfAll, TestAMemberThatCannotBeUnlocked",
		checks: []check{
			{of: "one is taken", kinds: []kind{multi, multiOne, mixed}, run: memberTaken},
			{of: "one is lost", kinds: []kind{multi, multiOne}, run: memberLost},
			{of: "opposite orders", kinds: []kind{multi, multiOne}, run: oppositeOrders},
		},
	},
}

func cut(w *world) {
	w.strike(func(n *node) error { n.proxy.Cut(faultproxy.Refuse); return nil })
}

func noQuorumTry(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	cut(w)
	for range 3 {
		start := time.Now()
		_, err := p.lock().TryLock(w.soon())
		var quorum *relock.QuorumError
		if !errors.As(err, &quorum) || errors.Is(err, relock.ErrNotAcquired) {
			w.Fatalf("got %v, want a QuorumError", err)
		}
		if took := time.Since(start); took > nodeTimeout+slack {
			w.Errorf("TryLock took %v, a node is waited for %v", took, nodeTimeout)
		}
	}
	for _, n := range w.nodes[w.kind.hit:] { // what the others gave is given back
		rdb := n.server.Client()
		w.await("the vote is given back", func() bool { return rdb.Exists(bg, w.key("lock")).Val() == 0 })
	}
	restore(w)
	w.wantFree(p, 0)
}

func slowNodes(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	w.strike(func(n *node) error { n.proxy.Delay(faultproxy.Down, 2*nodeTimeout); return nil })
	for range 5 {
		lease := w.hold(p.lock(relock.WithTTL(long)))
		w.wantTaken(w.beside())
		w.unlock(lease)
	}
	w.strike(func(n *node) error { n.proxy.Delay(faultproxy.Down, 0); return nil })
	w.wantFree(p, 0)
}

func partlyHad(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	for i := range 2 * len(w.nodes) {
		n := w.nodes[i%len(w.nodes)]
		n.proxy.DropReply(w.onKey(), 1, faultproxy.Close)
		lease := w.hold(p.lock(relock.WithTTL(long)))
		w.wantTaken(w.beside())
		w.unlock(lease)
		w.awaitClean()
	}
}

// enrol has every node know the list of all.
func (w *world) enrol() {
	w.Helper()
	w.unlock(w.hold(w.beside().lock()))
	for _, n := range w.nodes {
		rdb := n.server.Client()
		w.await("the node knows the list", func() bool {
			w.unlock(w.hold(w.beside().lock())) // whoever finds that one does not tells it
			return rdb.HGet(bg, "relock:rednode", "roster").Val() != ""
		})
	}
}

func differentLists(w *world) {
	w.enrol()
	fewer := *w
	fewer.nodes = w.nodes[:len(w.nodes)-1]
	_, err := fewer.beside().lock().TryLock(w.soon())
	w.want(err, relock.ErrInvalid)
	strangers := newWorld(w.T, w.kind)
	strangers.enrol()
	strangers.nodes[0] = w.nodes[0]
	_, err = strangers.beside().lock().TryLock(w.soon())
	w.want(err, relock.ErrInvalid)
	w.wantFree(w.beside(), 0)
}

// lastMember is the lock of the MultiLock's member that a struck node keeps, by
// itself.
func (p *process) lastMember() relock.Locker { return p.clients[0].Mutex(p.w.name) }

func memberTaken(w *world) {
	a, b := w.behind(), w.behind()
	w.unlock(w.hold(a.lock()))
	single := a.lastMember()
	if w.kind.name == mixed.name {
		single = a.clients[len(a.clients)-1].Mutex(w.name)
	}
	for range 2 {
		member, err := single.Lock(w.soon())
		if err != nil {
			w.Fatal(err)
		}
		_, err = b.lock().TryLock(w.soon())
		w.want(err, relock.ErrNotAcquired)
		_, err = b.lock().Lock(w.within(2 * interval))
		w.want(err, relock.ErrNotAcquired)
		got := w.waiter(w.soon(), b.lock(relock.WithTTL(long)))
		w.unlock(member)
		w.unlock(w.granted(got, 2*interval))
		w.awaitClean()
	}
}

func memberLost(w *world) {
	lease := w.hold(w.behind().lock(relock.WithTTL(told)))
	w.command("del", w.key("lock"))
	w.wantLostWithin(lease, time.Now(), renewal(told))
	start := time.Now()
	next, err := w.beside().lock().TryLock(w.soon())
	for ; err != nil && time.Since(start) < slack; next, err = w.beside().lock().TryLock(w.soon()) {
		w.want(err, relock.ErrNotAcquired) // the other member's release is on its way
	}
	if err != nil {
		w.Fatalf("the other members are not free: %v", err)
	}
	w.unlock(next)
	w.awaitClean()
}

func oppositeOrders(w *world) {
	ended := make(chan error, 4)
	for i := range 4 {
		p := w.behind()
		members := []relock.Locker{p.clients[0].Mutex(w.name), p.clients[len(p.clients)-1].Mutex(w.name + "/second")}
		if i%2 == 1 {
			slices.Reverse(members)
		}
		m, err := redlock.NewMultiLock(members...)
		if err != nil {
			w.Fatal(err)
		}
		go func() {
			for n := range 10 {
				lease, err := m.Lock(w.within(30 * time.Second))
				if err == nil {
					err = lease.Unlock(bg)
				}
				if err != nil {
					ended <- fmt.Errorf("process %d, round %d: %w", i, n, err)
					return
				}
			}
			ended <- nil
		}()
	}
	for range 4 {
		if err := <-ended; err != nil {
			w.Error(err)
		}
	}
	w.awaitClean()
}
