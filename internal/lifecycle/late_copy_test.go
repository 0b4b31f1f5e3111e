package lifecycle_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/scripts"
)

// The copy that is late finds the tombstone, as it counts as under way; once it is
// answered itself there is no tombstone to lay.
func TestALateCopyCountsAsUnderWay(t *testing.T) {
	for _, answered := range []bool{false, true} {
		t.Run(fmt.Sprintf("answered before the Unlock: %v", answered), func(t *testing.T) {
			r := behaviour.NewRig(t)
			c := r.Client(t, true)
			behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
			late := r.Proxy.Hold(faultproxy.Script(scripts.Source("acquire.lua")), 1)
			lease, err := c.Mutex("a").TryLock(behaviour.Bg)
			if err != nil {
				t.Fatal(err)
			}
			inFlight := func() int32 { return behaviour.HoldOf(lease).AddInFlight(0) }
			if n := inFlight(); n != 1 {
				t.Errorf("%d copies count as under way, want the one that is held up", n)
			}
			deliver := func() {
				late.Release()
				if err := late.Delivered(behaviour.Patience(t)); err != nil {
					t.Fatal(err)
				}
			}
			if answered {
				deliver()
				behaviour.Eventually(t, "it counts no more", func() bool { return inFlight() == 0 })
			}
			behaviour.Unlock(t, lease)
			if !answered {
				deliver()
			}
			if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
				t.Errorf("a late copy has left %q", left)
			}
			hasTombstone := r.Direct.Exists(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindTombstones, "a")).Val() == 1
			if hasTombstone == answered {
				t.Errorf("a tombstone is there: %v", hasTombstone)
			}
		})
	}
}

func TestALateCopyBeforeTheReleaseOfALostLeaseIsGivenBack(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		a, wire := b.Client()
		lease := behaviour.LockOf(t, a.Mutex("a"))
		behaviour.HoldOf(lease).AddInFlight(1) // a copy of the acquire is under way
		copyOf := behaviour.HoldOf(lease).Request()
		wire.CutOff()
		behaviour.Pass(31 * time.Second) // lost; the release has not got through yet
		if lease.Err() == nil {
			t.Fatal("not lost")
		}
		c2, _ := b.Client()
		ans, err := behaviour.EngineOf(c2).Acquire(behaviour.Bg, &copyOf) // the late copy arrives
		t.Logf("late copy: %+v %v", ans, err)
		wire.Silent.Store(false)
		behaviour.Pass(2 * time.Second)
		st, _ := c2.Mutex("a").Status(behaviour.Bg)
		if st.Held {
			t.Errorf("the lock is held by nobody, for %v: %+v", st.TTL, st)
		}
	})
}

func TestALeaseThatIsOverNeverComesBack(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		a, _ := b.Client()
		lease := behaviour.LockOf(t, a.Mutex("a"))
		sent := time.Now()
		ans, err := behaviour.EngineOf(a).Renew(behaviour.Bg, behaviour.HoldOf(lease).Renewal(behaviour.TTL)) // its reply is on the way
		if err != nil {
			t.Fatal(err)
		}
		_ = sent
		// The process was paused past the deadline and wakes; no timer has run yet.
		behaviour.HoldOf(lease).RunOut()
		if lease.Err() == nil {
			t.Fatal("not over")
		}
		behaviour.ManagerOf(a).Renewed(behaviour.HoldOf(lease), ans)
		if lease.Err() == nil {
			t.Errorf("Err was ErrLost and is nil again")
		}
	})
}

// copiedRelease is an engine that sends a copy of the first release with a
// successor, once passed says that the lock was passed on to that; what it answers
// is what the copy was told.
type copiedRelease struct {
	engine.Engine
	passed func()
}

func (e *copiedRelease) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	rel, err := e.Engine.Release(ctx, r)
	if r.Next == nil || e.passed == nil {
		return rel, err
	}
	e.passed()
	e.passed = nil
	rel, err = e.Engine.Release(ctx, r)
	rel.Copied, rel.Next.Copied = true, true
	return rel, err
}

// The first copy of a release has its successor join the queue, and the second, which
// is answered first, finds nothing to give back. The successor had the lock by
// message meanwhile.
func TestACopyOfAReleaseSaysNothingOfASuccessorThatHasTheLock(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		var log bytes.Buffer
		other, _ := b.Client()
		mine, _ := b.Client(relock.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err := behaviour.EngineOf(mine).Listen(behaviour.Bg); err != nil {
			t.Fatal(err)
		}
		lease := behaviour.LockOf(t, mine.Mutex("a"))
		first := waitingFor(t, other.Mutex("a"))
		behaviour.Pass(lag) // arrivals at one instant have no order
		next := waitingFor(t, mine.Mutex("a"))
		var had *relock.Lease
		behaviour.ManagerOf(mine).SetEngine(&copiedRelease{behaviour.ManagerOf(mine).Engine(), func() {
			behaviour.Unlock(t, <-first)
			had = <-next
		}})
		behaviour.Unlock(t, lease)
		behaviour.Unlock(t, had)
		if log.Len() > 0 {
			t.Errorf("got log %q", log.String())
		}
	})
}
