package election_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

var errWork = errors.New("the work failed")

// A leading is one that runs in a test: what its function is called with, and what
// comes of it.
type leading struct {
	terms chan *term
	done  chan error
}

// A term is one call of the function: it returns what it is told to.
type term struct {
	ctx   context.Context
	lease *relock.Lease
	end   chan error
}

// lead has a candidate stand for l. No more than one term of it runs at a time.
func lead(t *testing.T, ctx context.Context, l relock.Locker, opts ...relock.LeadOption) *leading {
	t.Helper()
	r := &leading{terms: make(chan *term), done: make(chan error, 1)}
	var running atomic.Int32
	go func() {
		r.done <- relock.Lead(ctx, l, func(ctx context.Context, lease *relock.Lease) error {
			if running.Add(1) > 1 {
				t.Error("two terms of one candidate run at once")
			}
			defer running.Add(-1)
			tm := &term{ctx, lease, make(chan error)}
			r.terms <- tm
			return <-tm.end
		}, opts...)
	}()
	synctest.Wait()
	return r
}

// next returns the next term, which must begin within an hour.
func (r *leading) next(t *testing.T) *term {
	t.Helper()
	select {
	case tm := <-r.terms:
		return tm
	case err := <-r.done:
		t.Fatalf("Lead has returned: %v", err)
	case <-time.After(time.Hour):
		t.Fatal("it does not lead")
	}
	return nil
}

// wantEnd checks what Lead returns, which must be within an hour.
func (r *leading) wantEnd(t *testing.T, want ...error) {
	t.Helper()
	select {
	case err := <-r.done:
		if len(want) == 0 && err != nil {
			t.Errorf("got %v, want nil", err)
		}
		behaviour.WantErr(t, err, want...)
	case <-r.terms:
		t.Fatal("it leads")
	case <-time.After(time.Hour):
		t.Fatal("Lead does not return")
	}
}

// withinAMinute calls f with a context that ends then: what must not wait ends
// before.
func withinAMinute(f func(context.Context) error) error {
	return behaviour.Within(time.Minute, f)(behaviour.Bg)
}

// none checks that r does not lead now.
func (r *leading) none(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case <-r.terms:
		t.Fatal("it leads")
	case err := <-r.done:
		t.Fatalf("Lead has returned: %v", err)
	default:
	}
}

// A leader gives over when its function has returned, to the next in the queue and
// at once; whatever kind of lock it is.
func TestALeaderHandsOver(t *testing.T) {
	for _, k := range behaviour.OnRedis(behaviour.Embedded) {
		t.Run(k.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { behaviour.Pass(time.Minute) })
				w := k.Start(t)
				first, second := w.Spawn().Lock("a"), w.Spawn().Lock("a")
				if k.Name != "Mutex" && k.Name != "RedLock.Mutex" {
					behaviour.LockOf(t, w.Spawn().Lock("a")) // which they need not wait for
					for _, err := range []error{
						withinAMinute(func(ctx context.Context) error { return relock.Lead(ctx, first, nil) }),
						withinAMinute(relock.NewElector(first).Run),
						relock.NewElector(first).IsLeader(behaviour.Bg), relock.NewElector(first).Resign(behaviour.Bg),
					} {
						behaviour.WantErr(t, err, relock.ErrInvalid)
					}
					return
				}
				a := lead(t, behaviour.Bg, first)
				one := a.next(t)
				b := lead(t, behaviour.Bg, second)
				behaviour.Pass(3 * behaviour.TTL)
				b.none(t)
				start := time.Now()
				one.end <- nil
				two := b.next(t)
				if took := time.Since(start); took > time.Second {
					t.Errorf("the next led %v after the function returned", took)
				}
				if two.lease.Token() <= one.lease.Token() {
					t.Errorf("token %d comes after %d", two.lease.Token(), one.lease.Token())
				}
				a.wantEnd(t)
				two.end <- errWork
				b.wantEnd(t, errWork)
			})
		})
	}
}

// The lock is kept for a function whose ctx has ended, until it has returned.
func TestALeadersLockIsKeptUntilItsFunctionHasReturned(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		clients, _ := b.Clients(2)
		ctx, cancel := context.WithCancelCause(behaviour.Bg)
		r := lead(t, ctx, clients[0].Mutex("a"))
		one := r.next(t)
		other := lead(t, behaviour.Bg, clients[1].Mutex("a"))
		cancel(errWork)
		<-one.ctx.Done()
		behaviour.WantErr(t, context.Cause(one.ctx), errWork)
		behaviour.Pass(3 * behaviour.TTL)
		other.none(t)
		behaviour.WantErr(t, one.lease.Err(), nil)
		one.end <- nil
		r.wantEnd(t)
		other.next(t).end <- nil
		other.wantEnd(t)
	})
}

