package redisengine_test

import (
	"context"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
)

func TestASilentSubscriptionIsFoundWithinTwoCheckIntervals(t *testing.T) {
	const interval = 500 * time.Millisecond
	r := behaviour.NewRig(t)
	holder := r.Client(t, false).Mutex("a")
	waiter := r.SplitClient(t, relock.WithCheckInterval(interval))
	lease := behaviour.LockOf(t, holder)
	got := make(chan *relock.Lease, 2)
	wait := func() { got <- behaviour.LockOf(t, waiter.Mutex("a")) }
	go wait()
	behaviour.AwaitWaiters(t, holder, 1)
	go wait() // keeps the subscription in use after the first has its lock

	again := r.Proxy.Count(faultproxy.Command("subscribe"))
	r.Proxy.Freeze(faultproxy.Both)
	frozen := time.Now()
	behaviour.Unlock(t, lease)
	first := <-got
	if took := time.Since(frozen); took > interval+behaviour.Slack {
		t.Errorf("the waiter had the lock after %v, want within the check interval of %v", took, interval)
	}
	ctx, cancel := context.WithTimeout(behaviour.Bg, 10*time.Second)
	defer cancel()
	if err := again.Wait(ctx, 1); err != nil {
		t.Fatalf("never subscribed again: %v", err)
	}
	if took := time.Since(frozen); took > 2*interval+behaviour.Slack {
		t.Errorf("subscribed again after %v, want within two intervals of %v", took, interval)
	}
	behaviour.Unlock(t, first)
	behaviour.Unlock(t, <-got)
	behaviour.AwaitClean(t, r.Direct)
}

// The message is lost between the end of a subscription and the next: on the
// new one waiters ask at once, long before the check interval is over.
func TestWaitersCheckInOnANewSubscription(t *testing.T) {
	r := behaviour.NewRig(t)
	holder := r.Client(t, false).Mutex("a")
	waiter := r.SplitClient(t, relock.WithCheckInterval(9*time.Second))
	for round := range 3 {
		lease := behaviour.LockOf(t, holder)
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, waiter.Mutex("a")) }()
		behaviour.AwaitWaiters(t, holder, 1)
		subscribe := r.Proxy.Hold(faultproxy.Command("subscribe"), 1)
		if n, err := r.Direct.ClientKillByFilter(behaviour.Bg, "type", "pubsub").Result(); n != 1 || err != nil {
			t.Fatalf("killed %d subscriptions, %v; want 1", n, err)
		}
		<-subscribe.Arrived()
		behaviour.Unlock(t, lease)
		start := time.Now()
		subscribe.Release()
		next := <-got
		if took := time.Since(start); took > time.Second+behaviour.Slack {
			t.Errorf("round %d: had the lock %v after the new subscription, want at once", round, took)
		}
		behaviour.Unlock(t, next)
	}
	behaviour.AwaitClean(t, r.Direct)
}
