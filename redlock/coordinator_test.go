package redlock_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// The coordinator dies while others wait there: they go on at the next node, each when
// it notices, and the time they have waited is their place there.
func TestTheCoordinatorDies(t *testing.T) {
	const waiters = 4
	t.Run("while the lock is held: in the order of the next node's queue", func(t *testing.T) {
		r := newRig(t, 5)
		holder := lockAll(t, r, patient(t, r).Mutex("coordinator"))
		turns := waitAtTheCoordinator(t, r, waiters)
		coordinator := coordinatorOf(r.direct)
		before := queueOf(t, r.direct[coordinator])
		r.servers[coordinator].Kill()
		left := without(r.direct, coordinator)
		eventually(t, "all wait at the next node", func() bool { return queued(left, "coordinator") == waiters })
		moved := queueOf(t, left[coordinatorOf(left)])
		unlock(t, holder)
		var got []string
		for range waiters {
			got = append(got, <-turns)
		}
		if !slices.Equal(got, moved.owners) {
			t.Errorf("got turns of %q, want the order of the queue, %q", got, moved.owners)
		}
		for owner, arrived := range moved.arrivals {
			if late := arrived - before.arrivals[owner]; late >= relock.DefaultCheckInterval {
				t.Errorf("%s arrives anew, %v later: the time it has waited is lost", owner, late)
			}
		}
		awaitClean(t, left...)
		revive(t, r.servers[coordinator])
	})
	t.Run("and the lock is free: everybody has a turn, one after the other", func(t *testing.T) {
		r := newRig(t, 5)
		holder := lockAll(t, r, patient(t, r).Mutex("coordinator"))
		turns := waitAtTheCoordinator(t, r, waiters)
		coordinator := coordinatorOf(r.direct)
		r.servers[coordinator].Kill()
		unlock(t, holder)
		served := map[string]bool{}
		for range waiters {
			served[<-turns] = true
		}
		if len(served) != waiters {
			t.Errorf("turns of %d waiters, want %d", len(served), waiters)
		}
		awaitClean(t, without(r.direct, coordinator)...)
		revive(t, r.servers[coordinator])
	})
}

// revive has what is to be told to a dead node told: Close waits for that.
func revive(t *testing.T, s *redistest.Server) {
	t.Helper()
	if err := s.Restart(bg); err != nil {
		t.Error(err)
	}
}

// patient is a RedLock for tests that are not about slow nodes.
func patient(t testing.TB, r *rig, opts ...relock.Option) *redlock.RedLock {
	t.Helper()
	return redLockOf(t, clients(t, r.addrs(), opts...), redlock.WithNodeTimeout(2*time.Second))
}

// lockAll returns a lease that all nodes have, not only the first to answer.
func lockAll(t *testing.T, r *rig, l relock.Locker) *relock.Lease {
	t.Helper()
	lease := lock(t, l)
	for _, rdb := range r.direct {
		awaitOn(t, lease, rdb)
	}
	return lease
}

// waitAtTheCoordinator has n processes wait for the lock, one after the other. The
// channel tells whose turn it is.
func waitAtTheCoordinator(t *testing.T, r *rig, n int, opts ...relock.Option) <-chan string {
	t.Helper()
	turns := make(chan string, n)
	var inside atomic.Int32
	there := queued(r.direct, "coordinator")
	for i := range n {
		m := patient(t, r, opts...).Mutex("coordinator")
		go func() {
			lease, err := m.Lock(within(t, time.Minute))
			if err != nil {
				t.Errorf("waiter %d: %v", i, err)
				turns <- ""
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two are inside")
			}
			turns <- string(lease.Owner())
			inside.Add(-1)
			if err := lease.Unlock(bg); err != nil {
				t.Errorf("waiter %d: Unlock: %v", i, err)
			}
		}()
		eventually(t, "the waiter is queued", func() bool { return queued(r.direct, "coordinator") == there+i+1 })
	}
	return turns
}

// queued counts the waiters at the coordinator.
func queued(nodes []*redis.Client, name string) (n int) {
	for _, rdb := range nodes {
		n = max(n, int(rdb.ZCard(bg, "relock:redqueue:{"+name+"}").Val()))
	}
	return n
}

// coordinatorOf returns which node has the queue.
func coordinatorOf(nodes []*redis.Client) int {
	return slices.IndexFunc(nodes, func(rdb *redis.Client) bool {
		return rdb.ZCard(bg, "relock:redqueue:{coordinator}").Val() > 0
	})
}

// firstOf returns which node is the first by its id.
func firstOf(t *testing.T, nodes []*redis.Client) int {
	t.Helper()
	var ids []string
	for _, rdb := range nodes {
		id, err := rdb.HGet(bg, "relock:rednode", "id").Result()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return slices.Index(ids, slices.Min(ids))
}

// A process that began while the first node was down does not know that node;
// when it is back, its waiters are to queue there, as those of other processes
// do.
func TestWaitersMoveToACoordinatorThatComesBack(t *testing.T) {
	r := newRig(t, 3, "--appendonly", "yes")
	often := relock.WithCheckInterval(500 * time.Millisecond)
	holder := lockAll(t, r, patient(t, r).Mutex("coordinator"))
	waiting := waitAtTheCoordinator(t, r, 1, often)
	coordinator := firstOf(t, r.direct)
	eventually(t, "it waits at the first node", func() bool { return coordinatorOf(r.direct) == coordinator }) // not at the next, if that was slow
	r.servers[coordinator].Kill()
	eventually(t, "the waiter has moved", func() bool { return queued(r.direct, "coordinator") == 1 })
	later := waitAtTheCoordinator(t, r, 1, often)
	eventually(t, "both wait at the next node", func() bool { return queued(r.direct, "coordinator") == 2 })
	revive(t, r.servers[coordinator])
	eventually(t, "both wait at the first node", func() bool {
		return queued(r.direct[coordinator:coordinator+1], "coordinator") == 2 && queued(without(r.direct, coordinator), "coordinator") == 0
	})
	unlock(t, holder)
	<-waiting
	<-later
	awaitClean(t, r.direct...)
}

func without(nodes []*redis.Client, i int) []*redis.Client {
	return slices.Delete(slices.Clone(nodes), i, i+1)
}

// queue is who waits at a node, in order, and since when.
type queue struct {
	owners   []string
	arrivals map[string]time.Duration // by the node's clock
}

func queueOf(t *testing.T, rdb *redis.Client) queue {
	t.Helper()
	entries, err := rdb.ZRangeWithScores(bg, "relock:redqueue:{coordinator}", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	q := queue{arrivals: map[string]time.Duration{}}
	for _, e := range entries {
		fields := strings.Fields(rdb.HGet(bg, "relock:redwaiters:{coordinator}", e.Member.(string)).Val())
		owner := fields[len(fields)-1]
		q.owners = append(q.owners, owner)
		q.arrivals[owner] = time.Duration(e.Score) * time.Microsecond
	}
	return q
}
