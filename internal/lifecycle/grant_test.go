package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redistest"
)

// Grants that come at the wrong time, or to nobody.

// waiterOf returns the one hold of c that waits, once it does.
func waiterOf(t *testing.T, c *relock.Client) *lifecycle.Hold {
	t.Helper()
	synctest.Wait()
	o := behaviour.ManagerOf(c).Queued()
	if o == nil {
		t.Fatal("nobody waits")
	}
	return o
}

// The grant that a message carries has ended, since the server has told of that
// very token, or of a later one, in the way.
func TestAMessageFromBeforeTheLastAnswerIsIgnored(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, _ := b.Client()
		c, _ := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
		o := waiterOf(t, c)
		for _, token := range []relock.Token{lease.Token(), lease.Token() - 1} {
			behaviour.ManagerOf(c).Deliver(engine.Message{Name: "a", Hold: o.Request().Hold, Token: int64(token), Left: o.Request().Life})
		}
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("Lock has returned while another holds the lock")
		default:
		}
		behaviour.Unlock(t, lease)
		behaviour.Unlock(t, <-got)
	})
}

func TestAGrantForNobodyIsReleased(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		ans, err := behaviour.EngineOf(c).Acquire(behaviour.Bg, &engine.Request{Name: "a", Hold: "nobody's", Owner: "nobody", TTL: behaviour.TTL, Life: behaviour.TTL})
		if err != nil {
			t.Fatal(err)
		}
		behaviour.ManagerOf(c).Deliver(engine.Message{Name: "a", Hold: "nobody's", Token: ans.Token, Left: behaviour.TTL})
		synctest.Wait()
		if b.Server.Exists("relock:lock:{a}") {
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
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		behaviour.ManagerOf(c).SetEngine(&silentRelease{Engine: behaviour.ManagerOf(c).Engine()})
		lease := behaviour.LockOf(t, c.Mutex("a"))
		ctx, cancel := context.WithTimeout(behaviour.Bg, relock.DefaultCheckInterval)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			next, err := c.Mutex("a").Lock(ctx)
			if err == nil {
				err = next.Unlock(behaviour.Bg)
			}
			got <- err
		}()
		synctest.Wait()
		behaviour.Unlock(t, lease) // the first copy names the waiter
		if err := <-got; err != nil {
			t.Errorf("it did not have its turn within %v: %v", relock.DefaultCheckInterval, err)
		}
	})
}

func TestGoroutinesOfOneClientTakeTurnsByArrival(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		m := c.Mutex("a")
		lease := behaviour.LockOf(t, m)
		const waiters = 5
		turns := make(chan int, waiters)
		var ended sync.WaitGroup
		for i := range waiters {
			ended.Go(func() {
				l := behaviour.LockOf(t, m)
				turns <- i
				behaviour.Unlock(t, l)
			})
			synctest.Wait()
		}
		behaviour.Unlock(t, lease)
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

const lag = relock.DefaultCheckInterval / 30

func (e slowAnswers) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ans, err := e.Engine.Acquire(ctx, r)
	if r.Wait {
		behaviour.Pass(lag)
	}
	return ans, err
}

func (e slowAnswers) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	rel, err := e.Engine.Release(ctx, r)
	if r.Next != nil {
		behaviour.Pass(lag)
	}
	return rel, err
}

// waitingFor has a goroutine wait for m.
func waitingFor(t *testing.T, m *relock.Mutex) <-chan *relock.Lease {
	got := make(chan *relock.Lease, 1)
	go func() { got <- behaviour.LockOf(t, m) }()
	synctest.Wait()
	return got
}

// namedInPassing has a waiter of mine, which has lease, be named by the release of lease,
// behind one of another client, which gives the lock on before that release is
// answered.
func namedInPassing(t *testing.T, lease *relock.Lease, other, mine *relock.Client) (got <-chan *relock.Lease, released <-chan error) {
	first := waitingFor(t, other.Mutex(lease.Name()))
	behaviour.Pass(lag) // arrivals at one instant have no order
	got = waitingFor(t, mine.Mutex(lease.Name()))
	done := make(chan error, 1)
	go func() { done <- lease.Unlock(behaviour.Bg) }()
	behaviour.Unlock(t, <-first)
	return got, done
}

func atOnce(t *testing.T, got <-chan *relock.Lease) {
	t.Helper()
	start := time.Now()
	behaviour.Unlock(t, <-got)
	if took := time.Since(start); took > 3*lag {
		t.Errorf("had the lock %v after the new subscription, want at once", took)
	}
}

