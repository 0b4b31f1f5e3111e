package redisengine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/scripts"
)

// What must survive a fault, on a real server behind a proxy.

// One reply is lost at each of the calls that count. After k Locks and k Unlocks
// the key is gone, and in between nobody else gets in.
func TestOneLostReplyCountsNothingTwice(t *testing.T) {
	const then = faultproxy.Close
	steps := []struct {
		name string
		drop func() faultproxy.Match
		at   string
	}{
		{"Lock", func() faultproxy.Match { return faultproxy.Script(scripts.Source("acquire.lua")) }, "lock"},
		{"re-entry", func() faultproxy.Match { return faultproxy.Script(scripts.Source("acquire.lua")) }, "re-entry"},
		{"inner Unlock", func() faultproxy.Match { return faultproxy.Script(scripts.Source("release.lua")) }, "inner"},
		{"last Unlock", func() faultproxy.Match { return faultproxy.Script(scripts.Source("release.lua")) }, "last"},
		{"renew", func() faultproxy.Match { return faultproxy.Script(scripts.Source("renew.lua")) }, "renew"},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			r := behaviour.NewRig(t)
			c, other := r.Client(t, true), r.Client(t, false)
			l := c.Reentrant("a")
			behaviour.Unlock(t, behaviour.LockOf(t, l)) // loads the scripts
			arm := func(at string) *faultproxy.Rule {
				if at != s.at {
					return nil
				}
				return r.Proxy.DropReply(s.drop(), 1, then)
			}
			for range behaviour.Scaled(20, 500) {
				rules := []*faultproxy.Rule{arm("lock")}
				outer := behaviour.LockOf(t, l)
				rules = append(rules, arm("re-entry"))
				inner := behaviour.LockIn(t, outer.Context(), l)
				if inner.Token() != outer.Token() {
					t.Fatalf("re-entered with token %d, the outer hold has %d", inner.Token(), outer.Token())
				}
				if rule := arm("renew"); rule != nil {
					rules = append(rules, rule)
					if err := inner.Extend(behaviour.Bg, 40*time.Second); err != nil {
						t.Fatalf("Extend: %v", err)
					}
				}
				st, err := l.Status(behaviour.Bg)
				if err != nil || st.Count != 2 {
					t.Fatalf("got count %d, %v; want 2", st.Count, err)
				}
				rules = append(rules, arm("inner"))
				behaviour.Unlock(t, inner)
				if _, err := other.Mutex("a").TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
					t.Fatalf("after the inner Unlock another's TryLock says %v", err)
				}
				rules = append(rules, arm("last"))
				behaviour.Unlock(t, outer)
				if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
					t.Fatalf("keys left: %q", left)
				}
				for _, rule := range rules {
					if rule != nil && rule.Hits() != 1 {
						t.Fatalf("%d replies dropped, want 1", rule.Hits())
					}
				}
			}
		})
	}
}

// A holder that is cut off knows it before another is let in: each of twenty at
// once, each with a client of its own.
func TestACutOffHolderLosesItsLeaseBeforeAnotherHasTheLock(t *testing.T) {
	t.Parallel()
	r := behaviour.NewRig(t)
	other := r.Client(t, false)
	for range behaviour.Scaled(1, 10) {
		var leases []*relock.Lease
		ended, granted := make([]time.Time, 20), make([]time.Time, 20)
		var wg sync.WaitGroup
		for i := range ended {
			name := fmt.Sprintf("cut-%d", i)
			lease := behaviour.LockOf(t, r.Client(t, true, relock.WithTTL(2*time.Second)).Mutex(name))
			leases = append(leases, lease)
			wg.Go(func() {
				<-lease.Context().Done()
				ended[i] = time.Now()
			})
			wg.Go(func() {
				next := behaviour.LockOf(t, other.Mutex(name))
				granted[i] = time.Now()
				if lease.Err() == nil {
					t.Error("another has the lock, and the holder's lease has no error")
				}
				behaviour.Unlock(t, next)
			})
			behaviour.AwaitWaiters(t, other.Mutex(name), 1)
		}
		r.Proxy.Blackhole(faultproxy.Both)
		wg.Wait()
		for i, lease := range leases {
			if !ended[i].Before(granted[i]) {
				t.Errorf("the holder's context ended %v after another had the lock", ended[i].Sub(granted[i]))
			}
			if err := context.Cause(lease.Context()); !errors.Is(err, relock.ErrLost) {
				t.Errorf("got cause %v, want ErrLost", err)
			}
			if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
				t.Errorf("got %v from Unlock, want ErrLost", err)
			}
		}
		if err := r.Proxy.Restore(); err != nil {
			t.Fatal(err)
		}
		behaviour.AwaitClean(t, r.Direct)
	}
}

