package matrix

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// What befalls a slot, a shard, and servers that are not ready.

var shards = []fault{
	{
		number:    14,
		name:      "a slot moves to another shard",
		injection: "SETSLOT IMPORTING and MIGRATING, MIGRATE of one key at a time, under a holder and a waiter; an Unlock when half the keys have moved",
		asserted: "the lease is renewed all the way: MOVED, ASK and TRYAGAIN are followed or sent again under the same hold id; a release " +
			"frees the lock though its keys are apart; the waiter has it by its check-in, under a greater token",
		see: "TestCluster",
		checks: []check{
			{of: "under a holder", on: "a Cluster", kinds: plain, world: sharedCluster, run: slotMoves},
			{of: "under an Unlock", on: "a Cluster", kinds: plain, world: sharedCluster, run: unlockHalfMoved},
		},
	},
	{
		number:    15,
		name:      "a server is not ready",
		injection: "CLUSTERDOWN: the slot taken from its master; LOADING: a restart with data that take a second; MASTERDOWN: a replica without its primary",
		asserted:  "nothing was executed, so Lock asks again until its context ends, and then says what Redis said; the holder is lost at its deadline",
		see:       "TestAReadOnlyReplica",
		checks: []check{
			{of: "CLUSTERDOWN", on: "a Cluster", kinds: plain, world: sharedCluster, run: strike{
				begin: dropSlot, end: returnSlot, says: []string{"CLUSTERDOWN"},
			}.run},
			{of: "LOADING", kinds: every, args: []string{"--loading-process-events-interval-bytes", "1024", "--key-load-delay", "400"}, run: loading},
			{of: "MASTERDOWN", kinds: every, args: []string{"--replica-serve-stale-data", "no"}, run: strike{
				begin: demote, end: promote, says: []string{"MASTERDOWN"},
			}.run},
		},
	},
}

// common is a cluster for what does not break it.
var common = sync.OnceValues(func() (*redistest.Cluster, error) {
	c, err := redistest.StartCluster(bg)
	if err != nil {
		return nil, err
	}
	cleanups = append(cleanups, c.Close)
	for _, s := range c.Nodes { // a slot that is lost is no reason to stop
		if _, err := s.Do(bg, "config", "set", "cluster-require-full-coverage", "no"); err != nil {
			return nil, err
		}
	}
	return c, nil
})

func sharedCluster(t *testing.T, k kind) *world {
	t.Helper()
	redistest.Require(t)
	c, err := common()
	if err != nil {
		t.Fatal(err)
	}
	return onCluster(t, k, c)
}

func ownCluster(t *testing.T, k kind) *world {
	t.Helper()
	return onCluster(t, k, redistest.StartClusterT(t))
}

func onCluster(t *testing.T, k kind, c *redistest.Cluster) *world {
	w := emptyWorld(t, k)
	w.cluster = c
	w.nodes = []*node{{connect: func(bool) relock.Redis { return w.clusterClient() }}}
	w.nodes[0].server = w.master()
	return w
}

func (w *world) clusterClient() *redis.ClusterClient {
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: w.cluster.Addrs()})
	w.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// master is the server that has the lock's slot.
func (w *world) master() *redistest.Server {
	w.Helper()
	s, err := w.cluster.MasterOf(w.soon(), w.key("lock"))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) slot() int {
	w.Helper()
	slot, err := w.cluster.Slot(w.soon(), w.key("lock"))
	if err != nil {
		w.Fatal(err)
	}
	return slot
}

// beginMove begins to move the lock's slot to the next master.
func (w *world) beginMove() *redistest.Migration {
	w.Helper()
	from := w.master()
	to := w.cluster.Nodes[0]
	if to == from {
		to = w.cluster.Nodes[1]
	}
	m, err := w.cluster.Migrate(w.soon(), w.slot(), to)
	if err != nil {
		w.Fatal(err)
	}
	return m
}

// moving lets one key move at a time: two masters that each send one to the
// other wait for each other.
var moving sync.Mutex

