package lifecycle_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/scripts"
)

// serversOf returns clients of n embedded servers.
func serversOf(t *testing.T, n int) (clients []*relock.Client) {
	t.Helper()
	for range n {
		_, rdb := redistest.Embedded(t)
		clients = append(clients, behaviour.ClientOn(t, rdb))
	}
	return clients
}

// Two that want the same locks never wait for each other, in whichever order
// they name them.
func TestMembersAreWaitedForInOneOrder(t *testing.T) {
	c := serversOf(t, 2)
	members := []relock.Locker{c[0].Mutex("b"), c[0].Mutex("a"), c[1].Mutex("b"), c[1].Mutex("c")}
	orderOf := func(members []relock.Locker) (names []string) {
		sorted, err := behaviour.GroupOf(t, members...).Order(behaviour.Bg)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range sorted {
			names = append(names, p.Name+"@"+p.ID)
		}
		return names
	}
	first := orderOf(members)
	slices.Reverse(members)
	if second := orderOf(members); !slices.Equal(first, second) {
		t.Errorf("got order %q, and %q where the members are named the other way round", first, second)
	}
}

// A copy that is late takes nothing that a try in vain has forgotten about.
func TestALateCopyOfATryInVainIsWithdrawn(t *testing.T) {
	redistest.Require(t)
	server := redistest.StartT(t)
	p, err := faultproxy.New(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	far := redis.NewClient(&redis.Options{Addr: p.Addr(), ReadTimeout: 200 * time.Millisecond})
	t.Cleanup(func() { _ = far.Close() })
	near := server.Client()
	c := behaviour.ClientOn(t, far, relock.WithTTL(time.Hour)) // nothing goes by itself
	both := behaviour.CompositeOf(t, c.Mutex("a"), c.Mutex("b"))
	behaviour.Unlock(t, behaviour.LockOf(t, both)) // the script is known
	other := behaviour.LockOf(t, behaviour.ClientOn(t, near).Mutex("b"))
	first := p.Hold(faultproxy.Script(scripts.Source("all.lua")), 1)
	withdrawn := p.Hold(faultproxy.Script(scripts.Source("release.lua")), 1)
	if _, err := both.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) { // by the second copy
		t.Fatal(err)
	}
	<-withdrawn.Arrived()
	behaviour.Unlock(t, other)
	first.Release() // takes both
	if err := first.Delivered(behaviour.Bg); err != nil {
		t.Fatal(err)
	}
	withdrawn.Release()
	behaviour.Eventually(t, "nobody has a lock", func() bool { return len(behaviour.KeysLeft(t, near)) == 0 })
}

func TestATryInVainHoldsNoMember(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		// Members of two clients are two requests: one is granted before the
		// other is refused.
		m := behaviour.CompositeOf(t, c.Mutex("a"), other.Mutex("b"))
		busy := behaviour.LockOf(t, c.Mutex("b"))
		if _, err := m.TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("got %v, want ErrNotAcquired", err)
		}
		behaviour.Pass(time.Second)
		if b.Server.Exists("relock:lock:{a}") {
			t.Error("the member that was free is held")
		}
		behaviour.Unlock(t, busy)
	})
}

func TestAWholeIsBelievedNoLongerThanEachMember(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		lease := behaviour.LockOf(t, behaviour.CompositeOf(t, c.Mutex("a", relock.WithLease(10*time.Second)), c.Mutex("b", relock.WithLease(time.Minute))))
		first := lease.Members()[0]
		if got, want := lease.ValidUntil(), first.ValidUntil(); !got.Equal(want) {
			t.Errorf("the whole is valid for %v longer than its first member", got.Sub(want))
		}
		behaviour.HoldOf(first).RunOut() // its deadline has passed, and no timer has run
		if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("a member is over, and the whole says %v", err)
		}
	})
}
