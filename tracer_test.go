package relock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// diary is a tracer with every part: it writes down what it is told.
type diary struct {
	mu     sync.Mutex
	lines  []string
	last   map[string]any // by the first word of its line
	client *Client        // if set, it is asked at every event
}

type diaryKey struct{}

// write has a line of what and e; hold ids are told apart by their context.
func (d *diary) write(ctx context.Context, what string, e any) {
	if d.client != nil {
		d.client.Stats()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if by, ok := ctx.Value(diaryKey{}).(string); ok {
		what += " of " + by
	}
	d.lines = append(d.lines, what)
	if d.last == nil {
		d.last = map[string]any{}
	}
	d.last[what] = e
}

func (d *diary) TraceAcquireStart(ctx context.Context, e AcquireStart) context.Context {
	d.write(ctx, "start", e)
	return context.WithValue(ctx, diaryKey{}, e.Name)
}
func (d *diary) TraceAcquireEnd(ctx context.Context, e AcquireEnd) { d.write(ctx, "end", e) }
func (d *diary) TraceGrant(ctx context.Context, e Granted)         { d.write(ctx, "grant", e) }
func (d *diary) TraceHandOff(ctx context.Context, e Granted)       { d.write(ctx, "hand-off", e) }
func (d *diary) TraceRenew(ctx context.Context, e Renewed)         { d.write(ctx, "renew", e) }
func (d *diary) TraceLost(ctx context.Context, e Lost)             { d.write(ctx, "lost", e) }
func (d *diary) TraceEnd(ctx context.Context, e Ended)             { d.write(ctx, "ended", e) }
func (d *diary) TraceForce(ctx context.Context, e Forced)          { d.write(ctx, "force", e) }
func (d *diary) TraceReleaseStart(ctx context.Context, e ReleaseStart) context.Context {
	d.write(ctx, "release", e)
	return ctx
}
func (d *diary) TraceReleaseEnd(ctx context.Context, e ReleaseEnd) { d.write(ctx, "released", e) }

var _ interface {
	AcquireTracer
	GrantTracer
	HandOffTracer
	RenewTracer
	LostTracer
	EndTracer
	ReleaseTracer
	ForceTracer
} = (*diary)(nil)

// wants compares what was written since the last time.
func (d *diary) wants(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, want) {
		t.Errorf("got events %q, want %q", d.lines, want)
	}
	d.lines = nil
}

// event returns the last event of a line.
func event[E any](t *testing.T, d *diary, line string) (e E) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.last[line].(E)
	if !ok {
		t.Errorf("got no event %q, but %q", line, d.lines)
	}
	return e
}

func wantStats(t *testing.T, what string, got, want Stats) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func TestALockAndItsReleaseAreTold(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, _ := b.client(WithTracer(d))
		d.client = c
		lease := lockOf(t, c.Mutex("a"))
		wantStats(t, "held", c.Stats(), Stats{Held: 1, Acquired: 1})
		pass(time.Second)
		unlock(t, lease)
		d.wants(t, "start", "grant of a", "end of a", "release", "released")
		wantStats(t, "released", c.Stats(), Stats{Acquired: 1, Released: 1})

		hold := lease.o.(*hold).req.Hold
		who := Traced{Name: "a", Hold: hold, Owner: lease.Owner()}
		if got, want := event[AcquireStart](t, d, "start"), (AcquireStart{Traced: who}); got != want {
			t.Errorf("got start %+v, want %+v", got, want)
		}
		who.Token = lease.Token()
		if got, want := event[AcquireEnd](t, d, "end of a"), (AcquireEnd{Traced: who}); got != want {
			t.Errorf("got end %+v, want %+v", got, want)
		}
		if got, want := event[Granted](t, d, "grant of a"), (Granted{Traced: who, Count: 1, Via: ViaRequest}); got != want {
			t.Errorf("got grant %+v, want %+v", got, want)
		}
		if got, want := event[ReleaseEnd](t, d, "released"), (ReleaseEnd{Traced: who, Held: time.Second}); got != want {
			t.Errorf("got release %+v, want %+v", got, want)
		}
		if lease.Context().Value(diaryKey{}) != nil {
			t.Error("the lease's context comes from the tracer's, and not from the caller's")
		}
	})
}