// A grant is lost with its subscription while a request of its waiter is under
// way, whose answer is from before the grant. With the new subscription the waiter
// asks again, and does not take that answer for the last word.
func TestAnAnswerFromBeforeALostMessageIsNotTheLastWord(t *testing.T) {
	for name, play := range map[string]func(t *testing.T, other, mine *relock.Client){
		"its first request": func(t *testing.T, other, mine *relock.Client) {
			lease := behaviour.LockOf(t, other.Mutex("a"))
			got := waitingFor(t, mine.Mutex("a"))
			behaviour.Unlock(t, lease)
			behaviour.ManagerOf(mine).CheckIn()
			atOnce(t, got)
		},
		"the release that names it": func(t *testing.T, other, mine *relock.Client) {
			lease := behaviour.LockOf(t, mine.Mutex("a"))
			if err := behaviour.EngineOf(mine).Listen(behaviour.Bg); err != nil {
				t.Fatal(err)
			}
			got, released := namedInPassing(t, lease, other, mine)
			behaviour.ManagerOf(mine).CheckIn()
			atOnce(t, got)
			if err := <-released; err != nil {
				t.Error(err)
			}
		},
		"a check-in": func(t *testing.T, other, mine *relock.Client) {
			lease := behaviour.LockOf(t, other.Mutex("a"))
			got := waitingFor(t, mine.Mutex("a"))
			behaviour.Pass(lag)
			o := waiterOf(t, mine)
			before := o.Heard()
			behaviour.Unlock(t, lease)
			behaviour.ManagerOf(mine).CheckIn()
			behaviour.ManagerOf(mine).Settle(o, before) // before what CheckIn has it ask leaves
			atOnce(t, got)
		},
	} {
		t.Run(name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				other, _ := b.Client()
				mine, _ := b.Client()
				behaviour.ManagerOf(mine).SetEngine(slowAnswers{behaviour.ManagerOf(mine).Engine()})
				behaviour.EngineOf(mine).Start(unheardSink{behaviour.ManagerOf(mine)})
				play(t, other, mine)
			})
		})
	}
}

// The first subscription of a client is confirmed while a release that names its
// waiter is under way: the grant that follows was published to nobody.
func TestAnAnswerFromBeforeTheFirstSubscriptionIsNotTheLastWord(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		other, _ := b.Client()
		mine, _ := b.Client()
		behaviour.ManagerOf(mine).SetEngine(slowAnswers{behaviour.ManagerOf(mine).Engine()})
		lease := behaviour.LockOf(t, mine.Mutex("a"))
		got, released := namedInPassing(t, lease, other, mine)
		synctest.Wait()
		elsewhere := behaviour.LockOf(t, other.Mutex("b"))
		subscribes := waitingFor(t, mine.Mutex("b"))
		if !behaviour.EngineOf(mine).Listening() {
			t.Fatal("the waiter for another lock has opened no subscription")
		}
		atOnce(t, got)
		if err := <-released; err != nil {
			t.Error(err)
		}
		behaviour.Unlock(t, elsewhere)
		behaviour.Unlock(t, <-subscribes)
	})
}

// What a waiter asks on a new subscription it asks once, though its answers are
// slow.
func TestAWaiterChecksInOnceForANewSubscription(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, _ := b.Client()
		c, wire := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithTTL(time.Hour)))
		wire.Lag.Store(int64(lag))
		got := waitingFor(t, c.Mutex("a"))
		for range 50 { // to connect twice, to ask and to subscribe takes many answers
			if c.Stats().Waiting == 1 && b.Waiters(holder) == 1 {
				break
			}
			behaviour.Pass(lag)
		}
		behaviour.Pass(3 * lag)
		waiterOf(t, c)
		for range 3 {
			behaviour.ManagerOf(c).CheckIn()
			behaviour.Pass(lag / 3)
		}
		behaviour.Pass(2 * lag)
		before := wire.Writes.Load()
		const span = 4 * relock.DefaultCheckInterval
		behaviour.Pass(span)
		// A check-in and a ping an interval.
		if n, most := wire.Writes.Load()-before, int64(2*span/relock.DefaultCheckInterval+2); n > most {
			t.Errorf("%d commands in %v, want no more than %d", n, span, most)
		}
		behaviour.Unlock(t, lease)
		behaviour.Unlock(t, <-got)
	})
}

// forcer takes a lock away in the instant of its first grant.
type forcer struct {
	m    *relock.Mutex
	once sync.Once
	t    *testing.T
}

func (f *forcer) TraceGrant(context.Context, relock.Granted) {
	f.once.Do(func() {
		if freed, err := f.m.ForceUnlock(behaviour.Bg); err != nil || !freed {
			f.t.Errorf("ForceUnlock: %v, %v", freed, err)
		}
	})
}

func TestAGrantThatItsClientTookAwayIsNoLease(t *testing.T) {
	rdb := redistest.StartT(t).Client()
	for what, lock := range map[string]func(*relock.Mutex) (*relock.Lease, error){
		"TryLock": func(m *relock.Mutex) (*relock.Lease, error) { return m.TryLock(behaviour.Bg) },
		"Lock":    func(m *relock.Mutex) (*relock.Lease, error) { return m.Lock(behaviour.Bg) },
	} {
		f := &forcer{t: t}
		c := behaviour.ClientOn(t, rdb, relock.WithTracer(f))
		f.m = c.Mutex(what, relock.WithLease(time.Minute))
		l, err := lock(f.m)
		if what == "TryLock" {
			if !errors.Is(err, relock.ErrLost) {
				t.Errorf("TryLock: got %v, want ErrLost", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("Lock: %v", err)
		}
		if st, err := f.m.Status(behaviour.Bg); err != nil || st.Token != l.Token() {
			t.Errorf("Lock: token %d, and the server says %+v, %v", l.Token(), st, err)
		}
		behaviour.Unlock(t, l)
	}
}
