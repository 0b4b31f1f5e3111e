package relock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// What a minimum does for those who hold and wait, in virtual time.

const minHold = 2 * time.Second

// wantKept checks that the lock is kept now, and for how long.
func (b *bubble) wantKept(c *Client, name string, left time.Duration) {
	b.t.Helper()
	st, err := c.Mutex(name).Status(bg)
	if err != nil {
		b.t.Fatal(err)
	}
	if !st.Held || st.Owner != KeptOwner || st.Count != 1 || st.TTL > left+time.Millisecond || st.TTL < left-10*time.Millisecond {
		b.t.Errorf("got %+v, want a lock that is kept for %v", st, left)
	}
}

func (b *bubble) wantFree(c *Client, name string) {
	b.t.Helper()
	synctest.Wait()
	if st, err := c.Mutex(name).Status(bg); err != nil || st.Held {
		b.t.Errorf("got %+v, %v, want the lock free", st, err)
	}
}

// A job of three hosts whose clocks are 0.3 s apart.
func runsInAFleet(t *testing.T, hosts []*Client, opts ...LockOption) (runs int) {
	t.Helper()
	for _, c := range hosts {
		err := Do(bg, c.Mutex("job", append(opts, WithWait(0))...), func(context.Context, *Lease) error {
			runs++
			pass(100 * time.Millisecond)
			return nil
		})
		if err != nil && !errors.Is(err, ErrNotAcquired) {
			t.Fatal(err)
		}
		pass(300 * time.Millisecond)
	}
	return runs
}

func TestAJobRunsOnceInAFleet(t *testing.T) {
	inBubble(t, func(b *bubble) {
		var hosts []*Client
		for range 3 {
			c, _ := b.client()
			hosts = append(hosts, c)
		}
		if got := runsInAFleet(t, hosts); got != 3 {
			t.Errorf("without a minimum it ran %d times, want once a host", got)
		}
		for period := range 3 {
			if got := runsInAFleet(t, hosts, WithMinHold(minHold)); got != 1 {
				t.Errorf("period %d: it ran %d times, want once", period, got)
			}
			pass(minHold)
		}
	})
}

func TestTheEndOfALeaseKeepsItsMinimum(t *testing.T) {
	const long = 10 * time.Second
	for name, c := range map[string]struct {
		opts []LockOption
		end  func(t *testing.T, c *Client, w *wire, l *Lease)
	}{
		"Unlock": {nil, func(t *testing.T, _ *Client, _ *wire, l *Lease) { unlock(t, l) }},
		"Unlock with a ctx that is over": {nil, func(_ *testing.T, _ *Client, _ *wire, l *Lease) {
			ctx, cancel := context.WithCancel(bg)
			cancel()
			_ = l.Unlock(ctx)
		}},
		"an Unlock that does not arrive, of a TTL below the minimum": {
			[]LockOption{WithTTL(time.Second)},
			func(_ *testing.T, _ *Client, w *wire, l *Lease) { w.cutOff(); _ = l.Unlock(bg) },
		},
		"Close": {nil, func(t *testing.T, c *Client, _ *wire, _ *Lease) {
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 0 {
				t.Errorf("Close took %v", took)
			}
		}},
		"Close right after Unlock": {nil, func(t *testing.T, c *Client, _ *wire, l *Lease) {
			unlock(t, l)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}},
		"the end of a fixed lease": {
			[]LockOption{WithLease(time.Second)},
			func(_ *testing.T, _ *Client, _ *wire, l *Lease) { <-l.Context().Done() },
		},
		"WithMaxHold's end": {
			[]LockOption{WithTTL(time.Second), WithMaxHold(long)},
			func(t *testing.T, _ *Client, _ *wire, l *Lease) { unlock(t, l) },
		},
		"a loss by deadline": {
			[]LockOption{WithTTL(time.Second)},
			func(_ *testing.T, _ *Client, w *wire, l *Lease) { w.cutOff(); <-l.Context().Done() },
		},
		"a death": {nil, func(_ *testing.T, _ *Client, w *wire, _ *Lease) { w.cutOff() }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				client, wire := b.client()
				other, _ := b.client()
				want := long
				start := time.Now()
				lease := lockOf(t, client.Mutex("a", append(c.opts, WithMinHold(long))...))
				pass(100 * time.Millisecond)
				c.end(t, client, wire, lease)
				if name == "a death" {
					want = DefaultTTL // which is longer
				}
				next, err := other.Mutex("a").Lock(bg)
				if err != nil {
					t.Fatal(err)
				}
				if late := time.Since(start) - want; late < 0 || late > 3*minCheck {
					t.Errorf("another had the lock %v after the grant, want it after %v", time.Since(start), want)
				}
				unlock(t, next)
				synctest.Wait()
				if n := len(client.host.ends); n > 0 {
					t.Errorf("%d minimums are still to be announced", n)
				}
			})
		})
	}
}