// A waiter none of whose messages arrive has the lock within the check interval.
func TestAWaiterWithoutMessagesHasTheLockWithinTheCheckInterval(t *testing.T) {
	const interval = 300 * time.Millisecond
	r := behaviour.NewRig(t)
	holder := r.Client(t, false)
	waiter := r.Client(t, true, relock.WithCheckInterval(interval))
	drop := r.Proxy.DropPush(faultproxy.Any, 0)
	for range 5 {
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		got := make(chan *relock.Lease)
		go func() { got <- behaviour.LockOf(t, waiter.Mutex("a")) }()
		behaviour.AwaitWaiters(t, holder.Mutex("a"), 1)
		start := time.Now()
		behaviour.Unlock(t, lease)
		next := <-got
		if took := time.Since(start); took > interval+behaviour.Slack {
			t.Errorf("had the lock after %v, want within %v", took, interval)
		}
		behaviour.Unlock(t, next)
	}
	if drop.Hits() != 5 {
		t.Errorf("%d messages dropped, want 5", drop.Hits())
	}
}

// A Lock that is cancelled while the server hangs returns at once, and leaves
// nothing once the server goes on. How soon it returns is up to the machine as
// well: the fastest of the rounds tells what is ours, and virtual time the exact
// bound.
func TestACancelledLockReturnsThoughTheServerHangs(t *testing.T) {
	const patient = time.Minute // neither timeout is what ends the call
	r := behaviour.NewRig(t)
	c := behaviour.ClientOn(t, r.Server.Client(func(o *redis.Options) { o.ReadTimeout = patient }), relock.WithCallTimeout(patient))
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprintf("held by another: %v", held), func(t *testing.T) {
			var took []time.Duration
			for range behaviour.Scaled(5, 200) {
				took = append(took, cancelWhileItHangs(t, r, c.Mutex("a"), held))
			}
			slices.Sort(took)
			t.Logf("of %d: median %v, 99%% %v, longest %v", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
			if took[0] > 50*time.Millisecond {
				t.Errorf("returned %v after the cancel at the soonest, want within 50ms", took[0])
			}
		})
	}
}

// cancelWhileItHangs returns how long after its cancel a Lock returned.
func cancelWhileItHangs(t *testing.T, r *behaviour.Rig, m *relock.Mutex, held bool) time.Duration {
	t.Helper()
	var lease *relock.Lease
	if held {
		lease = behaviour.LockOf(t, r.Client(t, false).Mutex(m.Name()))
	}
	if err := r.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(behaviour.Bg)
	at := make(chan time.Time, 1)
	time.AfterFunc(20*time.Millisecond, func() { at <- time.Now(); cancel() })
	_, err := m.Lock(ctx)
	took := time.Since(<-at)
	if !errors.Is(err, context.Canceled) || errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want the cause alone: nobody said that the lock is taken", err)
	}
	if err := r.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	if lease != nil {
		behaviour.Unlock(t, lease)
	}
	behaviour.AwaitClean(t, r.Direct)
	return took
}

