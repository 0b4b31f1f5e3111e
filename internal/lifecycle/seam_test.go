package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// What an engine that is no Redis may say, and is told.

// otherwise is an engine whose requests are written down and whose answers are
// changed.
type otherwise struct {
	engine.Engine
	answer func(*engine.Answer)
	status func(*engine.Status)

	mu    sync.Mutex
	asked []engine.Request
}

func (e *otherwise) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	e.mu.Lock()
	e.asked = append(e.asked, *r)
	e.mu.Unlock()
	ans, err := e.Engine.Acquire(ctx, r)
	if e.answer != nil {
		e.answer(&ans)
	}
	return ans, err
}

func (e *otherwise) Status(ctx context.Context, name string) (engine.Status, error) {
	st, err := e.Engine.Status(ctx, name)
	if e.status != nil {
		e.status(&st)
	}
	return st, err
}

// instead puts an engine before c's.
func instead(c *relock.Client) *otherwise {
	e := &otherwise{Engine: behaviour.ManagerOf(c).Engine()}
	behaviour.ManagerOf(c).SetEngine(e)
	return e
}

func TestAnEngineIsToldWhatARequestIsFor(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		e := instead(c)
		r := c.Reentrant("a")
		outer := behaviour.LockOf(t, r)
		inner := behaviour.LockIn(t, outer.Context(), r)
		named := behaviour.LockIn(t, relock.WithOwner(behaviour.Bg, "x"), c.Reentrant("b"))
		other := behaviour.LockIn(t, relock.WithOwner(named.Context(), "y"), c.Reentrant("c"))
		if _, err := c.Reentrant("b").TryLock(relock.WithOwner(named.Context(), "y")); !errors.Is(err, relock.ErrNotAcquired) {
			t.Error(err)
		}
		if got := e.asked[len(e.asked)-1]; got.Owner != "y" || got.Within != "" {
			t.Errorf("a request of %s is nested in %q, another's hold", got.Owner, got.Within)
		}
		fixed := behaviour.LockOf(t, c.Mutex("d", relock.WithLease(time.Minute)))
		for i, want := range []engine.Request{
			{Hold: behaviour.HoldOf(outer).ID()},
			{Hold: behaviour.HoldOf(inner).ID(), Within: behaviour.HoldOf(outer).ID()},
			{Hold: behaviour.HoldOf(named).ID()},
			{Hold: behaviour.HoldOf(other).ID()},
			{Hold: e.asked[4].Hold},
			{Hold: behaviour.HoldOf(fixed).ID(), Fixed: true},
		} {
			got := e.asked[i]
			if got.Hold != want.Hold || got.Within != want.Within || got.Fixed != want.Fixed {
				t.Errorf("request %d: hold %q within %q, fixed %v; want %q, %q, %v",
					i, got.Hold, got.Within, got.Fixed, want.Hold, want.Within, want.Fixed)
			}
		}
	})
}

func TestTheAgeOfAHoldMayBeUnknown(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		holder, _ := b.Client()
		c, _ := b.Client()
		behaviour.LockOf(t, holder.Mutex("a"))
		e := instead(c)
		e.answer = func(ans *engine.Answer) { ans.Age = engine.AgeUnknown }
		e.status = func(st *engine.Status) { st.Age = engine.AgeUnknown }
		_, err := c.Mutex("a").TryLock(behaviour.Bg)
		var taken *relock.NotAcquiredError
		if !errors.As(err, &taken) || !taken.Since.IsZero() || strings.Contains(err.Error(), " for ") {
			t.Errorf("got %v, want a holder since nobody knows when", err)
		}
		if st, err := c.Mutex("a").Status(behaviour.Bg); err != nil || !st.Held || !st.Since.IsZero() {
			t.Errorf("got %+v and %v, want a holder since nobody knows when", st, err)
		}
	})
}

// The validity counts from before the request; the longest hold from the grant.
func TestTheLongestHoldCountsFromTheGrant(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		const longest, ago = time.Hour, 20 * time.Minute
		start := time.Now()
		instead(c).answer = func(ans *engine.Answer) { ans.Since = start.Add(-ago) }
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithMaxHold(longest)))
		<-lease.Context().Done()
		synctest.Wait()
		if held := time.Since(start); held != longest-ago {
			t.Errorf("held for %v, want %v", held, longest-ago)
		}
	})
}

// A message does not say when the grant was, and the server may not either: then it
// was no earlier than the waiter's last request that was answered "waiting". One that
// is too old by the server, whose clock may have stepped, is asked for again.
func TestTheLongestHoldOfAGrantByMessage(t *testing.T) {
	const longest, waited = time.Hour, time.Second
	for name, test := range map[string]struct {
		age  time.Duration
		want time.Duration // since it asked first
	}{
		"its age is unknown":           {engine.AgeUnknown, longest},
		"it is older than its longest": {longest + time.Minute, waited + longest},
		"it is older than the client":  {100 * 365 * 24 * time.Hour, waited + longest},
	} {
		t.Run(name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				holder, _ := b.Client()
				c, _ := b.Client()
				instead(c).status = func(st *engine.Status) { st.Age = test.age }
				before := behaviour.LockOf(t, holder.Mutex("a"))
				got := waitingFor(t, c.Mutex("a", relock.WithMaxHold(longest)))
				asked := time.Now()
				behaviour.Pass(waited)
				behaviour.Unlock(t, before)
				lease := <-got
				select {
				case <-lease.Context().Done():
				case <-time.After(2 * longest):
				}
				if held := time.Since(asked); held != test.want {
					t.Errorf("over %v after it was asked for, want %v", held, test.want)
				}
			})
		})
	}
}

// forgetful is an engine that answers no withdrawal for a while.
type forgetful struct {
	engine.Engine

	mu    sync.Mutex
	until time.Time
	sent  time.Time // the last one
}

func (e *forgetful) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent = time.Now()
	if e.sent.Before(e.until) {
		return engine.Released{}, engine.ErrUnknown
	}
	return e.Engine.Release(ctx, r)
}

type lasting struct{ *forgetful }

func (lasting) Lasting() {}

func TestWhatDoesNotEndByItselfIsWithdrawnUntilThatIsAnswered(t *testing.T) {
	for _, last := range []bool{false, true} {
		t.Run(fmt.Sprintf("it lasts: %v", last), func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				holder, _ := b.Client()
				c, _ := b.Client()
				behaviour.LockOf(t, holder.Mutex("a"))
				e := &forgetful{Engine: behaviour.ManagerOf(c).Engine()}
				behaviour.ManagerOf(c).SetEngine(e)
				if last {
					behaviour.ManagerOf(c).SetEngine(lasting{e})
				}
				ctx, cancel := context.WithCancel(behaviour.Bg)
				gaveUp := make(chan error)
				go func() { _, err := c.Mutex("a").Lock(ctx); gaveUp <- err }()
				behaviour.Pass(time.Second)
				e.mu.Lock()
				e.until = time.Now().Add(10 * behaviour.TTL)
				e.mu.Unlock()
				cancel()
				<-gaveUp
				behaviour.Pass(11 * behaviour.TTL)
				e.mu.Lock()
				defer e.mu.Unlock()
				if answered := !e.sent.Before(e.until); answered != last {
					t.Errorf("answered in the end: %v", answered)
				}
			})
		})
	}
}
