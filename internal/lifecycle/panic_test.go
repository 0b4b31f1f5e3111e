package lifecycle_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// panicking is a tracer that panics once, when it is told of at.
type panicking struct{ at atomic.Pointer[string] }

func (p *panicking) told(what string) {
	if at := p.at.Load(); at != nil && *at == what && p.at.CompareAndSwap(at, nil) {
		panic("tracer")
	}
}

func (p *panicking) TraceAcquireStart(ctx context.Context, _ relock.AcquireStart) context.Context {
	p.told("a call that begins")
	return ctx
}

func (p *panicking) TraceAcquireEnd(context.Context, relock.AcquireEnd) {
	p.told("a call that returns")
}

func (p *panicking) TraceGrant(context.Context, relock.Granted) { p.told("a grant") }

func (p *panicking) TraceReleaseStart(ctx context.Context, _ relock.ReleaseStart) context.Context {
	p.told("a release")
	return ctx
}

func (p *panicking) TraceReleaseEnd(context.Context, relock.ReleaseEnd) { p.told("its end") }

// recovered reports whether f panics.
func recovered(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// Whoever recovers from the panic of a tracer finds the client as it was: nothing is
// held that nobody has, and who waits has the lock.
func TestATracerThatPanicsLeavesNothingBehind(t *testing.T) {
	for _, at := range []string{"a call that begins", "a call that returns", "a grant", "a release", "its end"} {
		t.Run(at, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				p := &panicking{}
				c, _ := b.Client(relock.WithTracer(p))
				m := c.Mutex("a")
				var lease *relock.Lease
				if at == "a release" || at == "its end" {
					lease = behaviour.LockOf(t, m)
				}
				p.at.Store(&at)
				if !recovered(func() {
					if lease != nil {
						_ = lease.Unlock(behaviour.Bg)
						return
					}
					_, _ = m.Lock(behaviour.Bg)
				}) {
					t.Fatal("it did not panic")
				}
				synctest.Wait()
				if st := c.Stats(); st.Held != 0 || st.Waiting != 0 {
					t.Errorf("got %+v, want that nobody holds or waits", st)
				}
				start := time.Now()
				behaviour.Unlock(t, behaviour.LockOf(t, m))
				if took := time.Since(start); took > time.Second {
					t.Errorf("the next had the lock after %v", took)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestATracerThatPanicsLeavesNoMemberBehind(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		p := &panicking{}
		first, _ := b.Client()
		second, _ := b.Client(relock.WithTracer(p))
		other, _ := b.Client()
		all := behaviour.CompositeOf(t, first.Mutex("a"), second.Mutex("b"))
		lease := behaviour.LockOf(t, other.Mutex("b"))
		panics := make(chan bool, 1)
		go func() { panics <- recovered(func() { _, _ = all.Lock(behaviour.Bg) }) }()
		behaviour.Pass(time.Second) // it has the first, and waits for the second
		at := "a grant"
		p.at.Store(&at)
		behaviour.Unlock(t, lease)
		if !<-panics {
			t.Fatal("it did not panic")
		}
		synctest.Wait()
		for _, c := range []*relock.Client{first, second} {
			if st := c.Stats(); st.Held != 0 || st.Waiting != 0 {
				t.Errorf("got %+v, want that nobody holds or waits", st)
			}
		}
		b.WantFree(other, "a")
		b.WantFree(other, "b")
	})
}