// The acquire of a cancelled Lock arrives after its withdrawal, and finds the
// tombstone.
func TestAnAcquireAfterItsWithdrawalIsRefused(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, true)
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	tombstones := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindTombstones, "a")
	for i := range behaviour.Scaled(10, 200) {
		acquire := r.Proxy.Hold(faultproxy.Script(scripts.Source("acquire.lua")), 1)
		ctx, cancel := context.WithCancel(behaviour.Bg)
		result := make(chan error, 1)
		go func() {
			_, err := c.Mutex("a").Lock(ctx)
			result <- err
		}()
		<-acquire.Arrived()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: got %v", i, err)
		}
		// What the proxy has passed on, the server may not have executed yet.
		behaviour.Eventually(t, "the withdrawal is executed", func() bool { return r.Direct.ZCard(behaviour.Bg, tombstones).Val() == 1 })
		acquire.Release()
		patience, done := context.WithTimeout(behaviour.Bg, 10*time.Second)
		if err := acquire.Delivered(patience); err != nil {
			t.Fatal(err)
		}
		done()
		r.Direct.Del(behaviour.Bg, tombstones)
		if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
			t.Fatalf("round %d: a late acquire left %q", i, left)
		}
	}
}

// A waiter that dies at the head of the queue delays the next by no more than
// its entry's life.
func TestADeadHeadDelaysTheNextByItsLifeAtMost(t *testing.T) {
	t.Parallel()
	const interval = 200 * time.Millisecond
	for _, how := range []struct {
		name string
		die  func(r *behaviour.Rig)
	}{
		{"cut off", func(r *behaviour.Rig) { r.Proxy.Cut(faultproxy.Refuse) }},
		{"stopped", func(r *behaviour.Rig) { r.Proxy.Blackhole(faultproxy.Both) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			r := behaviour.NewRig(t)
			holder := r.Client(t, false)
			lease := behaviour.LockOf(t, holder.Mutex("a"))
			ctx, cancel := context.WithCancel(behaviour.Bg)
			defer cancel()
			dead := r.Client(t, true, relock.WithCheckInterval(interval))
			gone := make(chan error, 1)
			go func() { _, err := dead.Mutex("a").Lock(ctx); gone <- err }()
			behaviour.AwaitWaiters(t, holder.Mutex("a"), 1)
			next := r.Client(t, false, relock.WithCheckInterval(interval))
			got := make(chan *relock.Lease)
			go func() { got <- behaviour.LockOf(t, next.Mutex("a")) }()
			behaviour.AwaitWaiters(t, holder.Mutex("a"), 2)
			how.die(r)
			start := time.Now()
			behaviour.Unlock(t, lease)
			second := <-got
			if took := time.Since(start); took > 3*interval+interval+behaviour.Slack {
				t.Errorf("the next had the lock after %v; an entry lives %v", took, 3*interval)
			}
			cancel()
			<-gone
			behaviour.Unlock(t, second)
		})
	}
}

// Whatever the server forgets, a later token is greater.
func TestTokensRiseThoughTheServerForgets(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	last := relock.Token(0)
	next := func(after string) {
		t.Helper()
		lease := behaviour.LockOf(t, c.Mutex("a"))
		if lease.Token() <= last {
			t.Errorf("after %s: token %d, and %d before", after, lease.Token(), last)
		}
		last = lease.Token()
		_ = lease.Unlock(behaviour.Bg)
	}
	next("the start")
	next("an Unlock")
	r.Direct.FlushAll(behaviour.Bg)
	next("FLUSHALL")
	lease := behaviour.LockOf(t, c.Mutex("a"))
	last = lease.Token()
	c = r.Client(t, false) // one that does not wait for the holder it knows
	r.Direct.FlushAll(behaviour.Bg)
	next("FLUSHALL under a holder")
	if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
		t.Errorf("the earlier holder's Unlock says %v, want ErrLost", err)
	}
	r.Server.Kill()
	if err := r.Server.Restart(behaviour.Bg); err != nil {
		t.Fatal(err)
	}
	next("a restart without persistence")
	c = r.Client(t, false)
	next("a restart, by another client")
}
