package redistest

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestDetachedReplicaMissesWritesAndIsPromoted(t *testing.T) {
	ctx := within(t)
	r := StartReplicasT(t, 2)
	primary := r.Primary.Client()
	must(t, primary.Set(ctx, "k", "old", 0).Err())
	must(t, r.WaitSync(ctx))
	must(t, r.DetachReplica(ctx, 0))
	must(t, primary.Set(ctx, "k", "new", 0).Err())
	must(t, WaitSync(ctx, r.Primary, r.Replicas[1]))
	must(t, r.Promote(ctx, 0))

	for i, want := range []string{"old", "new"} {
		c := r.Replicas[i].Client()
		if got := value[string](t)(c.Get(ctx, "k").Result()); got != want {
			t.Errorf("replica %d has %q, want %q", i, got, want)
		}
	}
	must(t, r.Replicas[0].Client().Set(ctx, "k", "promoted", 0).Err())

	must(t, r.AttachReplica(ctx, 1, r.Replicas[0]))
	must(t, WaitSync(ctx, r.Replicas[0], r.Replicas[1]))
	if got := r.Replicas[1].Client().Get(ctx, "k").Val(); got != "promoted" {
		t.Errorf("re-attached replica has %q, want promoted", got)
	}
}

func TestSentinelsFailOver(t *testing.T) {
	Slow(t, "an election of sentinels")
	ctx := within(t)
	s := StartSentinelsT(t)
	c := s.FailoverClient()
	must(t, c.Set(ctx, "k", "v", 0).Err())
	must(t, s.Data.WaitSync(ctx))
	old := value[*Server](t)(s.Primary(ctx))
	if old != s.Data.Primary {
		t.Fatalf("first primary is %s, want %s", old.Addr(), s.Data.Primary.Addr())
	}
	old.Kill()
	next := value[*Server](t)(s.AwaitFailover(ctx, old))
	if next == old {
		t.Fatal("no other primary")
	}
	must(t, eventually(ctx, func() error { return c.Set(ctx, "k2", "v", 0).Err() }))
	if got := next.Client().Get(ctx, "k2").Val(); got != "v" {
		t.Errorf("the failover client wrote elsewhere: %q", got)
	}
}

func TestCluster(t *testing.T) {
	Slow(t, "six nodes meet")
	c := StartClusterT(t)
	client := c.Client()
	t.Run("every master takes its slots", func(t *testing.T) { everySlotIsServed(t, c, client) })
	t.Run("a slot moves key by key", func(t *testing.T) { slotMoves(t, c, client) })
	t.Run("a replica takes over", func(t *testing.T) { replicaTakesOver(t, c, client) })
}

func everySlotIsServed(t *testing.T, c *Cluster, client *redis.ClusterClient) {
	ctx := within(t)
	owners := map[*Server]bool{}
	for i := range 50 {
		key := fmt.Sprint("key", i)
		must(t, client.Set(ctx, key, i, 0).Err())
		master := value[*Server](t)(c.MasterOf(ctx, key))
		owners[master] = true
		if got, err := master.Do(ctx, "get", key); err != nil || got != fmt.Sprint(i) {
			t.Errorf("%s at its master: %v, %v", key, got, err)
		}
	}
	if len(owners) != clusterMasters {
		t.Errorf("50 keys at %d masters, want %d", len(owners), clusterMasters)
	}
}

func slotMoves(t *testing.T, c *Cluster, client *redis.ClusterClient) {
	ctx := within(t)
	both := func() error {
		return client.Eval(ctx, "return redis.call('MGET', KEYS[1], KEYS[2])", []string{"{m}a", "{m}b"}).Err()
	}
	must(t, client.MSet(ctx, "{m}a", 1, "{m}b", 2).Err())
	slot := value[int](t)(c.Slot(ctx, "{m}a"))
	from := value[*Server](t)(c.MasterOfSlot(ctx, slot))
	m := value[*Migration](t)(c.Migrate(ctx, slot, otherMaster(c, from)))
	must(t, both())

	must(t, m.Move(ctx, "{m}a"))
	keys := value[[]string](t)(m.Keys(ctx))
	if len(keys) != 1 || keys[0] != "{m}b" {
		t.Errorf("keys left = %v, want [{m}b]", keys)
	}
	if got := value[string](t)(client.Get(ctx, "{m}a").Result()); got != "1" {
		t.Errorf("moved key = %q, want 1", got)
	}
	_, err := from.Do(ctx, "mget", "{m}a", "{m}b")
	if !redis.HasErrorPrefix(err, "TRYAGAIN") {
		t.Errorf("two keys of a half-moved slot: %v, want TRYAGAIN", err)
	}

	must(t, m.Finish(ctx))
	if got := value[*Server](t)(c.MasterOfSlot(ctx, slot)); got != m.To {
		t.Errorf("owner = %s, want %s", got.Addr(), m.To.Addr())
	}
	must(t, both())
	must(t, c.AwaitOK(ctx))
}

func otherMaster(c *Cluster, not *Server) *Server {
	if c.Nodes[0] == not {
		return c.Nodes[1]
	}
	return c.Nodes[0]
}

func replicaTakesOver(t *testing.T, c *Cluster, client *redis.ClusterClient) {
	ctx := within(t)
	old := value[*Server](t)(c.MasterOf(ctx, "key1"))
	old.Kill()
	must(t, c.AwaitFailover(ctx, "key1", old))
	must(t, c.AwaitOK(ctx))
	next := value[*Server](t)(c.MasterOf(ctx, "key1"))
	if next == old {
		t.Errorf("owner is still %s", old.Addr())
	}
	// A refused connection does not make the client reload its map of slots,
	// and by default it would do so only a minute later.
	client.ReloadState(ctx)
	must(t, eventually(ctx, func() error { return client.Set(ctx, "key1", "after", 0).Err() }))
}
