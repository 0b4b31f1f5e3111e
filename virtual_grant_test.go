package relock

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/relock-go/relock/internal/engine"
)

// Grants that come at the wrong time, or to nobody.

// waiterOf returns the one hold of c that waits, once it does.
func waiterOf(t *testing.T, c *Client) *hold {
	t.Helper()
	synctest.Wait()
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	for _, o := range c.host.holds {
		if o.stage == queued {
			return o
		}
	}
	t.Fatal("nobody waits")
	return nil
}

// The grant that a message carries has ended, since the server has told of that
// very token, or of a later one, in the way.
func TestAMessageFromBeforeTheLastAnswerIsIgnored(t *testing.T) {
	inBubble(t, func(b *bubble) {
		holder, _ := b.client()
		c, _ := b.client()
		lease := lockOf(t, holder.Mutex("a"))
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, c.Mutex("a")) }()
		o := waiterOf(t, c)
		for _, token := range []Token{lease.Token(), lease.Token() - 1} {
			c.host.Deliver(engine.Message{Name: "a", Hold: o.req.Hold, Token: int64(token), Left: o.req.Life})
		}
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("Lock has returned while another holds the lock")
		default:
		}
		unlock(t, lease)
		unlock(t, <-got)
	})
}

func TestAGrantForNobodyIsReleased(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		ans, err := c.eng.Acquire(bg, &engine.Request{Name: "a", Hold: "nobody's", Owner: "nobody", TTL: ttl, Life: ttl})
		if err != nil {
			t.Fatal(err)
		}
		c.host.Deliver(engine.Message{Name: "a", Hold: "nobody's", Token: ans.Token, Left: ttl})
		synctest.Wait()
		if b.server.Exists("relock:lock:{a}") {
			t.Error("the lock is held by nobody")
		}
	})
}

// silentRelease answers no release the first time.
type silentRelease struct {
	engine.Engine
	asked atomic.Int32
}

func (e *silentRelease) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	if e.asked.Add(1) == 1 {
		return engine.Released{}, engine.ErrUnknown
	}
	return e.Engine.Release(ctx, r)
}

func TestANextWhoseReleaseIsNotAnsweredAsksForItself(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		c.host.eng = &silentRelease{Engine: c.host.eng}
		lease := lockOf(t, c.Mutex("a"))
		ctx, cancel := context.WithTimeout(bg, DefaultCheckInterval)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			next, err := c.Mutex("a").Lock(ctx)
			if err == nil {
				err = next.Unlock(bg)
			}
			got <- err
		}()
		synctest.Wait()
		unlock(t, lease) // the first copy names the waiter
		if err := <-got; err != nil {
			t.Errorf("it did not have its turn within %v: %v", DefaultCheckInterval, err)
		}
	})
}

func TestGoroutinesOfOneClientTakeTurnsByArrival(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		m := c.Mutex("a")
		lease := lockOf(t, m)
		const waiters = 5
		turns := make(chan int, waiters)
		var ended sync.WaitGroup
		for i := range waiters {
			ended.Go(func() {
				l := lockOf(t, m)
				turns <- i
				unlock(t, l)
			})
			synctest.Wait()
		}
		unlock(t, lease)
		defer ended.Wait()
		var got []int
		for range waiters {
			got = append(got, <-turns)
		}
		if !slices.IsSorted(got) {
			t.Errorf("got turns %v, want them in order of arrival", got)
		}
	})
}
