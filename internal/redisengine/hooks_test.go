package redisengine_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
)

// callerKey is what a test's caller puts the name of its lock under.
type callerKey struct{}

func callerOf(name string) context.Context { return context.WithValue(behaviour.Bg, callerKey{}, name) }

// A lookout is a hook that counts what is sent, and asks of each request whose
// it is.
type lookout struct {
	mu        sync.Mutex
	calls     map[string]int64
	strangers []string // requests of their caller's own lock, under another's context
	waits     int      // of a caller
	pipelines int      // of several runs of scripts
	broken    int64    // runs of scripts that came back with no word of the server's
	dials     atomic.Int64
}

var hookedCommands = []string{"eval", "evalsha", "wait"}

func newLookout() *lookout { return &lookout{calls: map[string]int64{}} }

func (l *lookout) saw(ctx context.Context, alone bool, cmds ...redis.Cmder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(cmds) > 1 && strings.HasPrefix(cmds[0].Name(), "eval") && strings.HasPrefix(cmds[1].Name(), "eval") {
		l.pipelines++
	}
	for _, cmd := range cmds {
		l.calls[cmd.Name()]++
		caller, called := ctx.Value(callerKey{}).(string)
		if cmd.Name() == "wait" && called {
			l.waits++
		}
		if cmd.Name() == "wait" && len(cmd.Args()) != 3 {
			l.strangers = append(l.strangers, fmt.Sprint(cmd.Args()...))
		}
		if alone && strings.HasPrefix(cmd.Name(), "eval") && !strings.Contains(cmd.Args()[3].(string), "{"+caller+"}") {
			l.strangers = append(l.strangers, fmt.Sprintf("%v for %q", cmd.Args()[3], caller))
		}
	}
}

// came takes what next returned, which go-redis gives a single command only later.
func (l *lookout) came(err error, cmds ...redis.Cmder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cmd := range cmds {
		if err != nil && !redisengine.IsReply(err) && strings.HasPrefix(cmd.Name(), "eval") {
			l.broken++
		}
	}
}

// wantExecuted holds the runs of scripts that were seen to those that were executed. One
// that found no connection in its time was seen too, and may not have been.
func (l *lookout) wantExecuted(t *testing.T, executed map[string]int64) {
	t.Helper()
	sum := func(calls map[string]int64) int64 { return calls["evalsha"] + calls["eval"] }
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, want := sum(l.calls), sum(executed); got < want || got > want+l.broken {
		t.Errorf("the hook saw %d, of which %d came to nothing; the server executed %d", got, l.broken, want)
	}
}

func (l *lookout) counts() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := map[string]int64{}
	for _, name := range hookedCommands {
		got[name] = l.calls[name]
	}
	return got
}

func (l *lookout) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		l.dials.Add(1)
		return next(ctx, network, addr)
	}
}

func (l *lookout) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		l.saw(ctx, true, cmd)
		err := next(ctx, cmd)
		l.came(err, cmd)
		return err
	}
}

func (l *lookout) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		l.saw(ctx, false, cmds...)
		err := next(ctx, cmds)
		l.came(err, cmds...)
		return err
	}
}

// executed is what the servers say they were sent.
func executed(t *testing.T, servers []*redistest.Server) map[string]int64 {
	t.Helper()
	sum := map[string]int64{}
	for _, s := range servers {
		got, err := redistest.CommandCalls(behaviour.Bg, s.Client(), hookedCommands...)
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range got {
			sum[name] += n
		}
	}
	return sum
}

// hookable is a client that takes hooks.
type hookable interface {
	redis.UniversalClient
	AutoPipeline() (*redis.AutoPipeliner, error)
	AsyncAutoPipeline() (*redis.AutoPipeliner, error)
}

// wantAllSeen uses locks in every way through clients of one topology, and
// compares what their hooks have seen with what the servers have executed.
func wantAllSeen(t *testing.T, servers []*redistest.Server, clients map[string]func() hookable) {
	faces := map[string]func(hookable) (relock.Redis, error){
		"":                      func(c hookable) (relock.Redis, error) { return c, nil },
		" behind AutoPipeline":  func(c hookable) (relock.Redis, error) { return c.AutoPipeline() },
		" behind the async one": func(c hookable) (relock.Redis, error) { return c.AsyncAutoPipeline() },
	}
	for _, kind := range slices.Sorted(maps.Keys(clients)) {
		for _, face := range slices.Sorted(maps.Keys(faces)) {
			for _, goroutines := range []int{1, 16} {
				t.Run(fmt.Sprintf("%s%s, %d goroutines", kind, face, goroutines), func(t *testing.T) {
					for _, s := range servers {
						behaviour.ResetStats(t, s.Client())
					}
					seen, under := newLookout(), clients[kind]()
					t.Cleanup(func() { _ = under.Close() })
					under.AddHook(seen)
					rdb, err := faces[face](under)
					if err != nil {
						t.Fatal(err)
					}
					client := behaviour.ClientOn(t, rdb)
					useLocks(t, client, goroutines)
					if face == "" {
						useReplicas(t, client)
					}
					if err := client.Close(); err != nil {
						t.Fatal(err)
					}
					got, want := seen.counts(), executed(t, servers)
					if !maps.Equal(got, want) {
						t.Logf("the hook saw %v, the servers executed %v", got, want)
						seen.wantExecuted(t, want)
					}
					if least := int64(4 * sectionsEach * goroutines); want["evalsha"] < least && goroutines == 1 {
						t.Errorf("the servers executed %v, want at least %d", want, least)
					}
					if len(seen.strangers) > 0 && face == "" {
						t.Errorf("requests not as their callers made them: %q", seen.strangers[:min(4, len(seen.strangers))])
					}
					if face == "" && seen.waits < replicatedLocks {
						t.Errorf("%d WAITs under the context of Lock, want %d", seen.waits, replicatedLocks)
					}
				})
			}
		}
	}
}

