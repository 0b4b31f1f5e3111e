package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/scripts"
)

// How a lock of several waits for its members.

// A server that has lost its id is given another. A process that knows the old one
// waits in the order of those that know the new one all the same.
func TestMembersAreWaitedForInOneOrderByOldAndNewProcesses(t *testing.T) {
	c := []*relock.Client{behaviour.ClientOn(t, redistest.StartT(t).Client()), behaviour.ClientOn(t, redistest.StartT(t).Client())}
	process := func() []relock.Locker {
		return []relock.Locker{behaviour.ClientOn(t, behaviour.RedisOf(c[0])).Mutex("x"), behaviour.ClientOn(t, behaviour.RedisOf(c[1])).Mutex("x")}
	}
	places := func(members []relock.Locker) (all string) {
		sorted, err := behaviour.GroupOf(t, members...).Order(behaviour.Bg)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range sorted {
			all += fmt.Sprint(p.Place, " ")
		}
		return all
	}
	old := process()
	behaviour.Unlock(t, behaviour.LockOf(t, behaviour.CompositeOf(t, old...)))
	before := places(old)
	fresh := old
	for places(fresh) == before { // the new id is as likely to be the lesser as the greater
		if err := behaviour.RedisOf(c[0]).(*redis.Client).FlushAll(behaviour.Bg).Err(); err != nil {
			t.Fatal(err)
		}
		fresh = process()
	}
	first, second := behaviour.LockOf(t, c[0].Mutex("x")), behaviour.LockOf(t, c[1].Mutex("x"))
	ctx, cancel := context.WithTimeout(behaviour.Bg, 10*time.Second)
	defer cancel()
	got := make(chan error, 2)
	for _, members := range [][]relock.Locker{old, fresh} {
		both := behaviour.CompositeOf(t, members...)
		go func() {
			l, err := both.Lock(ctx)
			if err == nil {
				err = l.Unlock(behaviour.Bg)
			}
			got <- err
		}()
	}
	behaviour.Eventually(t, "both wait", func() bool {
		a, _ := c[0].Mutex("x").Status(behaviour.Bg)
		b, _ := c[1].Mutex("x").Status(behaviour.Bg)
		return a.Waiters+b.Waiters == 2
	})
	behaviour.Unlock(t, first)
	behaviour.Unlock(t, second)
	for range 2 {
		if err := <-got; err != nil {
			t.Errorf("got %v, want that each has its turn", err)
		}
	}
}

// A server that hangs is asked for its id by each call for itself.
func TestALockOfSeveralEndsWithItsContextWhileOthersAskForAnID(t *testing.T) {
	r, hung := behaviour.NewRig(t), redistest.StartT(t)
	c := behaviour.CompositeOf(t, r.Client(t, true).Mutex("x"), behaviour.ClientOn(t, hung.Client()).Mutex("x"))
	asked := r.Proxy.Count(faultproxy.Script(scripts.Source("enrol.lua")))
	if err := hung.Pause(); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	long, stop := context.WithCancel(behaviour.Bg)
	defer func() {
		stop()
		calls.Wait()
		if err := hung.Resume(); err != nil {
			t.Error(err)
		}
	}()
	const others = 3
	for range others {
		calls.Go(func() { _, _ = c.Lock(long) })
	}
	if err := asked.Wait(behaviour.Patience(t), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(behaviour.Bg, 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// Behind the others it would take a call timeout of 3 s each.
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("returned %v after a context of 100ms had begun", took)
	}
}

func TestALockOfSeveralWaitsOutWhatPassesBeforeItsFixedLeasesBegin(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, true, relock.WithCallTimeout(100*time.Millisecond))
	both := behaviour.CompositeOf(t, c.Mutex("a", relock.WithLease(20*time.Second)), c.Mutex("b", relock.WithLease(20*time.Second)))
	behaviour.Unlock(t, behaviour.LockOf(t, both))
	drop := r.Proxy.DropRequest(faultproxy.Script(scripts.Source("renew.lua")), 0, faultproxy.Silence)
	got := make(chan error, 1)
	go func() {
		l, err := both.Lock(behaviour.Patience(t))
		if err == nil {
			err = l.Unlock(behaviour.Bg)
		}
		got <- err
	}()
	if err := drop.Wait(behaviour.Patience(t), 6); err != nil { // more than one call asks for
		t.Fatal(err)
	}
	drop.Remove()
	if err := <-got; err != nil {
		t.Errorf("gave up though its context lived: %v", err)
	}
}
