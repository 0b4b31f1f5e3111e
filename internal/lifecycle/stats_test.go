package lifecycle_test

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

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

// ends is a tracer of how calls end.
type ends struct {
	mu  sync.Mutex
	all []relock.AcquireEnd
}

func (s *ends) TraceAcquireStart(ctx context.Context, _ relock.AcquireStart) context.Context {
	return ctx
}

func (s *ends) TraceAcquireEnd(_ context.Context, e relock.AcquireEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, e)
}

func TestAWaiterIsToldItsPlace(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		told := &ends{}
		c, _ := b.Client(relock.WithTracer(told))
		other, _ := b.Client()
		holder, _ := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		var wg sync.WaitGroup
		wait := func(l relock.Locker, ctx context.Context) {
			behaviour.Pass(time.Second)
			wg.Go(func() { _, _ = l.Lock(ctx) })
			synctest.Wait()
		}
		wait(c.Reentrant("a"), relock.WithOwner(ctx, "first"))
		wait(c.Reentrant("a"), relock.WithOwner(ctx, "second"))
		wait(other.Mutex("a"), ctx)
		wait(c.Mutex("a"), ctx) // in the server's queue, behind those three
		wait(c.Mutex("a"), ctx) // in its client's, behind that one
		cancel()
		wg.Wait()
		slices.SortFunc(told.all, func(a, b relock.AcquireEnd) int { return int(b.Waited - a.Waited) })
		for i, want := range []int{0, 1, 3, 1} {
			e := told.all[i]
			if !e.Queued || e.Ahead != want || !errors.Is(e.Err, relock.ErrNotAcquired) || !errors.Is(e.Err, context.Canceled) {
				t.Errorf("got end %+v, want %d ahead and a wait that was given up", e, want)
			}
		}
		behaviour.WantStats(t, "given up", c.Stats(), relock.Stats{NotAcquired: 4})
		behaviour.Unlock(t, lease)
	})
}

// A client without a tracer makes nothing for one: what it asks at each event
// costs no memory, and a pair no more than with a tracer of other events.
func TestAnUnsetTracerCostsNoMemory(t *testing.T) {
	c := behaviour.ClientOn(t, behaviour.NewReady())
	lease := behaviour.LockOf(t, c.Mutex("a"))
	o := behaviour.HoldOf(lease)
	if n := testing.AllocsPerRun(100, func() {
		behaviour.ManagerOf(c).Observe(o)
	}); n != 0 {
		t.Errorf("got %v allocations at the events of a hold, want none", n)
	}
	unset, set := pairAllocs(t), pairAllocs(t, relock.WithTracer(&behaviour.LossOnly{}))
	if unset != set {
		t.Errorf("got %v allocations a pair without a tracer, and %v with one of losses only", unset, set)
	}
	if all := pairAllocs(t, relock.WithTracer(&behaviour.Diary{})); all <= unset {
		t.Errorf("got %v allocations with a tracer that makes some, and %v without: they are not counted", all, unset)
	}
}

// pairAllocs is what a Lock and an Unlock of a free lock allocate, without a
// server: the least of some runs, since pools are emptied at times.
func pairAllocs(t *testing.T, opts ...relock.Option) float64 {
	m := behaviour.ClientOn(t, behaviour.NewReady(), opts...).Mutex("pair")
	least := math.Inf(1)
	for range 10 {
		least = min(least, testing.AllocsPerRun(300, func() { behaviour.Unlock(t, behaviour.LockOf(t, m)) }))
	}
	return least
}

// All that is had comes to an end, and each end is counted once.
func TestStatsAddUp(t *testing.T) {
	r := newEmbeddedRig(t)
	var wg sync.WaitGroup
	for i := range 16 {
		m := r[i%len(r)].Mutex(fmt.Sprint("m", i%3))
		fixed := r[i%len(r)].Mutex(fmt.Sprint("f", i), relock.WithLease(relock.MinTTL))
		wg.Go(func() {
			for n := range 12 {
				patience := 20 * time.Second
				if n%4 == 0 {
					patience = time.Millisecond
				}
				ctx, cancel := context.WithTimeout(behaviour.Bg, patience)
				if lease, err := m.Lock(ctx); err == nil && n%5 != 0 {
					_ = lease.Unlock(behaviour.Bg)
				} else if err == nil {
					_, _ = m.ForceUnlock(behaviour.Bg)
				}
				if lease, err := fixed.TryLock(behaviour.Bg); err == nil && n%2 == 0 {
					_ = lease.Detach()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	for _, c := range r {
		behaviour.Eventually(t, "nothing is under way", func() bool { return c.Stats().Waiting == 0 })
		behaviour.LockOf(t, c.Mutex("ends", relock.WithLease(relock.MinTTL)))
		behaviour.Eventually(t, "a lease ends", func() bool { return c.Stats().Ended > 0 })
		behaviour.LockOf(t, c.Mutex("kept"))
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
func newEmbeddedRig(t *testing.T) []*relock.Client {
	m, rdb := redistest.Embedded(t)
	return []*relock.Client{behaviour.ClientOn(t, rdb), behaviour.ClientOn(t, redistest.InMemoryClient(m))}
}
