package behaviour

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// A Process is what one operating-system process would have: clients of its own.
// It makes locks of one kind.
type Process struct {
	Lock  func(name string, opts ...relock.LockOption) relock.Locker
	Close func() error
}

// A Kind is a lock kind.
type Kind struct {
	Name string
	// Start makes a world for a test.
	Start func(t *testing.T) World
}

// A World is processes that share the servers that keep their locks.
type World struct {
	Spawn func() Process
	// Look says who is at a lock, wherever its kind keeps that: the ids of those who
	// wait, and whether it is held.
	Look func(ctx context.Context, name string) (waiters []string, held bool, err error)
	// Left returns the keys that are left of a lock that nobody holds or waits for;
	// nil: nothing can be.
	Left func(ctx context.Context, name string) ([]string, error)
}

// Run has every kind keep every promise, all at once.
func Run(t *testing.T, kinds ...Kind) {
	each(t, kinds, func(t *testing.T, k Kind, p promise, lock string) {
		t.Parallel()
		p.check(t, &world{k.Start(t), lock})
	})
}

// RunVirtual is Run in virtual time, where no machine is slow.
func RunVirtual(t *testing.T, kinds ...Kind) {
	each(t, kinds, func(t *testing.T, k Kind, p promise, lock string) {
		synctest.Test(t, func(t *testing.T) {
			t.Cleanup(func() { Pass(time.Minute) }) // what go-redis does after Close has an end too
			p.check(t, &world{k.Start(t), lock})
		})
	})
}

func each(t *testing.T, kinds []Kind, check func(t *testing.T, k Kind, p promise, lock string)) {
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			for i, p := range promises {
				t.Run(p.sentence, func(t *testing.T) { check(t, k, p, fmt.Sprintf("%s-%02d", k.Name, i)) })
			}
		})
	}
}

// world is what one promise is checked in: a lock of its own.
type world struct {
	World
	lock string
}

// awaitClean waits until nobody is at the lock, and nothing of it is left.
func (w *world) awaitClean(t testing.TB) {
	t.Helper()
	var said any
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		waiters, held, err := w.Look(Bg, w.lock)
		if err != nil {
			t.Fatal(err)
		}
		if said = fmt.Sprintf("held %v, waiters %q", held, waiters); held || len(waiters) > 0 {
			continue
		}
		if w.Left == nil {
			return
		}
		left, err := w.Left(Bg, w.lock)
		if err != nil {
			t.Fatal(err)
		}
		if said = left; len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %v", said)
}

// awaitWaiters waits until n waiters are in the queue of the lock.
func (w *world) awaitWaiters(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(2 * time.Millisecond) {
		waiters, _, err := w.Look(Bg, w.lock)
		if err != nil {
			t.Fatal(err)
		}
		if len(waiters) == n {
			return
		}
	}
	t.Fatalf("never saw %d waiters", n)
}

// Servers returns five real servers, for all worlds.
func Servers(t *testing.T) func(*testing.T) []*redis.Client {
	t.Helper()
	var servers []*redis.Client
	for range 5 {
		servers = append(servers, redistest.StartT(t).Client())
	}
	return func(*testing.T) []*redis.Client { return servers }
}

// Embedded returns five embedded servers of the test's own.
func Embedded(t *testing.T) (servers []*redis.Client) {
	t.Helper()
	for i := range 5 {
		m, _ := redistest.EmbeddedInMemory(t)
		rdb := redistest.InMemoryClient(m, func(o *redis.Options) { o.Addr = fmt.Sprintf("127.0.0.%d:6379", i+1) })
		t.Cleanup(func() { _ = rdb.Close() })
		servers = append(servers, rdb)
	}
	return servers
}

