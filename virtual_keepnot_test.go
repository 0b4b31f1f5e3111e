package relock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// What has no minimum, in virtual time.

// Only what a caller was given keeps.
func TestWhatWasNoLeaseIsFreeAtOnce(t *testing.T) {
	long := WithMinHold(time.Hour)
	for name, f := range map[string]func(b *bubble, c *Client, w *wire){
		"an answer that came too late": func(b *bubble, c *Client, w *wire) {
			unlock(b.t, lockOf(b.t, c.Mutex("warm")))
			w.lag.Store(int64(time.Second))
			if _, err := c.Mutex("a", long, WithTTL(500*time.Millisecond)).TryLock(bg); err == nil {
				b.t.Error("had the lock in spite of that")
			}
			w.lag.Store(0)
			pass(2 * time.Second)
		},
		"a composite that is not to be": func(b *bubble, c *Client, _ *wire) {
			lockOf(b.t, c.Mutex("b"))
			_, err := compositeOf(b.t, c.Mutex("a", long), c.Mutex("b")).TryLock(bg)
			if !errors.Is(err, ErrNotAcquired) {
				b.t.Errorf("got %v, want ErrNotAcquired", err)
			}
			other, _ := b.client()
			lockOf(b.t, other.Mutex("c"))
			_, err = compositeOf(b.t, c.Mutex("a", long), other.Mutex("c")).TryLock(bg) // of two clients: one by one
			if !errors.Is(err, ErrNotAcquired) {
				b.t.Errorf("got %v, want ErrNotAcquired", err)
			}
		},
		"a grant that was too old": func(b *bubble, c *Client, _ *wire) {
			holder, _ := b.client()
			lease := lockOf(b.t, holder.Mutex("a"))
			got := make(chan *Lease)
			go func() { got <- lockOf(b.t, c.Mutex("a", long)) }()
			o := waiterOf(b.t, c)
			c.host.mu.Lock()
			o.last.Sent = o.last.Sent.Add(-time.Minute)
			c.host.mu.Unlock()
			unlock(b.t, lease)
			next := <-got
			if next.o.(*hold) == o {
				b.t.Error("the hold was not given up")
			}
			next.o.(*hold).had.Store(false) // its own minimum is not what this is about
			unlock(b.t, next)
		},
		"a grant for nobody": func(b *bubble, c *Client, _ *wire) {
			ans, err := c.eng.Acquire(bg, &engine.Request{Name: "a", Hold: "nobody's", Owner: "nobody", TTL: ttl, Keep: time.Hour, Life: ttl})
			if err != nil {
				b.t.Fatal(err)
			}
			c.host.Deliver(engine.Message{Name: "a", Hold: "nobody's", Token: ans.Token, Left: ttl})
		},
		"a wait that was given up as it was granted": func(b *bubble, c *Client, w *wire) {
			holder, _ := b.client()
			lease := lockOf(b.t, holder.Mutex("a"))
			ctx, cancel := context.WithCancel(bg)
			done := make(chan error, 1)
			go func() { _, err := c.Mutex("a", long).Lock(ctx); done <- err }()
			waiterOf(b.t, c)
			w.lag.Store(int64(time.Second))
			unlock(b.t, lease)
			cancel()
			w.lag.Store(0)
			if err := <-done; err == nil {
				b.t.Error("had the lock in spite of that")
			}
			pass(2 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				c, w := b.client()
				f(b, c, w)
				other, _ := b.client()
				b.wantFree(other, "a")
			})
		})
	}
}
