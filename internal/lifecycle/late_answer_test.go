package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// What a request comes to that is executed later than another answer was had.

// copying is an engine that sends two copies of the first acquire, of which the
// first is answered "taken", and the second is executed when lands is called.
type copying struct {
	engine.Engine
	first *engine.Request
	early bool // it lands before the answer of the first is had
	free  func()
}

func (e *copying) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := e.Engine.Acquire(ctx, r)
	if e.first == nil {
		e.first, ans.Copied = r, true
		r.Copies.Add(1)
		if e.early {
			e.lands(ctx)
		}
	}
	return ans, err
}

func (e *copying) lands(ctx context.Context) {
	e.free()
	_, _ = e.Engine.Acquire(ctx, e.first)
	e.first.Copies.Add(-1)
}

func (e *copying) Listen(ctx context.Context) error {
	e.lands(ctx)
	<-ctx.Done()
	return fmt.Errorf("%w: %w", engine.ErrUnknown, ctx.Err())
}

// One copy of a request is answered "taken", and another is granted the lock after
// that: the call that gives up withdraws, though nothing of it is under way.
func TestWhatALateCopyWasGrantedIsGivenBack(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("it waits: %v", waits), func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				other, _ := b.Client()
				c, _ := b.Client()
				lease := behaviour.LockOf(t, other.Mutex("a"))
				e := &copying{Engine: behaviour.ManagerOf(c).Engine(), early: !waits, free: func() { behaviour.Unlock(t, lease) }}
				behaviour.ManagerOf(c).SetEngine(e)
				ctx, cancel := context.WithTimeout(behaviour.Bg, time.Second)
				defer cancel()
				call := c.Mutex("a").TryLock
				if waits {
					call = c.Mutex("a").Lock
				}
				if _, err := call(ctx); !errors.Is(err, relock.ErrNotAcquired) {
					t.Fatalf("got %v, want ErrNotAcquired", err)
				}
				synctest.Wait()
				if b.Server.Exists("relock:lock:{a}") {
					t.Error("the lock is held by nobody")
				}
			})
		})
	}
}

// lateAcquire is an engine by which a copy of an acquire, which nobody waits for
// any more, is executed just before the first release.
type lateAcquire struct {
	engine.Engine
	copied bool // by the engine; else the first request has no answer
	before func()
	req    *engine.Request
	asked  int
	done   bool
}

func (e *lateAcquire) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := e.Engine.Acquire(ctx, r)
	e.req = r
	if e.asked++; e.asked == 1 && !e.copied {
		return engine.Answer{}, engine.ErrUnknown
	}
	ans.Copied = e.copied
	return ans, err
}

func (e *lateAcquire) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	if !e.done {
		e.done = true
		e.before()
		_, _ = e.Engine.Acquire(ctx, e.req)
	}
	return e.Engine.Release(ctx, r)
}

// The release finds the hold gone, and a late acquire has put it back under another
// token: it is withdrawn.
func TestWhatIsBackUnderAnotherTokenIsGivenBack(t *testing.T) {
	for _, copied := range []bool{false, true} {
		t.Run(fmt.Sprintf("by a copy of the engine's: %v", copied), func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				c, _ := b.Client()
				e := &lateAcquire{
					Engine: behaviour.ManagerOf(c).Engine(), copied: copied,
					before: func() { b.Server.Del("relock:lock:{a}") },
				}
				behaviour.ManagerOf(c).SetEngine(e)
				lease := behaviour.LockOf(t, c.Mutex("a"))
				behaviour.HoldOf(lease).AddInFlight(-behaviour.HoldOf(lease).AddInFlight(0)) // nothing is under way any more
				if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
					t.Errorf("got %v, want ErrLost", err)
				}
				synctest.Wait()
				if b.Server.Exists("relock:lock:{a}") {
					t.Error("the lock is held by nobody")
				}
			})
		})
	}
}

// A check-in is slow, and one that is made since messages may have been lost has no
// answer: what the first was told is from before, and puts nothing off.
func TestASlowCheckInPutsNothingOff(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		other, _ := b.Client()
		mine, _ := b.Client()
		e := &lateEngine{Engine: behaviour.ManagerOf(mine).Engine(), hold: true}
		behaviour.ManagerOf(mine).SetEngine(e)
		behaviour.EngineOf(mine).Start(unheardSink{behaviour.ManagerOf(mine)})
		lease := behaviour.LockOf(t, other.Mutex("a"))
		got := waitingFor(t, mine.Mutex("a"))
		behaviour.Pass(relock.DefaultCheckInterval + lag)
		e.mu.Lock()
		e.fail = engine.ErrUnknown
		e.mu.Unlock()
		behaviour.Unlock(t, lease)
		behaviour.ManagerOf(mine).CheckIn()
		behaviour.Pass(time.Nanosecond)
		synctest.Wait()
		e.mu.Lock()
		late := e.late
		e.hold = false
		e.mu.Unlock()
		if len(late) != 2 {
			t.Fatalf("%d check-ins, want 2", len(late))
		}
		late[1]()
		late[0]()
		atOnce(t, got)
	})
}

// slowGrant is an engine whose acquires are answered when they are let go.
type slowGrant struct {
	engine.Engine
	letGo chan struct{}
}

func (e *slowGrant) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := e.Engine.Acquire(ctx, r)
	<-e.letGo
	return ans, err
}

// Two grants are taken away while the answer that tells of the first is on its way.
func TestAGrantBeforeTheLastThatWasTakenAwayIsNone(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		other, _ := b.Client()
		c, _ := b.Client()
		e := &slowGrant{behaviour.ManagerOf(c).Engine(), make(chan struct{})}
		behaviour.ManagerOf(c).SetEngine(e)
		got := make(chan error, 1)
		go func() { _, err := c.Mutex("a").TryLock(behaviour.Bg); got <- err }()
		synctest.Wait()
		force := func() {
			if freed, err := c.Mutex("a").ForceUnlock(behaviour.Bg); !freed || err != nil {
				t.Fatalf("got %v, %v from ForceUnlock", freed, err)
			}
		}
		force()
		behaviour.LockOf(t, other.Mutex("a"))
		force()
		close(e.letGo)
		if err := <-got; !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v from TryLock, want ErrLost", err)
		}
	})
}
