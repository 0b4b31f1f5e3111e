package matrix

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"syscall"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// What becomes of the processes that lock, and of calls that cross.

// sound is the kinds on servers that nothing befalls.
var sound = []kind{mutex, reentrant, multi, red}

var clients = []fault{
	{
		number:    26,
		name:      "a client stops for longer than its lease",
		injection: "SIGSTOP of a worker process while it holds, and at random moments of read-modify-writes; SIGCONT after more than the TTL",
		asserted: "another has the lock meanwhile; once it goes on the first one's Err is ErrLost at once, its context ends, its guarded write " +
			"is refused, its Unlock returns ErrLost; a guarded counter has every increment that was acknowledged and no other",
		remark: "between SIGCONT and the next look at Err both may believe that they hold: no lease can do better, fencing can",
		checks: []check{
			{of: "while it holds", kinds: sound, run: stoppedHolder},
			{of: "at random moments", kinds: sound, run: stoppedAtRandom},
		},
	},
	{
		number:    27,
		name:      "a client is killed",
		injection: "SIGKILL of a worker process that holds, and of one that waits at the head of the queue",
		asserted:  "the lock of a dead holder is had within its TTL; a dead waiter delays the next by its entry's life at most",
		see:       "TestADeadHeadDelaysTheNextByItsLifeAtMost",
		checks: []check{
			{of: "while it holds", kinds: sound, run: killedHolder},
			{of: "while it waits", kinds: sound, run: killedWaiter},
		},
	},
	{
		number:    37,
		name:      "calls of one lease cross",
		injection: "a renewal held back until Unlock has returned; a Lock cancelled while its request is under way; a second Unlock, and one beside a successor",
		asserted: "nothing renews after Unlock, and a renewal that arrives later revives nothing; a cancelled Lock leaves nothing; a second " +
			"Unlock is ErrNotHeld and frees nobody",
		see: "TestAnAcquireAfterItsWithdrawalIsRefused, TestACancelThatCrossesACheckInLeavesNothing, TestBehaviour",
		checks: []check{
			{of: "a renewal and Unlock", kinds: every, run: lateRenewal},
			{of: "a cancel and the grant", kinds: every, run: cancelledLock},
			{of: "a second Unlock", kinds: every, run: secondUnlock},
		},
	},
}

func stoppedHolder(w *world) {
	store := redistest.StartT(w.T)
	h := w.worker(short, store.Addr())
	h.want(doLock, had)
	got := w.waiter(w.soon(), w.beside().lock(relock.WithTTL(long)))
	w.awaitWaiters(1)
	h.signal(syscall.SIGSTOP)
	next := w.granted(got, short+interval+time.Second)
	guard := relock.NewGuard(store.Client())
	w.want(guard.Claim(bg, data, sequencer(next)), nil)
	h.signal(syscall.SIGCONT)
	h.want(doErr, "lost")
	h.want(doWrite, "stale")
	h.want(doEnded, "lost")
	h.want(doUnlock, "lost")
	h.want(doUnlock, "not held")
	if err := next.Err(); err != nil {
		w.Errorf("the second holder's lease says %v", err)
	}
	w.wantTaken(w.beside())
	w.unlock(next)
	w.awaitClean()
}

func stoppedAtRandom(w *world) {
	store := redistest.StartT(w.T)
	hands := []*hand{w.worker(short/2, store.Addr()), w.worker(short/2, store.Addr())}
	for _, h := range hands {
		h.tell(doCount)
	}
	for i := range 4 {
		<-time.After(time.Duration(50+rand.IntN(100)) * time.Millisecond)
		h := hands[i%2]
		h.signal(syscall.SIGSTOP)
		<-time.After(short) // for longer than it can hold
		h.signal(syscall.SIGCONT)
	}
	acknowledged := 0
	for _, h := range hands {
		h.tell("enough")
		n, err := strconv.Atoi(h.hear())
		if err != nil {
			w.Fatal(err)
		}
		acknowledged += n
	}
	got, err := store.Client().Get(bg, data).Int()
	if err != nil || got != acknowledged || got == 0 {
		w.Errorf("the counter is %d, %v; %d increments were acknowledged", got, err, acknowledged)
	}
	w.awaitClean()
}

