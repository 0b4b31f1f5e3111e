package relock

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
)

// How a lease ends, and what becomes of its hold on the server.

func TestANormalEndIsNoLoss(t *testing.T) {
	const most = 10 * time.Second
	for _, test := range []struct {
		name string
		opts []LockOption
		over EndReason
		by   string // finds it
	}{
		{"a fixed lease", []LockOption{WithLease(most)}, EndLease, "watchdog"},
		{"a fixed lease", []LockOption{WithLease(most)}, EndLease, "Unlock"},
		{"a hold that is renewed", []LockOption{WithTTL(3 * time.Second), WithMaxHold(most)}, EndMaxHold, "watchdog"},
		{"a hold that needs no renewal", []LockOption{WithTTL(time.Minute), WithMaxHold(most)}, EndMaxHold, "watchdog"},
		{"a hold that needs no renewal", []LockOption{WithTTL(time.Minute), WithMaxHold(most)}, EndMaxHold, "Unlock"},
		{"a fixed lease within a longest hold", []LockOption{WithLease(most / 2), WithMaxHold(most)}, EndLease, "watchdog"},
	} {
		t.Run(test.name+", found by "+test.by, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				var log bytes.Buffer
				d := &diary{}
				c, _ := b.client(WithTracer(d), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				d.client = c
				lease := lockOf(t, c.Mutex("a", test.opts...))
				began := time.Now()
				if test.by == "Unlock" {
					c.host.dog.stop()
				}
				for lease.Err() == nil { // until it is not renewed any more
					pass(time.Until(lease.ValidUntil()))
				}
				held := time.Since(began)
				if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
					t.Errorf("got %v from Unlock, want ErrLost", err)
				}
				synctest.Wait()
				if err := context.Cause(lease.Context()); !errors.Is(err, ErrLost) || !errors.Is(lease.Err(), ErrLost) {
					t.Errorf("got cause %v and %v, want ErrLost", err, lease.Err())
				}
				if st := c.Stats(); st.Ended != 1 || st.Lost != 0 || st.Held != 0 || st.Released != 0 {
					t.Errorf("got %+v, want one that ended", st)
				}
				if e := event[Ended](t, d, "ended of a"); e.Reason != test.over || e.Held != held || e.Token != lease.Token() {
					t.Errorf("got %+v, want reason %q after %v", e, test.over, held)
				}
				if slices.Contains(d.lines, "lost of a") || log.Len() > 0 {
					t.Errorf("got events %q and log %q", d.lines, log.String())
				}
			})
		})
	}
}

// A watchdog lease whose renewals fail is lost, though WithMaxHold would have
// ended it later.
func TestALeaseWithinItsLongestHoldIsLostWhereNothingRenewsIt(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, wire := b.client(WithTracer(d))
		lease := lockOf(t, c.Mutex("a", WithMaxHold(time.Hour)))
		wire.cutOff()
		<-lease.Context().Done()
		synctest.Wait()
		if st := c.Stats(); st.Lost != 1 || st.Ended != 0 {
			t.Errorf("got %+v, want a loss", st)
		}
		if e := event[Lost](t, d, "lost of a"); e.Reason != LostExpired {
			t.Errorf("got %+v", e)
		}
	})
}

// What is left to run out runs to its end on the server, and costs nothing more;
// who waits for it has it then.
func TestAFixedLeaseHasItsWholeTimeOnTheServer(t *testing.T) {
	const length = 15 * time.Second
	for _, local := range []bool{true, false} {
		inBubble(t, func(b *bubble) {
			c, wire := b.client()
			waiter, _ := b.client()
			if local {
				waiter = c
			}
			start := time.Now()
			lease := lockOf(t, c.Mutex("a", WithLease(length)))
			before := wire.writes.Load()
			if !local {
				<-lease.Context().Done()
				pass(time.Millisecond)
				if got := wire.writes.Load() - before; got != 0 || !b.server.Exists("relock:lock:{a}") {
					t.Errorf("%d requests at the end of a lease, want none", got)
				}
			}
			next := lockOf(t, waiter.Mutex("a"))
			if took := time.Since(start); took < length || took > length+minCheck {
				t.Errorf("by the same client %v: the next had the lock after %v of %v", local, took, length)
			}
			unlock(t, next)
		})
	}
}

// A copy of the acquire arrives when the lease has come to its end, and must not
// take the lock again for nobody.
func TestALateCopyOfAFixedLeasesAcquireIsRefused(t *testing.T) {
	for _, how := range []string{"over", "detached"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t)
			c := r.client(t, true, WithCallTimeout(200*time.Millisecond))
			unlock(t, lockOf(t, c.Mutex("a")))
			late := r.proxy.Hold(faultproxy.Script(acquireScript.source), 1)
			lease := lockOf(t, c.Mutex("a", WithLease(scaled(time.Second, 3*time.Second))))
			if how == "detached" {
				if err := lease.Detach(); err != nil {
					t.Fatal(err)
				}
			} else {
				<-lease.Context().Done()
			}
			tombstones := keyOf(DefaultPrefix, kindTombstones, "a")
			eventually(t, "the id is refused", func() bool { return r.direct.ZCard(bg, tombstones).Val() == 1 })
			awaitClean(t, r.direct) // the hold has run out
			late.Release()
			if err := late.Delivered(patience(t)); err != nil {
				t.Fatal(err)
			}
			if err := r.direct.Ping(bg).Err(); err != nil {
				t.Fatal(err)
			}
			if left := keysLeft(t, r.direct); len(left) > 0 {
				t.Errorf("a late copy left %q", left)
			}
		})
	}
}

