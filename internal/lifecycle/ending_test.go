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
