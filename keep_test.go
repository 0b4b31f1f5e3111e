package relock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/faultproxy"
)

// What a minimum does, on real servers.

func TestAJobRunsOnceInAFleetOnARealServer(t *testing.T) {
	r := newRig(t)
	var hosts []*Client
	for range 3 {
		hosts = append(hosts, r.client(t, false))
	}
	if got := runsInAFleet(t, hosts); got != 3 {
		t.Errorf("without a minimum it ran %d times, want once a host", got)
	}
	// An hour: however slow the machine is, the tries are made within it.
	if got := runsInAFleet(t, hosts, WithMinHold(time.Hour)); got != 1 {
		t.Errorf("it ran %d times, want once", got)
	}
}

// Check-ins come once in twenty minutes here: who is served has been told, or asked
// when the minimum was over.
func TestWaitersAreServedWhenTheMinimumIsOverOnARealServer(t *testing.T) {
	const d = time.Second
	for name, leave := range map[string]func(r *rig, c *Client){
		"the holder's client lives":     func(*rig, *Client) {},
		"the holder's client is closed": func(_ *rig, c *Client) { _ = c.Close() },
		"the holder's client is gone":   func(r *rig, _ *Client) { r.proxy.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			rare := []Option{WithCheckInterval(time.Hour), WithTTL(time.Hour)}
			holder := r.client(t, true, rare...)
			start := time.Now()
			lease := lockOf(t, holder.Mutex("a", WithMinHold(d)))
			turns := make(chan int, 3)
			for i := range 3 {
				c := r.client(t, false, rare...)
				go func() {
					ctx, cancel := context.WithTimeout(bg, 20*time.Second)
					defer cancel()
					next, err := c.Mutex("a").Lock(ctx)
					if err != nil {
						t.Errorf("waiter %d: %v", i, err)
					} else if took := time.Since(start); took < d {
						t.Errorf("waiter %d had the lock %v after the grant, before its minimum was over", i, took)
					}
					turns <- i
					if err == nil {
						unlock(t, next)
					}
				}()
				awaitWaiters(t, r.client(t, false).Mutex("a"), i+1)
			}
			unlock(t, lease)
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
	r := newRig(t)
	c, other := r.client(t, true), r.client(t, false)
	unlock(t, lockOf(t, c.Mutex("a"))) // loads the scripts
	for range 10 {
		lease := lockOf(t, c.Mutex("a", WithMinHold(time.Hour)))
		rule := r.proxy.DropReply(faultproxy.Script(releaseScript.source), 1, faultproxy.Close)
		unlock(t, lease)
		if rule.Hits() != 1 {
			t.Fatalf("%d replies dropped, want 1", rule.Hits())
		}
		var taken *NotAcquiredError
		if _, err := other.Mutex("a").TryLock(bg); !errors.As(err, &taken) || taken.Owner != KeptOwner || taken.Token != lease.Token() {
			t.Fatalf("another's TryLock says %v, want a lock that is kept", err)
		}
		if freed, err := other.Mutex("a").ForceUnlock(bg); !freed || err != nil {
			t.Fatal(freed, err)
		}
	}
}

// A renewal, an acquire and a withdrawal that were under way when the lock was
// given back come in afterwards.
func TestWhatComesInLateLeavesTheMinimum(t *testing.T) {
	r := newRig(t)
	c := r.client(t, true)
	unlock(t, lockOf(t, c.Mutex("a")))
	const d = time.Hour
	for range 10 {
		copies := r.proxy.Hold(faultproxy.Script(acquireScript.source), 1)
		ctx, cancel := context.WithTimeout(bg, 20*time.Second)
		defer cancel()
		short := r.client(t, true, WithCallTimeout(50*time.Millisecond))
		lease, err := short.Mutex("a", WithMinHold(d)).Lock(ctx) // by its second request
		if err != nil {
			t.Fatal(err)
		}
		renewal := r.proxy.Hold(faultproxy.Script(renewScript.source), 1)
		extended := make(chan error, 1)
		go func() { extended <- lease.Extend(ctx, 2*d) }()
		<-renewal.Arrived()
		unlock(t, lease)
		copies.Release()
		renewal.Release()
		for _, held := range []*faultproxy.Held{copies, renewal} {
			if err := held.Delivered(ctx); err != nil {
				t.Fatal(err)
			}
		}
		<-extended
		st, err := c.Mutex("a").Status(bg)
		if err != nil || st.Owner != KeptOwner || st.Count != 1 || st.TTL > d || st.Waiters != 0 {
			t.Fatalf("got %+v, %v, want a lock that is kept for %v", st, err, d)
		}
		if freed, err := c.Mutex("a").ForceUnlock(bg); !freed || err != nil {
			t.Fatal(freed, err)
		}
	}
}

func TestAGrantThatIsNotReplicatedHasNoMinimum(t *testing.T) {
	r := newRig(t)
	c := r.client(t, false)
	_, err := c.Mutex("a", WithMinHold(time.Hour), WithReplicas(1, 10*time.Millisecond)).TryLock(bg)
	if !errors.Is(err, ErrNotReplicated) {
		t.Fatalf("got %v, want ErrNotReplicated", err)
	}
	awaitClean(t, r.direct)
}
