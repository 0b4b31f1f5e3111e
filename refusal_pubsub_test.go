package relock

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/faultproxy"
)

// A subscription that breaks, while commands get through.

// split is a client whose subscriptions go their own way.
type split struct {
	*redis.Client
	subs *redis.Client
}

func (s split) Subscribe(ctx context.Context, channels ...string) *redis.PubSub {
	return s.subs.Subscribe(ctx, channels...)
}

// splitClient returns a Client of whose connections only the subscription goes
// through the proxy.
func (r *rig) splitClient(t *testing.T, opts ...Option) *Client {
	t.Helper()
	subs := redis.NewClient(&redis.Options{Addr: r.proxy.Addr()})
	t.Cleanup(func() { _ = subs.Close() })
	return clientOn(t, split{r.server.Client(), subs}, opts...)
}

func TestASilentSubscriptionIsFoundWithinTwoCheckIntervals(t *testing.T) {
	const interval = 500 * time.Millisecond
	r := newRig(t)
	holder := r.client(t, false).Mutex("a")
	waiter := r.splitClient(t, WithCheckInterval(interval))
	lease := lockOf(t, holder)
	got := make(chan *Lease, 2)
	wait := func() { got <- lockOf(t, waiter.Mutex("a")) }
	go wait()
	awaitWaiters(t, holder, 1)
	go wait() // keeps the subscription in use after the first has its lock

	again := r.proxy.Count(faultproxy.Command("subscribe"))
	r.proxy.Freeze(faultproxy.Both)
	frozen := time.Now()
	unlock(t, lease)
	first := <-got
	if took := time.Since(frozen); took > interval+slack {
		t.Errorf("the waiter had the lock after %v, want within the check interval of %v", took, interval)
	}
	ctx, cancel := context.WithTimeout(bg, 10*time.Second)
	defer cancel()
	if err := again.Wait(ctx, 1); err != nil {
		t.Fatalf("never subscribed again: %v", err)
	}
	if took := time.Since(frozen); took > 2*interval+slack {
		t.Errorf("subscribed again after %v, want within two intervals of %v", took, interval)
	}
	unlock(t, first)
	unlock(t, <-got)
	awaitClean(t, r.direct)
}

// The message is lost between the end of a subscription and the next: on the
// new one waiters ask at once, long before the check interval is over.
func TestWaitersCheckInOnANewSubscription(t *testing.T) {
	r := newRig(t)
	holder := r.client(t, false).Mutex("a")
	waiter := r.splitClient(t, WithCheckInterval(9*time.Second))
	for round := range 3 {
		lease := lockOf(t, holder)
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, waiter.Mutex("a")) }()
		awaitWaiters(t, holder, 1)
		subscribe := r.proxy.Hold(faultproxy.Command("subscribe"), 1)
		if n, err := r.direct.ClientKillByFilter(bg, "type", "pubsub").Result(); n != 1 || err != nil {
			t.Fatalf("killed %d subscriptions, %v; want 1", n, err)
		}
		<-subscribe.Arrived()
		unlock(t, lease)
		start := time.Now()
		subscribe.Release()
		next := <-got
		if took := time.Since(start); took > time.Second+slack {
			t.Errorf("round %d: had the lock %v after the new subscription, want at once", round, took)
		}
		unlock(t, next)
	}
	awaitClean(t, r.direct)
}
