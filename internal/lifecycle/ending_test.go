package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/scripts"
)

// How a lease ends, and what becomes of its hold on the server.

func TestANormalEndIsNoLoss(t *testing.T) {
	const most = 10 * time.Second
	for _, test := range []struct {
		name string
		opts []relock.LockOption
		over relock.EndReason
		by   string // finds it
	}{
		{"a fixed lease", []relock.LockOption{relock.WithLease(most)}, relock.EndLease, "watchdog"},
		{"a fixed lease", []relock.LockOption{relock.WithLease(most)}, relock.EndLease, "Unlock"},
		{"a hold that is renewed", []relock.LockOption{relock.WithTTL(3 * time.Second), relock.WithMaxHold(most)}, relock.EndMaxHold, "watchdog"},
		{"a hold that needs no renewal", []relock.LockOption{relock.WithTTL(time.Minute), relock.WithMaxHold(most)}, relock.EndMaxHold, "watchdog"},
		{"a hold that needs no renewal", []relock.LockOption{relock.WithTTL(time.Minute), relock.WithMaxHold(most)}, relock.EndMaxHold, "Unlock"},
		{"a fixed lease within a longest hold", []relock.LockOption{relock.WithLease(most / 2), relock.WithMaxHold(most)}, relock.EndLease, "watchdog"},
	} {
		t.Run(test.name+", found by "+test.by, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				var log bytes.Buffer
				d := &behaviour.Diary{}
				c, _ := b.Client(relock.WithTracer(d), relock.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				d.Client = c
				lease := behaviour.LockOf(t, c.Mutex("a", test.opts...))
				began := time.Now()
				if test.by == "Unlock" {
					behaviour.ManagerOf(c).StopWatchdog()
				}
				for lease.Err() == nil { // until it is not renewed any more
					behaviour.Pass(time.Until(lease.ValidUntil()))
				}
				held := time.Since(began)
				if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
					t.Errorf("got %v from Unlock, want ErrLost", err)
				}
				synctest.Wait()
				if err := context.Cause(lease.Context()); !errors.Is(err, relock.ErrLost) || !errors.Is(lease.Err(), relock.ErrLost) {
					t.Errorf("got cause %v and %v, want ErrLost", err, lease.Err())
				}
				if st := c.Stats(); st.Ended != 1 || st.Lost != 0 || st.Held != 0 || st.Released != 0 {
					t.Errorf("got %+v, want one that ended", st)
				}
				if e := behaviour.Event[relock.Ended](t, d, "ended of a"); e.Reason != test.over || e.Held != held || e.Token != lease.Token() {
					t.Errorf("got %+v, want reason %q after %v", e, test.over, held)
				}
				if slices.Contains(d.Lines, "lost of a") || log.Len() > 0 {
					t.Errorf("got events %q and log %q", d.Lines, log.String())
				}
			})
		})
	}
}

// A watchdog lease whose renewals fail is lost, though WithMaxHold would have
// ended it later.
func TestALeaseWithinItsLongestHoldIsLostWhereNothingRenewsIt(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, wire := b.Client(relock.WithTracer(d))
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithMaxHold(time.Hour)))
		wire.CutOff()
		<-lease.Context().Done()
		synctest.Wait()
		if st := c.Stats(); st.Lost != 1 || st.Ended != 0 {
			t.Errorf("got %+v, want a loss", st)
		}
		if e := behaviour.Event[relock.Lost](t, d, "lost of a"); e.Reason != relock.LostExpired {
			t.Errorf("got %+v", e)
		}
	})
}

// What is left to run out runs to its end on the server, and costs nothing more;
// who waits for it has it then.
func TestAFixedLeaseHasItsWholeTimeOnTheServer(t *testing.T) {
	const length = 15 * time.Second
	for _, local := range []bool{true, false} {
		behaviour.InBubble(t, func(b *behaviour.Bubble) {
			c, wire := b.Client()
			waiter, _ := b.Client()
			if local {
				waiter = c
			}
			start := time.Now()
			lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(length)))
			before := wire.Writes.Load()
			if !local {
				<-lease.Context().Done()
				behaviour.Pass(time.Millisecond)
				if got := wire.Writes.Load() - before; got != 0 || !b.Server.Exists("relock:lock:{a}") {
					t.Errorf("%d requests at the end of a lease, want none", got)
				}
			}
			next := behaviour.LockOf(t, waiter.Mutex("a"))
			if took := time.Since(start); took < length || took > length+lifecycle.MinCheck {
				t.Errorf("by the same client %v: the next had the lock after %v of %v", local, took, length)
			}
			behaviour.Unlock(t, next)
		})
	}
}

