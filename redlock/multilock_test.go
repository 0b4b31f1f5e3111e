package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

func multiLock(t testing.TB, locks ...relock.Locker) *redlock.MultiLock {
	t.Helper()
	m, err := redlock.NewMultiLock(locks...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Workers lock three of six names in any order: no two of them wait for each
// other, and no two are inside.
func TestMultiLocksInAnyOrder(t *testing.T) {
	r := newRig(t, 3)
	const names, workers = 6, 8
	rounds := scaled(800, 10_000)
	var inside [names]atomic.Int32
	var left atomic.Int32
	left.Store(int32(rounds))
	var wg sync.WaitGroup
	for range workers {
		all := clients(t, r.addrs())
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				chosen := rand.Perm(names)[:3]
				var locks []relock.Locker
				for _, n := range chosen {
					locks = append(locks, all[n/2].Mutex(fmt.Sprint("any-", n)))
				}
				lease, err := multiLock(t, locks...).Lock(within(t, time.Minute))
				if err != nil {
					t.Errorf("Lock: %v", err)
					return
				}
				for _, n := range chosen {
					if inside[n].Add(1) != 1 {
						t.Errorf("two hold name %d", n)
					}
				}
				for _, n := range chosen {
					inside[n].Add(-1)
				}
				if err := lease.Unlock(bg); err != nil {
					t.Errorf("Unlock: %v", err)
				}
			}
		})
	}
	wg.Wait()
	awaitClean(t, r.direct...)
}

func TestNamesOfOneServerAreOneCommand(t *testing.T) {
	r := newRig(t, 1)
	c := clients(t, r.addrs())[0]
	m := multiLock(t, c.Mutex("c"), c.Mutex("a"), c.Reentrant("b"))
	unlock(t, lock(t, m))
	before := calls(t, r.direct[0])
	lease := lock(t, m)
	if got := calls(t, r.direct[0]) - before; got != 1 {
		t.Errorf("Lock took %d commands, want 1", got)
	}
	for i, name := range []string{"c", "a", "b"} {
		if l := lease.Members()[i]; l.Name() != name || l.Token() == 0 {
			t.Errorf("member %d is %q with token %d, want %q", i, l.Name(), l.Token(), name)
		}
	}
	if lease.Token() != 0 {
		t.Errorf("the whole has token %d", lease.Token())
	}
	if _, err := c.Mutex("a").TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("a member is free for others: %v", err)
	}
	unlock(t, lease)
	other := lock(t, clients(t, r.addrs())[0].Mutex("b"))
	before = calls(t, r.direct[0])
	if _, err := m.TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want ErrNotAcquired", err)
	}
	if got := calls(t, r.direct[0]) - before; got != 1 {
		t.Errorf("a TryLock in vain took %d commands, want 1", got)
	}
	for _, name := range []string{"a", "c"} {
		unlock(t, tryLock(t, c.Mutex(name)))
	}
	unlock(t, other)
	awaitClean(t, r.direct...)
}

func tryLock(t testing.TB, l relock.Locker) *relock.Lease {
	t.Helper()
	lease, err := l.TryLock(bg)
	if err != nil {
		t.Fatalf("TryLock: %v", err)
	}
	return lease
}

func TestTheLossOfOneMemberIsTheLossOfAll(t *testing.T) {
	r := newRig(t, 2)
	all := clients(t, r.addrs())
	a, b := all[0].Mutex("a", relock.WithTTL(time.Second)), all[1].Mutex("b", relock.WithTTL(time.Second))
	lease := lock(t, multiLock(t, a, b))
	if freed, err := b.ForceUnlock(bg); !freed || err != nil {
		t.Fatalf("ForceUnlock: %v, %v", freed, err)
	}
	select {
	case <-lease.Context().Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the whole outlives its member")
	}
	if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	awaitClean(t, r.direct...)
	if err := lease.Unlock(bg); !errors.Is(err, relock.ErrLost) {
		t.Errorf("Unlock: got %v, want ErrLost", err)
	}
}