// The server grants for the minimum; the lease is valid for its TTL.
func TestALeaseIsBelievedForItsTTLWhateverItsMinimum(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		within := func(l *Lease) {
			t.Helper()
			if left := time.Until(l.ValidUntil()); left > ttl-engine.Drift(ttl) || left <= 0 {
				t.Errorf("valid for %v, want no more than a TTL of %v", left, ttl)
			}
		}
		lease := lockOf(t, c.Mutex("a", WithMinHold(time.Hour)))
		within(lease)
		for range 20 {
			pass(5 * time.Second)
			within(lease)
		}
		if err := lease.Extend(bg, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := time.Until(lease.ValidUntil()); got < time.Minute || got > spanning(time.Minute) {
			t.Errorf("extended, it is valid for %v", got)
		}
		if left := b.server.TTL("relock:lock:{a}"); left < time.Hour-2*time.Minute {
			t.Errorf("the server has it for %v", left)
		}
		both, err := compositeOf(t, c.Mutex("x", WithMinHold(time.Hour), WithLease(ttl)), c.Mutex("y")).Lock(bg)
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
		inBubble(t, func(b *bubble) {
			holder, _ := b.client()
			c, wire := b.client()
			other, _ := b.client()
			opts := []LockOption{WithMinHold(time.Minute), WithTTL(20 * time.Second)}
			if fixed {
				opts[1] = WithLease(time.Second)
			}
			lease := lockOf(t, holder.Mutex("a"))
			had := make(chan *Lease, 1)
			go func() { had <- lockOf(t, c.Mutex("a", opts...)) }()
			synctest.Wait()
			start := time.Now()
			unlock(t, lease)
			<-had
			wire.cutOff()
			next, err := other.Mutex("a").Lock(bg)
			if err != nil {
				t.Fatal(err)
			}
			unlock(t, next)
			if got := time.Since(start); got < time.Minute || got > time.Minute+3*minCheck {
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
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		waiters, _ := b.clients(2)
		c.host.eng = &lostReply{Engine: c.host.eng}
		start := time.Now()
		lease := lockOf(t, c.Mutex("a", WithMinHold(minHold)))
		turns := queueUp(t, start, append(waiters, c)...)
		unlock(t, lease)
		b.wantKept(c, "a", minHold-time.Since(start))
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
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		waiters, _ := b.clients(1)
		c.host.eng = &refusedRelease{Engine: c.host.eng}
		start := time.Now()
		lease := lockOf(t, c.Mutex("a", WithMinHold(minHold)))
		turns := queueUp(t, start, waiters...)
		if err := lease.Unlock(bg); err == nil {
			t.Error("Unlock does not tell that it was refused")
		}
		synctest.Wait()
		b.wantKept(c, "a", minHold-time.Since(start))
		wantTurns(t, turns, minHold, 0)
	})
}

func TestForceUnlockFreesAKeptLockAtOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		waiters, _ := b.clients(1)
		start := time.Now()
		unlock(t, lockOf(t, c.Mutex("a", WithMinHold(time.Hour))))
		turns := queueUp(t, start, waiters...)
		forced := time.Since(start)
		if freed, err := c.Mutex("a").ForceUnlock(bg); !freed || err != nil {
			t.Fatal(freed, err)
		}
		wantTurns(t, turns, forced, 0)
	})
}

func TestACompositeKeepsItsMembersMinimums(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		other, _ := b.client()
		lease, err := compositeOf(t, c.Mutex("a", WithMinHold(minHold)), c.Mutex("b"), other.Mutex("c", WithMinHold(time.Minute), WithLease(ttl))).Lock(bg)
		if err != nil {
			t.Fatal(err)
		}
		unlock(t, lease)
		b.wantKept(c, "a", minHold)
		b.wantFree(c, "b")
		b.wantKept(c, "c", time.Minute)
	})
}

// A closed client has nothing to announce, and sends nothing.
func TestCloseLeavesMinimumsToTheServer(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client()
		other, _ := b.client()
		unlock(t, lockOf(t, c.Mutex("a", WithMinHold(minHold))))
		lockOf(t, c.Mutex("b", WithMinHold(minHold)))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(c.host.ends); n > 0 {
			t.Errorf("%d minimums are to be announced yet", n)
		}
		b.wantKept(other, "a", minHold)
		b.wantKept(other, "b", minHold)
		before := wire.writes.Load()
		pass(2 * minHold)
		if got := wire.writes.Load() - before; got > 0 {
			t.Errorf("%d requests of a closed client", got)
		}
	})
}

func TestCloseDoesNotWaitForTheEndOfAMinimum(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client()
		unlock(t, lockOf(t, c.Mutex("a", WithMinHold(minHold))))
		wire.cutOff()
		pass(minHold + time.Second) // it is being announced
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v, though it left nothing but a minimum that is over", err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("Close took %v", took)
		}
	})
}