// A copy of the acquire arrives when the lease has come to its end, and must not
// take the lock again for nobody.
func TestALateCopyOfAFixedLeasesAcquireIsRefused(t *testing.T) {
	for _, how := range []string{"over", "detached"} {
		t.Run(how, func(t *testing.T) {
			r := behaviour.NewRig(t)
			c := r.Client(t, true, relock.WithCallTimeout(200*time.Millisecond))
			behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
			late := r.Proxy.Hold(faultproxy.Script(scripts.Source("acquire.lua")), 1)
			lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(behaviour.Scaled(time.Second, 3*time.Second))))
			if how == "detached" {
				if err := lease.Detach(); err != nil {
					t.Fatal(err)
				}
			} else {
				<-lease.Context().Done()
			}
			tombstones := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindTombstones, "a")
			behaviour.Eventually(t, "the id is refused", func() bool { return r.Direct.ZCard(behaviour.Bg, tombstones).Val() == 1 })
			behaviour.AwaitClean(t, r.Direct) // the hold has run out
			late.Release()
			if err := late.Delivered(behaviour.Patience(t)); err != nil {
				t.Fatal(err)
			}
			if err := r.Direct.Ping(behaviour.Bg).Err(); err != nil {
				t.Fatal(err)
			}
			if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
				t.Errorf("a late copy left %q", left)
			}
		})
	}
}

// unansweredRenewals is an engine whose renewals are executed, and their answers lost.
type unansweredRenewals struct{ engine.Engine }

func (d unansweredRenewals) SendBatch(ctx context.Context, batch []engine.BatchItem) {
	for i, p := range batch {
		if p.Renew != nil {
			batch[i].Done = func(engine.Answer, error) { p.Done(engine.Answer{}, engine.ErrUnknown) }
		}
	}
	d.Engine.SendBatch(ctx, batch)
}

// The holder's lease is over by its clock, and the server has it yet, for a
// function of Do's that has not returned: it is nobody else's before that, or
// before the server's end.
func TestWhatDoLosesByItsDeadlineIsGivenBackWhenItsFunctionHasReturned(t *testing.T) {
	for _, test := range []struct {
		name  string
		opts  []relock.LockOption
		stays time.Duration // of the function, once its context has ended
	}{
		{"no answers", nil, 5 * time.Second},
		{"no answers, and it hangs", nil, 10 * time.Minute},
		{"the longest hold", []relock.LockOption{relock.WithMaxHold(25 * time.Second)}, 5 * time.Second},
		{"the longest hold, and it hangs", []relock.LockOption{relock.WithMaxHold(25 * time.Second)}, 10 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				c, _ := b.Client()
				other, _ := b.Client()
				if test.opts == nil {
					behaviour.ManagerOf(c).SetEngine(unansweredRenewals{behaviour.ManagerOf(c).Engine()})
				}
				over, returned := make(chan time.Time, 1), make(chan time.Time, 1)
				go func() {
					err := relock.Do(behaviour.Bg, c.Mutex("a", test.opts...), func(ctx context.Context, _ *relock.Lease) error {
						<-ctx.Done()
						over <- time.Now()
						behaviour.Pass(test.stays)
						returned <- time.Now()
						return nil
					})
					if !errors.Is(err, relock.ErrLost) {
						t.Errorf("Do says %v, want ErrLost", err)
					}
				}()
				synctest.Wait()
				next := patientLock(t, other.Mutex("a"))
				had, lost := time.Now(), <-over
				select {
				case at := <-returned:
					if had.Before(at) || had.Sub(at) > time.Second || test.stays > time.Minute {
						t.Errorf("another had the lock %v after the function returned", had.Sub(at))
					}
				default:
					// The last renewal was sent, at the latest, when the lease ended.
					if after := had.Sub(lost); test.stays < time.Minute || after < behaviour.TTL/3 || after > behaviour.TTL+2*lifecycle.MinCheck {
						t.Errorf("another had the lock %v after the loss, while the function runs, want at the server's end", after)
					}
				}
				behaviour.Unlock(t, next)
				behaviour.Pass(time.Second)
				if n := behaviour.ManagerOf(c).Tasks(); n > 0 {
					t.Errorf("%d tasks wait for the function after the server's end", n)
				}
				behaviour.Pass(test.stays)
			})
		})
	}
}

