package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// What a minimum does for those who hold and wait, in virtual time.

const minHold = 2 * time.Second

// A job of three hosts whose clocks are 0.3 s apart.
func runsInAFleet(t *testing.T, hosts []*relock.Client, opts ...relock.LockOption) (runs int) {
	t.Helper()
	for _, c := range hosts {
		err := relock.Do(behaviour.Bg, c.Mutex("job", append(opts, relock.WithWait(0))...), func(context.Context, *relock.Lease) error {
			runs++
			behaviour.Pass(100 * time.Millisecond)
			return nil
		})
		if err != nil && !errors.Is(err, relock.ErrNotAcquired) {
			t.Fatal(err)
		}
		behaviour.Pass(300 * time.Millisecond)
	}
	return runs
}

func TestAJobRunsOnceInAFleet(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		var hosts []*relock.Client
		for range 3 {
			c, _ := b.Client()
			hosts = append(hosts, c)
		}
		if got := runsInAFleet(t, hosts); got != 3 {
			t.Errorf("without a minimum it ran %d times, want once a host", got)
		}
		for period := range 3 {
			if got := runsInAFleet(t, hosts, relock.WithMinHold(minHold)); got != 1 {
				t.Errorf("period %d: it ran %d times, want once", period, got)
			}
			behaviour.Pass(minHold)
		}
	})
}

func TestTheEndOfALeaseKeepsItsMinimum(t *testing.T) {
	const long = 10 * time.Second
	for name, c := range map[string]struct {
		opts []relock.LockOption
		end  func(t *testing.T, c *relock.Client, w *behaviour.Wire, l *relock.Lease)
	}{
		"Unlock": {nil, func(t *testing.T, _ *relock.Client, _ *behaviour.Wire, l *relock.Lease) { behaviour.Unlock(t, l) }},
		"Unlock with a ctx that is over": {nil, func(_ *testing.T, _ *relock.Client, _ *behaviour.Wire, l *relock.Lease) {
			ctx, cancel := context.WithCancel(behaviour.Bg)
			cancel()
			_ = l.Unlock(ctx)
		}},
		"an Unlock that does not arrive, of a TTL below the minimum": {
			[]relock.LockOption{relock.WithTTL(time.Second)},
			func(_ *testing.T, _ *relock.Client, w *behaviour.Wire, l *relock.Lease) {
				w.CutOff()
				_ = l.Unlock(behaviour.Bg)
			},
		},
		"Close": {nil, func(t *testing.T, c *relock.Client, _ *behaviour.Wire, _ *relock.Lease) {
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 0 {
				t.Errorf("Close took %v", took)
			}
		}},
		"Close right after Unlock": {nil, func(t *testing.T, c *relock.Client, _ *behaviour.Wire, l *relock.Lease) {
			behaviour.Unlock(t, l)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}},
		"the end of a fixed lease": {
			[]relock.LockOption{relock.WithLease(time.Second)},
			func(_ *testing.T, _ *relock.Client, _ *behaviour.Wire, l *relock.Lease) { <-l.Context().Done() },
		},
		"WithMaxHold's end": {
			[]relock.LockOption{relock.WithTTL(time.Second), relock.WithMaxHold(long)},
			func(t *testing.T, _ *relock.Client, _ *behaviour.Wire, l *relock.Lease) { behaviour.Unlock(t, l) },
		},
		"a loss by deadline": {
			[]relock.LockOption{relock.WithTTL(time.Second)},
			func(_ *testing.T, _ *relock.Client, w *behaviour.Wire, l *relock.Lease) {
				w.CutOff()
				<-l.Context().Done()
			},
		},
		"a death": {nil, func(_ *testing.T, _ *relock.Client, w *behaviour.Wire, _ *relock.Lease) { w.CutOff() }},
	} {
		t.Run(name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				client, wire := b.Client()
				other, _ := b.Client()
				want := long
				start := time.Now()
				lease := behaviour.LockOf(t, client.Mutex("a", append(c.opts, relock.WithMinHold(long))...))
				behaviour.Pass(100 * time.Millisecond)
				c.end(t, client, wire, lease)
				if name == "a death" {
					want = relock.DefaultTTL // which is longer
				}
				next, err := other.Mutex("a").Lock(behaviour.Bg)
				if err != nil {
					t.Fatal(err)
				}
				if late := time.Since(start) - want; late < 0 || late > 3*lifecycle.MinCheck {
					t.Errorf("another had the lock %v after the grant, want it after %v", time.Since(start), want)
				}
				behaviour.Unlock(t, next)
				synctest.Wait()
				if n := behaviour.ManagerOf(client).Ends(); n > 0 {
					t.Errorf("%d minimums are still to be announced", n)
				}
			})
		})
	}
}

// The server grants for the minimum; the lease is valid for its TTL.
func TestALeaseIsBelievedForItsTTLWhateverItsMinimum(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		within := func(l *relock.Lease) {
			t.Helper()
			if left := time.Until(l.ValidUntil()); left > behaviour.TTL-engine.Drift(behaviour.TTL) || left <= 0 {
				t.Errorf("valid for %v, want no more than a TTL of %v", left, behaviour.TTL)
			}
		}
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(time.Hour)))
		within(lease)
		for range 20 {
			behaviour.Pass(5 * time.Second)
			within(lease)
		}
		if err := lease.Extend(behaviour.Bg, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := time.Until(lease.ValidUntil()); got < time.Minute || got > lifecycle.Spanning(time.Minute) {
			t.Errorf("extended, it is valid for %v", got)
		}
		if left := b.Server.TTL("relock:lock:{a}"); left < time.Hour-2*time.Minute {
			t.Errorf("the server has it for %v", left)
		}
		both, err := behaviour.CompositeOf(t, c.Mutex("x", relock.WithMinHold(time.Hour), relock.WithLease(behaviour.TTL)), c.Mutex("y")).Lock(behaviour.Bg)
		if err != nil {
			t.Fatal(err)
		}
		within(both)
	})
}

