package redisengine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// Hooks that do more than to look.

// processHook is one hook of commands.
type processHook func(next redis.ProcessHook) redis.ProcessHook

func (processHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h processHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return h(next) }

func (processHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A hook that gives a command up by itself, as those with a time limit of their own
// do, goes on with it in the background: what was told not to be sent never is.
func TestWhatAHookGivesUpIsNotSentLater(t *testing.T) {
	r := behaviour.NewRig(t)
	rdb := r.Server.Client()
	c := behaviour.ClientOn(t, rdb)
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("warm")))
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
	if _, err := c.Mutex("a").TryLock(behaviour.Bg); !errors.Is(err, limit) || !errors.Is(err, engine.ErrUnsent) {
		t.Fatalf("got %v, want that nothing was sent, by the hook's word", err)
	}
	close(goOn)
	if err := <-done; err == nil {
		t.Error("the command was sent after all")
	}
	if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A hook that waits for a connection, say, and is cut short by Close.
func TestATryLockThatCloseCutsShortSaysSo(t *testing.T) {
	r := behaviour.NewRig(t)
	rdb := r.Server.Client()
	c := behaviour.ClientOn(t, rdb)
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
	go func() { _, err := c.Mutex("a").TryLock(behaviour.Bg); failed <- err }()
	<-began
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, relock.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// Whoever recovers from the panic of a hook finds the client as it was.
func TestAHookThatPanicsLeavesTheClientUsable(t *testing.T) {
	for _, what := range []string{"Lock", "Unlock"} {
		t.Run(what, func(t *testing.T) {
			r := behaviour.NewRig(t)
			rdb := r.Server.Client()
			c := behaviour.ClientOn(t, rdb)
			m := c.Mutex("a")
			behaviour.Eventually(t, "requests leave in their caller's goroutine", func() bool {
				behaviour.Unlock(t, behaviour.LockOf(t, m))
				return behaviour.EngineOf(c).Quick()
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
				panics(func() { _, _ = m.Lock(behaviour.Bg) })
			} else {
				lease := behaviour.LockOf(t, m)
				panics(func() { _ = lease.Unlock(behaviour.Bg) })
			}
			behaviour.Unlock(t, behaviour.LockOf(t, m))
			if st := c.Stats(); st.Waiting != 0 || st.Held != 0 {
				t.Errorf("got %+v, want that nobody holds or waits", st)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
