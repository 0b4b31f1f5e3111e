package redlock_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// Which votes of a hold count.

// late returns a lease of a lock on three nodes that the node in the middle has
// not heard of, the RedLock of another process, and what lets it hear.
func late(t *testing.T, name string) (r *rig, lease *relock.Lease, other *redlock.RedLock, hears func()) {
	t.Helper()
	r = newRig(t, 3)
	proxy, err := faultproxy.New(r.servers[1].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	mine, other := redLock(t, []string{r.servers[0].Addr(), proxy.Addr(), r.servers[2].Addr()}), redLock(t, r.addrs())
	for _, red := range []*redlock.RedLock{mine, other} {
		unlock(t, lock(t, red.Mutex("warm")))
	}
	awaitClean(t, r.direct...)
	held := proxy.Hold(faultproxy.Word("relock:redlock:{"+name+"}"), 1)
	lease = lock(t, mine.Mutex(name))
	<-held.Arrived()
	return r, lease, other, func() {
		t.Helper()
		held.Release()
		awaitOn(t, lease, r.direct[1])
	}
}

// awaitOn waits until a node has a lease.
func awaitOn(t *testing.T, lease *relock.Lease, rdb *redis.Client) {
	t.Helper()
	eventually(t, "the node has the lock", func() bool {
		return rdb.HExists(bg, "relock:redlock:{"+lease.Name()+"}", "owner:"+string(lease.Owner())).Val()
	})
}

// Where a node forgot a lock and another had it since, a vote that comes only
// now does not make up for it.
func TestALateVoteDoesNotHideThatAnotherHadTheLock(t *testing.T) {
	for name, ask := range map[string]func(*relock.Lease) error{
		"Extend": func(l *relock.Lease) error { return l.Extend(bg, time.Minute) },
		"Unlock": func(l *relock.Lease) error { return l.Unlock(bg) },
	} {
		t.Run(name, func(t *testing.T) {
			r, lease, other, hears := late(t, "forgotten")
			r.direct[0].Del(bg, "relock:redlock:{forgotten}")
			next := lock(t, other.Mutex("forgotten"))
			if next.Token() <= lease.Token() {
				t.Errorf("token %d after %d", next.Token(), lease.Token())
			}
			unlock(t, next)
			awaitClean(t, r.direct[:2]...)
			hears()
			if err := ask(lease); !errors.Is(err, relock.ErrLost) {
				t.Errorf("another had the lock meanwhile, and %s says %v", name, err)
			}
			awaitClean(t, r.direct...)
		})
	}
}

// A vote that has run out counts no more, whatever comes late: here a node forgot
// meanwhile, and another had the lock.
func TestAVoteThatRanOutDoesNotCount(t *testing.T) {
	const name, key = "back", "relock:redlock:{back}"
	r := newRig(t, 3)
	addrs, proxies := r.between(t, 0, 1, 2)
	mine, other := redLock(t, addrs), redLock(t, r.addrs())
	unlock(t, lock(t, mine.Mutex("warm")))
	unlock(t, lock(t, other.Mutex("warm")))
	awaitClean(t, r.direct...)
	for _, rdb := range r.direct { // the first proposal is refused by all, and has their votes
		rdb.Set(bg, "relock:redfence:{"+name+"}", time.Now().Add(time.Minute).UnixMicro(), time.Hour)
	}
	proxies[0].Delay(faultproxy.Down, 20*time.Millisecond)
	proxies[2].Delay(faultproxy.Down, 20*time.Millisecond)
	var n atomic.Int32
	held := proxies[1].Hold(func(words []string) bool { return slices.Contains(words, key) && n.Add(1) == 2 }, 1)
	lease := lock(t, mine.Mutex(name, relock.WithTTL(4*time.Second)))
	<-held.Arrived()
	drop := proxies[1].DropRequest(faultproxy.Word(key), 0, faultproxy.Silence)
	eventually(t, "the vote has run out", func() bool { return r.direct[1].Exists(bg, key).Val() == 0 })
	if err := lease.Err(); err != nil {
		t.Fatal(err)
	}
	r.direct[0].Del(bg, key)
	next := lock(t, other.Mutex(name))
	unlock(t, next)
	drop.Remove()
	held.Release()
	awaitOn(t, lease, r.direct[1])
	if err := lease.Extend(bg, time.Minute); !errors.Is(err, relock.ErrLost) {
		t.Errorf("another had the lock under %d, after %d, and Extend says %v", next.Token(), lease.Token(), err)
	}
}
