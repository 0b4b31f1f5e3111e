package redisengine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
)

// One cluster for all of these: it takes seconds to start. What breaks it comes
// last.
func TestCluster(t *testing.T) {
	redistest.Slow(t, "six nodes meet")
	c := redistest.StartClusterT(t)
	for _, check := range []struct {
		sentence string
		run      func(t *testing.T, c *redistest.Cluster)
	}{
		{"clients exclude one another on every shard", clusterExcludes},
		{"a waiter is woken by a node that it has not subscribed at", clusterWakesAcrossNodes},
		{"a name keeps the slot of its own tag", clusterKeepsTags},
		{"an AutoPipeliner of a cluster carries several locks, and a quorum's node", clusterBehindAnAutoPipeliner},
		{"the user of SECURITY.md may do all that a lock takes", clusterTakesTheUserOfSecurity},
		{"a dead waiter at the head delays the next by its life at most", clusterPassesADeadHead},
		{"replicas are waited for at the master of the key", clusterWaitsForReplicas},
		{"hooks see what the masters execute", clusterShowsHooks},
		{"a WAIT counts only on the connection of its write", clusterAsksOneNode},
		{"a lock is held, waited for and passed on while its slot moves", clusterMovesALock},
		{"a release in a slot that is half moved frees the lock", clusterReleasesHalfMoved},
		{"requests to a shard leave together", clusterBatches},
		{"where the clients of nodes have hooks, requests leave one by one", clusterShowsItsNodesHooks},
		{"pipelines follow a slot that moves", clusterBatchesWhileASlotMoves},
		{"a shard that hangs does not stop the pipelines to others", clusterBatchesBesideAStuckShard},
		{"a shard that hangs does not stop the renewals of others", clusterRenewsBesideAStuckShard},
		{"a lock outlives the death of its master", clusterFailsOver},
	} {
		t.Run(check.sentence, func(t *testing.T) { check.run(t, c) })
	}
}

func clusterBehindAnAutoPipeliner(t *testing.T, c *redistest.Cluster) {
	pipes, err := c.Client().AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipes.Close() })
	client := behaviour.ClientOn(t, pipes)
	behaviour.Unlock(t, behaviour.LockOf(t, behaviour.CompositeOf(t, client.Mutex("a"), client.Mutex("b"))))
	node := behaviour.EngineOf(client).AsNode(engine.NewID())
	node.Start(nil)
	known, err := node.Enrol(behaviour.Patience(t), "known", "")
	if err != nil {
		t.Fatal(err)
	}
	node.Trust(known.ID)
	for _, name := range []string{"a", "b"} {
		ans, err := node.Acquire(behaviour.Patience(t), &engine.Request{
			Name: name, Hold: "h", Owner: "o", TTL: time.Minute, Arrived: time.Now(),
			Propose: engine.Proposal{Token: time.Now().Add(time.Second).UnixMicro()},
		})
		if err != nil || ans.State != engine.Granted {
			t.Errorf("%s: got %+v, %v", name, ans, err)
		}
		if _, err := node.Release(behaviour.Patience(t), &engine.Release{Name: name, Hold: "h"}); err != nil {
			t.Error(err)
		}
	}
}

func clusterTakesTheUserOfSecurity(t *testing.T, c *redistest.Cluster) {
	for _, s := range c.Nodes {
		for _, rule := range [][]any{ruleOfSecurity(t), {"acl", "setuser", "relock", "+cluster|slots"}} {
			if _, err := s.Do(behaviour.Bg, rule...); err != nil {
				t.Fatalf("%q: %v", rule, err)
			}
		}
	}
	takesWhatALockDoes(t, func() *relock.Client {
		return behaviour.ClientOn(t, c.Client(func(o *redis.ClusterOptions) { o.Username, o.Password = "relock", "secret" }))
	})
}

func clusterClient(t *testing.T, c *redistest.Cluster, opts ...relock.Option) *relock.Client {
	t.Helper()
	return behaviour.ClientOn(t, c.Client(), opts...)
}

