package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// What becomes of a lease that ends while the function of Do's runs.

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
				wantHandedOn(t, had, lost, returned, test.stays)
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

// wantHandedOn checks when another had the lock of a lease that was lost while its
// function ran, which stays for so long: once it has returned, or at the server's end.
func wantHandedOn(t *testing.T, had, lost time.Time, returned <-chan time.Time, stays time.Duration) {
	t.Helper()
	select {
	case at := <-returned:
		if had.Before(at) || had.Sub(at) > time.Second || stays > time.Minute {
			t.Errorf("another had the lock %v after the function returned", had.Sub(at))
		}
	default:
		// The last renewal was sent, at the latest, when the lease ended.
		if after := had.Sub(lost); stays < time.Minute || after < behaviour.TTL/3 || after > behaviour.TTL+2*lifecycle.MinCheck {
			t.Errorf("another had the lock %v after the loss, while the function runs, want at the server's end", after)
		}
	}
}
