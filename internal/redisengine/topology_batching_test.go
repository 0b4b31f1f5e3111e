package redisengine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

// namesOnEachMaster are n names of locks a master.
func namesOnEachMaster(t *testing.T, c *redistest.Cluster, prefix string, n int) map[*redistest.Server][]string {
	t.Helper()
	names := map[*redistest.Server][]string{}
	for s, name := range onEachMaster(t, c, prefix) {
		for i := range n {
			names[s] = append(names[s], fmt.Sprintf("{%s}%d", name, i))
		}
	}
	return names
}

// A load takes locks and gives them back, each name in a goroutine of its own.
type load struct {
	stop chan struct{}
	wg   sync.WaitGroup
	done map[*redistest.Server]*atomic.Int64 // pairs of the names of a master
}

func loadOn(t *testing.T, c *relock.Client, names map[*redistest.Server][]string) *load {
	l := &load{stop: make(chan struct{}), done: map[*redistest.Server]*atomic.Int64{}}
	for s, some := range names {
		done := new(atomic.Int64)
		l.done[s] = done
		for _, name := range some {
			l.wg.Go(func() { l.pairs(t, c.Mutex(name), done) })
		}
	}
	return l
}

func (l *load) pairs(t *testing.T, m *relock.Mutex, done *atomic.Int64) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		tag := m.Name()[1:strings.Index(m.Name(), "}")]
		lease, err := m.Lock(callerOf(tag))
		if err == nil {
			err = lease.Unlock(callerOf(tag))
		}
		if err != nil {
			t.Errorf("%s: %v", m.Name(), err)
			return
		}
		done.Add(1)
	}
}

// await waits until each master has had n more pairs, but for one.
func (l *load) await(t *testing.T, n int64, but *redistest.Server) {
	t.Helper()
	for s, done := range l.done {
		if from := done.Load(); s != but {
			behaviour.Eventually(t, "pairs at "+s.Addr(), func() bool { return done.Load() >= from+n || t.Failed() })
		}
	}
}

func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

func clusterBatches(t *testing.T, c *redistest.Cluster) {
	wire := &writes{}
	client := behaviour.ClientOn(t, c.Client(func(o *redis.ClusterOptions) { o.Dialer = wire.dial }))
	l := loadOn(t, client, namesOnEachMaster(t, c, "batched", 16))
	l.await(t, 100, nil)
	behaviour.Eventually(t, "requests leave together", func() bool { return wire.together() > 0 })
	l.end()
	if n := behaviour.EngineOf(client).Dispatchers(); n != 3 {
		t.Errorf("%d dispatchers for 3 shards", n)
	}
}

// clusterBatchesWhileASlotMoves has ASK and MOVED in the middle of pipelines, for a client
// that never learns of the move too.
func clusterBatchesWhileASlotMoves(t *testing.T, c *redistest.Cluster) {
	names := namesOnEachMaster(t, c, "moving", 16)
	before, err := c.Client().ClusterSlots(behaviour.Bg).Result() //nolint:staticcheck // it is what the option returns
	if err != nil {
		t.Fatal(err)
	}
	stale := behaviour.ClientOn(t, c.Client(func(o *redis.ClusterOptions) {
		o.ClusterSlots = func(context.Context) ([]redis.ClusterSlot, error) { return before, nil }
	}))
	l := loadOn(t, stale, names)
	l.await(t, 100, nil)
	for s := range names {
		move := beginMove(t, c, names[s][0])
		l.await(t, 10, s)
		if err := move.Finish(behaviour.Patience(t)); err != nil {
			t.Fatal(err)
		}
		break
	}
	l.await(t, 100, nil)
	l.end()
	for s := range names {
		for _, name := range names[s] {
			awaitNoKeys(t, c.Client(), name)
		}
	}
}

func clusterBatchesBesideAStuckShard(t *testing.T, c *redistest.Cluster) {
	tolerate(t, c, 60_000)
	defer tolerate(t, c, 1500)
	names := namesOnEachMaster(t, c, "beside", 16)
	l := loadOn(t, clusterClient(t, c), names)
	l.await(t, 50, nil)
	for stuck := range names {
		if err := stuck.Pause(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		l.await(t, 200, stuck)
		t.Logf("200 pairs at each of the others in %v", time.Since(start).Round(time.Millisecond))
		if err := stuck.Resume(); err != nil {
			t.Fatal(err)
		}
		break
	}
	l.await(t, 50, nil)
	l.end()
}

// clusterShowsItsNodesHooks has hooks on the clients of the nodes, and none on the
// cluster's.
func clusterShowsItsNodesHooks(t *testing.T, c *redistest.Cluster) {
	for _, on := range []bool{false, true} {
		rdb, seen := c.Client(), newLookout()
		rdb.OnNewNode(func(node *redis.Client) { node.AddHook(seen) })
		var opts []relock.Option
		if on {
			opts = append(opts, relock.WithBatching(true))
		}
		client := behaviour.ClientOn(t, rdb, opts...)
		l := loadOn(t, client, namesOnEachMaster(t, c, "watched", 16))
		if on {
			behaviour.Eventually(t, "requests leave together", func() bool { return seen.batches() > 0 })
		}
		l.await(t, 100, nil)
		l.end()
		if batched := seen.batches() > 0; batched != on {
			t.Errorf("asked for: %v; requests left together: %v", on, batched)
		}
		if len(seen.strangers) > 0 && !on {
			t.Errorf("requests without their caller's context: %q", seen.strangers[:min(4, len(seen.strangers))])
		}
	}
}