func (w *world) move(m *redistest.Migration, kind string) {
	w.Helper()
	moving.Lock()
	defer moving.Unlock()
	if err := m.Move(w.soon(), w.key(kind)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) finishMove(m *redistest.Migration) {
	w.Helper()
	moving.Lock()
	defer moving.Unlock()
	if err := m.Finish(w.soon()); err != nil {
		w.Fatal(err)
	}
	w.nodes[0].server = m.To
}

func slotMoves(w *world) {
	patient := relock.WithCheckInterval(2 * time.Second) // an entry outlives the move, in which no check-in gets through
	holder, other := w.behind(), w.behind(patient)
	lease := w.hold(holder.lock(relock.WithTTL(long / 2)))
	got := w.waiter(w.soon(), other.lock(relock.WithTTL(3*long)))
	w.awaitWaiters(1)
	m := w.beginMove()
	for _, kind := range []string{"lock", "queue", "fence", "waiters"} {
		w.move(m, kind)
		if err := lease.Extend(w.soon(), long/2); err != nil {
			w.Errorf("once the %s key has moved: %v", kind, err)
		}
	}
	w.finishMove(m)
	w.wantKept(lease)
	w.unlock(lease)
	w.unlock(w.granted(got, 2*time.Second+time.Second))
	w.awaitClean()
}

func unlockHalfMoved(w *world) {
	for _, moved := range [][]string{{}, {"lock"}, {"queue", "waiters"}} {
		lease := w.hold(w.behind().lock(relock.WithTTL(long)))
		got := w.waiter(w.soon(), w.behind().lock(relock.WithTTL(long)))
		w.awaitWaiters(1)
		m := w.beginMove()
		for _, kind := range moved {
			w.move(m, kind)
		}
		w.unlock(lease)
		w.finishMove(m)
		w.unlock(w.granted(got, 2*interval+time.Second))
		w.awaitClean()
	}
}

// dropSlot takes the lock's slot from its master, as every node sees it. What
// the slot has stays.
func dropSlot(w *world) {
	w.Helper()
	slot := w.slot()
	for _, s := range w.cluster.Nodes {
		if _, err := s.Do(w.soon(), "cluster", "delslots", slot); err != nil {
			w.Fatal(err)
		}
	}
}

func returnSlot(w *world) {
	w.Helper()
	slot := w.slot()
	if _, err := w.nodes[0].server.Do(w.soon(), "cluster", "addslots", slot); err != nil {
		w.Fatal(err)
	}
	w.await("every node knows the slot's owner", func() bool {
		s, err := w.cluster.MasterOfSlot(w.soon(), slot)
		return err == nil && s == w.nodes[0].server
	})
}

// clusterFailover has a master die under locks of every kind, all in its slots.
func clusterFailover(w *world) {
	pairs := w.pairs(outage, true)
	old := pairs[0].master()
	for _, s := range w.cluster.Nodes {
		if info, err := s.Info(bg, "replication"); err == nil && info["master_port"] == strconv.Itoa(old.Port()) {
			if err := redistest.WaitSync(w.soon(), old, s); err != nil {
				w.Fatal(err)
			}
		}
	}
	old.Kill()
	if err := w.cluster.AwaitFailover(w.soon(), pairs[0].key("lock"), old); err != nil {
		w.Fatal(err)
	}
	if err := w.cluster.AwaitOK(w.soon()); err != nil {
		w.Fatal(err)
	}
	for _, p := range pairs {
		p.passedOn()
	}
}

// loading has servers come back that need a while to read their data.
func loading(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(holder.lock()))
	w.unlock(w.hold(other.lock()))
	for _, n := range w.struck() {
		rdb := n.server.Client()
		pipe := rdb.Pipeline()
		for i := range 3000 {
			pipe.Set(bg, fmt.Sprint("much-", i), make([]byte, 100), 0)
		}
		if _, err := pipe.Exec(bg); err != nil {
			w.Fatal(err)
		}
	}
	lease := w.hold(holder.lock(relock.WithTTL(2 * long)))
	w.command("save")
	kill(w)
	var wg sync.WaitGroup
	for _, n := range w.struck() {
		wg.Go(func() {
			if err := n.server.Restart(w.soon()); err != nil { // returns when it has loaded
				w.Error(err)
			}
		})
		w.await("LOADING", func() bool {
			_, err := n.server.Do(bg, "get", "any")
			return redis.HasErrorPrefix(err, "LOADING")
		})
	}
	if w.kind.outlives {
		w.wantTaken(other)
	} else {
		w.wantRefused(other) // LOADING, or, while that is slow, nothing
		got := w.waiter(w.soon(), other.another())
		w.unlock(<-got) // had once the data are there
	}
	wg.Wait()
	w.wantKept(lease)
	w.wantTaken(other)
	w.unlock(lease)
	w.wantFree(other, 0)
}