func patientLock(t *testing.T, l relock.Locker) *relock.Lease {
	t.Helper()
	lease, err := l.Lock(behaviour.Bg)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// "Not yours" is no time to wait: the hold is another's, or nobody's.
func TestWhatTheServerTookAwayIsWithdrawnThoughDosFunctionRuns(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		ctx, cancel := context.WithCancel(behaviour.Bg)
		go func() {
			_ = relock.Do(behaviour.Bg, c.Mutex("a"), func(inner context.Context, l *relock.Lease) error {
				b.Server.Del("relock:lock:{a}")
				<-inner.Done()
				behaviour.HoldOf(l).AddInFlight(1) // so that its withdrawal can be seen
				<-ctx.Done()
				return nil
			})
		}()
		behaviour.Pass(behaviour.TTL)
		synctest.Wait()
		defer cancel()
		if n := behaviour.ManagerOf(c).Tasks(); n > 0 {
			t.Errorf("%d tasks wait", n)
		}
	})
}

// Close does not wait for a function of Do's that hangs.
func TestCloseWaitsForNoFunction(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		direct := b.Rdb
		behaviour.ManagerOf(c).SetEngine(unansweredRenewals{behaviour.ManagerOf(c).Engine()})
		hang := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = relock.Do(behaviour.Bg, c.Mutex("a"), func(context.Context, *relock.Lease) error { <-hang; return nil })
		}()
		behaviour.Pass(behaviour.TTL)
		synctest.Wait()
		if direct.Exists(behaviour.Bg, "relock:lock:{a}").Val() == 0 {
			t.Error("the lock was given back while the function runs")
		}
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("Close took %v", took)
		}
		if direct.Exists(behaviour.Bg, "relock:lock:{a}").Val() > 0 {
			t.Error("the lock is left")
		}
		close(hang)
		<-done
	})
}

// One member is lost; what protects the rest of the function's work is held for it.
func TestTheRestOfALockOfSeveralIsHeldUntilDosFunctionHasReturned(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		go func() {
			err := relock.Do(behaviour.Bg, behaviour.CompositeOf(t, c.Mutex("a"), c.Mutex("b")), func(ctx context.Context, _ *relock.Lease) error {
				b.Server.Del("relock:lock:{a}")
				<-ctx.Done()
				behaviour.Pass(10 * behaviour.TTL)
				if _, err := other.Mutex("b").TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
					t.Errorf("another's TryLock says %v while the function runs", err)
				}
				return nil
			})
			if !errors.Is(err, relock.ErrLost) {
				t.Errorf("Do says %v, want ErrLost", err)
			}
			behaviour.Unlock(t, behaviour.LockOf(t, other.Mutex("b")))
			behaviour.WantStats(t, "of two", withoutRenewals(c.Stats()), relock.Stats{Acquired: 2, Lost: 1, Released: 1})
		}()
		behaviour.Pass(20 * behaviour.TTL)
	})
}

func withoutRenewals(s relock.Stats) relock.Stats {
	s.Renewals, s.RenewFailures = 0, 0
	return s
}