func masterOf(t *testing.T, c *redistest.Cluster, key string) *redistest.Server {
	t.Helper()
	s, err := c.MasterOf(behaviour.Patience(t), key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// onEachMaster returns a lock name on each of the three masters.
func onEachMaster(t *testing.T, c *redistest.Cluster, prefix string) map[*redistest.Server]string {
	t.Helper()
	names := map[*redistest.Server]string{}
	for i := 0; len(names) < 3; i++ {
		name := fmt.Sprint(prefix, i)
		s := masterOf(t, c, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name))
		if _, have := names[s]; !have {
			names[s] = name
		}
	}
	return names
}

// awaitNoKeys waits until a lock and its queue are gone.
func awaitNoKeys(t *testing.T, rdb redis.Cmdable, name string) {
	t.Helper()
	for _, kind := range []string{redisengine.KindLock, redisengine.KindQueue, redisengine.KindWaiters} {
		key := redisengine.KeyOf(relock.DefaultPrefix, kind, name)
		behaviour.Eventually(t, key+" is gone", func() bool { n, err := rdb.Exists(behaviour.Bg, key).Result(); return n == 0 && err == nil })
	}
}

func clusterExcludes(t *testing.T, c *redistest.Cluster) {
	names := []string{"{own}tag", "odd } { name"}
	for _, name := range onEachMaster(t, c, "contended") {
		names = append(names, name)
	}
	var clients []*relock.Client
	for range 4 {
		clients = append(clients, clusterClient(t, c, relock.WithCheckInterval(10*time.Second)))
	}
	const times = 4
	var wg sync.WaitGroup
	inside, sections := make([]int, len(names)), make([]int, len(names)) // the locks are their guards
	tokens := make([]relock.Token, len(names))
	for i, name := range names {
		for _, client := range clients {
			for range 2 {
				wg.Go(func() {
					for range times {
						lease := behaviour.LockOf(t, client.Mutex(name))
						if inside[i]++; inside[i] != 1 {
							t.Errorf("%q: %d inside", name, inside[i])
						}
						if lease.Token() <= tokens[i] {
							t.Errorf("%q: token %d after %d", name, lease.Token(), tokens[i])
						}
						tokens[i] = lease.Token()
						sections[i]++
						inside[i]--
						behaviour.Unlock(t, lease)
					}
				})
			}
		}
	}
	wg.Wait()
	for i, name := range names {
		if want := len(clients) * 2 * times; sections[i] != want {
			t.Errorf("%q: got %d sections, want %d", name, sections[i], want)
		}
		awaitNoKeys(t, c.Client(), name)
	}
}

// subscribedAt returns the node at which a client hears its grants.
func subscribedAt(t *testing.T, c *redistest.Cluster, client *relock.Client) *redistest.Server {
	t.Helper()
	for _, s := range c.Nodes {
		if !s.Running() {
			continue
		}
		reply, err := s.Do(behaviour.Patience(t), "pubsub", "numsub", behaviour.EngineOf(client).Channel())
		if list, _ := reply.([]any); err == nil && len(list) == 2 && list[1] != int64(0) {
			return s
		}
	}
	t.Fatal("the client is subscribed nowhere")
	return nil
}

func clusterWakesAcrossNodes(t *testing.T, c *redistest.Cluster) {
	const interval = 20 * time.Second
	holder, waiter := clusterClient(t, c), clusterClient(t, c, relock.WithCheckInterval(interval), relock.WithTTL(time.Minute*2))
	across := 0
	for _, name := range onEachMaster(t, c, "woken") {
		lease := behaviour.LockOf(t, holder.Mutex(name))
		turns := inTurn(t, holder.Mutex(name), []*relock.Client{waiter})
		if subscribedAt(t, c, waiter) != masterOf(t, c, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, name)) {
			across++
		}
		behaviour.Unlock(t, lease)
		wantTurn(t, turns, 0, interval/2)
	}
	if across < 2 {
		t.Errorf("%d of 3 locks are on another node than the subscription, want 2 at least", across)
	}
}

func clusterKeepsTags(t *testing.T, c *redistest.Cluster) {
	want, err := c.Slot(behaviour.Bg, "user:7")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"{user:7}", "{user:7}/cart", "orders/{user:7}{x}"} {
		for _, key := range redisengine.SpaceKeys(relock.DefaultPrefix, "", name) {
			if got, err := c.Slot(behaviour.Bg, key); got != want || err != nil {
				t.Errorf("key %q is in slot %d, %v; want %d, that of its tag", key, got, err, want)
			}
		}
		behaviour.Unlock(t, behaviour.LockOf(t, clusterClient(t, c).Mutex(name)))
	}
}

// A mortal is a dialler that can die, as the process behind it would: its
// connections close, and there are no new ones.
type mortal struct {
	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (m *mortal) options(o *redis.ClusterOptions) {
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.dead && err == nil {
			_ = conn.Close()
			return nil, net.ErrClosed
		}
		m.conns = append(m.conns, conn)
		return conn, err
	}
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	for _, conn := range m.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

func clusterPassesADeadHead(t *testing.T, c *redistest.Cluster) {
	const interval, life = 300 * time.Millisecond, 900 * time.Millisecond
	holder := clusterClient(t, c)
	lease := behaviour.LockOf(t, holder.Mutex("head"))
	var victim mortal
	head := behaviour.ClientOn(t, c.Client(victim.options), relock.WithCheckInterval(interval), relock.WithCallTimeout(500*time.Millisecond))
	next := clusterClient(t, c, relock.WithCheckInterval(interval))
	turns := inTurn(t, holder.Mutex("head"), []*relock.Client{head, next})
	victim.die()
	start := time.Now()
	behaviour.Unlock(t, lease)
	got := <-turns
	if took := time.Since(start); took > life+behaviour.Slack {
		t.Errorf("the next had the lock after %v, an entry lives %v", took, life)
	}
	if got.err != nil || got.waiter != 1 {
		t.Fatalf("waiter %d has the lock, %v; want the second", got.waiter, got.err)
	}
	behaviour.Unlock(t, got.lease)
	_ = head.Close()
	if got := <-turns; !errors.Is(got.err, relock.ErrClosed) {
		t.Errorf("the dead waiter's Lock says %v", got.err)
	}
	awaitNoKeys(t, c.Client(), "head")
}
