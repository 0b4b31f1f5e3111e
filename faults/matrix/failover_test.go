package matrix

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// A primary that is replaced by a replica, with or without what it acknowledged.

var failovers = []fault{
	{
		number:    9,
		name:      "a failover loses the lock",
		injection: "the replicas are detached (REPLICAOF to a port where nobody listens); a lock is had; SIGKILL; a replica is promoted",
		asserted: "there are two holders for a time, and the second token is greater; the first holder is told by its next renewal and is " +
			"refused by a Guard; with WithReplicas the lock is not had at all: ErrNotReplicated, and released",
		remark: "SIGSTOP of a replica does not detach it: the kernel keeps the writes for it. A node of a RedLock that fails over to an older " +
			"copy is fault 3",
		see: "TestAHoldThatIsNotReplicatedIsReleased",
		checks: []check{
			{on: "a primary with a replica", kinds: plain, world: replicated, run: lossyFailover},
			{of: "WithReplicas", on: "a primary with a replica", kinds: plain, world: replicated, run: refusedWithoutReplica},
		},
	},
	{
		number:    10,
		name:      "another replica is promoted than the one that acknowledged",
		injection: "one of two replicas is detached; a lock is had with WithReplicas(1); SIGKILL; the detached one is promoted",
		asserted:  "the lock is lost, as its documentation says; the second token is greater, the first holder is told by its next renewal",
		remark:    "WithReplicas makes a loss less likely and proves nothing",
		checks:    []check{{on: "a primary with two replicas", kinds: plain, world: replicatedTwice, run: wrongReplica}},
	},
	{
		number:    11,
		name:      "a failover by Sentinel, or in a Cluster",
		injection: "SIGKILL of the primary, with its replicas in step, or detached just before",
		asserted: "with the lock replicated its holder is renewed at the new primary and its waiter subscribed there; without, the first " +
			"holder is told by its next renewal, a new one has a greater token",
		see: "TestAHolderAndItsWaitersOutliveAFailover, TestAFailoverThatLosesTheLock, TestCluster",
		checks: []check{
			{of: "replicated", on: "Sentinel", kinds: []kind{together}, world: sentinels, run: sentinelFailover},
			{of: "not replicated", on: "Sentinel", kinds: []kind{together}, world: sentinels, run: lossySentinelFailover},
			{of: "replicated", on: "a Cluster", kinds: []kind{together}, world: ownCluster, run: clusterFailover},
		},
	},
	{
		number:    12,
		name:      "a primary is cut off with a client",
		injection: "the replica leaves and is promoted; one client stays with the old primary",
		asserted: "with min-replicas-to-write that client's requests are refused (NOREPLICAS) and its lease is lost at its deadline; with " +
			"WithReplicas renewals that are not acknowledged are none, and it is lost as well; elsewhere the token is greater",
		remark: "the old primary accepts writes for min-replicas-max-lag: for that long and a TTL two may hold the lock. With neither setting " +
			"the old holder goes on as long as it is cut off, and only fencing keeps it from the data",
		checks: []check{
			{of: "min-replicas-to-write", on: "a primary with a replica", kinds: plain, world: needsReplica, run: cutOff()},
			{of: "WithReplicas", on: "a primary with a replica", kinds: plain, world: replicated, run: cutOff(relock.WithReplicas(1, 200*time.Millisecond))},
		},
	},
}

// A deployment is a primary and its replicas. Its clients go to whoever is the
// primary, as by a name that follows it.
type deployment struct {
	*redistest.Replicas
	primary atomic.Pointer[redistest.Server]
}

func replicated(t *testing.T, k kind) *world      { return onReplicas(t, k, 1) }
func replicatedTwice(t *testing.T, k kind) *world { return onReplicas(t, k, 2) }

func needsReplica(t *testing.T, k kind) *world {
	return onReplicas(t, k, 1, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
}

func onReplicas(t *testing.T, k kind, n int, args ...string) *world {
	t.Helper()
	w := emptyWorld(t, k)
	d := &deployment{Replicas: redistest.StartReplicasT(t, n, redistest.WithArgs(args...))}
	d.primary.Store(d.Primary)
	w.dep = d
	w.nodes = []*node{{server: d.Primary, connect: func(bool) relock.Redis {
		rdb := redis.NewClient(&redis.Options{Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, d.primary.Load().Addr())
		}})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}}}
	w.awaitAcks(n)
	return w
}

// awaitAcks waits until n replicas acknowledge writes: one that is in sync does
// so up to a second later.
func (w *world) awaitAcks(n int) {
	w.Helper()
	conn := w.dep.Primary.Client().Conn()
	defer conn.Close()
	w.await("every replica acknowledges", func() bool {
		conn.Set(bg, "any", "write", time.Minute)
		return conn.Wait(bg, n, 50*time.Millisecond).Val() == int64(n)
	})
}

func (w *world) detach(i int) {
	w.Helper()
	if err := w.dep.DetachReplica(bg, i); err != nil {
		w.Fatal(err)
	}
}

