package redisengine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
)

// What befalls one shard of a cluster.

func otherMaster(t *testing.T, c *redistest.Cluster, not *redistest.Server) *redistest.Server {
	t.Helper()
	for s := range onEachMaster(t, c, "any") {
		if s != not {
			return s
		}
	}
	t.Fatal("there is one master only")
	return nil
}

// replicaOf returns the replica of one of the first masters, before any failover.
func replicaOf(c *redistest.Cluster, master *redistest.Server) *redistest.Server {
	for i, s := range c.Nodes[:3] {
		if s == master {
			return c.Nodes[i+3]
		}
	}
	return nil
}

func clusterWaitsForReplicas(t *testing.T, c *redistest.Cluster) {
	rdb := c.Client()
	client := behaviour.ClientOn(t, rdb)
	names := onEachMaster(t, c, "replicated")
	locks := map[*redistest.Server]*relock.Mutex{}
	for s, name := range names {
		locks[s] = client.Mutex(name, relock.WithReplicas(1, 300*time.Millisecond))
		behaviour.Eventually(t, "its replica acknowledges", func() bool {
			lease, err := locks[s].TryLock(behaviour.Bg)
			if err == nil {
				behaviour.Unlock(t, lease)
			}
			return err == nil
		})
	}
	for stuck, m := range locks {
		replica := replicaOf(c, stuck)
		if err := replica.Pause(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotReplicated) {
			t.Errorf("with its replica stopped: got %v, want ErrNotReplicated", err)
		}
		if exists(t, rdb, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, m.Name())) {
			t.Error("the hold that was not replicated is still there")
		}
		for s, other := range locks {
			if s != stuck {
				behaviour.Unlock(t, behaviour.LockOf(t, other))
			}
		}
		if err := replica.Resume(); err != nil {
			t.Fatal(err)
		}
		break // one shard shows it; a replica stopped for longer is taken for dead
	}
}

// clusterAsksOneNode has a key's renewal and its WAIT on two nodes, in every way
// that a cluster client has for it.
func clusterAsksOneNode(t *testing.T, c *redistest.Cluster) {
	held := func(t *testing.T, name string) *relock.Lease {
		lease := behaviour.LockOf(t, clusterClient(t, c).Mutex(name))
		t.Cleanup(func() { behaviour.Unlock(t, lease) })
		return lease
	}
	renewal := func(t *testing.T, rdb *redis.ClusterClient, lease *relock.Lease) func() error {
		eng := behaviour.EngineOf(behaviour.ClientOn(t, rdb))
		return func() error {
			r := &engine.Renewal{
				Name: lease.Name(), Hold: behaviour.HoldOf(lease).ID(), Token: int64(lease.Token()), TTL: time.Minute,
				Replicas: 1, ReplicaTimeout: 300 * time.Millisecond,
			}
			ans, err := eng.Renew(behaviour.Patience(t), r)
			if err == nil && ans.State != engine.Granted {
				t.Errorf("got %+v, want a renewal", ans)
			}
			return err
		}
	}
	t.Run("its slot moves", func(t *testing.T) {
		const name = "moves"
		lease := held(t, name)
		renew := renewal(t, c.Client(), lease)
		before, err := c.Client().ClusterSlots(behaviour.Bg).Result() //nolint:staticcheck // it is what the option returns
		if err != nil {
			t.Fatal(err)
		}
		// go-redis may hear of the move while nothing is asked: this one does not.
		stale := renewal(t, c.Client(func(o *redis.ClusterOptions) {
			o.ClusterSlots = func(context.Context) ([]redis.ClusterSlot, error) { return before, nil }
		}), lease)
		move := beginMove(t, c, name)
		if err := renew(); err != nil {
			t.Errorf("before its key has moved: %v", err)
		}
		if err := move.Move(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name)); err != nil {
			t.Fatal(err)
		}
		if err := renew(); !errors.Is(err, engine.ErrUnknown) {
			t.Errorf("sent on by ASK: got %v, want no answer", err)
		}
		if err := move.Finish(behaviour.Patience(t)); err != nil {
			t.Fatal(err)
		}
		if err := stale(); !errors.Is(err, engine.ErrUnknown) {
			t.Errorf("sent on by MOVED: got %v, want no answer", err)
		}
		behaviour.Eventually(t, "it is renewed at its new master", func() bool { return renew() == nil })
	})
	t.Run("its slot is on no map", func(t *testing.T) {
		const name = "unknown"
		var known []redis.ClusterSlot // every node, and a slot of each that is not the lock's
		for i, s := range c.Nodes {
			known = append(known, redis.ClusterSlot{Start: i, End: i, Nodes: []redis.ClusterNode{{Addr: s.Addr()}}})
		}
		renew := renewal(t, c.Client(func(o *redis.ClusterOptions) {
			o.ClusterSlots = func(context.Context) ([]redis.ClusterSlot, error) { return known, nil }
		}), held(t, name))
		master := masterOf(t, c, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name)).Client()
		for range 50 {
			behaviour.ResetStats(t, master)
			err := renew() // goes to its master, or to another: go-redis draws lots
			if err != nil && !redis.HasErrorPrefix(err, "MOVED") && !errors.Is(err, engine.ErrUnknown) {
				t.Fatal(err)
			}
			if err == nil && behaviour.Calls(t, master, "wait") == 0 {
				t.Fatal("renewed, and its master was not asked who has it")
			}
		}
	})
	t.Run("its client routes as the servers say", func(t *testing.T) {
		rdb := c.Client()
		rdb.SetCommandInfoResolver(rdb.NewDynamicResolver())
		if err := renewal(t, rdb, held(t, "routed"))(); err != nil {
			t.Error(err)
		}
	})
}

