package relock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/faultproxy"
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
		{"Lock", func() faultproxy.Match { return faultproxy.Script(acquireScript.source) }, "lock"},
		{"re-entry", func() faultproxy.Match { return faultproxy.Script(acquireScript.source) }, "re-entry"},
		{"inner Unlock", func() faultproxy.Match { return faultproxy.Script(releaseScript.source) }, "inner"},
		{"last Unlock", func() faultproxy.Match { return faultproxy.Script(releaseScript.source) }, "last"},
		{"renew", func() faultproxy.Match { return faultproxy.Script(renewScript.source) }, "renew"},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			r := newRig(t)
			c, other := r.client(t, true), r.client(t, false)
			l := c.Reentrant("a")
			unlock(t, lockOf(t, l)) // loads the scripts
			arm := func(at string) *faultproxy.Rule {
				if at != s.at {
					return nil
				}
				return r.proxy.DropReply(s.drop(), 1, then)
			}
			for range scaled(20, 500) {
				rules := []*faultproxy.Rule{arm("lock")}
				outer := lockOf(t, l)
				rules = append(rules, arm("re-entry"))
				inner := lockIn(t, outer.Context(), l)
				if inner.Token() != outer.Token() {
					t.Fatalf("re-entered with token %d, the outer hold has %d", inner.Token(), outer.Token())
				}
				if rule := arm("renew"); rule != nil {
					rules = append(rules, rule)
					if err := inner.Extend(bg, 40*time.Second); err != nil {
						t.Fatalf("Extend: %v", err)
					}
				}
				st, err := l.Status(bg)
				if err != nil || st.Count != 2 {
					t.Fatalf("got count %d, %v; want 2", st.Count, err)
				}
				rules = append(rules, arm("inner"))
				unlock(t, inner)
				if _, err := other.Mutex("a").TryLock(bg); !errors.Is(err, ErrNotAcquired) {
					t.Fatalf("after the inner Unlock another's TryLock says %v", err)
				}
				rules = append(rules, arm("last"))
				unlock(t, outer)
				if left := keysLeft(t, r.direct); len(left) > 0 {
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
	r := newRig(t)
	other := r.client(t, false)
	for range scaled(1, 10) {
		var leases []*Lease
		ended, granted := make([]time.Time, 20), make([]time.Time, 20)
		var wg sync.WaitGroup
		for i := range ended {
			name := fmt.Sprintf("cut-%d", i)
			lease := lockOf(t, r.client(t, true, WithTTL(2*time.Second)).Mutex(name))
			leases = append(leases, lease)
			wg.Go(func() {
				<-lease.Context().Done()
				ended[i] = time.Now()
			})
			wg.Go(func() {
				next := lockOf(t, other.Mutex(name))
				granted[i] = time.Now()
				if lease.Err() == nil {
					t.Error("another has the lock, and the holder's lease has no error")
				}
				unlock(t, next)
			})
			awaitWaiters(t, other.Mutex(name), 1)
		}
		r.proxy.Blackhole(faultproxy.Both)
		wg.Wait()
		for i, lease := range leases {
			if !ended[i].Before(granted[i]) {
				t.Errorf("the holder's context ended %v after another had the lock", ended[i].Sub(granted[i]))
			}
			if err := context.Cause(lease.Context()); !errors.Is(err, ErrLost) {
				t.Errorf("got cause %v, want ErrLost", err)
			}
			if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
				t.Errorf("got %v from Unlock, want ErrLost", err)
			}
		}
		if err := r.proxy.Restore(); err != nil {
			t.Fatal(err)
		}
		awaitClean(t, r.direct)
	}
}

