package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/scripts"
)

// What a minimum does, on real servers.

func TestAJobRunsOnceInAFleetOnARealServer(t *testing.T) {
	r := behaviour.NewRig(t)
	var hosts []*relock.Client
	for range 3 {
		hosts = append(hosts, r.Client(t, false))
	}
	if got := runsInAFleet(t, hosts); got != 3 {
		t.Errorf("without a minimum it ran %d times, want once a host", got)
	}
	// An hour: however slow the machine is, the tries are made within it.
	if got := runsInAFleet(t, hosts, relock.WithMinHold(time.Hour)); got != 1 {
		t.Errorf("it ran %d times, want once", got)
	}
}

// Check-ins come once in twenty minutes here: who is served has been told, or asked
// when the minimum was over.
func TestWaitersAreServedWhenTheMinimumIsOverOnARealServer(t *testing.T) {
	const d = time.Second
	for name, leave := range map[string]func(r *behaviour.Rig, c *relock.Client){
		"the holder's client lives":     func(*behaviour.Rig, *relock.Client) {},
		"the holder's client is closed": func(_ *behaviour.Rig, c *relock.Client) { _ = c.Close() },
		"the holder's client is gone":   func(r *behaviour.Rig, _ *relock.Client) { r.Proxy.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := behaviour.NewRig(t)
			rare := []relock.Option{relock.WithCheckInterval(time.Hour), relock.WithTTL(time.Hour)}
			holder := r.Client(t, true, rare...)
			start := time.Now()
			lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithMinHold(d)))
			turns := make(chan int, 3)
			for i := range 3 {
				c := r.Client(t, false, rare...)
				go func() {
					ctx, cancel := context.WithTimeout(behaviour.Bg, 20*time.Second)
					defer cancel()
					next, err := c.Mutex("a").Lock(ctx)
					if err != nil {
						t.Errorf("waiter %d: %v", i, err)
					} else if took := time.Since(start); took < d {
						t.Errorf("waiter %d had the lock %v after the grant, before its minimum was over", i, took)
					}
					turns <- i
					if err == nil {
						behaviour.Unlock(t, next)
					}
				}()
				behaviour.AwaitWaiters(t, r.Client(t, false).Mutex("a"), i+1)
			}
			behaviour.Unlock(t, lease)
			leave(r, holder)
			for want := range 3 {
				if got := <-turns; got != want {
					t.Errorf("waiter %d had its turn, want %d", got, want)
				}
			}
		})
	}
}

func TestAResentUnlockKeepsTheMinimumOnARealServer(t *testing.T) {
	r := behaviour.NewRig(t)
	c, other := r.Client(t, true), r.Client(t, false)
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a"))) // loads the scripts
	for range 10 {
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(time.Hour)))
		rule := r.Proxy.DropReply(faultproxy.Script(scripts.Source("release.lua")), 1, faultproxy.Close)
		behaviour.Unlock(t, lease)
		if rule.Hits() != 1 {
			t.Fatalf("%d replies dropped, want 1", rule.Hits())
		}
		var taken *relock.NotAcquiredError
		if _, err := other.Mutex("a").TryLock(behaviour.Bg); !errors.As(err, &taken) || taken.Owner != relock.KeptOwner || taken.Token != lease.Token() {
			t.Fatalf("another's TryLock says %v, want a lock that is kept", err)
		}
		if freed, err := other.Mutex("a").ForceUnlock(behaviour.Bg); !freed || err != nil {
			t.Fatal(freed, err)
		}
	}
}

// A renewal, an acquire and a withdrawal that were under way when the lock was
// given back come in afterwards.
func TestWhatComesInLateLeavesTheMinimum(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, true)
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	const d = time.Hour
	for range 10 {
		copies := r.Proxy.Hold(faultproxy.Script(scripts.Source("acquire.lua")), 1)
		ctx, cancel := context.WithTimeout(behaviour.Bg, 20*time.Second)
		defer cancel()
		short := r.Client(t, true, relock.WithCallTimeout(50*time.Millisecond))
		lease, err := short.Mutex("a", relock.WithMinHold(d)).Lock(ctx) // by its second request
		if err != nil {
			t.Fatal(err)
		}
		renewal := r.Proxy.Hold(faultproxy.Script(scripts.Source("renew.lua")), 1)
		extended := make(chan error, 1)
		go func() { extended <- lease.Extend(ctx, 2*d) }()
		<-renewal.Arrived()
		behaviour.Unlock(t, lease)
		copies.Release()
		renewal.Release()
		for _, held := range []*faultproxy.Held{copies, renewal} {
			if err := held.Delivered(ctx); err != nil {
				t.Fatal(err)
			}
		}
		<-extended
		st, err := c.Mutex("a").Status(behaviour.Bg)
		if err != nil || st.Owner != relock.KeptOwner || st.Count != 1 || st.TTL > d || st.Waiters != 0 {
			t.Fatalf("got %+v, %v, want a lock that is kept for %v", st, err, d)
		}
		if freed, err := c.Mutex("a").ForceUnlock(behaviour.Bg); !freed || err != nil {
			t.Fatal(freed, err)
		}
	}
}

func TestAGrantThatIsNotReplicatedHasNoMinimum(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	_, err := c.Mutex("a", relock.WithMinHold(time.Hour), relock.WithReplicas(1, 10*time.Millisecond)).TryLock(behaviour.Bg)
	if !errors.Is(err, relock.ErrNotReplicated) {
		t.Fatalf("got %v, want ErrNotReplicated", err)
	}
	behaviour.AwaitClean(t, r.Direct)
}