// renewed waits for two more renewals of a lease.
func renewed(t *testing.T, lease *relock.Lease, when string) {
	t.Helper()
	for range 2 {
		before := lease.ValidUntil()
		behaviour.Eventually(t, "a renewal "+when, func() bool { return lease.Err() != nil || lease.ValidUntil().After(before) })
		if err := lease.Err(); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
}

// beginMove begins to move the slot of a lock to another master.
func beginMove(t *testing.T, c *redistest.Cluster, name string) *redistest.Migration {
	t.Helper()
	key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name)
	slot, err := c.Slot(behaviour.Bg, key)
	if err != nil {
		t.Fatal(err)
	}
	move, err := c.Migrate(behaviour.Patience(t), slot, otherMaster(t, c, masterOf(t, c, key)))
	if err != nil {
		t.Fatal(err)
	}
	return move
}

func clusterMovesALock(t *testing.T, c *redistest.Cluster) {
	// The waiters' entries outlive the move, in which no check-in gets through.
	const ttl, interval = 1200 * time.Millisecond, 2 * time.Second
	const name = "moved"
	holder := clusterClient(t, c)
	lease := behaviour.LockOf(t, holder.Mutex(name, relock.WithTTL(ttl)))
	var clients []*relock.Client
	for range 2 {
		clients = append(clients, clusterClient(t, c, relock.WithCheckInterval(interval)))
	}
	turns := inTurn(t, holder.Mutex(name), clients)

	move := beginMove(t, c, name)
	renewed(t, lease, "before a key has moved")
	for _, kind := range []string{redisengine.KindLock, redisengine.KindQueue, redisengine.KindFence, redisengine.KindWaiters} {
		if err := move.Move(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, kind, name)); err != nil {
			t.Fatal(err)
		}
		renewed(t, lease, "once the "+kind+" key has moved")
	}
	if err := move.Finish(behaviour.Patience(t)); err != nil {
		t.Fatal(err)
	}
	renewed(t, lease, "at the new owner")
	if got := masterOf(t, c, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name)); got != move.To {
		t.Errorf("the lock is at %s, want %s", got.Addr(), move.To.Addr())
	}
	behaviour.Unlock(t, lease)
	last := lease.Token()
	for i := range clients {
		token := wantTurn(t, turns, i, interval+behaviour.Slack+time.Second)
		if token <= last {
			t.Errorf("token %d after %d", token, last)
		}
		last = token
	}
	awaitNoKeys(t, c.Client(), name)
}

