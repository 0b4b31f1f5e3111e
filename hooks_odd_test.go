package relock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// Hooks that do more than to look.

// processHook is one hook of commands.
type processHook func(next redis.ProcessHook) redis.ProcessHook

func (processHook) DialHook(next redis.DialHook) redis.DialHook            { return next }
func (h processHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return h(next) }
func (processHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A hook that gives a command up by itself, as those with a time limit of their own
// do, goes on with it in the background: what was told not to be sent never is.
func TestWhatAHookGivesUpIsNotSentLater(t *testing.T) {
	r := newRig(t)
	rdb := r.server.Client()
	c := clientOn(t, rdb)
	unlock(t, lockOf(t, c.Mutex("warm")))
	var on atomic.Bool
	goOn, done := make(chan struct{}), make(chan error, 1)
	limit := errors.New("the hook's own limit")
	rdb.AddHook(processHook(func(next redis.ProcessHook) redis.ProcessHook {
		return func(ctx context.Context, cmd redis.Cmder) error {
			if !on.CompareAndSwap(true, false) {
				return next(ctx, cmd)
			}
			go func() { <-goOn; done <- next(context.WithoutCancel(ctx), cmd) }()
			return limit
		}
	}))
	on.Store(true)
	if _, err := c.Mutex("a").TryLock(bg); !errors.Is(err, limit) || !errors.Is(err, engine.ErrUnsent) {
		t.Fatalf("got %v, want that nothing was sent, by the hook's word", err)
	}
	close(goOn)
	if err := <-done; err == nil {
		t.Error("the command was sent after all")
	}
	if left := keysLeft(t, r.direct); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A hook that waits for a connection, say, and is cut short by Close.
func TestATryLockThatCloseCutsShortSaysSo(t *testing.T) {
	r := newRig(t)
	rdb := r.server.Client()
	c := clientOn(t, rdb)
	began := make(chan struct{})
	var first atomic.Bool
	rdb.AddHook(processHook(func(next redis.ProcessHook) redis.ProcessHook {
		return func(ctx context.Context, cmd redis.Cmder) error {
			if !first.CompareAndSwap(false, true) {
				return next(ctx, cmd)
			}
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}
	}))
	failed := make(chan error, 1)
	go func() { _, err := c.Mutex("a").TryLock(bg); failed <- err }()
	<-began
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// Whoever recovers from the panic of a hook finds the client as it was.
func TestAHookThatPanicsLeavesTheClientUsable(t *testing.T) {
	for _, what := range []string{"Lock", "Unlock"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			rdb := r.server.Client()
			c := clientOn(t, rdb)
			m := c.Mutex("a")
			eventually(t, "requests leave in their caller's goroutine", func() bool {
				unlock(t, lockOf(t, m))
				return c.eng.direct.quick.Load() == directProof
			})
			var on atomic.Bool
			rdb.AddHook(processHook(func(next redis.ProcessHook) redis.ProcessHook {
				return func(ctx context.Context, cmd redis.Cmder) error {
					if on.CompareAndSwap(true, false) {
						panic("hook")
					}
					return next(ctx, cmd)
				}
			}))
			panics := func(f func()) {
				t.Helper()
				defer func() {
					if got := recover(); got != "hook" {
						t.Errorf("got the panic %v", got)
					}
				}()
				on.Store(true)
				f()
			}
			if what == "Lock" {
				panics(func() { _, _ = m.Lock(bg) })
			} else {
				lease := lockOf(t, m)
				panics(func() { _ = lease.Unlock(bg) })
			}
			unlock(t, lockOf(t, m))
			if st := c.Stats(); st.Waiting != 0 || st.Held != 0 {
				t.Errorf("got %+v, want that nobody holds or waits", st)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of one try whose first attempt may have been executed it is not said that
// nothing was sent.
func TestOneTryRemembersWhatMayHaveBeenDone(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // nothing is sent there
	defer rdb.Close()
	c := clientOn(t, rdb, WithCallTimeout(100*time.Millisecond))
	attempts := 0
	err := c.host.ask(bg, func(context.Context) error {
		attempts++
		if attempts == 1 {
			return fmt.Errorf("%w: EOF", engine.ErrUnknown)
		}
		return fmt.Errorf("%w: refused", engine.ErrUnsent)
	})
	if !errors.Is(err, engine.ErrUnknown) || attempts < 2 {
		t.Errorf("got %v after %d attempts, want that it is not known", err, attempts)
	}
}

// Calls in vain on a go-redis client that is closed leave nothing to be given back.
func TestAClosedGoRedisClientOwesNothing(t *testing.T) {
	r := newRig(t)
	rdb := r.server.Client()
	c := clientOn(t, rdb, WithTTL(time.Hour))
	unlock(t, lockOf(t, c.Mutex("warm")))
	_ = rdb.Close()
	for range 200 {
		if _, err := c.Mutex("a").TryLock(bg); !errors.Is(err, redis.ErrClosed) {
			t.Fatalf("got %v, want redis.ErrClosed", err)
		}
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if n := len(c.host.owed) + c.host.tasks; n > 0 {
		t.Errorf("%d holds are owed or worked on", n)
	}
}

// A lease is valid from the moment at which others can find it: Close would take
// one without validity for one that is over.
func TestALeaseIsNeverWithoutValidity(t *testing.T) {
	r := newRig(t)
	c := clientOn(t, r.server.Client())
	stop, scanned := make(chan struct{}), make(chan int)
	go func() {
		bad := 0
		for {
			select {
			case <-stop:
				scanned <- bad
				return
			default:
			}
			c.host.mu.Lock()
			for _, o := range c.host.holds {
				if o.stage == held && o.valid.Load() == 0 {
					bad++
				}
			}
			c.host.mu.Unlock()
		}
	}()
	for range 2000 {
		unlock(t, lockOf(t, c.Mutex("a")))
	}
	close(stop)
	if bad := <-scanned; bad > 0 {
		t.Errorf("%d times a lease had no validity", bad)
	}
}