// deafToRenewals is an engine whose renewals are executed, and their answers lost.
type deafToRenewals struct{ engine.Engine }

func (d deafToRenewals) Pulse(ctx context.Context, batch []engine.Pulse) {
	for i, p := range batch {
		if p.Renew != nil {
			batch[i].Done = func(engine.Answer, error) { p.Done(engine.Answer{}, engine.ErrUnknown) }
		}
	}
	d.Engine.Pulse(ctx, batch)
}

// The holder's lease is over by its clock, and the server has it yet, for a
// function of Do's that has not returned: it is nobody else's before that, or
// before the server's end.
func TestWhatDoLosesByItsDeadlineIsGivenBackWhenItsFunctionHasReturned(t *testing.T) {
	for _, test := range []struct {
		name  string
		opts  []LockOption
		stays time.Duration // of the function, once its context has ended
	}{
		{"no answers", nil, 5 * time.Second},
		{"no answers, and it hangs", nil, 10 * time.Minute},
		{"the longest hold", []LockOption{WithMaxHold(25 * time.Second)}, 5 * time.Second},
		{"the longest hold, and it hangs", []LockOption{WithMaxHold(25 * time.Second)}, 10 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				c, _ := b.client()
				other, _ := b.client()
				if test.opts == nil {
					c.host.eng = deafToRenewals{c.host.eng}
				}
				over, returned := make(chan time.Time, 1), make(chan time.Time, 1)
				go func() {
					err := Do(bg, c.Mutex("a", test.opts...), func(ctx context.Context, _ *Lease) error {
						<-ctx.Done()
						over <- time.Now()
						pass(test.stays)
						returned <- time.Now()
						return nil
					})
					if !errors.Is(err, ErrLost) {
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
					if after := had.Sub(lost); test.stays < time.Minute || after < ttl/3 || after > ttl+2*minCheck {
						t.Errorf("another had the lock %v after the loss, while the function runs, want at the server's end", after)
					}
				}
				unlock(t, next)
				pass(time.Second)
				c.host.mu.Lock()
				if c.host.tasks > 0 {
					t.Errorf("%d tasks wait for the function after the server's end", c.host.tasks)
				}
				c.host.mu.Unlock()
				pass(test.stays)
			})
		})
	}
}

func patientLock(t *testing.T, l Locker) *Lease {
	t.Helper()
	lease, err := l.Lock(bg)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// "Not yours" is no time to wait: the hold is another's, or nobody's.
func TestWhatTheServerTookAwayIsWithdrawnThoughDosFunctionRuns(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		ctx, cancel := context.WithCancel(bg)
		go func() {
			_ = Do(bg, c.Mutex("a"), func(inner context.Context, l *Lease) error {
				b.server.Del("relock:lock:{a}")
				<-inner.Done()
				l.o.(*hold).unsure.Add(1) // so that its withdrawal can be seen
				<-ctx.Done()
				return nil
			})
		}()
		pass(ttl)
		synctest.Wait()
		defer cancel()
		c.host.mu.Lock()
		defer c.host.mu.Unlock()
		if c.host.tasks > 0 {
			t.Errorf("%d tasks wait", c.host.tasks)
		}
	})
}

// Close does not wait for a function of Do's that hangs.
func TestCloseWaitsForNoFunction(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		direct := b.rdb
		c.host.eng = deafToRenewals{c.host.eng}
		hang := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = Do(bg, c.Mutex("a"), func(context.Context, *Lease) error { <-hang; return nil })
		}()
		pass(ttl)
		synctest.Wait()
		if direct.Exists(bg, "relock:lock:{a}").Val() == 0 {
			t.Error("the lock was given back while the function runs")
		}
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("Close took %v", took)
		}
		if direct.Exists(bg, "relock:lock:{a}").Val() > 0 {
			t.Error("the lock is left")
		}
		close(hang)
		<-done
	})
}

