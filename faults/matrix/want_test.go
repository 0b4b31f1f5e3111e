package matrix

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

const (
	// short is the TTL of a lease that is lost at its deadline, long of one that is to be
	// kept while the machine is slow.
	short = 900 * time.Millisecond
	long  = 10 * time.Second
	// told is that of a lease whose loss its next renewal finds out, before its
	// deadline would.
	told = 6 * time.Second

	interval    = 400 * time.Millisecond // of check-ins
	call        = 700 * time.Millisecond // bounds a request
	nodeTimeout = 200 * time.Millisecond

	// slack is what a busy machine may add to a promise about time. What a
	// promise is about is never that long.
	slack = 2 * time.Second
)

// renewal is within how long a lease of ttl is renewed, jitter included.
func renewal(ttl time.Duration) time.Duration { return ttl/3 + ttl/30 }

// hold locks, and checks that the tokens are above all before.
func (w *world) hold(l relock.Locker) *relock.Lease {
	w.Helper()
	return w.holdIn(w.soon(), l)
}

func (w *world) holdIn(ctx context.Context, l relock.Locker) *relock.Lease {
	w.Helper()
	lease, err := l.Lock(ctx)
	if err != nil {
		w.Fatalf("Lock: %v", err)
	}
	w.wantRisen(lease)
	return lease
}

// wantRisen checks a grant's tokens against those of the grants before.
func (w *world) wantRisen(lease *relock.Lease) {
	w.Helper()
	now := tokens(lease)
	for i := range w.last {
		if now[i] <= w.last[i] {
			w.Errorf("token %d after %d", now[i], w.last[i])
		}
	}
	w.last = now
}

// tokens are the tokens of a lease, or of its members.
func tokens(l *relock.Lease) (all []relock.Token) {
	for _, m := range l.Members() {
		all = append(all, tokens(m)...)
	}
	if len(all) == 0 {
		all = append(all, l.Token())
	}
	return all
}

func (w *world) unlock(l *relock.Lease) {
	w.Helper()
	if err := l.Unlock(w.soon()); err != nil {
		w.Errorf("Unlock: %v", err)
	}
}

// await asks until cond holds.
func (w *world) await(what string, cond func() bool) {
	w.Helper()
	ctx := w.soon()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("never: %s", what)
		}
	}
}

func (w *world) want(got error, want ...error) {
	w.Helper()
	for _, one := range want {
		if !errors.Is(got, one) {
			w.Errorf("got error %v, want one that is %v", got, one)
		}
	}
}

// wantEnd checks that a lease has ended, as lost, in all its ways.
func (w *world) wantEnd(lease *relock.Lease) {
	w.Helper()
	w.want(lease.Err(), relock.ErrLost)
	w.want(context.Cause(lease.Context()), relock.ErrLost)
	w.want(lease.Unlock(w.soon()), relock.ErrLost)
	w.want(lease.Unlock(w.soon()), relock.ErrNotHeld)
}

// awaitEnd waits for the end of a lease's context and returns when it came.
func (w *world) awaitEnd(lease *relock.Lease) time.Time {
	w.Helper()
	select {
	case <-lease.Context().Done():
	case <-w.soon().Done():
		w.Fatal("the lease has not ended")
	}
	return time.Now()
}

// wantLostAtDeadline checks that a lease that cannot be renewed is lost at the
// end of its validity: not before, and not much later.
func (w *world) wantLostAtDeadline(lease *relock.Lease) {
	w.Helper()
	at, until := w.awaitEnd(lease), lease.ValidUntil()
	if at.Before(until) {
		w.Errorf("lost %v before the end of its validity", until.Sub(at))
	}
	if late := at.Sub(until); late > slack {
		w.Errorf("told of the loss %v after the end of its validity", late)
	}
	w.wantEnd(lease)
}

// wantLostWithin checks that a holder is told of its loss within d of since.
func (w *world) wantLostWithin(lease *relock.Lease, since time.Time, d time.Duration) {
	w.Helper()
	if took := w.awaitEnd(lease).Sub(since); took > d+slack {
		w.Errorf("told of the loss after %v, want within %v", took, d)
	}
	w.wantEnd(lease)
}

// wantKept checks that a lease lives: it is renewed once more, not when the
// watchdog would but now, so that a slow machine has the whole TTL for it.
func (w *world) wantKept(lease *relock.Lease) {
	w.Helper()
	w.await("a renewal", func() bool {
		err := lease.Extend(w.soon(), long)
		if lease.Err() != nil {
			w.Fatalf("the lease says %v", err)
		}
		return err == nil
	})
}

// wantTaken checks that another process is told that the lock is taken.
func (w *world) wantTaken(p *process) {
	w.Helper()
	w.await("the answer that the lock is taken", func() bool {
		lease, err := p.lock().TryLock(w.soon())
		if lease != nil {
			w.Fatal("a second holder")
		}
		return errors.Is(err, relock.ErrNotAcquired) // or no answer yet
	})
}

