package redisengine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
)

// A replica that does not acknowledge is either detached, which its primary
// sees, or stopped, which it does not: its connection still counts.
var silentReplicas = []struct {
	name  string
	still func(r *redistest.Replicas) error
	again func(r *redistest.Replicas) error
}{
	{
		"detached",
		func(r *redistest.Replicas) error { return r.DetachReplica(behaviour.Bg, 0) },
		func(r *redistest.Replicas) error { return r.AttachReplica(behaviour.Bg, 0, r.Primary) },
	},
	{
		"stopped",
		func(r *redistest.Replicas) error { return r.Replicas[0].Pause() },
		func(r *redistest.Replicas) error { return r.Replicas[0].Resume() },
	},
}

func exists(t testing.TB, rdb redis.Cmdable, key string) bool {
	t.Helper()
	n, err := rdb.Exists(behaviour.Bg, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}

// startReplicas starts a primary whose n replicas acknowledge: one that is in
// sync gets the first command up to a second later.
func startReplicas(t *testing.T, n int) *redistest.Replicas {
	t.Helper()
	r := redistest.StartReplicasT(t, n)
	awaitAcks(t, r, n)
	return r
}

func awaitAcks(t *testing.T, r *redistest.Replicas, n int) {
	t.Helper()
	conn := r.Primary.Client().Conn()
	defer conn.Close()
	behaviour.Eventually(t, "every replica acknowledges", func() bool {
		conn.Set(behaviour.Bg, "any", "write", time.Minute)
		return conn.Wait(behaviour.Bg, n, 50*time.Millisecond).Val() == int64(n)
	})
}

func TestALeaseIsHadOnceItsReplicasHaveIt(t *testing.T) {
	r := startReplicas(t, 2)
	m := behaviour.ClientOn(t, r.Primary.Client()).Mutex("a", relock.WithReplicas(2, time.Second))
	replicas := []*redis.Client{r.Replicas[0].Client(), r.Replicas[1].Client()}
	key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, "a")
	for range 20 {
		lease := behaviour.LockOf(t, m)
		for i, rdb := range replicas {
			if !exists(t, rdb, key) {
				t.Fatalf("Lock has returned and replica %d does not have the lock", i)
			}
		}
		behaviour.Unlock(t, lease)
	}
	if _, err := behaviour.ClientOn(t, r.Primary.Client()).Mutex("a", relock.WithReplicas(3, 50*time.Millisecond)).TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotReplicated) {
		t.Errorf("3 of 2 replicas: got %v, want ErrNotReplicated", err)
	}
}

// elsewhere has its subscriptions at another server than its commands: what is
// left of a primary that has become a replica.
type elsewhere struct {
	*redis.Client
	replica *redis.Client
}

func (e elsewhere) Subscribe(ctx context.Context, channels ...string) *redis.PubSub {
	return e.replica.Subscribe(ctx, channels...)
}

// A message reaches the replicas too. A waiter that hears it only there must not
// take the lock by it, while the primary, which sees no subscriber any more, goes on
// to the next. One that was known to be astray when it last asked is granted in its
// turn, by that message.
func TestAWaiterThatHearsAReplicaIsNotGrantedBesideTheNext(t *testing.T) {
	r := startReplicas(t, 1)
	primary := r.Primary.Client()
	holder := behaviour.ClientOn(t, primary)
	astray := behaviour.ClientOn(t, elsewhere{r.Primary.Client(), r.Replicas[0].Client()}, relock.WithCheckInterval(2*time.Second))
	next := behaviour.ClientOn(t, r.Primary.Client())
	for _, tc := range []struct{ others, strays bool }{{true, true}, {false, true}, {true, false}, {false, false}} {
		t.Run(fmt.Sprintf("others wait: %v, astray since its check-in: %v", tc.others, tc.strays), func(t *testing.T) {
			lease := behaviour.LockOf(t, holder.Mutex("a"))
			first, second := make(chan *relock.Lease, 1), make(chan *relock.Lease, 1)
			go func() { first <- behaviour.LockOf(t, astray.Mutex("a")) }()
			behaviour.AwaitWaiters(t, holder.Mutex("a"), 1)
			if tc.others {
				go func() { second <- behaviour.LockOf(t, next.Mutex("a")) }()
				behaviour.AwaitWaiters(t, holder.Mutex("a"), 2)
			}
			if tc.strays {
				key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindWaiters, "a")
				for hold, entry := range primary.HGetAll(behaviour.Bg, key).Val() {
					primary.HSet(behaviour.Bg, key, hold, strings.Replace(entry, " 0 ", " 1 ", 1))
				}
			}
			behaviour.Unlock(t, lease)
			if !tc.strays {
				behaviour.Unlock(t, <-first)
				if tc.others {
					behaviour.Unlock(t, <-second)
				}
				return
			}
			if tc.others {
				lease = <-second
			} else {
				lease = behaviour.LockOf(t, next.Mutex("a"))
			}
			if err := r.WaitSync(behaviour.Bg); err != nil {
				t.Fatal(err)
			}
			select {
			case both := <-first:
				if lease.Err() == nil && both.Err() == nil {
					t.Fatalf("two hold the lock, under tokens %d and %d", lease.Token(), both.Token())
				}
			case <-time.After(200 * time.Millisecond): // what was sent to it has long been heard
			}
			behaviour.Unlock(t, lease)
			behaviour.Unlock(t, <-first)
		})
	}
}