// One member is lost; what protects the rest of the function's work is held for it.
func TestTheRestOfALockOfSeveralIsHeldUntilDosFunctionHasReturned(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		other, _ := b.client()
		go func() {
			err := Do(bg, compositeOf(t, c.Mutex("a"), c.Mutex("b")), func(ctx context.Context, _ *Lease) error {
				b.server.Del("relock:lock:{a}")
				<-ctx.Done()
				pass(10 * ttl)
				if _, err := other.Mutex("b").TryLock(bg); !errors.Is(err, ErrNotAcquired) {
					t.Errorf("another's TryLock says %v while the function runs", err)
				}
				return nil
			})
			if !errors.Is(err, ErrLost) {
				t.Errorf("Do says %v, want ErrLost", err)
			}
			unlock(t, lockOf(t, other.Mutex("b")))
			wantStats(t, "of two", withoutRenewals(c.Stats()), Stats{Acquired: 2, Lost: 1, Released: 1})
		}()
		pass(20 * ttl)
	})
}

func withoutRenewals(s Stats) Stats {
	s.Renewals, s.RenewFailures = 0, 0
	return s
}

// A member that came to its end ends the whole, and leaves the others to theirs:
// but one that the watchdog would keep for ever is given back.
func TestAMembersNormalEndLeavesTheOtherFixedOnesToTheirs(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, _ := b.client(WithTracer(d))
		start := time.Now()
		whole := lockOf(t, compositeOf(t, c.Mutex("a", WithLease(4*time.Second)), c.Mutex("b", WithLease(7*time.Second)), c.Mutex("c")))
		<-whole.Context().Done()
		synctest.Wait()
		if took := time.Since(start); took > 4*time.Second || !errors.Is(whole.Err(), ErrLost) {
			t.Errorf("ended after %v with %v", took, whole.Err())
		}
		wantStats(t, "the first is over", withoutRenewals(c.Stats()), Stats{Held: 1, Acquired: 3, Ended: 1, Released: 1})
		if b.server.Exists("relock:lock:{c}") || !b.server.Exists("relock:lock:{b}") {
			t.Errorf("keys left: %q", b.server.Keys())
		}
		for _, name := range []string{"a", "b"} {
			next := lockOf(t, c.Mutex(name))
			want := 4 * time.Second
			if name == "b" {
				want = 7 * time.Second
			}
			if took := time.Since(start); took < want || took > want+50*time.Millisecond {
				t.Errorf("%s was taken %v after the start, want %v", name, took, want)
			}
			unlock(t, next)
		}
		wantStats(t, "all are over", withoutRenewals(c.Stats()), Stats{Acquired: 5, Ended: 2, Released: 3, CheckIns: 2})
		for _, name := range []string{"a", "b"} {
			if e := event[Ended](t, d, "ended of "+name); e.Reason != EndLease {
				t.Errorf("got %+v", e)
			}
		}
		if slices.Contains(d.lines, "lost of a") || slices.Contains(d.lines, "lost of b") {
			t.Errorf("got %q", d.lines)
		}
	})
}

// Whoever unlocks a whole that has ended gives back the rest of it.
func TestUnlockGivesBackTheRestOfAWholeThatHasEnded(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		whole := lockOf(t, compositeOf(t, c.Mutex("a", WithLease(4*time.Second)), c.Mutex("b", WithLease(time.Hour))))
		<-whole.Context().Done()
		if err := whole.Unlock(bg); !errors.Is(err, ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		if b.server.Exists("relock:lock:{b}") {
			t.Error("the rest is left")
		}
	})
}

// The server may have given it an hour, though nobody said so.
func TestALeaseWhoseExtendHadNoAnswerIsWithdrawn(t *testing.T) {
	r := newRig(t)
	c := r.client(t, true, WithCallTimeout(100*time.Millisecond))
	lease := lockOf(t, c.Mutex("a", WithLease(time.Second)))
	if err := r.direct.ScriptLoad(bg, renewScript.source).Err(); err != nil {
		t.Fatal(err)
	}
	drop := r.proxy.DropReply(faultproxy.Script(renewScript.source), 0, faultproxy.Close)
	if err := lease.Extend(bg, time.Hour); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("got %v from an Extend whose answers are lost", err)
	}
	drop.Remove()
	<-lease.Context().Done()
	awaitClean(t, r.direct)
	if st := c.Stats(); st.Ended != 1 || st.Lost != 0 {
		t.Errorf("got %+v, want a normal end", st)
	}
}

func TestALateCopyOfADetachedLeasesAcquireDoesNotEndIt(t *testing.T) {
	r := newRig(t)
	c := r.client(t, true, WithCallTimeout(200*time.Millisecond))
	unlock(t, lockOf(t, c.Mutex("a")))
	late := r.proxy.Hold(faultproxy.Script(acquireScript.source), 1)
	lease := lockOf(t, c.Mutex("a", WithLease(time.Minute)))
	if err := lease.Detach(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the id is refused", func() bool {
		return r.direct.ZCard(bg, keyOf(DefaultPrefix, kindTombstones, "a")).Val() == 1
	})
	before := r.direct.PTTL(bg, keyOf(DefaultPrefix, kindLock, "a")).Val()
	late.Release()
	if err := late.Delivered(patience(t)); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Mutex("a").Status(bg); err != nil || st.Token != lease.Token() || st.TTL > before {
		t.Errorf("got %+v, %v; want the hold as it was, with %v left at most", st, err, before)
	}
}