func killedHolder(w *world) {
	h := w.worker(short, "")
	h.want(doLock, had)
	p := w.beside()
	got := w.waiter(w.soon(), p.lock(relock.WithTTL(long)))
	w.awaitWaiters(1)
	h.signal(syscall.SIGKILL)
	w.unlock(w.granted(got, short+interval))
	w.awaitClean()
}

func killedWaiter(w *world) {
	lease := w.hold(w.beside().lock(relock.WithTTL(long)))
	h := w.worker(long, "")
	h.tell(doLock)
	w.awaitWaiters(1)
	next := w.waiter(w.soon(), w.beside().lock(relock.WithTTL(long)))
	w.awaitWaiters(2)
	h.signal(syscall.SIGKILL)
	w.unlock(lease)
	w.unlock(w.granted(next, 3*interval+interval))
	w.awaitClean()
}

func lateRenewal(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	w.awaitClean()
	lease := w.hold(p.lock(relock.WithTTL(short)))
	w.awaitEverywhere() // what follows on the key is the renewal
	var renewals []*faultproxy.Held
	w.strike(func(n *node) error { renewals = append(renewals, n.proxy.Hold(w.onKey(), 1)); return nil })
	for _, r := range renewals {
		<-r.Arrived()
	}
	w.unlock(lease)
	if err := lease.Err(); !errors.Is(err, relock.ErrUnlocked) {
		w.Errorf("after Unlock the lease says %v", err)
	}
	for _, r := range renewals {
		r.Release()
		if err := r.Delivered(w.soon()); err != nil {
			w.Fatal(err)
		}
	}
	w.wantNothing()
	w.want(lease.Extend(bg, long), relock.ErrUnlocked)
	<-time.After(renewal(short)) // a further one would be due by then
	w.wantNothing()
}

// wantNothing checks that no struck node has the lock.
func (w *world) wantNothing() {
	w.Helper()
	for _, n := range w.struck() {
		if c, err := n.server.Client().Exists(bg, w.key("lock")).Result(); c != 0 || err != nil {
			w.Errorf("the lock is there again, %v", err)
		}
	}
}

func cancelledLock(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	w.awaitClean()
	for range 3 {
		var requests []*faultproxy.Held
		w.strike(func(n *node) error { requests = append(requests, n.proxy.Hold(w.onKey(), 1)); return nil })
		ctx, cancel := context.WithCancel(bg)
		ended := make(chan *relock.Lease, 1)
		go func() {
			lease, err := p.lock(relock.WithTTL(long)).Lock(ctx)
			if err != nil && !errors.Is(err, context.Canceled) {
				w.Errorf("got %v, want the cause of its context", err)
			}
			ended <- lease
		}()
		<-requests[0].Arrived()
		cancel()
		if lease := <-ended; lease != nil { // the other nodes of a quorum were faster
			w.unlock(lease)
		}
		for _, r := range requests {
			r.Release()
		}
		w.awaitClean()
	}
	w.wantFree(p, 0)
}

func secondUnlock(w *world) {
	p := w.behind()
	for range 3 {
		lease := w.hold(p.lock(relock.WithTTL(long)))
		w.unlock(lease)
		next := w.hold(w.beside().lock(relock.WithTTL(long)))
		w.want(lease.Unlock(bg), relock.ErrNotHeld)
		w.want(lease.Extend(bg, long), relock.ErrUnlocked)
		if err := next.Err(); err != nil {
			w.Errorf("the successor's lease says %v", err)
		}
		w.wantTaken(p)
		w.unlock(next)
	}
	w.awaitClean()
}