// A waiter none of whose messages arrive has the lock within the check interval.
func TestAWaiterWithoutMessagesHasTheLockWithinTheCheckInterval(t *testing.T) {
	const interval = 300 * time.Millisecond
	r := newRig(t)
	holder := r.client(t, false)
	waiter := r.client(t, true, WithCheckInterval(interval))
	drop := r.proxy.DropPush(faultproxy.Any, 0)
	for range 5 {
		lease := lockOf(t, holder.Mutex("a"))
		got := make(chan *Lease)
		go func() { got <- lockOf(t, waiter.Mutex("a")) }()
		awaitWaiters(t, holder.Mutex("a"), 1)
		start := time.Now()
		unlock(t, lease)
		next := <-got
		if took := time.Since(start); took > interval+slack {
			t.Errorf("had the lock after %v, want within %v", took, interval)
		}
		unlock(t, next)
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
	r := newRig(t)
	c := clientOn(t, r.server.Client(func(o *redis.Options) { o.ReadTimeout = patient }), WithCallTimeout(patient))
	unlock(t, lockOf(t, c.Mutex("a")))
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprintf("held by another: %v", held), func(t *testing.T) {
			var took []time.Duration
			for range scaled(5, 200) {
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
func cancelWhileItHangs(t *testing.T, r *rig, m *Mutex, held bool) time.Duration {
	t.Helper()
	var lease *Lease
	if held {
		lease = lockOf(t, r.client(t, false).Mutex(m.Name()))
	}
	if err := r.server.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bg)
	at := make(chan time.Time, 1)
	time.AfterFunc(20*time.Millisecond, func() { at <- time.Now(); cancel() })
	_, err := m.Lock(ctx)
	took := time.Since(<-at)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotAcquired) {
		t.Errorf("got %v, want the cause alone: nobody said that the lock is taken", err)
	}
	if err := r.server.Resume(); err != nil {
		t.Fatal(err)
	}
	if lease != nil {
		unlock(t, lease)
	}
	awaitClean(t, r.direct)
	return took
}

// The acquire of a cancelled Lock arrives after its withdrawal, and finds the
// tombstone.
func TestAnAcquireAfterItsWithdrawalIsRefused(t *testing.T) {
	r := newRig(t)
	c := r.client(t, true)
	unlock(t, lockOf(t, c.Mutex("a")))
	tombstones := keyOf(DefaultPrefix, kindTombstones, "a")
	for i := range scaled(10, 200) {
		acquire := r.proxy.Hold(faultproxy.Script(acquireScript.source), 1)
		ctx, cancel := context.WithCancel(bg)
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
		eventually(t, "the withdrawal is executed", func() bool { return r.direct.ZCard(bg, tombstones).Val() == 1 })
		acquire.Release()
		patience, done := context.WithTimeout(bg, 10*time.Second)
		if err := acquire.Delivered(patience); err != nil {
			t.Fatal(err)
		}
		done()
		r.direct.Del(bg, tombstones)
		if left := keysLeft(t, r.direct); len(left) > 0 {
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
		die  func(r *rig)
	}{
		{"cut off", func(r *rig) { r.proxy.Cut(faultproxy.Refuse) }},
		{"stopped", func(r *rig) { r.proxy.Blackhole(faultproxy.Both) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			r := newRig(t)
			holder := r.client(t, false)
			lease := lockOf(t, holder.Mutex("a"))
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			dead := r.client(t, true, WithCheckInterval(interval))
			gone := make(chan error, 1)
			go func() { _, err := dead.Mutex("a").Lock(ctx); gone <- err }()
			awaitWaiters(t, holder.Mutex("a"), 1)
			next := r.client(t, false, WithCheckInterval(interval))
			got := make(chan *Lease)
			go func() { got <- lockOf(t, next.Mutex("a")) }()
			awaitWaiters(t, holder.Mutex("a"), 2)
			how.die(r)
			start := time.Now()
			unlock(t, lease)
			second := <-got
			if took := time.Since(start); took > 3*interval+interval+slack {
				t.Errorf("the next had the lock after %v; an entry lives %v", took, 3*interval)
			}
			cancel()
			<-gone
			unlock(t, second)
		})
	}
}

// Whatever the server forgets, a later token is greater.
func TestTokensRiseThoughTheServerForgets(t *testing.T) {
	r := newRig(t)
	c := r.client(t, false)
	last := Token(0)
	next := func(after string) {
		t.Helper()
		lease := lockOf(t, c.Mutex("a"))
		if lease.Token() <= last {
			t.Errorf("after %s: token %d, and %d before", after, lease.Token(), last)
		}
		last = lease.Token()
		_ = lease.Unlock(bg)
	}
	next("the start")
	next("an Unlock")
	r.direct.FlushAll(bg)
	next("FLUSHALL")
	lease := lockOf(t, c.Mutex("a"))
	last = lease.Token()
	c = r.client(t, false) // one that does not wait for the holder it knows
	r.direct.FlushAll(bg)
	next("FLUSHALL under a holder")
	if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
		t.Errorf("the earlier holder's Unlock says %v, want ErrLost", err)
	}
	r.server.Kill()
	if err := r.server.Restart(bg); err != nil {
		t.Fatal(err)
	}
	next("a restart without persistence")
	c = r.client(t, false)
	next("a restart, by another client")
}
