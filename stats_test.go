package relock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/redistest"
)

// ends is a tracer of how calls end.
type ends struct {
	mu  sync.Mutex
	all []AcquireEnd
}

func (s *ends) TraceAcquireStart(ctx context.Context, _ AcquireStart) context.Context { return ctx }
func (s *ends) TraceAcquireEnd(_ context.Context, e AcquireEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, e)
}

func TestAWaiterIsToldItsPlace(t *testing.T) {
	inBubble(t, func(b *bubble) {
		told := &ends{}
		c, _ := b.client(WithTracer(told))
		other, _ := b.client()
		holder, _ := b.client()
		lease := lockOf(t, holder.Mutex("a"))
		ctx, cancel := context.WithCancel(bg)
		var wg sync.WaitGroup
		wait := func(l Locker, ctx context.Context) {
			pass(time.Second)
			wg.Go(func() { _, _ = l.Lock(ctx) })
			synctest.Wait()
		}
		wait(c.Reentrant("a"), WithOwner(ctx, "first"))
		wait(c.Reentrant("a"), WithOwner(ctx, "second"))
		wait(other.Mutex("a"), ctx)
		wait(c.Mutex("a"), ctx) // in the server's queue, behind those three
		wait(c.Mutex("a"), ctx) // in its client's, behind that one
		cancel()
		wg.Wait()
		slices.SortFunc(told.all, func(a, b AcquireEnd) int { return int(b.Waited - a.Waited) })
		for i, want := range []int{0, 1, 3, 1} {
			e := told.all[i]
			if !e.Queued || e.Ahead != want || !errors.Is(e.Err, ErrNotAcquired) || !errors.Is(e.Err, context.Canceled) {
				t.Errorf("got end %+v, want %d ahead and a wait that was given up", e, want)
			}
		}
		wantStats(t, "given up", c.Stats(), Stats{NotAcquired: 4})
		unlock(t, lease)
	})
}

// A client without a tracer makes nothing for one: what it asks at each event
// costs no memory, and a pair no more than with a tracer of other events.
func TestAnUnsetTracerCostsNoMemory(t *testing.T) {
	c := clientOn(t, newReady())
	lease := lockOf(t, c.Mutex("a"))
	o, l := lease.o.(*hold), c.lock("a", nil)
	if n := testing.AllocsPerRun(100, func() {
		ctx := c.host.called(bg, o)
		c.host.set.trace.granted(o)
		c.host.acquired(o)
		c.host.returned(o, nil)
		c.host.renewed(o, o.answer, nil)
		_, told := c.host.set.trace.givesBack(ctx, o)
		c.host.released(o, nil)
		told(nil)
		c.host.set.trace.lost(o, LostGone)
		c.host.set.trace.ended(o, EndLease)
		c.host.set.trace.forced(ctx, &l, Status{})
	}); n != 0 {
		t.Errorf("got %v allocations at the events of a hold, want none", n)
	}
	unset, set := pairAllocs(t), pairAllocs(t, WithTracer(&lossOnly{}))
	if unset != set {
		t.Errorf("got %v allocations a pair without a tracer, and %v with one of losses only", unset, set)
	}
	if all := pairAllocs(t, WithTracer(&diary{})); all <= unset {
		t.Errorf("got %v allocations with a tracer that makes some, and %v without: they are not counted", all, unset)
	}
}

// pairAllocs is what a Lock and an Unlock of a free lock allocate, without a
// server: the least of some runs, since pools are emptied at times.
func pairAllocs(t *testing.T, opts ...Option) float64 {
	m := clientOn(t, newReady(), opts...).Mutex("pair")
	least := math.Inf(1)
	for range 10 {
		least = min(least, testing.AllocsPerRun(300, func() { unlock(t, lockOf(t, m)) }))
	}
	return least
}

// All that is had comes to an end, and each end is counted once.
func TestStatsAddUp(t *testing.T) {
	r := newEmbeddedRig(t)
	var wg sync.WaitGroup
	for i := range 16 {
		m := r[i%len(r)].Mutex(fmt.Sprint("m", i%3))
		fixed := r[i%len(r)].Mutex(fmt.Sprint("f", i), WithLease(MinTTL))
		wg.Go(func() {
			for n := range 12 {
				patience := 20 * time.Second
				if n%4 == 0 {
					patience = time.Millisecond
				}
				ctx, cancel := context.WithTimeout(bg, patience)
				if lease, err := m.Lock(ctx); err == nil && n%5 != 0 {
					_ = lease.Unlock(bg)
				} else if err == nil {
					_, _ = m.ForceUnlock(bg)
				}
				if lease, err := fixed.TryLock(bg); err == nil && n%2 == 0 {
					_ = lease.Detach()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for _, c := range r {
		eventually(t, "nothing is under way", func() bool { return c.Stats().Waiting == 0 })
		lockOf(t, c.Mutex("ends", WithLease(MinTTL)))
		eventually(t, "a lease ends", func() bool { return c.Stats().Ended > 0 })
		lockOf(t, c.Mutex("kept"))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		st := c.Stats()
		for what, n := range map[string]uint64{
			"released": st.Released, "lost": st.Lost, "ended": st.Ended, "detached": st.Detached, "closed": st.Closed,
		} {
			if n == 0 {
				t.Errorf("none was %s", what)
			}
		}
		if st.Held != 0 || st.Acquired != st.Released+st.Unanswered+st.Lost+st.Ended+st.Detached+st.Closed {
			t.Errorf("does not add up: %+v", st)
		}
	}
}

// newEmbeddedRig returns two clients on one embedded server.
func newEmbeddedRig(t *testing.T) []*Client {
	m, rdb := redistest.Embedded(t)
	return []*Client{clientOn(t, rdb), clientOn(t, redistest.InMemoryClient(m))}
}