// A member that came to its end ends the whole, and leaves the others to theirs:
// but one that the watchdog would keep for ever is given back.
func TestAMembersNormalEndLeavesTheOtherFixedOnesToTheirs(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, _ := b.Client(relock.WithTracer(d))
		start := time.Now()
		whole := behaviour.LockOf(t, behaviour.CompositeOf(t, c.Mutex("a", relock.WithLease(4*time.Second)), c.Mutex("b", relock.WithLease(7*time.Second)), c.Mutex("c")))
		<-whole.Context().Done()
		synctest.Wait()
		if took := time.Since(start); took > 4*time.Second || !errors.Is(whole.Err(), relock.ErrLost) {
			t.Errorf("ended after %v with %v", took, whole.Err())
		}
		behaviour.WantStats(t, "the first is over", withoutRenewals(c.Stats()), relock.Stats{Held: 1, Acquired: 3, Ended: 1, Released: 1})
		if b.Server.Exists("relock:lock:{c}") || !b.Server.Exists("relock:lock:{b}") {
			t.Errorf("keys left: %q", b.Server.Keys())
		}
		for _, name := range []string{"a", "b"} {
			next := behaviour.LockOf(t, c.Mutex(name))
			want := 4 * time.Second
			if name == "b" {
				want = 7 * time.Second
			}
			if took := time.Since(start); took < want || took > want+50*time.Millisecond {
				t.Errorf("%s was taken %v after the start, want %v", name, took, want)
			}
			behaviour.Unlock(t, next)
		}
		behaviour.WantStats(t, "all are over", withoutRenewals(c.Stats()), relock.Stats{Acquired: 5, Ended: 2, Released: 3, CheckIns: 2})
		for _, name := range []string{"a", "b"} {
			if e := behaviour.Event[relock.Ended](t, d, "ended of "+name); e.Reason != relock.EndLease {
				t.Errorf("got %+v", e)
			}
		}
		if slices.Contains(d.Lines, "lost of a") || slices.Contains(d.Lines, "lost of b") {
			t.Errorf("got %q", d.Lines)
		}
	})
}

// Whoever unlocks a whole that has ended gives back the rest of it.
func TestUnlockGivesBackTheRestOfAWholeThatHasEnded(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		whole := behaviour.LockOf(t, behaviour.CompositeOf(t, c.Mutex("a", relock.WithLease(4*time.Second)), c.Mutex("b", relock.WithLease(time.Hour))))
		<-whole.Context().Done()
		if err := whole.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		if b.Server.Exists("relock:lock:{b}") {
			t.Error("the rest is left")
		}
	})
}

// The server may have given it an hour, though nobody said so.
func TestALeaseWhoseExtendHadNoAnswerIsWithdrawn(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, true, relock.WithCallTimeout(100*time.Millisecond))
	lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(time.Second)))
	if err := r.Direct.ScriptLoad(behaviour.Bg, scripts.Source("renew.lua")).Err(); err != nil {
		t.Fatal(err)
	}
	drop := r.Proxy.DropReply(faultproxy.Script(scripts.Source("renew.lua")), 0, faultproxy.Close)
	if err := lease.Extend(behaviour.Bg, time.Hour); err == nil || errors.Is(err, relock.ErrLost) {
		t.Errorf("got %v from an Extend whose answers are lost", err)
	}
	drop.Remove()
	<-lease.Context().Done()
	behaviour.AwaitClean(t, r.Direct)
	if st := c.Stats(); st.Ended != 1 || st.Lost != 0 {
		t.Errorf("got %+v, want a normal end", st)
	}
}

func TestALateCopyOfADetachedLeasesAcquireDoesNotEndIt(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, true, relock.WithCallTimeout(200*time.Millisecond))
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	late := r.Proxy.Hold(faultproxy.Script(scripts.Source("acquire.lua")), 1)
	lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(time.Minute)))
	if err := lease.Detach(); err != nil {
		t.Fatal(err)
	}
	behaviour.Eventually(t, "the id is refused", func() bool {
		return r.Direct.ZCard(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindTombstones, "a")).Val() == 1
	})
	before := r.Direct.PTTL(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, "a")).Val()
	late.Release()
	if err := late.Delivered(behaviour.Patience(t)); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Mutex("a").Status(behaviour.Bg); err != nil || st.Token != lease.Token() || st.TTL > before {
		t.Errorf("got %+v, %v; want the hold as it was, with %v left at most", st, err, before)
	}
}
