package relock_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

var _ interface {
	relock.AcquireTracer
	relock.GrantTracer
	relock.HandOffTracer
	relock.RenewTracer
	relock.LostTracer
	relock.EndTracer
	relock.ReleaseTracer
	relock.ForceTracer
} = (*behaviour.Diary)(nil)

func TestALockAndItsReleaseAreTold(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, _ := b.Client(relock.WithTracer(d))
		d.Client = c
		lease := behaviour.LockOf(t, c.Mutex("a"))
		behaviour.WantStats(t, "held", c.Stats(), relock.Stats{Held: 1, Acquired: 1})
		behaviour.Pass(time.Second)
		behaviour.Unlock(t, lease)
		d.Wants(t, "start", "grant of a", "end of a", "release", "released")
		behaviour.WantStats(t, "released", c.Stats(), relock.Stats{Acquired: 1, Released: 1})

		hold := behaviour.HoldOf(lease).ID()
		who := relock.Traced{Name: "a", Hold: hold, Owner: lease.Owner()}
		if got, want := behaviour.Event[relock.AcquireStart](t, d, "start"), (relock.AcquireStart{Traced: who}); got != want {
			t.Errorf("got start %+v, want %+v", got, want)
		}
		who.Token = lease.Token()
		if got, want := behaviour.Event[relock.AcquireEnd](t, d, "end of a"), (relock.AcquireEnd{Traced: who}); got != want {
			t.Errorf("got end %+v, want %+v", got, want)
		}
		if got, want := behaviour.Event[relock.Granted](t, d, "grant of a"), (relock.Granted{Traced: who, Count: 1, Via: relock.ViaRequest}); got != want {
			t.Errorf("got grant %+v, want %+v", got, want)
		}
		if got, want := behaviour.Event[relock.ReleaseEnd](t, d, "released"), (relock.ReleaseEnd{Traced: who, Held: time.Second}); got != want {
			t.Errorf("got release %+v, want %+v", got, want)
		}
		if lease.Context().Value(behaviour.DiaryKey{}) != nil {
			t.Error("the lease's context comes from the tracer's, and not from the caller's")
		}
	})
}

func TestAHandOffIsToldByTheWayItCame(t *testing.T) {
	for _, way := range []relock.Via{relock.ViaMessage, relock.ViaRelease, relock.ViaCheckIn} {
		t.Run(way.String(), func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				d := &behaviour.Diary{}
				waiter, _ := b.Client(relock.WithTracer(d))
				holder, wire := b.Client()
				if way == relock.ViaRelease {
					holder = waiter
				}
				lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithTTL(9*time.Second)))
				done := make(chan struct{})
				go func() {
					defer close(done)
					behaviour.Unlock(t, behaviour.LockOf(t, waiter.Mutex("a")))
				}()
				synctest.Wait()
				if got := waiter.Stats().Waiting; got != 1 {
					t.Errorf("got %d waiting, want 1", got)
				}
				behaviour.Pass(time.Second)
				if way == relock.ViaCheckIn {
					wire.CutOff()
				} else {
					behaviour.Unlock(t, lease)
				}
				<-done
				got := behaviour.Event[relock.Granted](t, d, "hand-off of a")
				if got != behaviour.Event[relock.Granted](t, d, "grant of a") {
					t.Errorf("the grant and the hand-off differ: %+v", got)
				}
				if got.Via != way || !got.Queued || got.Ahead != 0 || got.Waited < time.Second {
					t.Errorf("got %+v, want a grant by %v to the first in the queue, after a second", got, way)
				}
				end := behaviour.Event[relock.AcquireEnd](t, d, "end of a")
				if end.Waited != got.Waited || !end.Queued || end.Err != nil {
					t.Errorf("got end %+v after %+v", end, got)
				}
				st := waiter.Stats()
				if handed := st.HandOffs; handed+st.CheckIns != 1 || (handed == 1) == (way == relock.ViaCheckIn) {
					t.Errorf("got %+v", st)
				}
			})
		})
	}
}

func TestALossIsToldWithItsReason(t *testing.T) {
	lose := map[relock.LossReason]func(*behaviour.Bubble, *relock.Client, *behaviour.Wire, *relock.Lease){
		relock.LostExpired: func(_ *behaviour.Bubble, _ *relock.Client, w *behaviour.Wire, l *relock.Lease) {
			w.CutOff()
			<-l.Context().Done()
		},
		relock.LostGone: func(b *behaviour.Bubble, _ *relock.Client, _ *behaviour.Wire, l *relock.Lease) {
			b.Server.FlushAll()
			<-l.Context().Done()
		},
		relock.LostForced: func(b *behaviour.Bubble, c *relock.Client, _ *behaviour.Wire, _ *relock.Lease) {
			if freed, err := c.Mutex("a").ForceUnlock(behaviour.Bg); !freed || err != nil {
				b.T.Errorf("got %v, %v from ForceUnlock", freed, err)
			}
		},
	}
	for reason, lose := range lose {
		t.Run(string(reason), func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				d := &behaviour.Diary{}
				c, wire := b.Client(relock.WithTracer(d))
				lease := behaviour.LockOf(t, c.Mutex("a"))
				behaviour.Pass(time.Second)
				lose(b, c, wire, lease)
				synctest.Wait()
				e := behaviour.Event[relock.Lost](t, d, "lost of a")
				if e.Reason != reason || e.Token != lease.Token() || e.Held < time.Second {
					t.Errorf("got %+v, want reason %q", e, reason)
				}
				if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
					t.Errorf("got %v from Unlock, want ErrLost", err)
				}
				if st := c.Stats(); st.Lost != 1 || st.Held != 0 || st.Released != 0 || (st.Forced == 1) != (reason == relock.LostForced) {
					t.Errorf("got %+v", st)
				}
				if slices.Contains(d.Lines, "release of a") {
					t.Error("the release of a lost lease is told")
				}
			})
		})
	}
}

