package relock

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

func compositeOf(t *testing.T, members ...Locker) *Composite {
	t.Helper()
	m := make(engine.Members, len(members))
	for i, l := range members {
		m[i] = l
	}
	c, err := NewComposite(m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serversOf returns clients of n embedded servers.
func serversOf(t *testing.T, n int) (clients []*Client) {
	t.Helper()
	for range n {
		_, rdb := redistest.Embedded(t)
		clients = append(clients, clientOn(t, rdb))
	}
	return clients
}

// Two that want the same locks never wait for each other, in whichever order
// they name them.
func TestMembersAreWaitedForInOneOrder(t *testing.T) {
	c := serversOf(t, 2)
	members := []Locker{c[0].Mutex("b"), c[0].Mutex("a"), c[1].Mutex("b"), c[1].Mutex("c")}
	orderOf := func(members []Locker) (names []string) {
		sorted, err := compositeOf(t, members...).order(bg)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range sorted {
			names = append(names, p.name+"@"+p.id)
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
	c := clientOn(t, far, WithTTL(time.Hour)) // nothing goes by itself
	both := compositeOf(t, c.Mutex("a"), c.Mutex("b"))
	unlock(t, lockOf(t, both)) // the script is known
	other := lockOf(t, clientOn(t, near).Mutex("b"))
	first := p.Hold(faultproxy.Script(allScript.source), 1)
	withdrawn := p.Hold(faultproxy.Script(releaseScript.source), 1)
	if _, err := both.TryLock(bg); !errors.Is(err, ErrNotAcquired) { // by the second copy
		t.Fatal(err)
	}
	<-withdrawn.Arrived()
	unlock(t, other)
	first.Release() // takes both
	if err := first.Delivered(bg); err != nil {
		t.Fatal(err)
	}
	withdrawn.Release()
	eventually(t, "nobody has a lock", func() bool { return len(keysLeft(t, near)) == 0 })
}

func TestATryInVainHoldsNoMember(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		other, _ := b.client()
		// Members of two clients are two requests: one is granted before the
		// other is refused.
		m := compositeOf(t, c.Mutex("a"), other.Mutex("b"))
		busy := lockOf(t, c.Mutex("b"))
		if _, err := m.TryLock(bg); !errors.Is(err, ErrNotAcquired) {
			t.Errorf("got %v, want ErrNotAcquired", err)
		}
		pass(time.Second)
		if b.server.Exists("relock:lock:{a}") {
			t.Error("the member that was free is held")
		}
		unlock(t, busy)
	})
}

func TestAWholeIsBelievedNoLongerThanEachMember(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		lease := lockOf(t, compositeOf(t, c.Mutex("a", WithLease(10*time.Second)), c.Mutex("b", WithLease(time.Minute))))
		first := lease.Members()[0]
		if got, want := lease.ValidUntil(), first.ValidUntil(); !got.Equal(want) {
			t.Errorf("the whole is valid for %v longer than its first member", got.Sub(want))
		}
		first.o.(*hold).valid.Store(c.host.clock()) // its deadline has passed, and no timer has run
		if err := lease.Err(); !errors.Is(err, ErrLost) {
			t.Errorf("a member is over, and the whole says %v", err)
		}
	})
}