// After a loss the candidate waits for its function, whatever its context says,
// pauses, and stands again.
func TestAfterALossACandidateStandsAgain(t *testing.T) {
	for range 10 { // of which no two pauses are alike
		behaviour.InBubble(t, func(b *behaviour.Bubble) {
			c, _ := b.Client()
			r := lead(t, behaviour.Bg, c.Mutex("a"), relock.WithLeadPause(10*time.Second))
			one := r.next(t)
			b.Server.Del("relock:lock:{a}")
			<-one.ctx.Done()
			behaviour.WantErr(t, context.Cause(one.ctx), relock.ErrLost)
			behaviour.Pass(time.Hour)
			r.none(t)
			returned := time.Now()
			one.end <- errWork // for want of its context, whatever it says
			two := r.next(t)
			if pause := time.Since(returned); pause < 5*time.Second || pause > 15*time.Second {
				t.Errorf("it stood again after %v, want 5 to 15 s", pause)
			}
			if two.lease.Token() <= one.lease.Token() {
				t.Errorf("token %d comes after %d", two.lease.Token(), one.lease.Token())
			}
			two.end <- nil
			r.wantEnd(t)
			b.WantFree(c, "a")
		})
	}
}

// A lock of another candidate's that the server gives away is waited for.
func TestALeaderThatIsCutOffIsFollowed(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		clients, wires := b.Clients(2)
		r := lead(t, behaviour.Bg, clients[0].Mutex("a"))
		one := r.next(t)
		other := lead(t, behaviour.Bg, clients[1].Mutex("a"))
		start := time.Now()
		wires[0].CutOff()
		two := other.next(t)
		if one.lease.Err() == nil || one.ctx.Err() == nil {
			t.Error("two believe that they lead")
		}
		if took := time.Since(start); took > behaviour.TTL+relock.DefaultCheckInterval {
			t.Errorf("nobody led for %v", took)
		}
		wires[0].Silent.Store(false)
		one.end <- context.Cause(one.ctx)
		behaviour.Pass(time.Minute)
		r.none(t)
		two.end <- nil
		r.next(t).end <- nil
		r.wantEnd(t)
		other.wantEnd(t)
	})
}

// late is a Locker that returns its first lease when that is over.
type late struct {
	relock.Locker
	first bool
	end   func(*relock.Lease)
}

func (l *late) Lock(ctx context.Context) (*relock.Lease, error) {
	lease, err := l.Locker.Lock(ctx)
	if !l.first {
		l.first = true
		l.end(lease)
	}
	return lease, err
}

// A lease that has ended before its function could begin is none to lead by: who
// gives back what is in use has seen no user.
func TestNobodyLeadsByALeaseThatHasEnded(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		r := lead(t, behaviour.Bg, &late{Locker: c.Mutex("a"), end: func(l *relock.Lease) {
			b.Server.Del("relock:lock:{a}")
			<-l.Context().Done()
		}})
		one := r.next(t)
		behaviour.WantErr(t, one.lease.Err(), nil)
		one.end <- nil
		r.wantEnd(t)

		lead(t, behaviour.Bg, &late{Locker: c.Mutex("a"), end: func(*relock.Lease) { _ = c.Close() }}).wantEnd(t, relock.ErrClosed)
	})
}

// A panic gives the lock back and goes on.
func TestAPanicOfALeaderGivesTheLockBack(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		func() {
			defer func() {
				if got := recover(); got != "oh" {
					t.Errorf("recovered %v, want oh", got)
				}
			}()
			_ = relock.Lead(behaviour.Bg, c.Mutex("a"), func(context.Context, *relock.Lease) error { panic("oh") })
		}()
		b.WantFree(c, "a")
	})
}

// An error of a function whose ctx has ended is not one to go on after.
func TestALeaderThatIsEndedIsNotRetried(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		ctx, cancel := context.WithCancel(behaviour.Bg)
		r := lead(t, ctx, c.Mutex("a"), relock.WithLeadRetry(func(err error) bool {
			t.Errorf("asked about %v", err)
			return true
		}))
		one := r.next(t)
		cancel()
		one.end <- errWork
		r.wantEnd(t, errWork)
	})
}

// ctx ends Lead wherever it is: while it waits, and while it pauses.
func TestLeadEndsWithItsContext(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		other, _ := b.Client()
		held := behaviour.LockOf(t, other.Mutex("a"))
		waiting, cancel := context.WithCancelCause(behaviour.Bg)
		r := lead(t, waiting, c.Mutex("a"))
		r.none(t)
		cancel(errWork)
		r.wantEnd(t, errWork)
		behaviour.Unlock(t, held)

		pausing, cancel := context.WithCancelCause(behaviour.Bg)
		r = lead(t, pausing, c.Mutex("a"), relock.WithLeadPause(time.Hour))
		one := r.next(t)
		b.Server.Del("relock:lock:{a}")
		<-one.ctx.Done()
		one.end <- nil
		r.none(t)
		cancel(errWork)
		r.wantEnd(t, errWork, relock.ErrLost)
		b.WantFree(c, "a")
	})
}