// switchTo makes replica i the primary that clients find.
func (w *world) switchTo(i int) {
	w.Helper()
	if err := w.dep.Promote(bg, i); err != nil {
		w.Fatal(err)
	}
	next := w.dep.Replicas.Replicas[i]
	w.dep.primary.Store(next)
	w.nodes[0].server = next
}

func lossyFailover(w *world) {
	w.overtaken(func() { w.detach(0) }, 0)
}

func wrongReplica(w *world) {
	w.overtaken(func() { w.detach(1) }, 1, relock.WithReplicas(1, 200*time.Millisecond))
}

// overtaken has replica i, which does not know of the lock, become the primary
// under its holder.
func (w *world) overtaken(detach func(), i int, opts ...relock.LockOption) {
	w.Helper()
	const ttl = told
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(holder.lock()))
	guard := relock.NewGuard(redistest.StartT(w.T).Client())
	detach()
	lease := w.hold(holder.lock(append(opts, relock.WithTTL(ttl))...))
	early := sequencer(lease)
	w.want(guard.Claim(bg, "data", early), nil)
	w.dep.Primary.Kill()
	w.switchTo(i)
	start := time.Now()
	next := w.hold(other.lock(relock.WithTTL(long)))
	w.want(guard.Claim(bg, "data", sequencer(next)), nil)
	w.want(guard.Set(bg, "data", early, "late", 0), relock.ErrStaleToken)
	w.wantLostWithin(lease, start, renewal(ttl))
	if err := next.Err(); err != nil {
		w.Errorf("the second holder's lease says %v", err)
	}
	w.unlock(next)
	w.awaitClean()
}

func refusedWithoutReplica(w *world) {
	p := w.behind()
	l := p.lock(relock.WithTTL(long), relock.WithReplicas(1, 200*time.Millisecond))
	w.unlock(w.hold(l))
	w.detach(0)
	for range 2 {
		_, err := l.Lock(w.soon())
		w.want(err, relock.ErrNotReplicated)
		w.awaitClean() // long before its TTL is over
	}
}

func cutOff(opts ...relock.LockOption) func(w *world) {
	return func(w *world) {
		const lag = time.Second // min-replicas-max-lag, or the renewal that is under way
		p := &process{w: w}
		p.add(w.dep.Primary.Client(), nil) // stays where it is
		w.unlock(w.hold(p.lock()))
		if err := w.dep.WaitSync(w.soon()); err != nil {
			w.Fatal(err)
		}
		lease := w.hold(p.lock(append(opts, relock.WithTTL(short))...))
		w.switchTo(0)
		if _, err := w.nodes[0].server.Do(bg, "config", "set", "min-replicas-to-write", 0); err != nil { // it has none yet
			w.Fatal(err)
		}
		start := time.Now()
		next := w.hold(w.behind().lock(relock.WithTTL(long)))
		if took := time.Since(start); took > short+interval+time.Second+slack {
			w.Errorf("had the lock after %v", took)
		}
		w.wantLostAtDeadline(lease)
		if took := time.Since(start); took > short+2*lag+slack {
			w.Errorf("told of the loss after %v, want within %v and the lag", took, short)
		}
		_, err := p.another(opts...).Lock(w.within(500 * time.Millisecond))
		switch {
		case len(opts) > 0:
			w.want(err, relock.ErrNotReplicated)
		case !said(err, "NOREPLICAS"):
			w.Errorf("got %v, want NOREPLICAS", err)
		}
		w.unlock(next)
		w.awaitClean()
	}
}

func plannedFailover(w *world) {
	holder, other := w.behind(), w.behind()
	lease := w.hold(holder.lock(relock.WithTTL(long)))
	got := w.waiter(w.soon(), other.lock(relock.WithTTL(long)))
	w.awaitWaiters(1)
	if _, err := w.dep.Primary.Do(w.soon(), "failover"); err != nil {
		w.Fatal(err)
	}
	next := w.dep.Replicas.Replicas[0]
	w.await("the replica is the primary", func() bool {
		info, err := next.Info(bg, "replication")
		return err == nil && info["role"] == "master"
	})
	w.dep.primary.Store(next)
	w.nodes[0].server = next
	w.wantKept(lease)
	w.unlock(lease)
	w.unlock(w.granted(got, 2*interval+time.Second))
	w.awaitClean()
}

func scriptsFlushedBesideWait(w *world) {
	l := w.behind().lock(relock.WithTTL(long), relock.WithReplicas(1, call/2))
	for range 3 {
		w.command("script", "flush")
		lease := w.hold(l)
		if err := w.dep.WaitSync(w.within(time.Second)); err != nil {
			w.Fatal(err)
		}
		replica := w.dep.Replicas.Replicas[0].Client()
		if n, err := replica.Exists(bg, w.key("lock")).Result(); n != 1 || err != nil {
			w.Error("Lock has returned and the replica does not have the lock")
		}
		w.unlock(lease)
	}
}