func clusterReleasesHalfMoved(t *testing.T, c *redistest.Cluster) {
	const interval = 400 * time.Millisecond
	for _, moved := range [][]string{{}, {redisengine.KindLock}, {redisengine.KindQueue, redisengine.KindWaiters}} {
		t.Run(fmt.Sprintf("moved: %v", moved), func(t *testing.T) {
			name := fmt.Sprintf("half-%d", len(moved))
			lockKey, rdb := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name), c.Client()
			holder, waiter := clusterClient(t, c), clusterClient(t, c, relock.WithCheckInterval(interval))
			lease := behaviour.LockOf(t, holder.Mutex(name))
			turns := inTurn(t, holder.Mutex(name), []*relock.Client{waiter})
			move := beginMove(t, c, name)
			for _, kind := range moved {
				if err := move.Move(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, kind, name)); err != nil {
					t.Fatal(err)
				}
			}
			keys := redisengine.SpaceKeys(relock.DefaultPrefix, "", name)
			if err := rdb.Eval(behaviour.Bg, "return 1", keys[:]).Err(); !redis.HasErrorPrefix(err, "TRYAGAIN") {
				t.Fatalf("all keys of the slot that is on its way: got %v, want TRYAGAIN", err)
			}
			behaviour.Unlock(t, lease)
			if exists(t, rdb, lockKey) {
				t.Error("Unlock has returned and the lock is held")
			}
			if err := move.Finish(behaviour.Patience(t)); err != nil {
				t.Fatal(err)
			}
			if token := wantTurn(t, turns, 0, 2*interval+behaviour.Slack+time.Second); token <= lease.Token() {
				t.Errorf("token %d after %d", token, lease.Token())
			}
			awaitNoKeys(t, rdb, name)
		})
	}
}

// tolerate sets for how long the nodes wait for a silent one.
func tolerate(t *testing.T, c *redistest.Cluster, ms int) {
	t.Helper()
	for _, s := range c.Nodes {
		if _, err := s.Do(behaviour.Bg, "config", "set", "cluster-node-timeout", ms); err != nil {
			t.Fatal(err)
		}
	}
}

func clusterRenewsBesideAStuckShard(t *testing.T, c *redistest.Cluster) {
	const ttl, each = 1800 * time.Millisecond, 8 // so many that they are due together
	tolerate(t, c, 60_000)
	defer tolerate(t, c, 1500)
	client := clusterClient(t, c)
	leases := map[*redistest.Server][]*relock.Lease{}
	var stuck *redistest.Server
	for s, name := range onEachMaster(t, c, "stuck") {
		for i := range each {
			lock := client.Mutex(fmt.Sprintf("{%s}%d", name, i), relock.WithTTL(ttl))
			leases[s] = append(leases[s], behaviour.LockOf(t, lock))
		}
		stuck = s
	}
	if err := stuck.Pause(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stuck.Resume(); err != nil {
			t.Error(err)
		}
	}()
	for _, lease := range leases[stuck] {
		wantLostAtDeadline(t, lease, ttl)
	}
	delete(leases, stuck)
	mark := time.Now().Add(ttl - engine.Drift(ttl)) // of a renewal that is sent from now on
	for _, beside := range leases {
		for _, lease := range beside {
			behaviour.Eventually(t, "a renewal", func() bool { return lease.Err() != nil || lease.ValidUntil().After(mark) })
			if err := lease.Err(); err != nil {
				t.Fatalf("beside a shard that hangs: %v", err)
			}
		}
	}
	for _, beside := range leases {
		for _, lease := range beside {
			behaviour.Unlock(t, lease)
		}
	}
}

func clusterFailsOver(t *testing.T, c *redistest.Cluster) {
	const name, interval = "survivor", 3 * time.Second // an entry outlives the failover
	key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name)
	holder := clusterClient(t, c)
	lease := behaviour.LockOf(t, holder.Mutex(name, relock.WithTTL(9*time.Second)))
	turns := inTurn(t, holder.Mutex(name), []*relock.Client{
		clusterClient(t, c, relock.WithCheckInterval(interval)), clusterClient(t, c, relock.WithCheckInterval(interval)),
	})
	old := masterOf(t, c, key)
	for _, s := range c.Nodes {
		if info, err := s.Info(behaviour.Bg, "replication"); err == nil && info["master_port"] == fmt.Sprint(old.Port()) {
			if err := redistest.WaitSync(behaviour.Patience(t), old, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	old.Kill()
	if err := c.AwaitFailover(behaviour.Patience(t), key, old); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitOK(behaviour.Patience(t)); err != nil {
		t.Fatal(err)
	}
	before := lease.ValidUntil()
	behaviour.Eventually(t, "a renewal at the replica that was promoted", func() bool {
		return lease.Err() != nil || lease.ValidUntil().After(before)
	})
	if err := lease.Err(); err != nil {
		t.Fatalf("the replica has the lock and its holder says %v", err)
	}
	behaviour.Unlock(t, lease)
	last := lease.Token()
	for i := range 2 {
		token := wantTurn(t, turns, i, 10*time.Second)
		if token <= last {
			t.Errorf("token %d after %d", token, last)
		}
		last = token
	}
	awaitNoKeys(t, c.Client(), name)
}