// A grant by message lives no longer than its waiter's entry until it is renewed,
// which may be shorter than the minimum.
func TestAGrantByMessageHasItsMinimumWhenLockReturns(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		behaviour.InBubble(t, func(b *behaviour.Bubble) {
			holder, _ := b.Client()
			c, wire := b.Client()
			other, _ := b.Client()
			opts := []relock.LockOption{relock.WithMinHold(time.Minute), relock.WithTTL(20 * time.Second)}
			if fixed {
				opts[1] = relock.WithLease(time.Second)
			}
			lease := behaviour.LockOf(t, holder.Mutex("a"))
			had := make(chan *relock.Lease, 1)
			go func() { had <- behaviour.LockOf(t, c.Mutex("a", opts...)) }()
			synctest.Wait()
			start := time.Now()
			behaviour.Unlock(t, lease)
			<-had
			wire.CutOff()
			next, err := other.Mutex("a").Lock(behaviour.Bg)
			if err != nil {
				t.Fatal(err)
			}
			behaviour.Unlock(t, next)
			if got := time.Since(start); got < time.Minute || got > time.Minute+3*lifecycle.MinCheck {
				t.Errorf("another had the lock after %v", got)
			}
		})
	}
}

// lostReply has the first release executed, and its reply lost.
type lostReply struct {
	engine.Engine
	once sync.Once
}

func (e *lostReply) Release(ctx context.Context, r *engine.Release) (rel engine.Released, err error) {
	rel, err = e.Engine.Release(ctx, r)
	e.once.Do(func() { rel, err = engine.Released{}, engine.ErrUnknown })
	return rel, err
}

func TestALostReplyToUnlockKeepsTheMinimum(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		waiters, _ := b.Clients(2)
		behaviour.ManagerOf(c).SetEngine(&lostReply{Engine: behaviour.ManagerOf(c).Engine()})
		start := time.Now()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(minHold)))
		turns := queueUp(t, start, append(waiters, c)...)
		behaviour.Unlock(t, lease)
		b.WantKept(c, "a", minHold-time.Since(start))
		wantTurns(t, turns, minHold, 0, 1, 2)
	})
}

// refusedRelease has the first release refused.
type refusedRelease struct {
	engine.Engine
	once sync.Once
}

func (e *refusedRelease) Release(ctx context.Context, r *engine.Release) (rel engine.Released, err error) {
	e.once.Do(func() { err = errors.New("refused") })
	if err != nil {
		return rel, err
	}
	return e.Engine.Release(ctx, r)
}

func TestAnUnlockThatGoesOnInTheBackgroundKeepsTheMinimum(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		waiters, _ := b.Clients(1)
		behaviour.ManagerOf(c).SetEngine(&refusedRelease{Engine: behaviour.ManagerOf(c).Engine()})
		start := time.Now()
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(minHold)))
		turns := queueUp(t, start, waiters...)
		if err := lease.Unlock(behaviour.Bg); err == nil {
			t.Error("Unlock does not tell that it was refused")
		}
		synctest.Wait()
		b.WantKept(c, "a", minHold-time.Since(start))
		wantTurns(t, turns, minHold, 0)
	})
}

func TestForceUnlockFreesAKeptLockAtOnce(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		waiters, _ := b.Clients(1)
		start := time.Now()
		behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(time.Hour))))
		turns := queueUp(t, start, waiters...)
		forced := time.Since(start)
		if freed, err := c.Mutex("a").ForceUnlock(behaviour.Bg); !freed || err != nil {
			t.Fatal(freed, err)
		}
		wantTurns(t, turns, forced, 0)
	})
}

func TestACompositeKeepsItsMembersMinimums(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		lease, err := behaviour.CompositeOf(t, c.Mutex("a", relock.WithMinHold(minHold)), c.Mutex("b"), other.Mutex("c", relock.WithMinHold(time.Minute), relock.WithLease(behaviour.TTL))).Lock(behaviour.Bg)
		if err != nil {
			t.Fatal(err)
		}
		behaviour.Unlock(t, lease)
		b.WantKept(c, "a", minHold)
		b.WantFree(c, "b")
		b.WantKept(c, "c", time.Minute)
	})
}

// A closed client has nothing to announce, and sends nothing.
func TestCloseLeavesMinimumsToTheServer(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client()
		other, _ := b.Client()
		behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(minHold))))
		behaviour.LockOf(t, c.Mutex("b", relock.WithMinHold(minHold)))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if n := behaviour.ManagerOf(c).Ends(); n > 0 {
			t.Errorf("%d minimums are to be announced yet", n)
		}
		b.WantKept(other, "a", minHold)
		b.WantKept(other, "b", minHold)
		before := wire.Writes.Load()
		behaviour.Pass(2 * minHold)
		if got := wire.Writes.Load() - before; got > 0 {
			t.Errorf("%d requests of a closed client", got)
		}
	})
}

func TestCloseDoesNotWaitForTheEndOfAMinimum(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client()
		behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a", relock.WithMinHold(minHold))))
		wire.CutOff()
		behaviour.Pass(minHold + time.Second) // it is being announced
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v, though it left nothing but a minimum that is over", err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("Close took %v", took)
		}
	})
}