const sectionsEach = 25

// useLocks has each goroutine use a lock of its own under a context of its own,
// and one lock that all contend for.
//
// A pipeline has one context for all that is in it, and an AutoPipeliner drops those
// of what it queues, even of a command that it then sends alone: behind one, hooks
// see the commands and none of their callers.
func useLocks(t *testing.T, client *relock.Client, goroutines int) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			name := "own" + strconv.Itoa(g)
			own, shared := client.Mutex(name), client.Mutex("shared")
			for range sectionsEach {
				if goroutines == 1 {
					behaviour.EngineOf(client).ProveQuick() // as on a machine that has nothing else to do
				}
				lease, err := own.Lock(callerOf(name))
				if err == nil {
					err = lease.Unlock(callerOf(name))
				}
				if err != nil {
					t.Error(err)
					return
				}
				if lease, err = shared.Lock(callerOf("shared")); err == nil {
					err = lease.Unlock(callerOf("shared"))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

const replicatedLocks = 4

// useReplicas has renewals wait for a replica, before Lock returns and after.
func useReplicas(t *testing.T, client *relock.Client) {
	t.Helper()
	m := client.Mutex("replicated", relock.WithTTL(1200*time.Millisecond), relock.WithReplicas(1, 300*time.Millisecond))
	for i := range replicatedLocks {
		lease := behaviour.LockIn(t, callerOf(m.Name()), m)
		if i == 0 {
			renewed(t, lease, "that a replica acknowledges")
		}
		if err := lease.Unlock(callerOf(m.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHooksSeeWhatTheServerExecutes(t *testing.T) {
	redistest.Slow(t, "sentinels meet")
	s := redistest.StartSentinelsT(t)
	awaitAcks(t, s.Data, 2)
	wantAllSeen(t, s.Data.All(), map[string]func() hookable{
		"Client":          func() hookable { return s.Data.Primary.Client() },
		"failover client": func() hookable { return s.FailoverClient() },
		"UniversalClient": func() hookable {
			return redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{s.Data.Primary.Addr()}}).(hookable)
		},
	})
}

func clusterShowsHooks(t *testing.T, c *redistest.Cluster) {
	wantAllSeen(t, c.Nodes, map[string]func() hookable{
		"ClusterClient": func() hookable { return c.Client() },
		"UniversalClient": func() hookable {
			return redis.NewUniversalClient(&redis.UniversalOptions{Addrs: c.Addrs()}).(hookable)
		},
	})
}

// Hooks may be added while locks run. None of the requests that begin then is
// sent past them, nor a connection that one of them needs.
func TestAHookIsSeenFromTheRequestAfterItWasAdded(t *testing.T) {
	s := redistest.StartT(t)
	rdb := s.Client()
	client := behaviour.ClientOn(t, rdb)
	near(t, client)
	m := client.Mutex("a")
	for added := range 5 {
		seen := newLookout()
		rdb.AddHook(seen)
		behaviour.ResetStats(t, s.Client())
		for range 3 {
			behaviour.EngineOf(client).ProveQuick()
			lease := behaviour.LockIn(t, callerOf("a"), m)
			behaviour.EngineOf(client).ProveQuick()
			if err := lease.Unlock(callerOf("a")); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := seen.counts(), executed(t, []*redistest.Server{s}); !maps.Equal(got, want) {
			t.Errorf("hook %d saw %v, the server executed %v", added, got, want)
		}
		if len(seen.strangers) > 0 {
			t.Errorf("requests without their caller's context: %q", seen.strangers)
		}
		if err := s.Client().ClientKillByFilter(behaviour.Bg, "type", "normal", "skipme", "yes").Err(); err != nil {
			t.Fatal(err)
		}
		behaviour.Eventually(t, "an inline request dials under the hook", func() bool {
			behaviour.EngineOf(client).ProveQuick()
			_, _ = m.Status(behaviour.Bg)
			return seen.dials.Load() > 0
		})
	}
}

func TestHooksMayBeAddedWhileLocksRun(t *testing.T) {
	s := redistest.StartT(t)
	rdb := s.Client()
	client := behaviour.ClientOn(t, rdb)
	near(t, client)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			m := client.Mutex("own" + strconv.Itoa(g))
			for {
				select {
				case <-stop:
					return
				default:
					behaviour.Unlock(t, behaviour.LockOf(t, m))
				}
			}
		})
	}
	for range 50 {
		seen := newLookout()
		rdb.AddHook(seen)
		behaviour.Eventually(t, "the hook sees requests", func() bool { return seen.counts()["evalsha"] > 0 })
	}
	close(stop)
	wg.Wait()
}

// batches is how many pipelines had several runs of scripts.
func (l *lookout) batches() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pipelines
}
