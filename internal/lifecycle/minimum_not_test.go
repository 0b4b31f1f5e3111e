package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// What has no minimum, in virtual time.

// Only what a caller was given keeps.
func TestWhatWasNoLeaseIsFreeAtOnce(t *testing.T) {
	long := relock.WithMinHold(time.Hour)
	for name, f := range map[string]func(b *behaviour.Bubble, c *relock.Client, w *behaviour.Wire){
		"an answer that came too late": func(b *behaviour.Bubble, c *relock.Client, w *behaviour.Wire) {
			behaviour.Unlock(b.T, behaviour.LockOf(b.T, c.Mutex("warm")))
			w.Lag.Store(int64(time.Second))
			if _, err := c.Mutex("a", long, relock.WithTTL(500*time.Millisecond)).TryLock(behaviour.Bg); err == nil {
				b.T.Error("had the lock in spite of that")
			}
			w.Lag.Store(0)
			behaviour.Pass(2 * time.Second)
		},
		"a composite that is not to be": func(b *behaviour.Bubble, c *relock.Client, _ *behaviour.Wire) {
			behaviour.LockOf(b.T, c.Mutex("b"))
			_, err := behaviour.CompositeOf(b.T, c.Mutex("a", long), c.Mutex("b")).TryLock(behaviour.Bg)
			if !errors.Is(err, relock.ErrNotAcquired) {
				b.T.Errorf("got %v, want ErrNotAcquired", err)
			}
			other, _ := b.Client()
			behaviour.LockOf(b.T, other.Mutex("c"))
			_, err = behaviour.CompositeOf(b.T, c.Mutex("a", long), other.Mutex("c")).TryLock(behaviour.Bg) // of two clients: one by one
			if !errors.Is(err, relock.ErrNotAcquired) {
				b.T.Errorf("got %v, want ErrNotAcquired", err)
			}
		},
		"a grant that was too old": func(b *behaviour.Bubble, c *relock.Client, _ *behaviour.Wire) {
			holder, _ := b.Client()
			lease := behaviour.LockOf(b.T, holder.Mutex("a"))
			got := make(chan *relock.Lease)
			go func() { got <- behaviour.LockOf(b.T, c.Mutex("a", long)) }()
			o := waiterOf(b.T, c)
			messagesAreLate(c)
			behaviour.Unlock(b.T, lease)
			next := <-got
			if behaviour.HoldOf(next) == o {
				b.T.Error("the hold was not given up")
			}
			behaviour.HoldOf(next).NotHad() // its own minimum is not what this is about
			behaviour.Unlock(b.T, next)
		},
		"a grant for nobody": func(b *behaviour.Bubble, c *relock.Client, _ *behaviour.Wire) {
			ans, err := behaviour.EngineOf(c).Acquire(behaviour.Bg, &engine.Request{Name: "a", Hold: "nobody's", Owner: "nobody", TTL: behaviour.TTL, Keep: time.Hour, Life: behaviour.TTL})
			if err != nil {
				b.T.Fatal(err)
			}
			behaviour.ManagerOf(c).Deliver(engine.Message{Name: "a", Hold: "nobody's", Token: ans.Token, Left: behaviour.TTL})
		},
		"a wait that was given up as it was granted": func(b *behaviour.Bubble, c *relock.Client, w *behaviour.Wire) {
			holder, _ := b.Client()
			lease := behaviour.LockOf(b.T, holder.Mutex("a"))
			ctx, cancel := context.WithCancel(behaviour.Bg)
			done := make(chan error, 1)
			go func() { _, err := c.Mutex("a", long).Lock(ctx); done <- err }()
			waiterOf(b.T, c)
			w.Lag.Store(int64(time.Second))
			behaviour.Unlock(b.T, lease)
			cancel()
			w.Lag.Store(0)
			if err := <-done; err == nil {
				b.T.Error("had the lock in spite of that")
			}
			behaviour.Pass(2 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				c, w := b.Client()
				f(b, c, w)
				other, _ := b.Client()
				b.WantFree(other, "a")
			})
		})
	}
}