func TestAHoldThatIsNotReplicatedIsReleased(t *testing.T) {
	r := startReplicas(t, 1)
	primary := r.Primary.Client()
	m := behaviour.ClientOn(t, primary).Mutex("a", relock.WithReplicas(1, 100*time.Millisecond))
	behaviour.Unlock(t, behaviour.LockOf(t, m))
	for _, silent := range silentReplicas {
		t.Run(silent.name, func(t *testing.T) {
			if err := silent.still(r); err != nil {
				t.Fatal(err)
			}
			for name, lock := range map[string]func(context.Context) (*relock.Lease, error){"Lock": m.Lock, "TryLock": m.TryLock} {
				start := time.Now()
				lease, err := lock(behaviour.Bg)
				if !errors.Is(err, relock.ErrNotReplicated) || lease != nil {
					t.Errorf("%s: got %v, want ErrNotReplicated", name, err)
				}
				if left := behaviour.KeysLeft(t, primary); len(left) > 0 {
					t.Errorf("%s has returned and there is %q", name, left)
				}
				if took := time.Since(start); took > 100*time.Millisecond+behaviour.Slack {
					t.Errorf("%s took %v, the replicas were given 100ms", name, took)
				}
			}
			if err := silent.again(r); err != nil {
				t.Fatal(err)
			}
			awaitAcks(t, r, 1)
			behaviour.Unlock(t, behaviour.LockOf(t, m))
		})
	}
}

// A renewal that the replicas do not acknowledge is none: the lease lives to its
// deadline and no longer, though the primary has answered every time.
func TestALeaseEndsByItsDeadlineWhenRenewalsAreNotReplicated(t *testing.T) {
	t.Parallel()
	const ttl = 900 * time.Millisecond
	for _, silent := range silentReplicas {
		t.Run(silent.name, func(t *testing.T) {
			r := startReplicas(t, 1)
			primary := r.Primary.Client()
			lease := behaviour.LockOf(t, behaviour.ClientOn(t, primary).Mutex("a", relock.WithTTL(ttl), relock.WithReplicas(1, 100*time.Millisecond)))
			first := lease.ValidUntil()
			behaviour.Eventually(t, "the replica acknowledges a renewal", func() bool { return lease.ValidUntil().After(first) })
			if err := silent.still(r); err != nil {
				t.Fatal(err)
			}
			wantLostAtDeadline(t, lease, ttl)
			behaviour.AwaitClean(t, primary)
			if err := silent.again(r); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// wantLostAtDeadline waits for the loss of a lease that cannot be renewed any
// more, and checks that it came at the end of its validity: neither before nor
// long after.
func wantLostAtDeadline(t *testing.T, lease *relock.Lease, ttl time.Duration) {
	t.Helper()
	latest := time.Now().Add(ttl)
	select {
	case <-lease.Context().Done():
	case <-time.After(ttl + 10*time.Second):
		t.Fatal("the lease was not lost")
	}
	now, until := time.Now(), lease.ValidUntil()
	if cause := context.Cause(lease.Context()); !errors.Is(cause, relock.ErrLost) || !errors.Is(lease.Err(), relock.ErrLost) {
		t.Errorf("got cause %v and error %v, want ErrLost", cause, lease.Err())
	}
	if now.Before(until) {
		t.Errorf("lost %v before the end of its validity", until.Sub(now))
	}
	if late := now.Sub(until); late > behaviour.Slack {
		t.Errorf("told of the loss %v after the end of its validity", late)
	}
	if until.After(latest) {
		t.Errorf("its validity moved by %v though nothing was renewed", until.Sub(latest))
	}
}

// noIO is a connection that nobody may ask for.
func noIO(t *testing.T) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) {
		t.Error("something was sent")
		return nil, net.ErrClosed
	}})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// wrapped hides what a client is.
type wrapped struct{ relock.Redis }

func TestReplicasNeedAConnectionOfTheirOwn(t *testing.T) {
	pipeliner, err := noIO(t).AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer pipeliner.Close()
	for name, rdb := range map[string]relock.Redis{"AutoPipeliner": pipeliner, "another type": wrapped{noIO(t)}} {
		c := behaviour.ClientOn(t, rdb)
		for _, l := range []relock.Locker{c.Mutex("a", relock.WithReplicas(1, time.Second)), c.Reentrant("a", relock.WithReplicas(1, time.Second))} {
			if _, err := l.Lock(behaviour.Bg); !errors.Is(err, relock.ErrInvalid) {
				t.Errorf("%s: Lock says %v, want ErrInvalid", name, err)
			}
			if _, err := l.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrInvalid) {
				t.Errorf("%s: TryLock says %v, want ErrInvalid", name, err)
			}
		}
	}
}

// The negative twin: WAIT is about what its own connection has seen. On another
// one it says that a write is replicated which no replica has.
func TestWaitOnAnotherConnectionLies(t *testing.T) {
	r := redistest.StartReplicasT(t, 1)
	rdb := r.Primary.Client()
	writer, other := rdb.Conn(), rdb.Conn()
	defer writer.Close()
	defer other.Close()
	if err := other.Ping(behaviour.Bg).Err(); err != nil {
		t.Fatal(err)
	}
	awaitAcks(t, r, 1) // all that other has seen
	if err := r.Replicas[0].Pause(); err != nil {
		t.Fatal(err)
	}
	if err := writer.Set(behaviour.Bg, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	const timeout = 100 * time.Millisecond
	if n, err := other.Wait(behaviour.Bg, 1, timeout).Result(); n != 1 || err != nil {
		t.Errorf("another connection's WAIT says %d, %v; the lie is 1", n, err)
	}
	if n, err := writer.Wait(behaviour.Bg, 1, timeout).Result(); n != 0 || err != nil {
		t.Errorf("the writer's own WAIT says %d, %v; want 0", n, err)
	}
	if err := r.Replicas[0].Resume(); err != nil {
		t.Fatal(err)
	}
}