// wantRefused checks that a Lock under a deadline keeps to it, and that its
// error has what Redis said, if it says something, and never says "taken".
func (w *world) wantRefused(p *process, says ...string) {
	w.Helper()
	const within = 500 * time.Millisecond
	ctx, start := w.within(within), time.Now()
	lease, err := p.another().Lock(ctx)
	took := time.Since(start)
	if lease != nil || err == nil {
		w.Fatal("Lock succeeded")
	}
	if took > within+slack {
		w.Errorf("Lock returned after %v, its context ended after %v", took, within)
	}
	if errors.Is(err, relock.ErrNotAcquired) {
		w.Errorf("got %v, and nobody said that the lock is taken", err)
	}
	if len(says) > 0 && !said(err, says...) {
		w.Errorf("got %v, want what Redis said: %v", err, says)
	}
}

// said tells whether one of the answers is in err.
func said(err error, says ...string) bool {
	var quorum *relock.QuorumError
	if errors.As(err, &quorum) {
		for _, err := range quorum.Nodes {
			if said(err, says...) {
				return true
			}
		}
	}
	for _, prefix := range says {
		var answer redis.Error
		if errors.As(err, &answer) && strings.Contains(strings.ToUpper(answer.Error()), strings.ToUpper(prefix)) {
			return true
		}
	}
	return false
}

// wantFree checks that the lock is had again, within T + P and what the machine
// adds, that its token has risen, and that nothing is left behind.
func (w *world) wantFree(p *process, ttl time.Duration) {
	w.Helper()
	start := time.Now()
	lease := w.hold(p.lock())
	if took, promised := time.Since(start), ttl+interval+time.Second; took > promised+slack {
		w.Errorf("had the lock after %v, want within %v", took, promised)
	}
	w.unlock(lease)
	w.awaitClean()
}

// holdEverywhere locks, and returns when every node has the lock, those of a
// RedLock under one token. A node that is asked too late to accept the token of the
// quorum has a vote without one, and keeps it so: then it locks again.
func (w *world) holdEverywhere(l relock.Locker) *relock.Lease {
	w.Helper()
	w.awaitClean()
	nodes := w.eachNode()
	for range 20 {
		lease := w.hold(l)
		w.await("the lock on all nodes", func() bool { return !slices.Contains(w.tokensAt(nodes), "") })
		if w.kind.nodes < 3 || !slices.Contains(w.tokensAt(nodes), "0") {
			return lease
		}
		w.unlock(lease)
		w.awaitClean()
	}
	w.Fatalf("never: the lock on all nodes under one token")
	return nil
}

// awaitEverywhere waits until the lock is on each of its nodes: it is had once a
// quorum has it.
func (w *world) awaitEverywhere() {
	w.Helper()
	nodes := w.eachNode()
	w.await("the lock on all nodes", func() bool { return !slices.Contains(w.tokensAt(nodes), "") })
}

// eachNode returns a client of each node.
func (w *world) eachNode() (nodes []*redis.Client) {
	for _, n := range w.nodes {
		nodes = append(nodes, n.server.Client())
	}
	return nodes
}

// tokensAt returns under which token each node has the lock: "0" for none yet, and
// "" where it does not have it.
func (w *world) tokensAt(nodes []*redis.Client) (tokens []string) {
	for _, rdb := range nodes {
		tokens = append(tokens, rdb.HGet(bg, w.key("lock"), "token").Val())
	}
	return tokens
}

// awaitClean waits until no lock, queue or waiters key is left on any node.
func (w *world) awaitClean() {
	w.Helper()
	for _, n := range w.nodes {
		var rdb redis.Cmdable = n.server.Client()
		if w.cluster != nil {
			rdb = w.clusterClient()
		}
		for _, name := range w.names() {
			w.awaitNoKeys(rdb, name)
		}
	}
}

func (w *world) awaitNoKeys(rdb redis.Cmdable, name string) {
	w.Helper()
	for _, kind := range []string{"lock", "queue", "waiters"} {
		for _, space := range []string{"", "red"} {
			key := keyOf(space+kind, name)
			w.await(key+" is gone", func() bool {
				n, err := rdb.Exists(bg, key).Result()
				return err == nil && n == 0
			})
		}
	}
}

// waiter locks in the background and sends its lease.
func (w *world) waiter(ctx context.Context, l relock.Locker) <-chan *relock.Lease {
	got := make(chan *relock.Lease, 1)
	go func() {
		lease, err := l.Lock(ctx)
		if err != nil {
			w.Errorf("a waiter's Lock: %v", err)
		}
		got <- lease
	}()
	return got
}

// awaitWaiters waits until n are in the queue of the lock on some node.
func (w *world) awaitWaiters(n int) {
	w.Helper()
	w.await("waiters in the queue", func() bool {
		longest := 0
		for _, node := range w.nodes {
			reply, err := node.server.Do(w.within(5*time.Second), "zcard", w.key("queue"))
			if count, ok := reply.(int64); ok && err == nil {
				longest = max(longest, int(count))
			}
		}
		return longest >= n
	})
}

// granted waits for a waiter's lease, for no longer than d, and checks that its
// tokens have risen.
func (w *world) granted(got <-chan *relock.Lease, d time.Duration) *relock.Lease {
	w.Helper()
	start := time.Now()
	select {
	case lease := <-got:
		if lease == nil {
			w.FailNow()
		}
		w.wantRisen(lease)
		return lease
	case <-time.After(d + slack):
		w.Fatalf("the waiter did not have the lock within %v (waited %v)", d, time.Since(start))
	}
	return nil
}
