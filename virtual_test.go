package relock

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// Timing, exactly, in virtual time: no test here waits.

// bubble is a server in virtual time whose clients can be cut off from it.
type bubble struct {
	t      *testing.T
	server *miniredis.Miniredis
	rdb    *redis.Client
}

func inBubble(t *testing.T, f func(*bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { pass(time.Minute) }) // what go-redis does after Close has an end too
		m, rdb := redistest.EmbeddedInMemory(t)
		f(&bubble{t, m, rdb})
	})
}

// client returns a Client and its wire.
func (b *bubble) client(opts ...Option) (*Client, *wire) {
	var w wire
	rdb := redistest.InMemoryClient(b.server, func(o *redis.Options) {
		dial := o.Dialer
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if w.silent.Load() {
				// A handshake that hangs blocks go-redis on a mutex, which stops
				// virtual time.
				return nil, syscall.ECONNREFUSED
			}
			conn, err := dial(ctx, network, addr)
			return &wired{conn, &w}, err
		}
	})
	b.t.Cleanup(func() { _ = rdb.Close() })
	return clientOn(b.t, rdb, opts...), &w
}

// wire is what a client's connections have in common.
type wire struct {
	silent atomic.Bool  // nothing that is written arrives, and no new connection is had
	writes atomic.Int64 // requests, or pipelines of them
	lag    atomic.Int64 // nanoseconds that whatever the server says is on its way
}

func (w *wire) cutOff() { w.silent.Store(true) }

type wired struct {
	net.Conn
	wire *wire
}

func (c *wired) Write(p []byte) (int, error) {
	c.wire.writes.Add(1)
	if c.wire.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *wired) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if lag := c.wire.lag.Load(); lag > 0 {
		pass(time.Duration(lag))
	}
	return n, err
}

// pass lets d of virtual time go by.
func pass(d time.Duration) { <-time.After(d) }

const ttl = 30 * time.Second

func TestAGrantIsBelievedForItsTTLLessTheDrift(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		start := time.Now()
		lease := lockOf(t, c.Mutex("a", WithLease(ttl)))
		if got, want := lease.ValidUntil().Sub(start), ttl-engine.Drift(ttl); got != want {
			t.Errorf("valid for %v, want %v", got, want)
		}
		pass(ttl - engine.Drift(ttl) - 1)
		if err := lease.Err(); err != nil {
			t.Errorf("a nanosecond before its end: %v", err)
		}
		if err := lease.Context().Err(); err != nil {
			t.Errorf("the context ended early: %v", err)
		}
		pass(1)
		if err := lease.Err(); !errors.Is(err, ErrLost) {
			t.Errorf("at its end: %v, want ErrLost", err)
		}
		synctest.Wait()
		if err := context.Cause(lease.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("got cause %v at the end, want ErrLost", err)
		}
	})
}

func TestTheWatchdogRenewsEveryThirdOfTheTTL(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client()
		lease := lockOf(t, c.Mutex("a"))
		before := wire.writes.Load()
		const span = time.Hour
		for range int(span / time.Second) {
			pass(time.Second)
			if err := lease.Err(); err != nil {
				t.Fatal(err)
			}
			if left := b.server.TTL("relock:lock:{a}"); left < ttl*6/10 {
				t.Fatalf("%v left on the server", left)
			}
		}
		got, want := int(wire.writes.Load()-before), int(3*span/ttl)
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%d renewals in %v, want about %d", got, span, want)
		}
		unlock(t, lease)
	})
}

func TestACutOffHolderIsLostAtItsDeadlineAndNotBefore(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client()
		lease := lockOf(t, c.Mutex("a"))
		pass(5 * ttl)
		synctest.Wait()
		until := lease.ValidUntil()
		wire.cutOff()
		pass(time.Until(until) - 1)
		if lease.Err() != nil || lease.Context().Err() != nil {
			t.Errorf("lost early: %v, %v", lease.Err(), lease.Context().Err())
		}
		pass(1)
		synctest.Wait()
		if err := context.Cause(lease.Context()); !errors.Is(err, ErrLost) || lease.Err() == nil {
			t.Errorf("got cause %v and %v at the deadline, want ErrLost", err, lease.Err())
		}
		if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
			t.Errorf("got %v from Unlock, want ErrLost", err)
		}
	})
}

func TestAHolderWhoseKeyIsGoneLearnsOfItByTheNextRenewal(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		lease := lockOf(t, c.Mutex("a"))
		b.server.Del("relock:lock:{a}")
		start := time.Now()
		select {
		case <-lease.Context().Done():
		case <-time.After(10 * ttl):
		}
		if took := time.Since(start); took > ttl/3+ttl/30 {
			t.Errorf("learnt of it after %v, want within a third of %v", took, ttl)
		}
		if b.server.Exists("relock:lock:{a}") {
			t.Error("the key has been put back")
		}
	})
}

func TestADeadHolderKeepsTheLockNoLongerThanItsTTL(t *testing.T) {
	inBubble(t, func(b *bubble) {
		dead, wire := b.client()
		lockOf(t, dead.Mutex("a"))
		pass(time.Minute)
		synctest.Wait()
		next, _ := b.client()
		got := make(chan time.Time, 1)
		go func() {
			lease, err := next.Mutex("a").Lock(bg)
			if err != nil {
				t.Error(err)
			}
			had := time.Now()
			unlock(t, lease)
			got <- had
		}()
		synctest.Wait()
		wire.cutOff()
		died := time.Now()
		if took := (<-got).Sub(died); took > ttl+minCheck {
			t.Errorf("the head of the queue had the lock %v after the death, want within %v", took, ttl)
		}
	})
}