// The unlock of one member fails: the others are free, and nothing renews the
// one that is not.
func TestAMemberThatCannotBeUnlocked(t *testing.T) {
	r := newRig(t, 3)
	p, err := faultproxy.New(r.servers[1].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	addrs := r.addrs()
	addrs[1] = p.Addr()
	var locks []relock.Locker
	for i, c := range clients(t, addrs) {
		locks = append(locks, c.Mutex(fmt.Sprint("member-", i), relock.WithTTL(2*time.Second)))
	}
	lease := lock(t, multiLock(t, locks...))
	p.Cut(faultproxy.Refuse)
	ctx, cancel := context.WithTimeout(bg, 200*time.Millisecond)
	defer cancel()
	if err := lease.Unlock(ctx); err == nil {
		t.Error("Unlock says nothing of the member that was not unlocked")
	}
	awaitClean(t, r.direct[0], r.direct[2])
	eventually(t, "the third one has expired", func() bool { return len(orphans(t, r.direct[1])) == 0 })
}

// The request for all members was lost on its way, and sent again. It arrives
// when everything was given back: it must not take the members for nobody.
func TestALateCopyOfATryTakesNothing(t *testing.T) {
	r := newRig(t, 1)
	p, err := faultproxy.New(r.servers[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), ReadTimeout: 100 * time.Millisecond})
	c, err := relock.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), rdb.Close() })
	m := multiLock(t, c.Mutex("a"), c.Mutex("b"))
	unlock(t, lock(t, m))
	held := p.Hold(faultproxy.Word("relock:lock:{a}"), 1)
	unlock(t, tryLock(t, m))
	held.Release()
	if err := held.Delivered(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if left := orphans(t, r.direct...); len(left) > 0 {
		t.Errorf("nobody holds what is held: %q", left)
	}
}

// A fixed lease begins when all members are held, however long the last was
// waited for.
func TestAFixedLeaseBeginsWhenAllAreHeld(t *testing.T) {
	r := newRig(t, 2)
	all, others := clients(t, r.addrs()), clients(t, r.addrs())
	const ttl = 600 * time.Millisecond
	busy := lock(t, others[1].Mutex("b"))
	m := multiLock(t, all[0].Mutex("a", relock.WithLease(ttl)), all[1].Mutex("b", relock.WithLease(ttl)))
	got := make(chan *relock.Lease)
	go func() { got <- lock(t, m) }()
	eventually(t, "the first member is held", func() bool { return len(orphans(t, r.direct[0])) > 0 })
	engine.Sleep(bg, 2*ttl) // the watchdog keeps it
	unlock(t, busy)
	lease := <-got
	if left := time.Until(lease.ValidUntil()); left < ttl*8/10 {
		t.Errorf("%v left of %v", left, ttl)
	}
	select {
	case <-lease.Context().Done():
	case <-time.After(3 * ttl):
		t.Error("a fixed lease was renewed")
	}
	awaitClean(t, r.direct...)
}

func TestAMultiLockIsReenteredByItsContext(t *testing.T) {
	r := newRig(t, 3)
	all := clients(t, r.addrs())
	red := redLock(t, r.addrs())
	inner := multiLock(t, red.Reentrant("r"), all[0].Reentrant("a"))
	outer := multiLock(t, inner, all[1].Mutex("m"))
	lease := lock(t, outer)
	again := lockIn(t, lease.Context(), inner)
	for i, l := range again.Members() {
		if l.Token() != lease.Members()[i].Token() {
			t.Errorf("member %d: token %d, want that of the outer lease, %d", i, l.Token(), lease.Members()[i].Token())
		}
	}
	if _, err := outer.Lock(lease.Context()); !errors.Is(err, relock.ErrSelfDeadlock) {
		t.Errorf("got %v, want ErrSelfDeadlock", err)
	}
	unlock(t, again)
	if err := lease.Err(); err != nil {
		t.Errorf("the outer lease ended with the inner: %v", err)
	}
	unlock(t, lease)
	awaitClean(t, r.direct...)
}

type foreign struct{ relock.Locker }

