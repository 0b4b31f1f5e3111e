package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// What is said where too few nodes answer, or too many refuse.

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

// Every subset of dead nodes: Lock succeeds if and only if a quorum lives.
func TestSubsetsOfDeadNodes(t *testing.T) {
	r := newRig(t, 5)
	unlock(t, lock(t, redLock(t, r.addrs()).Mutex("first"))) // the nodes know one another
	awaitClean(t, r.direct...)
	addrs, proxies := r.between(t, 0, 1, 2, 3, 4)
	for dead := range 1 << 5 {
		live := 5 - bits.OnesCount(uint(dead))
		for i, p := range proxies {
			if dead>>i&1 == 1 {
				p.Cut(faultproxy.Refuse)
			}
		}
		lease, err := redLock(t, addrs).Mutex(fmt.Sprint("subset-", dead)).TryLock(bg)
		switch {
		case live >= 3 && err != nil:
			t.Errorf("%d nodes live: TryLock: %v", live, err)
		case live < 3:
			wantQuorumError(t, err, addrs, dead, live)
		}
		if lease != nil {
			unlock(t, lease)
		}
		for _, p := range proxies {
			if err := p.Restore(); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitClean(t, r.direct...)
}

// wantQuorumError checks that the error names every dead node.
func wantQuorumError(t *testing.T, err error, addrs []string, dead, live int) {
	t.Helper()
	var q *relock.QuorumError
	if !errors.As(err, &q) {
		t.Fatalf("%d nodes live: got error %v, want a QuorumError", live, err)
	}
	if errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("dead nodes pass for a taken lock: %v", err)
	}
	if q.Acquired != live || q.Need != 3 {
		t.Errorf("got %d of %d, want %d of 3", q.Acquired, q.Need, live)
	}
	for i, a := range addrs {
		if named := q.Nodes[a] != nil; named != (dead>>i&1 == 1) {
			t.Errorf("node %d: dead %v, and its error is %v", i, dead>>i&1 == 1, q.Nodes[a])
		}
	}
}

func TestThreeHungNodesAreNamedWithinTheNodeTimeout(t *testing.T) {
	r := newRig(t, 5)
	m := redLock(t, r.addrs(), redlock.WithNodeTimeout(200*time.Millisecond)).Mutex("hung")
	unlock(t, lock(t, m))
	awaitClean(t, r.direct...)
	for _, s := range r.servers[:3] {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	_, err := m.TryLock(bg)
	if took := time.Since(start); took > time.Second {
		t.Errorf("TryLock took %v, want the node timeout of 200ms", took)
	}
	wantQuorumError(t, err, r.addrs(), 0b111, 2)
	ctx, cancel := context.WithTimeout(bg, 300*time.Millisecond)
	defer cancel()
	_, err = m.Lock(ctx)
	wantQuorumError(t, err, r.addrs(), 0b111, 2)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock: got %v, want the cause of its context beside", err)
	}
	for _, s := range r.servers[:3] {
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	awaitClean(t, r.direct...)
	unlock(t, lock(t, m))
}