// OnRedis are the kinds whose locks five Redis servers keep.
func OnRedis(servers func(*testing.T) []*redis.Client) []Kind {
	clientKind := func(name string, lock func(*relock.Client, string, ...relock.LockOption) relock.Locker) Kind {
		return Kind{name, func(t *testing.T) World {
			five := servers(t)
			w := onRedis(five, inspectors{serverOf(t, five[0])})
			w.Spawn = func() Process {
				c := open(t, five[0])
				return Process{
					Lock: func(name string, opts ...relock.LockOption) relock.Locker { return lock(c, name, opts...) }, Close: c.Close,
				}
			}
			return w
		}}
	}
	redlockKind := func(name string, lock func(*redlock.RedLock, string, ...relock.LockOption) relock.Locker) Kind {
		return Kind{name, func(t *testing.T) World {
			five := servers(t)
			w := onRedis(five, nodesOf(t, five))
			w.Spawn = func() Process {
				r := openRedLock(t, five)
				return Process{
					Lock: func(name string, opts ...relock.LockOption) relock.Locker { return lock(r, name, opts...) }, Close: r.Close,
				}
			}
			return w
		}}
	}
	return []Kind{
		clientKind("Mutex", func(c *relock.Client, name string, opts ...relock.LockOption) relock.Locker {
			return c.Mutex(name, opts...)
		}),
		clientKind("Reentrant", func(c *relock.Client, name string, opts ...relock.LockOption) relock.Locker {
			return c.Reentrant(name, opts...)
		}),
		redlockKind("RedLock.Mutex", func(r *redlock.RedLock, name string, opts ...relock.LockOption) relock.Locker {
			return r.Mutex(name, opts...)
		}),
		redlockKind("RedLock.Reentrant", func(r *redlock.RedLock, name string, opts ...relock.LockOption) relock.Locker {
			return r.Reentrant(name, opts...)
		}),
		{"MultiLock", func(t *testing.T) World {
			five := servers(t)
			w := onRedis(five, append(nodesOf(t, five), serverOf(t, five[0]), serverOf(t, five[1])))
			w.Spawn = func() Process {
				a, b, r := open(t, five[0]), open(t, five[1]), openRedLock(t, five)
				return Process{
					Lock: func(name string, opts ...relock.LockOption) relock.Locker {
						return CompositeOf(t, b.Mutex(name, opts...), r.Mutex(name, opts...), a.Reentrant(name, opts...))
					},
					Close: func() error { return errors.Join(r.Close(), a.Close(), b.Close()) },
				}
			}
			return w
		}},
	}
}

// inspectors look at a lock at each place that keeps it.
type inspectors []engine.Inspector

// serverOf looks at the locks of one server.
func serverOf(t *testing.T, rdb *redis.Client) engine.Inspector {
	return access.Client(open(t, rdb)).Inspector()
}

// nodesOf look at the locks of a quorum of servers.
func nodesOf(t *testing.T, servers []*redis.Client) (all inspectors) {
	for _, rdb := range servers {
		all = append(all, access.Client(open(t, rdb)).Redis.AsNode(engine.NewID()))
	}
	return all
}

// onRedis is a world on servers whose locks are looked at where they are.
func onRedis(servers []*redis.Client, at inspectors) World {
	return World{
		// Of a quorum the first may wait at other nodes than the rest: where it has a
		// vote already.
		Look: func(ctx context.Context, name string) (waiters []string, held bool, _ error) {
			for _, in := range at {
				st, queue, err := in.Queue(ctx, name, 100)
				if err != nil {
					return nil, false, err
				}
				held = held || st.Held
				for _, waiter := range queue {
					hold, _, _ := strings.Cut(waiter.Hold, "/") // without the number of its attempt
					if !slices.Contains(waiters, hold) {
						waiters = append(waiters, hold)
					}
				}
			}
			return waiters, held, nil
		},
		Left: func(ctx context.Context, name string) (left []string, _ error) {
			for _, rdb := range servers {
				keys, err := rdb.Keys(ctx, "*"+name+"*").Result()
				if err != nil {
					return nil, err
				}
				left = append(left, slices.DeleteFunc(keys, func(k string) bool {
					return strings.Contains(k, "fence") || strings.Contains(k, "tombstones")
				})...)
			}
			return left, nil
		},
	}
}

// open returns a Client that is closed with the test, which must go well.
func open(t testing.TB, rdb relock.Redis) *relock.Client {
	t.Helper()
	c, err := relock.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, c) })
	return c
}

func openRedLock(t testing.TB, servers []*redis.Client) *redlock.RedLock {
	t.Helper()
	var clients []*relock.Client
	for _, rdb := range servers {
		clients = append(clients, open(t, rdb))
	}
	// Slow servers are no subject of the table: five of them in one process are.
	r, err := redlock.New(clients, redlock.WithNodeTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, r) })
	return r
}

func mustClose(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