func TestAWaiterChecksInOnceAnInterval(t *testing.T) {
	inBubble(t, func(b *bubble) {
		holder, _ := b.client()
		waiter, wire := b.client()
		lease := lockOf(t, holder.Mutex("a", WithTTL(time.Hour)))
		ctx, cancel := context.WithCancel(bg)
		done := make(chan struct{})
		for range 10 {
			go func() {
				_, err := waiter.Mutex("a").Lock(ctx)
				if !errors.Is(err, ErrNotAcquired) {
					t.Errorf("got %v, want ErrNotAcquired", err)
				}
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		before := wire.writes.Load()
		const span = 5 * time.Minute
		pass(span)
		// A silent subscription is pinged once an interval as well.
		got, want := int(wire.writes.Load()-before), int(span/DefaultCheckInterval)
		if got > 2*want+2 || got < want {
			t.Errorf("%d commands of 10 idle waiters in %v, want about %d check-ins and as many pings", got, span, want)
		}
		cancel()
		for range 10 {
			<-done
		}
		unlock(t, lease)
	})
}

func TestAWaitEndsWithItsContextToTheInstant(t *testing.T) {
	inBubble(t, func(b *bubble) {
		holder, _ := b.client()
		waiter, wire := b.client()
		lease := lockOf(t, holder.Mutex("a"))
		for _, cut := range []bool{false, true} {
			if cut {
				wire.cutOff()
			}
			ctx, cancel := context.WithTimeout(bg, 7*time.Second)
			start := time.Now()
			_, err := waiter.Mutex("a").Lock(ctx)
			cancel()
			if took := time.Since(start); took != 7*time.Second {
				t.Errorf("cut off %v: returned after %v, want 7s", cut, took)
			}
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotAcquired) == cut {
				t.Errorf("cut off %v: got %v", cut, err)
			}
		}
		unlock(t, lease)
	})
}

// A grant whose message is lost is found by the next check-in, whenever in the
// interval it was made.
func TestAWaiterWhoseMessagesAreLostHasTheLockWithinTheCheckInterval(t *testing.T) {
	inBubble(t, func(b *bubble) {
		holder, _ := b.client()
		waiter, _ := b.client()
		waiter.eng.notify.sink = deafSink{waiter.host}
		for i := range 20 {
			lease := lockOf(t, holder.Mutex("a"))
			got := make(chan *Lease, 1)
			go func() { got <- lockOf(t, waiter.Mutex("a")) }()
			pass(time.Second + time.Duration(i)*200*time.Millisecond)
			start := time.Now()
			unlock(t, lease)
			next := <-got
			if took := time.Since(start); took > DefaultCheckInterval {
				t.Errorf("had the lock after %v, want within %v", took, DefaultCheckInterval)
			}
			unlock(t, next)
		}
	})
}

// deafSink hears no grant.
type deafSink struct{ engine.Sink }

func (deafSink) Deliver(engine.Message) {}

func TestCloseIsBoundedThoughNothingIsAnswered(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client(WithCallTimeout(2 * time.Second))
		lease := lockOf(t, c.Mutex("a"))
		wire.cutOff()
		start := time.Now()
		if err := c.Close(); err == nil {
			t.Error("Close says that all was released")
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("Close took %v, want 2s at most", took)
		}
		if err := context.Cause(lease.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("got cause %v, want ErrClosed", err)
		}
	})
}

func TestNothingRenewsAfterUnlock(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client()
		for i := range 200 {
			lease := lockOf(t, c.Mutex("a"))
			pass(ttl/3 + time.Duration(i-100)*10*time.Millisecond) // around the renewal
			unlock(t, lease)
			if b.server.Exists("relock:lock:{a}") {
				t.Fatal("the key is there after Unlock")
			}
		}
		before := wire.writes.Load()
		pass(10 * ttl)
		if got := wire.writes.Load() - before; got > 0 {
			t.Errorf("%d commands from a client that holds nothing", got)
		}
	})
}

// A message that was on its way for longer than the grant lives is no lock: the
// waiter gives it back and goes on waiting, at its place.
func TestAGrantTooOldIsReleasedAndTheWaitGoesOn(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		holder, _ := b.client()
		lease := lockOf(t, holder.Mutex("a"))
		got := make(chan *Lease)
		go func() { got <- lockOf(t, c.Mutex("a")) }()
		synctest.Wait()
		var id string
		c.host.mu.Lock()
		for id = range c.host.holds {
		}
		o := c.host.holds[id]
		o.last.Sent = o.last.Sent.Add(-time.Minute) // its last check-in was long ago
		c.host.mu.Unlock()
		unlock(t, lease)
		next := <-got
		if err := next.Err(); err != nil {
			t.Errorf("Lock returned a lease that is over: %v", err)
		}
		if next.o.(*hold).req.Hold == id {
			t.Error("the hold was not given up")
		}
		unlock(t, next)
		synctest.Wait()
		if b.server.Exists("relock:lock:{a}") || b.server.Exists("relock:queue:{a}") {
			t.Errorf("keys left: %q", b.server.Keys())
		}
	})
}
