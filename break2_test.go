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

// 12. No subscription can be had (maxclients, the channel's shard is down): a
// new waiter never joins the queue, and starves.
func TestBreakNoSubscriptionStarves(t *testing.T) {
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

// 13. A second waiter of one owner, while the owner holds the lock.
func TestBreakSameOwnerWaits(t *testing.T) {
	inBubble(t, func(b *bubble) {
		h, _ := b.client()
		p1, _ := b.client()
		p2, _ := b.client()
		lease := lockOf(t, h.Mutex("a"))
		ctx := WithOwner(bg, "w")
		first := make(chan *Lease, 2)
		for _, c := range []*Client{p1, p2} {
			go func() { first <- lockIn(t, ctx, c.Reentrant("a")) }()
		}
		pass(100 * time.Millisecond)
		unlock(t, lease)
		l1 := <-first
		start := time.Now()
		l2 := <-first
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("its owner has had the lock for %v before the second step got it", d)
		}
		_ = l1.Unlock(bg)
		_ = l2.Unlock(bg)
	})
}

// 14. A check interval below the round trip: no subscription is ever confirmed.
func TestBreakCheckIntervalBelowRoundTrip(t *testing.T) {
	s := redistest.StartT(t)
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), Dialer: func(ctx context.Context, n, a string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, n, a)
		return &slowConn{c}, err
	}})
	t.Cleanup(func() { _ = rdb.Close() })
	h := clientOn(t, s.Client())
	a := clientOn(t, rdb, WithCheckInterval(10*time.Millisecond))
	lease := lockOf(t, h.Mutex("a"))
	ctx, cancel := context.WithTimeout(bg, 5*time.Second)
	defer cancel()
	go func() {
		l, err := a.Mutex("a").Lock(ctx)
		t.Log(err)
		if err == nil {
			_ = l.Unlock(bg)
		}
	}()
	time.Sleep(2 * time.Second)
	st, _ := h.Mutex("a").Status(bg)
	if st.Waiters != 1 {
		t.Errorf("after 2 s the waiter is not in the queue")
	}
	unlock(t, lease)
	time.Sleep(3500 * time.Millisecond)
}

type slowConn struct{ net.Conn }

func (c *slowConn) Write(p []byte) (int, error) { time.Sleep(0); return c.Conn.Write(p) }
func (c *slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil {
		time.Sleep(15 * time.Millisecond)
	}
	return n, err
}
