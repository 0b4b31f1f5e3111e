package redisengine_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

// SUBSCRIBE and EVALSHA need not reach one server, whatever that server says of
// itself.

// readsFromReplicas starts a deployment, and returns a client of it that reads from
// any server, and so subscribes at any. Nobody is elected, however slow the machine.
func readsFromReplicas(t *testing.T) (*redistest.Sentinels, relock.Redis) {
	t.Helper()
	var rdb *redis.ClusterClient
	t.Cleanup(func() {
		// Close leaves go-redis's subscription at a sentinel, which ends once it is
		// asked and is found dead.
		if rdb != nil {
			_, _ = rdb.Options().ClusterSlots(behaviour.Bg)
			_ = rdb.Close()
		}
	})
	s := redistest.StartSentinelsT(t)
	for _, one := range s.Sentinels {
		if _, err := one.Do(behaviour.Bg, "sentinel", "set", redistest.SentinelName, "down-after-milliseconds", "60000"); err != nil {
			t.Fatal(err)
		}
	}
	rdb = redis.NewFailoverClusterClient(&redis.FailoverOptions{
		MasterName: redistest.SentinelName, SentinelAddrs: s.Addrs(), RouteRandomly: true,
	})
	return s, rdb
}

// hearsAt returns the one of servers at which a client hears its grants.
func hearsAt(t *testing.T, client *relock.Client, servers []*redistest.Server) *redistest.Server {
	t.Helper()
	i := slices.IndexFunc(servers, func(s *redistest.Server) bool {
		reply, err := s.Do(behaviour.Bg, "pubsub", "numsub", behaviour.EngineOf(client).Channel())
		list, _ := reply.([]any)
		return err == nil && len(list) == 2 && list[1] != int64(0)
	})
	if i < 0 {
		t.Fatal("the client is subscribed nowhere")
	}
	return servers[i]
}

// A waiter whose subscription is at a replica is woken by the message, which
// reaches the replica through the primary: long before it would ask by itself.
func TestAWaiterThatReadsFromReplicasIsWoken(t *testing.T) {
	t.Parallel()
	const rounds, interval, within = 20, 10 * time.Second, 500 * time.Millisecond
	s, rdb := readsFromReplicas(t)
	holder := behaviour.ClientOn(t, s.FailoverClient()).Mutex("a")
	var took []time.Duration
	for atPrimary := 0; len(took) < rounds; {
		if atPrimary > 10*rounds {
			t.Fatalf("%d subscriptions at the primary", atPrimary)
		}
		c := behaviour.ClientOn(t, rdb, relock.WithCheckInterval(interval))
		lease := behaviour.LockOf(t, holder)
		turns := inTurn(t, holder, []*relock.Client{c})
		if hearsAt(t, c, s.Data.All()) == s.Data.Primary {
			atPrimary++
			behaviour.Unlock(t, lease)
			wantTurn(t, turns, 0, interval/2)
			continue
		}
		start := time.Now()
		behaviour.Unlock(t, lease)
		got := <-turns
		took = append(took, time.Since(start))
		if got.err != nil {
			t.Fatal(got.err)
		}
		behaviour.Unlock(t, got.lease)
		if d := took[len(took)-1]; d > within {
			t.Fatalf("waiter %d of %d had the lock after %v, want within %v", len(took), rounds, d, within)
		}
	}
	slices.Sort(took)
	t.Logf("from the release to the grant: median %v, greatest %v", took[rounds/2], took[rounds-1])
}

// Among others that wait for one another all the time it has its turn, in order.
func TestAWaiterThatReadsFromReplicasHasItsTurn(t *testing.T) {
	t.Parallel()
	s, rdb := readsFromReplicas(t)
	holder := behaviour.ClientOn(t, s.FailoverClient()).Mutex("a")
	var clients []*relock.Client
	for i := range 9 {
		reads := rdb
		if i%3 == 0 {
			reads = s.FailoverClient()
		}
		clients = append(clients, behaviour.ClientOn(t, reads, relock.WithCheckInterval(20*time.Second), relock.WithTTL(time.Minute)))
	}
	lease := behaviour.LockOf(t, holder)
	turns := inTurn(t, holder, clients)
	behaviour.Unlock(t, lease)
	for i := range clients {
		wantTurn(t, turns, i, 10*time.Second)
	}
}

// A client whose subscription is where no message of the lock's server ever comes
// is not passed over: it has its turn, and finds it by asking.
func TestAWaiterSubscribedAtAnotherServerHasItsTurn(t *testing.T) {
	const interval = 300 * time.Millisecond
	rdb, stranger := redistest.StartT(t).Client(), redistest.StartT(t).Client()
	holder := behaviour.ClientOn(t, rdb).Mutex("a")
	astray := behaviour.ClientOn(t, elsewhere{rdb, stranger}, relock.WithCheckInterval(interval))
	next := behaviour.ClientOn(t, rdb)
	lease := behaviour.LockOf(t, holder)
	turns := inTurn(t, holder, []*relock.Client{astray, next})
	behaviour.Unlock(t, lease)
	wantTurn(t, turns, 0, 10*time.Second)
	wantTurn(t, turns, 1, 10*time.Second)
}

// A ghost is a subscriber that the server has while a client's requests are under
// way, and at no other time: as behind a proxy over servers that share their data
// and not their subscribers.
type ghost struct {
	rdb     *redis.Client
	channel string
	sync.Mutex
}

// around has the subscriber be there while the scripts of cmds run.
func (g *ghost) around(cmds []redis.Cmder, run func() error) error {
	if name := cmds[0].Name(); name != "evalsha" && name != "eval" {
		return run() // go-redis logs in
	}
	g.Lock()
	defer g.Unlock()
	ps := g.rdb.Subscribe(behaviour.Bg, g.channel)
	defer ps.Close()
	_, _ = ps.Receive(behaviour.Bg)
	err := run()
	_ = ps.Unsubscribe(behaviour.Bg)
	_, _ = ps.Receive(behaviour.Bg)
	return err
}

func (g *ghost) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *ghost) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return g.around([]redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (g *ghost) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return g.around(cmds, func() error { return next(ctx, cmds) })
	}
}

// Each of its check-ins finds the subscriber, and no release does: it is passed
// over, but not for ever.
func TestNobodyIsPassedOverForEver(t *testing.T) {
	const interval = 300 * time.Millisecond
	server, stranger := redistest.StartT(t), redistest.StartT(t)
	g, rdb := &ghost{rdb: server.Client()}, server.Client()
	rdb.AddHook(g)
	c := behaviour.ClientOn(t, elsewhere{rdb, stranger.Client()}, relock.WithCheckInterval(interval))
	g.channel = behaviour.EngineOf(c).Channel()
	other := behaviour.ClientOn(t, server.Client()).Mutex("a")
	lease := behaviour.LockOf(t, other)
	turns := inTurn(t, other, []*relock.Client{c})
	deadline := time.After(15 * time.Second)
	for passed := 0; ; {
		g.Lock()
		if lease != nil {
			behaviour.Unlock(t, lease)
		}
		lease, _ = other.TryLock(behaviour.Bg)
		g.Unlock()
		select {
		case got := <-turns:
			if got.err != nil || passed == 0 {
				t.Fatalf("passed over %d times, and then %v", passed, got.err)
			}
			behaviour.Unlock(t, got.lease)
			behaviour.AwaitClean(t, server.Client())
			return
		case <-deadline:
			t.Fatalf("passed over %d times in 15 s", passed)
		default:
			if lease != nil {
				passed++
			}
		}
	}
}