func TestAHandOffIsToldByTheWayItCame(t *testing.T) {
	for _, way := range []Via{ViaMessage, ViaRelease, ViaCheckIn} {
		t.Run(way.String(), func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				d := &diary{}
				waiter, _ := b.client(WithTracer(d))
				holder, wire := b.client()
				if way == ViaRelease {
					holder = waiter
				}
				lease := lockOf(t, holder.Mutex("a", WithTTL(9*time.Second)))
				done := make(chan struct{})
				go func() {
					defer close(done)
					unlock(t, lockOf(t, waiter.Mutex("a")))
				}()
				synctest.Wait()
				if got := waiter.Stats().Waiting; got != 1 {
					t.Errorf("got %d waiting, want 1", got)
				}
				pass(time.Second)
				if way == ViaCheckIn {
					wire.cutOff()
				} else {
					unlock(t, lease)
				}
				<-done
				got := event[Granted](t, d, "hand-off of a")
				if got != event[Granted](t, d, "grant of a") {
					t.Errorf("the grant and the hand-off differ: %+v", got)
				}
				if got.Via != way || !got.Queued || got.Ahead != 0 || got.Waited < time.Second {
					t.Errorf("got %+v, want a grant by %v to the first in the queue, after a second", got, way)
				}
				end := event[AcquireEnd](t, d, "end of a")
				if end.Waited != got.Waited || !end.Queued || end.Err != nil {
					t.Errorf("got end %+v after %+v", end, got)
				}
				st := waiter.Stats()
				if handed := st.HandOffs; handed+st.CheckIns != 1 || (handed == 1) == (way == ViaCheckIn) {
					t.Errorf("got %+v", st)
				}
			})
		})
	}
}

func TestALossIsToldWithItsReason(t *testing.T) {
	lose := map[LossReason]func(*bubble, *Client, *wire, *Lease){
		LostExpired: func(_ *bubble, _ *Client, w *wire, l *Lease) { w.cutOff(); <-l.Context().Done() },
		LostGone:    func(b *bubble, _ *Client, _ *wire, l *Lease) { b.server.FlushAll(); <-l.Context().Done() },
		LostForced: func(b *bubble, c *Client, _ *wire, _ *Lease) {
			if freed, err := c.Mutex("a").ForceUnlock(bg); !freed || err != nil {
				b.t.Errorf("got %v, %v from ForceUnlock", freed, err)
			}
		},
	}
	for reason, lose := range lose {
		t.Run(string(reason), func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				d := &diary{}
				c, wire := b.client(WithTracer(d))
				lease := lockOf(t, c.Mutex("a"))
				pass(time.Second)
				lose(b, c, wire, lease)
				synctest.Wait()
				e := event[Lost](t, d, "lost of a")
				if e.Reason != reason || e.Token != lease.Token() || e.Held < time.Second {
					t.Errorf("got %+v, want reason %q", e, reason)
				}
				if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
					t.Errorf("got %v from Unlock, want ErrLost", err)
				}
				if st := c.Stats(); st.Lost != 1 || st.Held != 0 || st.Released != 0 || (st.Forced == 1) != (reason == LostForced) {
					t.Errorf("got %+v", st)
				}
				if slices.Contains(d.lines, "release of a") {
					t.Error("the release of a lost lease is told")
				}
			})
		})
	}
}

func TestALossThatUnlockFindsIsToldOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, _ := b.client(WithTracer(d))
		lease := lockOf(t, c.Mutex("a"))
		b.server.FlushAll()
		if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
			t.Errorf("got %v from Unlock, want ErrLost", err)
		}
		d.wants(t, "start", "grant of a", "end of a", "release", "lost of a", "released")
		if got := event[ReleaseEnd](t, d, "released").Err; !errors.Is(got, ErrLost) {
			t.Errorf("got release %v, want ErrLost", got)
		}
		wantStats(t, "lost", c.Stats(), Stats{Acquired: 1, Lost: 1})
	})
}

func TestRenewalsAreToldAndThoseThatFail(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, wire := b.client(WithTracer(d))
		lease := lockOf(t, c.Mutex("a"))
		pass(ttl/3 + ttl/30)
		synctest.Wait()
		d.wants(t, "start", "grant of a", "end of a", "renew of a")
		e := event[Renewed](t, d, "renew of a")
		if e.Err != nil || e.Left < ttl*6/10 || e.Left > ttl*7/10 {
			t.Errorf("got renewal %+v, want about two thirds of %v left", e, ttl)
		}
		if err := lease.Extend(bg, ttl); err != nil {
			t.Error(err)
		}
		wantStats(t, "renewed", c.Stats(), Stats{Held: 1, Acquired: 1, Renewals: 2})
		wire.cutOff()
		<-lease.Context().Done()
		synctest.Wait()
		st := c.Stats()
		if st.Renewals != 2 || st.RenewFailures < 3 || st.Lost != 1 {
			t.Errorf("got %+v after %v without an answer", st, ttl)
		}
		if e := event[Renewed](t, d, "renew of a"); e.Err == nil || e.Took != 0 || e.Left > ttl*2/3 {
			t.Errorf("got renewal %+v, want one that failed", e)
		}
	})
}

func TestWhatCloseEndsIsTold(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, _ := b.client(WithTracer(d))
		lockOf(t, c.Mutex("a"))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		d.wants(t, "start", "grant of a", "end of a", "release", "released")
		if got := event[ReleaseEnd](t, d, "released").Err; !errors.Is(got, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", got)
		}
		if _, err := c.Mutex("a").Lock(bg); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		wantStats(t, "closed", c.Stats(), Stats{Acquired: 1, Closed: 1, Failed: 1})
	})
}

// lossOnly is a tracer with one part.
type lossOnly struct{ lost []string }

func (l *lossOnly) TraceLost(_ context.Context, e Lost) { l.lost = append(l.lost, e.Name) }

func TestATracerHasThePartsItLikes(t *testing.T) {
	inBubble(t, func(b *bubble) {
		d, some := &diary{}, &lossOnly{}
		c, wire := b.client(WithTracer(some), WithTracer(d))
		lease := lockOf(t, c.Mutex("a"))
		wire.cutOff()
		<-lease.Context().Done()
		synctest.Wait()
		if !slices.Equal(some.lost, []string{"a"}) || !slices.Contains(d.lines, "lost of a") {
			t.Errorf("got %q and %q", some.lost, d.lines)
		}
	})
	for _, none := range []Tracer{nil, 1, struct{}{}, func() {}} {
		if _, err := New(newReady(), WithTracer(none)); !errors.Is(err, ErrInvalid) {
			t.Errorf("WithTracer(%T): got %v, want ErrInvalid", none, err)
		}
	}
}

func TestOptionsThatAreGivenToTwoClientsKeepTheirTracersApart(t *testing.T) {
	common := WithTracer(&lossOnly{})
	one := clientOn(t, newReady(), common, WithTracer(&lossOnly{}))
	two := clientOn(t, newReady(), common, WithTracer(&diary{}))
	if got, want := len(one.set.trace.loss), 2; got != want || len(one.set.trace.grant) != 0 {
		t.Errorf("got %d tracers of losses and %d of grants, want %d and none", got, len(one.set.trace.grant), want)
	}
	if got, want := len(two.set.trace.loss), 2; got != want || len(two.set.trace.grant) != 1 {
		t.Errorf("got %d tracers of losses and %d of grants, want %d and 1", got, len(two.set.trace.grant), want)
	}
}
