package relock

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/redistest"
)

// splitRedis has requests that work and a subscription that does not.
type splitRedis struct {
	*redis.Client
	sub *redis.Client
}

func (s *splitRedis) Subscribe(ctx context.Context, ch ...string) *redis.PubSub {
	return s.sub.Subscribe(ctx, ch...)
}

func TestAWaiterWithoutASubscriptionHasItsTurn(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		good := redistest.InMemoryClient(b.server)
		bad := redistest.InMemoryClient(b.server, func(o *redis.Options) {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		})
		b.t.Cleanup(func() { _ = good.Close(); _ = bad.Close() })
		a := clientOn(b.t, &splitRedis{good, bad})
		lease := lockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithTimeout(bg, 30*time.Second)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			l, err := a.Mutex("a").Lock(ctx)
			if err == nil {
				_ = l.Unlock(bg)
			}
			got <- err
		}()
		pass(50 * time.Millisecond)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		o1, _ := b.client()
		o2, _ := b.client()
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
		if err := <-got; err != nil {
			t.Errorf("after 30 s: %v", err)
		}
		close(stop)
		wg.Wait()
		pass(time.Second)
	})
}
