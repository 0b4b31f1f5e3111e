package relock_test

import (
	"sync"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
)

// The server is farther away than a check interval: the subscription is
// confirmed all the same, and its silence is not taken for its end.
func TestASubscriptionFarAwayIsKept(t *testing.T) {
	const interval, far = 20 * time.Millisecond, 60 * time.Millisecond
	r := behaviour.NewRig(t)
	lease := behaviour.LockOf(t, r.Client(t, false).Mutex("a"))
	r.Proxy.Delay(faultproxy.Both, far)
	waiter := r.SplitClient(t, relock.WithCheckInterval(interval))
	got := make(chan *relock.Lease, 1)
	go func() { got <- behaviour.LockOf(t, waiter.Mutex("a")) }()
	behaviour.Eventually(t, "a subscription", behaviour.EngineOf(waiter).Listening)
	again := r.Proxy.Count(faultproxy.Command("subscribe"))
	<-time.After(time.Second)
	if n := again.Hits(); n > 1 {
		t.Errorf("subscribed %d times more within a second", n)
	}
	behaviour.Unlock(t, lease)
	behaviour.Unlock(t, <-got)
}

// However long a connection took to be made, a silent one is found in time.
func TestASubscriptionMadeLateIsNotTrustedLonger(t *testing.T) {
	if got := relock.PatienceAfter(time.Hour); got > max(relock.DefaultCheckInterval, relock.DefaultCallTimeout) {
		t.Errorf("silent for %v before it is asked, want no longer than a check interval or a call", got)
	}
}

func TestAWaiterThatHearsNothingIsNotPassedOver(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		h, _ := b.Client()
		a, _ := b.Client()
		relock.RefuseSubscribe(a, behaviour.RefusalError("ERR unknown command 'SUBSCRIBE'"))
		lease := behaviour.LockOf(t, h.Mutex("a"))
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, a.Mutex("a")) }()
		behaviour.Pass(50 * time.Millisecond)
		// Two others in turn.
		o1, _ := b.Client()
		o2, _ := b.Client()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, c := range []*relock.Client{o1, o2} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					select {
					case <-stop:
						return
					default:
					}
					l, err := c.Mutex("a").Lock(behaviour.Bg)
					if err != nil {
						return
					}
					behaviour.Pass(30 * time.Millisecond)
					_ = l.Unlock(behaviour.Bg)
				}
			}()
		}
		behaviour.Pass(50 * time.Millisecond)
		behaviour.Unlock(t, lease)
		behaviour.Pass(15 * time.Second)
		select {
		case l := <-got:
			behaviour.Unlock(t, l)
		default:
			t.Errorf("first in the queue, and passed over for 15 s")
		}
		close(stop)
		wg.Wait()
		behaviour.Pass(time.Second)
	})
}
