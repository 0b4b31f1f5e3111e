package relock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// lateEngine lets a test decide when the answers to a batch arrive.
type lateEngine struct {
	engine.Engine
	mu   sync.Mutex
	hold bool
	late []func()
	fail error // instead of the answer
}

func (e *lateEngine) Pulse(ctx context.Context, batch []engine.Pulse) {
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
	e.Engine.Pulse(ctx, batch)
}

func TestAWaiterThatGaveUpInAnOutageStaysAway(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		a, wire := b.client()
		lease := lockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithCancel(bg)
		res := make(chan error, 1)
		go func() { _, err := a.Mutex("a").Lock(ctx); res <- err }()
		pass(2500 * time.Millisecond)
		wire.cutOff()
		pass(1500 * time.Millisecond) // the check-in of 3 s is under way, and hangs
		cancel()
		if err := <-res; err == nil {
			t.Fatal("locked")
		}
		pass(time.Minute) // the withdrawal has given up after 30 s
		unlock(t, lease)
		pass(time.Minute)
		wire.silent.Store(false)
		pass(5 * time.Second)
		st, err := h.Mutex("a").Status(bg)
		t.Logf("5 s after the outage: %+v %v", st, err)
		if st.Held {
			t.Errorf("the lock is held by a waiter that gave up 2 minutes ago")
		}
		before := wire.writes.Load()
		pass(time.Minute)
		t.Logf("writes of the idle client in a minute: %d", wire.writes.Load()-before)
	})
}

func TestAWaiterThatGaveUpQueuesNoMore(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		a, wire := b.client()
		lockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithCancel(bg)
		res := make(chan error, 1)
		go func() { _, err := a.Mutex("a").Lock(ctx); res <- err }()
		pass(2500 * time.Millisecond)
		wire.cutOff()
		pass(1500 * time.Millisecond)
		cancel()
		<-res
		pass(time.Minute)
		wire.silent.Store(false)
		pass(10 * time.Minute)
		st, _ := h.Mutex("a").Status(bg)
		if st.Waiters != 0 {
			t.Errorf("%d waiters in the queue 10 minutes after the only one gave up", st.Waiters)
		}
	})
}

func TestACancelThatCrossesACheckInLeavesNothing(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		a, _ := b.client()
		e := &lateEngine{Engine: a.host.eng}
		a.host.eng = e
		lease := lockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithCancel(bg)
		res := make(chan error, 1)
		go func() { _, err := a.Mutex("a").Lock(ctx); res <- err }()
		pass(time.Second)
		e.mu.Lock()
		e.hold = true
		e.mu.Unlock()
		pass(2500 * time.Millisecond)
		synctest.Wait()
		a.host.mu.Lock()
		var o *hold
		for _, x := range a.host.holds {
			o = x
		}
		a.host.mu.Unlock()
		e.mu.Lock()
		e.hold = false
		late := e.late
		e.mu.Unlock()
		if len(late) == 0 {
			t.Fatal("no check-in")
		}
		// What Done does is answered, then settle; the cancel comes in between.
		o.unsure.Add(-1)
		cancel()
		<-res
		synctest.Wait()
		o.unsure.Add(1)
		late[0]()
		a.host.mu.Lock()
		if n := len(a.host.lines); n != 0 {
			t.Errorf("%d lines of nobody", n)
		}
		a.host.mu.Unlock()
		unlock(t, lease)
		pass(4 * time.Second)
		st, _ := h.Mutex("a").Status(bg)
		if st.Held {
			t.Errorf("held by nobody: %+v", st)
		}
	})
}

func TestALateCopyBeforeTheReleaseOfALostLeaseIsGivenBack(t *testing.T) {
	inBubble(t, func(b *bubble) {
		a, wire := b.client()
		lease := lockOf(t, a.Mutex("a"))
		lease.o.(*hold).unsure.Add(1) // a copy of the acquire is under way
		copyOf := lease.o.(*hold).req
		wire.cutOff()
		pass(31 * time.Second) // lost; the release has not got through yet
		if lease.Err() == nil {
			t.Fatal("not lost")
		}
		c2, _ := b.client()
		ans, err := c2.eng.Acquire(bg, &copyOf) // the late copy arrives
		t.Logf("late copy: %+v %v", ans, err)
		wire.silent.Store(false)
		pass(2 * time.Second)
		st, _ := c2.Mutex("a").Status(bg)
		if st.Held {
			t.Errorf("the lock is held by nobody, for %v: %+v", st.TTL, st)
		}
	})
}

func TestMaxHoldCountsFromAGrantByMessage(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		a, _ := b.client()
		lease := lockOf(t, h.Mutex("a"))
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, a.Mutex("a", WithMaxHold(2*time.Second))) }()
		pass(2500 * time.Millisecond)
		unlock(t, lease)
		l := <-got
		if err := l.Err(); err != nil {
			t.Errorf("Lock returned a lease that is over: %v, valid for %v", err, time.Until(l.ValidUntil()))
		}
	})
}

func TestUnlockIsBoundedThoughItsContextIsOver(t *testing.T) {
	inBubble(t, func(b *bubble) {
		a, wire := b.client()
		lease := lockOf(t, a.Mutex("a", WithLease(time.Hour)))
		ctx, cancel := context.WithCancel(bg)
		cancel()
		wire.cutOff()
		start := time.Now()
		err := lease.Unlock(ctx)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("Unlock(done ctx) took %v: %v", d, err)
		}
	})
}

func TestDoIsBoundedThoughItsContextIsOver(t *testing.T) {
	inBubble(t, func(b *bubble) {
		a, wire := b.client()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		start := time.Now()
		err := Do(ctx, a.Mutex("a", WithLease(time.Hour)), func(ctx context.Context, _ *Lease) error {
			wire.cutOff()
			<-ctx.Done()
			return ctx.Err()
		})
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("Do took %v: %v", d, err)
		}
	})
}

