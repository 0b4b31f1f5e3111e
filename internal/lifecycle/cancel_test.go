package lifecycle_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// lateEngine lets a test decide when the answers to a batch arrive.
type lateEngine struct {
	engine.Engine
	mu   sync.Mutex
	hold bool
	late []func()
	fail error // instead of the answer
}

func (e *lateEngine) SendBatch(ctx context.Context, batch []engine.BatchItem) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range batch {
		p := batch[i]
		done := p.Done
		p.Done = func(a engine.Answer, err error) {
			e.mu.Lock()
			fail := e.fail
			if e.hold && p.CheckIn != nil {
				e.late = append(e.late, func() {
					if fail != nil {
						done(engine.Answer{}, fail)
						return
					}
					done(a, err)
				})
				e.mu.Unlock()
				return
			}
			e.mu.Unlock()
			done(a, err)
		}
		batch[i] = p
	}
	e.Engine.SendBatch(ctx, batch)
}

func TestAWaiterThatGaveUpInAnOutageStaysAway(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		h, _ := b.Client()
		a, wire := b.Client()
		lease := behaviour.LockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		res := make(chan error, 1)
		go func() { _, err := a.Mutex("a").Lock(ctx); res <- err }()
		behaviour.Pass(2500 * time.Millisecond)
		wire.CutOff()
		behaviour.Pass(1500 * time.Millisecond) // the check-in of 3 s is under way, and hangs
		cancel()
		if err := <-res; err == nil {
			t.Fatal("locked")
		}
		behaviour.Pass(time.Minute) // the withdrawal has given up after 30 s
		behaviour.Unlock(t, lease)
		behaviour.Pass(time.Minute)
		wire.Silent.Store(false)
		behaviour.Pass(5 * time.Second)
		st, err := h.Mutex("a").Status(behaviour.Bg)
		t.Logf("5 s after the outage: %+v %v", st, err)
		if st.Held {
			t.Errorf("the lock is held by a waiter that gave up 2 minutes ago")
		}
		before := wire.Writes.Load()
		behaviour.Pass(time.Minute)
		t.Logf("writes of the idle client in a minute: %d", wire.Writes.Load()-before)
	})
}

func TestAWaiterThatGaveUpQueuesNoMore(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		h, _ := b.Client()
		a, wire := b.Client()
		behaviour.LockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		res := make(chan error, 1)
		go func() { _, err := a.Mutex("a").Lock(ctx); res <- err }()
		behaviour.Pass(2500 * time.Millisecond)
		wire.CutOff()
		behaviour.Pass(1500 * time.Millisecond)
		cancel()
		<-res
		behaviour.Pass(time.Minute)
		wire.Silent.Store(false)
		behaviour.Pass(10 * time.Minute)
		st, _ := h.Mutex("a").Status(behaviour.Bg)
		if st.Waiters != 0 {
			t.Errorf("%d waiters in the queue 10 minutes after the only one gave up", st.Waiters)
		}
	})
}

func TestACancelThatCrossesACheckInLeavesNothing(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		h, _ := b.Client()
		a, _ := b.Client()
		e := &lateEngine{Engine: behaviour.ManagerOf(a).Engine()}
		behaviour.ManagerOf(a).SetEngine(e)
		lease := behaviour.LockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		res := make(chan error, 1)
		go func() { _, err := a.Mutex("a").Lock(ctx); res <- err }()
		behaviour.Pass(time.Second)
		e.mu.Lock()
		e.hold = true
		e.mu.Unlock()
		behaviour.Pass(2500 * time.Millisecond)
		synctest.Wait()
		o := behaviour.ManagerOf(a).Holds()[0]
		e.mu.Lock()
		e.hold = false
		late := e.late
		e.mu.Unlock()
		if len(late) == 0 {
			t.Fatal("no check-in")
		}
		// What Done does is answered, then settle; the cancel comes in between.
		o.AddInFlight(-1)
		cancel()
		<-res
		synctest.Wait()
		o.AddInFlight(1)
		late[0]()
		if n := behaviour.ManagerOf(a).Names(); n != 0 {
			t.Errorf("%d lines of nobody", n)
		}
		behaviour.Unlock(t, lease)
		behaviour.Pass(4 * time.Second)
		st, _ := h.Mutex("a").Status(behaviour.Bg)
		if st.Held {
			t.Errorf("held by nobody: %+v", st)
		}
	})
}
