package lifecycle_test

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
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
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		h, _ := b.Client()
		good := redistest.InMemoryClient(b.Server)
		bad := redistest.InMemoryClient(b.Server, func(o *redis.Options) {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		})
		b.T.Cleanup(func() { _ = good.Close(); _ = bad.Close() })
		a := behaviour.ClientOn(b.T, &splitRedis{good, bad})
		lease := behaviour.LockOf(t, h.Mutex("a"))
		ctx, cancel := context.WithTimeout(behaviour.Bg, 30*time.Second)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			l, err := a.Mutex("a").Lock(ctx)
			if err == nil {
				_ = l.Unlock(behaviour.Bg)
			}
			got <- err
		}()
		behaviour.Pass(50 * time.Millisecond)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		o1, _ := b.Client()
		o2, _ := b.Client()
		for _, c := range []*relock.Client{o1, o2} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					select {
					case <-stop:
						return
					default:
					}
					l, err := c.Mutex("a").Lock(behaviour.Bg)
					if err != nil {
						return
					}
					behaviour.Pass(30 * time.Millisecond)
					_ = l.Unlock(behaviour.Bg)
				}
			}()
		}
		behaviour.Pass(50 * time.Millisecond)
		behaviour.Unlock(t, lease)
		if err := <-got; err != nil {
			t.Errorf("after 30 s: %v", err)
		}
		close(stop)
		wg.Wait()
		behaviour.Pass(time.Second)
	})
}