func TestALossThatUnlockFindsIsToldOnce(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, _ := b.Client(relock.WithTracer(d))
		lease := behaviour.LockOf(t, c.Mutex("a"))
		b.Server.FlushAll()
		if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v from Unlock, want ErrLost", err)
		}
		d.Wants(t, "start", "grant of a", "end of a", "release", "lost of a", "released")
		if got := behaviour.Event[relock.ReleaseEnd](t, d, "released").Err; !errors.Is(got, relock.ErrLost) {
			t.Errorf("got release %v, want ErrLost", got)
		}
		behaviour.WantStats(t, "lost", c.Stats(), relock.Stats{Acquired: 1, Lost: 1})
	})
}

func TestRenewalsAreToldAndThoseThatFail(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, wire := b.Client(relock.WithTracer(d))
		lease := behaviour.LockOf(t, c.Mutex("a"))
		behaviour.Pass(behaviour.TTL/3 + behaviour.TTL/30)
		synctest.Wait()
		d.Wants(t, "start", "grant of a", "end of a", "renew of a")
		e := behaviour.Event[relock.Renewed](t, d, "renew of a")
		if e.Err != nil || e.Left < behaviour.TTL*6/10 || e.Left > behaviour.TTL*7/10 {
			t.Errorf("got renewal %+v, want about two thirds of %v left", e, behaviour.TTL)
		}
		if err := lease.Extend(behaviour.Bg, behaviour.TTL); err != nil {
			t.Error(err)
		}
		behaviour.WantStats(t, "renewed", c.Stats(), relock.Stats{Held: 1, Acquired: 1, Renewals: 2})
		wire.CutOff()
		<-lease.Context().Done()
		synctest.Wait()
		st := c.Stats()
		if st.Renewals != 2 || st.RenewFailures < 3 || st.Lost != 1 {
			t.Errorf("got %+v after %v without an answer", st, behaviour.TTL)
		}
		if e := behaviour.Event[relock.Renewed](t, d, "renew of a"); e.Err == nil || e.Took != 0 || e.Left > behaviour.TTL*2/3 {
			t.Errorf("got renewal %+v, want one that failed", e)
		}
	})
}

func TestWhatCloseEndsIsTold(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, _ := b.Client(relock.WithTracer(d))
		behaviour.LockOf(t, c.Mutex("a"))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		d.Wants(t, "start", "grant of a", "end of a", "release", "released")
		if got := behaviour.Event[relock.ReleaseEnd](t, d, "released").Err; !errors.Is(got, relock.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", got)
		}
		if _, err := c.Mutex("a").Lock(behaviour.Bg); !errors.Is(err, relock.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		behaviour.WantStats(t, "closed", c.Stats(), relock.Stats{Acquired: 1, Closed: 1, Failed: 1})
	})
}

func TestATracerHasThePartsItLikes(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d, some := &behaviour.Diary{}, &behaviour.LossOnly{}
		c, wire := b.Client(relock.WithTracer(some), relock.WithTracer(d))
		lease := behaviour.LockOf(t, c.Mutex("a"))
		wire.CutOff()
		<-lease.Context().Done()
		synctest.Wait()
		if !slices.Equal(some.Lost, []string{"a"}) || !slices.Contains(d.Lines, "lost of a") {
			t.Errorf("got %q and %q", some.Lost, d.Lines)
		}
	})
	for _, none := range []relock.Tracer{nil, 1, struct{}{}, func() {}} {
		if _, err := relock.New(behaviour.NewReady(), relock.WithTracer(none)); !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("WithTracer(%T): got %v, want ErrInvalid", none, err)
		}
	}
}

func TestOptionsThatAreGivenToTwoClientsKeepTheirTracersApart(t *testing.T) {
	common := relock.WithTracer(&behaviour.LossOnly{})
	one := behaviour.ClientOn(t, behaviour.NewReady(), common, relock.WithTracer(&behaviour.LossOnly{}))
	two := behaviour.ClientOn(t, behaviour.NewReady(), common, relock.WithTracer(&behaviour.Diary{}))
	if got, want := relock.TracersOf(one).Losses, 2; got != want || relock.TracersOf(one).Grants != 0 {
		t.Errorf("got %d tracers of losses and %d of grants, want %d and none", got, relock.TracersOf(one).Grants, want)
	}
	if got, want := relock.TracersOf(two).Losses, 2; got != want || relock.TracersOf(two).Grants != 1 {
		t.Errorf("got %d tracers of losses and %d of grants, want %d and 1", got, relock.TracersOf(two).Grants, want)
	}
}
