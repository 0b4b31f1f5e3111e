package redisengine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// 64 goroutines whose connections a router has forgotten find others, each in time.
func TestDeadConnectionsDoNotCostTheCallsOfMany(t *testing.T) {
	const goroutines = 64
	r := behaviour.NewRig(t)
	c, forget := forgotten(t, r)
	leases := make([]*relock.Lease, goroutines)
	for i := range leases {
		leases[i] = behaviour.LockOf(t, c.Mutex(fmt.Sprint("held", i)))
	}
	forget()
	start := time.Now()
	var wg sync.WaitGroup
	var slowest atomic.Int64
	for i := range goroutines {
		wg.Go(func() {
			if err := leases[i].Unlock(behaviour.Bg); err != nil {
				t.Errorf("Unlock: %v, though a new connection works", err)
			}
			if err := behaviour.TryCall(c.Mutex(fmt.Sprint("free", i)))(behaviour.Bg); err != nil {
				t.Errorf("TryLock: %v, though a new connection works", err)
			}
			slowest.Store(max(slowest.Load(), int64(time.Since(start))))
		})
	}
	wg.Wait()
	t.Logf("the last pair of %d took %v", goroutines, time.Duration(slowest.Load()).Round(time.Millisecond))
}

// A server that is stopped for two seconds, under goroutines that give up soon and ask
// again: each returns when its context ends, few connections are made, what was given
// up while it waited for its turn is not executed, and nothing is left.
func TestAServerThatHangsUnderManyWhoGiveUp(t *testing.T) {
	const goroutines, patience, hang = 64, 100 * time.Millisecond, 2 * time.Second
	r := behaviour.NewRig(t)
	open := &connections{}
	rdb := redis.NewClient(&redis.Options{Addr: r.Server.Addr(), Dialer: open.dial})
	defer rdb.Close()
	c := behaviour.ClientOn(t, rdb)
	for range 50 { // the limit is what it is under load
		var wg sync.WaitGroup
		for i := range goroutines {
			wg.Go(func() { behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex(fmt.Sprint("name", i)))) })
		}
		wg.Wait()
	}
	before := open.made()
	behaviour.ResetStats(t, r.Direct)
	var mu sync.Mutex
	var late []time.Duration
	stop := make(chan struct{})
	calls, unsent := 0, 0
	var wg sync.WaitGroup
	if err := r.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	for i := range goroutines {
		m := c.Mutex(fmt.Sprint("name", i))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(behaviour.Bg, patience)
				start := time.Now()
				lease, err := m.Lock(ctx)
				took := time.Since(start) - patience
				cancel()
				if err == nil {
					_ = lease.Unlock(behaviour.Bg)
					continue
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want the end of the context", err)
				}
				mu.Lock()
				late = append(late, took)
				calls++
				if strings.Contains(err.Error(), "not sent") {
					unsent++
				}
				mu.Unlock()
			}
		})
	}
	<-time.After(hang)
	close(stop)
	wg.Wait()
	peak := open.most()
	if err := r.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	behaviour.Eventually(t, "nothing is owed any more", func() bool { return behaviour.ManagerOf(c).Idle() })
	time.Sleep(3 * time.Second)
	tombstones, err := r.Direct.Keys(behaviour.Bg, "*tombstones*").Result()
	if err != nil {
		t.Fatal(err)
	}
	executed := behaviour.Calls(t, r.Direct, "evalsha", "eval")
	slices.Sort(late)
	t.Logf("%d calls, of which %d unsent; returns after the end of their contexts: median %v, worst %v",
		calls, unsent, late[len(late)/2].Round(time.Microsecond), late[len(late)-1].Round(time.Microsecond))
	t.Logf("%d connections made, %d at a time; %d commands executed afterwards; tombstones of %d names",
		open.made()-before, peak, executed, len(tombstones))
	behaviour.AwaitClean(t, r.Direct)
}