func TestMultiLockRefuses(t *testing.T) {
	r := newRig(t, 2)
	all := clients(t, r.addrs())
	a := all[0].Mutex("a")
	for what, locks := range map[string][]relock.Locker{
		"nothing":                     {},
		"nil":                         {a, nil},
		"a typed nil":                 {a, (*relock.Mutex)(nil)},
		"a zero lock":                 {&relock.Mutex{}},
		"a zero Mutex of a quorum":    {&redlock.Mutex{}},
		"a zero Reentrant of one":     {a, &redlock.Reentrant{}},
		"a zero MultiLock":            {a, &redlock.MultiLock{}},
		"a foreign lock":              {foreign{a}},
		"a member twice":              {a, all[0].Mutex("a")},
		"a member as Mutex and again": {a, all[1].Mutex("b"), all[0].Reentrant("a")},
		"a member of a member":        {a, multiLock(t, a)},
	} {
		if m, err := redlock.NewMultiLock(locks...); !errors.Is(err, relock.ErrInvalid) || m != nil {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		}
	}
	twice := multiLock(t, a, clients(t, r.addrs())[0].Mutex("a"))
	if _, err := twice.Lock(bg); !errors.Is(err, relock.ErrInvalid) {
		t.Errorf("two clients of one server: got %v, want ErrInvalid", err)
	}
	awaitClean(t, r.direct...)
}

func TestRedLockRefuses(t *testing.T) {
	r := newRig(t, 5)
	all := clients(t, r.addrs())
	for what, bad := range map[string]func() (*redlock.RedLock, error){
		"no clients":       func() (*redlock.RedLock, error) { return redlock.New(nil) },
		"a nil client":     func() (*redlock.RedLock, error) { return redlock.New([]*relock.Client{all[0], nil}) },
		"a client twice":   func() (*redlock.RedLock, error) { return redlock.New([]*relock.Client{all[0], all[1], all[0]}) },
		"an address twice": func() (*redlock.RedLock, error) { return redlock.New(append(clients(t, r.addrs()), all[0])) },
		"no majority":      func() (*redlock.RedLock, error) { return redlock.New(all, redlock.WithQuorum(2)) },
		"more than all":    func() (*redlock.RedLock, error) { return redlock.New(all, redlock.WithQuorum(6)) },
		"another prefix": func() (*redlock.RedLock, error) {
			return redlock.New(append(clients(t, r.addrs()[:4]), clients(t, r.addrs()[4:], relock.WithPrefix("other"))...))
		},
		"a nil option":       func() (*redlock.RedLock, error) { return redlock.New(all, nil) },
		"a node timeout < 0": func() (*redlock.RedLock, error) { return redlock.New(all, redlock.WithNodeTimeout(-1)) },
	} {
		if red, err := bad(); !errors.Is(err, relock.ErrInvalid) || red != nil {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		}
	}
	proxy, err := faultproxy.New(r.servers[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	invalid := func(what string, addrs []string) {
		t.Helper()
		if _, err := redLock(t, addrs).Mutex("x").TryLock(bg); !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", what, err)
		} else {
			t.Log(err)
		}
	}
	if _, err := redLock(t, r.addrs()).Mutex("x", relock.WithMinHold(time.Second)).TryLock(bg); !errors.Is(err, relock.ErrInvalid) {
		t.Errorf("a minimum: got %v, want ErrInvalid", err)
	}
	invalid("one server by two addresses", append(r.addrs()[:2], proxy.Addr()))
	unlock(t, lock(t, redLock(t, r.addrs()).Mutex("x")))
	awaitClean(t, r.direct...)
	invalid("a shorter list", r.addrs()[:3])
	if err := r.direct[0].FlushAll(bg).Err(); err != nil {
		t.Fatal(err)
	}
	for _, rdb := range r.direct[1:3] {
		m := redis.NewClient(&redis.Options{Addr: rdb.Options().Addr})
		_ = m.FlushAll(bg)
		_ = m.Close()
	}
	_, err = redLock(t, r.addrs()).Mutex("x").TryLock(bg)
	var q *relock.QuorumError
	if !errors.As(err, &q) || q.Acquired != 2 {
		t.Errorf("three nodes have lost their data: got %v, want a QuorumError", err)
	}
	t.Log(err)
}
