package relock

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// slowAnswers is an engine whose server answers at once, and is heard a while
// later where its answer may be "waiting".
type slowAnswers struct{ engine.Engine }

const lag = DefaultCheckInterval / 30

func (e slowAnswers) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := e.Engine.Acquire(ctx, r)
	if r.Wait {
		pass(lag)
	}
	return ans, err
}

func (e slowAnswers) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	rel, err := e.Engine.Release(ctx, r)
	if r.Next != nil {
		pass(lag)
	}
	return rel, err
}

// waitingFor has a goroutine wait for m.
func waitingFor(t *testing.T, m *Mutex) <-chan *Lease {
	got := make(chan *Lease, 1)
	go func() { got <- lockOf(t, m) }()
	synctest.Wait()
	return got
}

// namedInPassing has a waiter of mine, which has lease, be named by the release of lease,
// behind one of another client, which gives the lock on before that release is
// answered.
func namedInPassing(t *testing.T, lease *Lease, other, mine *Client) (got <-chan *Lease, released <-chan error) {
	first := waitingFor(t, other.Mutex(lease.Name()))
	pass(lag) // arrivals at one instant have no order
	got = waitingFor(t, mine.Mutex(lease.Name()))
	done := make(chan error, 1)
	go func() { done <- lease.Unlock(bg) }()
	unlock(t, <-first)
	return got, done
}

func atOnce(t *testing.T, got <-chan *Lease) {
	t.Helper()
	start := time.Now()
	unlock(t, <-got)
	if took := time.Since(start); took > 3*lag {
		t.Errorf("had the lock %v after the new subscription, want at once", took)
	}
}

// A grant is lost with its subscription while a request of its waiter is under
// way, whose answer is from before the grant. With the new subscription the waiter
// asks again, and does not take that answer for the last word.
func TestAnAnswerFromBeforeALostMessageIsNotTheLastWord(t *testing.T) {
	for name, play := range map[string]func(t *testing.T, other, mine *Client){
		"its first request": func(t *testing.T, other, mine *Client) {
			lease := lockOf(t, other.Mutex("a"))
			got := waitingFor(t, mine.Mutex("a"))
			unlock(t, lease)
			mine.host.CheckIn()
			atOnce(t, got)
		},
		"the release that names it": func(t *testing.T, other, mine *Client) {
			lease := lockOf(t, mine.Mutex("a"))
			if err := mine.eng.Listen(bg); err != nil {
				t.Fatal(err)
			}
			got, released := namedInPassing(t, lease, other, mine)
			mine.host.CheckIn()
			atOnce(t, got)
			if err := <-released; err != nil {
				t.Error(err)
			}
		},
		"a check-in": func(t *testing.T, other, mine *Client) {
			lease := lockOf(t, other.Mutex("a"))
			got := waitingFor(t, mine.Mutex("a"))
			pass(lag)
			o := waiterOf(t, mine)
			mine.host.mu.Lock()
			before := o.heard()
			mine.host.mu.Unlock()
			unlock(t, lease)
			mine.host.CheckIn()
			mine.host.settle(o, before, nil) // before what CheckIn has it ask leaves
			atOnce(t, got)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				other, _ := b.client()
				mine, _ := b.client()
				mine.host.eng = slowAnswers{mine.host.eng}
				mine.eng.Start(deafSink{mine.host})
				play(t, other, mine)
			})
		})
	}
}

// The first subscription of a client is confirmed while a release that names its
// waiter is under way: the grant that follows was published to nobody.
func TestAnAnswerFromBeforeTheFirstSubscriptionIsNotTheLastWord(t *testing.T) {
	inBubble(t, func(b *bubble) {
		other, _ := b.client()
		mine, _ := b.client()
		mine.host.eng = slowAnswers{mine.host.eng}
		lease := lockOf(t, mine.Mutex("a"))
		got, released := namedInPassing(t, lease, other, mine)
		synctest.Wait()
		elsewhere := lockOf(t, other.Mutex("b"))
		subscribes := waitingFor(t, mine.Mutex("b"))
		if !mine.eng.Listening() {
			t.Fatal("the waiter for another lock has opened no subscription")
		}
		atOnce(t, got)
		if err := <-released; err != nil {
			t.Error(err)
		}
		unlock(t, elsewhere)
		unlock(t, <-subscribes)
	})
}

// What a waiter asks on a new subscription it asks once, though its answers are
// slow.
func TestAWaiterChecksInOnceForANewSubscription(t *testing.T) {
	inBubble(t, func(b *bubble) {
		holder, _ := b.client()
		c, wire := b.client()
		lease := lockOf(t, holder.Mutex("a", WithTTL(time.Hour)))
		wire.lag.Store(int64(lag))
		got := waitingFor(t, c.Mutex("a"))
		for range 50 { // to connect twice, to ask and to subscribe takes many answers
			if c.Stats().Waiting == 1 && b.waiters(holder) == 1 {
				break
			}
			pass(lag)
		}
		pass(3 * lag)
		waiterOf(t, c)
		for range 3 {
			c.host.CheckIn()
			pass(lag / 3)
		}
		pass(2 * lag)
		before := wire.writes.Load()
		const span = 4 * DefaultCheckInterval
		pass(span)
		// A check-in and a ping an interval.
		if n, most := wire.writes.Load()-before, int64(2*span/DefaultCheckInterval+2); n > most {
			t.Errorf("%d commands in %v, want no more than %d", n, span, most)
		}
		unlock(t, lease)
		unlock(t, <-got)
	})
}
