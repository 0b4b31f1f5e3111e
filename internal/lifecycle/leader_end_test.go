package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// What becomes of a lease that ends while a function leads by it. That of a loss is
// as with Do; Close leaves the lock to the function, too.

// leads has c lead until hang is closed, whatever its context says, and returns what
// is closed when Lead has returned, since c is closed.
func leads(t *testing.T, c *relock.Client, hang <-chan struct{}) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		behaviour.WantErr(t, relock.Lead(behaviour.Bg, c.Mutex("a"), func(context.Context, *relock.Lease) error {
			<-hang
			return nil
		}), relock.ErrClosed)
	}()
	synctest.Wait()
	return done
}

// The holder's lease is over by its clock, and the server has it yet.
func TestWhatALeaderLosesByItsDeadlineIsGivenBackWhenItsFunctionHasReturned(t *testing.T) {
	for _, test := range []struct {
		name  string
		stays time.Duration // of the function, once its context has ended
	}{
		{"it returns", 5 * time.Second},
		{"it hangs", 10 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				c, _ := b.Client()
				other, _ := b.Client()
				behaviour.ManagerOf(c).SetEngine(unansweredRenewals{behaviour.ManagerOf(c).Engine()})
				over, returned := make(chan time.Time, 1), make(chan time.Time, 1)
				ctx, cancel := context.WithCancel(behaviour.Bg)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = relock.Lead(ctx, c.Mutex("a"), func(ctx context.Context, _ *relock.Lease) error {
						<-ctx.Done()
						over <- time.Now()
						behaviour.Pass(test.stays)
						returned <- time.Now()
						return nil
					})
				}()
				synctest.Wait()
				next := patientLock(t, other.Mutex("a"))
				had, lost := time.Now(), <-over
				wantHandedOn(t, had, lost, returned, test.stays)
				cancel()
				<-done
				behaviour.Unlock(t, next)
			})
		})
	}
}

// A function that returns soon after Close has the lock until then, and Close gives
// it back.
func TestCloseGivesBackALeadersLockWhenItsFunctionHasReturned(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		hang := make(chan struct{})
		done := leads(t, c, hang)
		closed := make(chan time.Duration, 1)
		go func() {
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			closed <- time.Since(start)
		}()
		behaviour.Pass(time.Second)
		if b.Rdb.Exists(behaviour.Bg, "relock:lock:{a}").Val() == 0 {
			t.Error("Close has given the lock back while the function runs")
		}
		close(hang)
		<-done
		if took := <-closed; took != time.Second {
			t.Errorf("Close took %v, want a second", took)
		}
		if b.Rdb.Exists(behaviour.Bg, "relock:lock:{a}").Val() > 0 {
			t.Error("the lock is left")
		}
	})
}

// What hangs keeps its lock for its time on the server, and Close says so; whether
// Close has ended the lease, or it was lost before.
func TestCloseLeavesALeadersLockToAFunctionThatHangs(t *testing.T) {
	for _, test := range []struct {
		name string
		lost bool
	}{{"Close ends the lease", false}, {"it was lost before", true}} {
		t.Run(test.name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				c, _ := b.Client()
				if test.lost {
					behaviour.ManagerOf(c).SetEngine(unansweredRenewals{behaviour.ManagerOf(c).Engine()})
				}
				hang := make(chan struct{})
				done := leads(t, c, hang)
				if test.lost {
					behaviour.Pass(behaviour.TTL)
				}
				start := time.Now()
				err := c.Close()
				if took := time.Since(start); took != relock.DefaultCallTimeout {
					t.Errorf("Close took %v, want the call timeout", took)
				}
				if err == nil || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), "has not returned") {
					t.Errorf("got %v, want which lock is left, and why", err)
				}
				synctest.Wait()
				if b.Rdb.Exists(behaviour.Bg, "relock:lock:{a}").Val() == 0 {
					t.Error("the lock was given back while the function runs")
				}
				if n := behaviour.ManagerOf(c).Tasks(); n > 0 {
					t.Errorf("%d tasks are left", n)
				}
				if st := c.Stats(); st.Held != 0 || st.Acquired != st.Lost+st.Closed {
					t.Errorf("got %+v, want nothing held", st)
				}
				close(hang)
				<-done
			})
		})
	}
}
