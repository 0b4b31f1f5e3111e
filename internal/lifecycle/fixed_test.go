package lifecycle_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/scripts"
)

func TestAFixedLeaseIsNeverRenewed(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		h, _ := b.Client()
		a, _ := b.Client()
		e := &lateEngine{Engine: behaviour.ManagerOf(a).Engine()}
		behaviour.ManagerOf(a).SetEngine(e)
		lease := behaviour.LockOf(t, h.Mutex("a"))
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, a.Mutex("a", relock.WithLease(20*time.Second))) }()
		behaviour.Pass(time.Second)
		e.mu.Lock()
		e.hold, e.fail = true, engine.ErrUnknown // the reply to the check-in is lost
		e.mu.Unlock()
		behaviour.Pass(2500 * time.Millisecond)
		synctest.Wait()
		behaviour.Unlock(t, lease)
		l := <-got
		end := l.ValidUntil()
		behaviour.Pass(3 * time.Second)
		e.mu.Lock()
		e.hold = false
		late := e.late
		e.mu.Unlock()
		for _, f := range late {
			f()
		}
		behaviour.Pass(2 * time.Second)
		if l.ValidUntil().After(end) {
			t.Errorf("a fixed lease was renewed by %v", l.ValidUntil().Sub(end))
		}
	})
}

func TestAFixedLeaseInPlaceOfAGrantThatWasTooOldIsNeverRenewed(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		answers := 0
		instead(c).answer = func(ans *engine.Answer) {
			if answers++; answers == 1 {
				ans.Sent = ans.Sent.Add(-time.Minute) // it took a minute
			}
		}
		const span = 9 * time.Second
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(span)))
		end := lease.ValidUntil()
		behaviour.Pass(span - time.Second)
		if lease.ValidUntil().After(end) {
			t.Errorf("it was renewed by %v", lease.ValidUntil().Sub(end))
		}
		if err := lease.Detach(); err != nil {
			t.Errorf("Detach: %v", err)
		}
	})
}

func TestForceUnlockOfAFixedLeasePassesTheLockOn(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		a, _ := b.Client()
		m := a.Mutex("a")
		behaviour.LockOf(t, a.Mutex("a", relock.WithLease(time.Hour)))
		got := make(chan error, 1)
		go func() { _, err := m.Lock(behaviour.Bg); got <- err }()
		behaviour.Pass(time.Second)
		if ok, err := m.ForceUnlock(behaviour.Bg); !ok || err != nil {
			t.Fatal(ok, err)
		}
		select {
		case <-got:
		case <-time.After(time.Minute):
			st, _ := m.Status(behaviour.Bg)
			t.Errorf("a minute later the waiter still waits for a lock that is free: %+v", st)
		}
	})
}

// The first answer is lost, and the second says that nothing is held any more:
// a fixed lease of the same client would never hear of it otherwise.
func TestAForceUnlockWhoseAnswerIsLostEndsTheLease(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, true)
	lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(time.Hour)))
	if err := r.Direct.ScriptLoad(behaviour.Bg, scripts.Source("force.lua")).Err(); err != nil {
		t.Fatal(err)
	}
	drop := r.Proxy.DropReply(faultproxy.Script(scripts.Source("force.lua")), 1, faultproxy.Close)
	if _, err := c.Mutex("a").ForceUnlock(behaviour.Bg); err != nil {
		t.Fatal(err)
	}
	if drop.Hits() != 1 {
		t.Fatalf("%d answers dropped, want 1", drop.Hits())
	}
	if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
		t.Errorf("the lease says %v, want ErrLost", err)
	}
	behaviour.AwaitClean(t, r.Direct)
}
