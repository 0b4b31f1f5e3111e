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

// deafTo hears no grant.
type deafTo struct{ engine.Sink }

func (deafTo) Deliver(engine.Message) {}

// A grant is lost with its subscription while a request of its waiter is under
// way, whose answer is from before the grant. With the new subscription the waiter
// asks again, and does not take that answer for the last word.
func TestAnAnswerFromBeforeALostMessageIsNotTheLastWord(t *testing.T) {
	turn := func(t *testing.T, m *Mutex) chan *Lease {
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, m) }()
		synctest.Wait()
		return got
	}
	atOnce := func(t *testing.T, got chan *Lease) {
		t.Helper()
		start := time.Now()
		unlock(t, <-got)
		if took := time.Since(start); took > 3*lag {
			t.Errorf("had the lock %v after the new subscription, want at once", took)
		}
	}
	for name, play := range map[string]func(t *testing.T, other, mine *Client){
		"its first request": func(t *testing.T, other, mine *Client) {
			lease := lockOf(t, other.Mutex("a"))
			got := turn(t, mine.Mutex("a"))
			unlock(t, lease)
			mine.host.CheckIn()
			atOnce(t, got)
		},
		"the release that names it": func(t *testing.T, other, mine *Client) {
			lease := lockOf(t, mine.Mutex("a"))
			if err := mine.eng.Listen(bg); err != nil {
				t.Fatal(err)
			}
			first := turn(t, other.Mutex("a"))
			pass(lag) // arrivals at one instant have no order
			got := turn(t, mine.Mutex("a"))
			released := make(chan error, 1)
			go func() { released <- lease.Unlock(bg) }()
			unlock(t, <-first)
			mine.host.CheckIn()
			atOnce(t, got)
			if err := <-released; err != nil {
				t.Error(err)
			}
		},
		"a check-in": func(t *testing.T, other, mine *Client) {
			lease := lockOf(t, other.Mutex("a"))
			got := turn(t, mine.Mutex("a"))
			pass(lag)
			o := waiterOf(t, mine)
			before := o.heard()
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
				mine.eng.Start(deafTo{mine.host})
				play(t, other, mine)
			})
		})
	}
}