func TestAFixedLeaseIsNeverRenewed(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		a, _ := b.client()
		e := &lateEngine{Engine: a.host.eng}
		a.host.eng = e
		lease := lockOf(t, h.Mutex("a"))
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, a.Mutex("a", WithLease(20*time.Second))) }()
		pass(time.Second)
		e.mu.Lock()
		e.hold, e.fail = true, engine.ErrUnknown // the reply to the check-in is lost
		e.mu.Unlock()
		pass(2500 * time.Millisecond)
		synctest.Wait()
		unlock(t, lease)
		l := <-got
		end := l.ValidUntil()
		pass(3 * time.Second)
		e.mu.Lock()
		e.hold = false
		late := e.late
		e.mu.Unlock()
		for _, f := range late {
			f()
		}
		pass(2 * time.Second)
		if l.ValidUntil().After(end) {
			t.Errorf("a fixed lease was renewed by %v", l.ValidUntil().Sub(end))
		}
	})
}

func TestALeaseThatIsOverNeverComesBack(t *testing.T) {
	inBubble(t, func(b *bubble) {
		a, _ := b.client()
		lease := lockOf(t, a.Mutex("a"))
		sent := time.Now()
		ans, err := a.eng.Renew(bg, lease.o.(*hold).renewal(ttl)) // its reply is on the way
		if err != nil {
			t.Fatal(err)
		}
		_ = sent
		// The process was paused past the deadline and wakes; no timer has run yet.
		lease.o.(*hold).valid.Store(a.host.clock())
		if lease.Err() == nil {
			t.Fatal("not over")
		}
		a.host.dog.renewed(lease.o.(*hold), ans, nil)
		if lease.Err() == nil {
			t.Errorf("Err was ErrLost and is nil again")
		}
	})
}

func TestForceUnlockOfAFixedLeasePassesTheLockOn(t *testing.T) {
	inBubble(t, func(b *bubble) {
		a, _ := b.client()
		m := a.Mutex("a")
		lockOf(t, a.Mutex("a", WithLease(time.Hour)))
		got := make(chan error, 1)
		go func() { _, err := m.Lock(bg); got <- err }()
		pass(time.Second)
		if ok, err := m.ForceUnlock(bg); !ok || err != nil {
			t.Fatal(ok, err)
		}
		select {
		case <-got:
		case <-time.After(time.Minute):
			st, _ := m.Status(bg)
			t.Errorf("a minute later the waiter still waits for a lock that is free: %+v", st)
		}
	})
}

func TestAWaiterThatHearsNothingIsNotPassedOver(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		a, _ := b.client()
		a.eng.notify.refused(refusal("ERR unknown command 'SUBSCRIBE'"))
		lease := lockOf(t, h.Mutex("a"))
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, a.Mutex("a")) }()
		pass(50 * time.Millisecond)
		// Two others in turn.
		o1, _ := b.client()
		o2, _ := b.client()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, c := range []*Client{o1, o2} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					select {
					case <-stop:
						return
					default:
					}
					l, err := c.Mutex("a").Lock(bg)
					if err != nil {
						return
					}
					pass(30 * time.Millisecond)
					_ = l.Unlock(bg)
				}
			}()
		}
		pass(50 * time.Millisecond)
		unlock(t, lease)
		pass(15 * time.Second)
		select {
		case l := <-got:
			unlock(t, l)
		default:
			t.Errorf("first in the queue, and passed over for 15 s")
		}
		close(stop)
		wg.Wait()
		pass(time.Second)
	})
}

func TestAReplicaTimeoutBeyondTheCallTimeoutIsInvalid(t *testing.T) {
	s := redistest.StartT(t)
	c := clientOn(t, s.Client(), WithCallTimeout(300*time.Millisecond), WithTTL(3*time.Second))
	ctx, cancel := context.WithTimeout(bg, 8*time.Second)
	defer cancel()
	start := time.Now()
	_, err := c.Mutex("a", WithReplicas(1, 500*time.Millisecond)).Lock(ctx)
	t.Logf("%v after %v", err, time.Since(start))
	if !errors.Is(err, ErrNotReplicated) && !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrNotReplicated (or ErrInvalid)", err)
	}
}

func TestNotReplicatedLeavesNothingThoughTheContextEnds(t *testing.T) {
	s := redistest.StartT(t)
	c := clientOn(t, s.Client())
	ctx, cancel := context.WithCancel(bg)
	c.host.eng = &cancelAfterRenew{c.host.eng, cancel}
	_, err := c.Mutex("a", WithReplicas(1, 50*time.Millisecond)).Lock(ctx)
	if err == nil {
		t.Error("Lock returned a lease")
	}
	eventually(t, "the lock is free", func() bool {
		st, err := c.Mutex("a").Status(bg)
		return err == nil && !st.Held
	})
}

type cancelAfterRenew struct {
	engine.Engine
	cancel context.CancelFunc
}

func (e *cancelAfterRenew) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	a, err := e.Engine.Renew(ctx, r)
	e.cancel()
	return a, err
}

func TestAGuardsFenceIsInTheSlotOfItsKey(t *testing.T) {
	s := redistest.StartT(t, redistest.WithArgs("--cluster-enabled", "yes"))
	rdb := s.Client()
	slot := func(k string) int64 {
		n, err := rdb.ClusterKeySlot(bg, k).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, key := range []string{"plain", "50%off", "a{b"} {
		if a, b := slot(key), slot(keyOf(DefaultPrefix, kindGuard, key)); a != b {
			t.Errorf("%q is in slot %d, its fence in %d", key, a, b)
		}
	}
}
