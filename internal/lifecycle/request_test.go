package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// Of one try whose first attempt may have been executed it is not said that
// nothing was sent.
func TestOneTryRemembersWhatMayHaveBeenDone(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // nothing is sent there
	defer rdb.Close()
	c := behaviour.ClientOn(t, rdb, relock.WithCallTimeout(100*time.Millisecond))
	attempts := 0
	err := behaviour.ManagerOf(c).Ask(behaviour.Bg, func(context.Context) error {
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
	r := behaviour.NewRig(t)
	rdb := r.Server.Client()
	c := behaviour.ClientOn(t, rdb, relock.WithTTL(time.Hour))
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("warm")))
	_ = rdb.Close()
	for range 200 {
		if _, err := c.Mutex("a").TryLock(behaviour.Bg); !errors.Is(err, redis.ErrClosed) {
			t.Fatalf("got %v, want redis.ErrClosed", err)
		}
	}
	if n := behaviour.ManagerOf(c).Owed() + behaviour.ManagerOf(c).Tasks(); n > 0 {
		t.Errorf("%d holds are owed or worked on", n)
	}
}

// A lease is valid from the moment at which others can find it: Close would take
// one without validity for one that is over.
func TestALeaseIsNeverWithoutValidity(t *testing.T) {
	r := behaviour.NewRig(t)
	c := behaviour.ClientOn(t, r.Server.Client())
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
			bad += behaviour.ManagerOf(c).Unbelieved()
		}
	}()
	for range 2000 {
		behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	}
	close(stop)
	if bad := <-scanned; bad > 0 {
		t.Errorf("%d times a lease had no validity", bad)
	}
}

func TestCloseEndsACallThatWaitsThoughNothingIsAnswered(t *testing.T) {
	for _, stage := range []string{"asking", "listening", "confirming"} {
		t.Run(stage, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				h, _ := b.Client()
				a, wire := b.Client(relock.WithCallTimeout(time.Minute))
				behaviour.Unlock(t, behaviour.LockOf(t, a.Mutex("other"))) // a connection
				lease := behaviour.LockOf(t, h.Mutex("a"))
				if stage == "asking" {
					wire.CutOff()
				}
				if stage == "listening" {
					behaviour.ManagerOf(a).SetEngine(unheard{behaviour.ManagerOf(a).Engine()})
				}
				got := make(chan error, 1)
				go func() {
					_, err := a.Mutex("a", relock.WithLease(time.Minute)).Lock(behaviour.Bg)
					got <- err
				}()
				synctest.Wait()
				if stage == "confirming" { // a fixed lease that came by message is renewed first
					wire.CutOff()
					behaviour.Unlock(t, lease)
					synctest.Wait()
				}
				start := time.Now()
				go func() { _ = a.Close() }()
				if err := <-got; !errors.Is(err, relock.ErrClosed) {
					t.Errorf("Lock says %v, want ErrClosed", err)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("Lock returned %v after Close was called, want at once", took)
				}
			})
		})
	}
}

// A refusal that is certain leaves nothing that would have to be withdrawn: were
// each call in vain to try that for as long as a TTL, a server that refuses all
// would be asked the more the longer it does.
func TestACallThatRedisRefusesIsOneCommand(t *testing.T) {
	var rdb refusing
	c := behaviour.ClientOn(t, &rdb)
	for range 10 {
		for name, call := range map[string]func(context.Context) error{"Lock": behaviour.LockCall(c.Mutex("a")), "TryLock": behaviour.TryCall(c.Mutex("a"))} {
			if err := call(behaviour.Bg); !redis.HasErrorPrefix(err, "NOPERM") {
				t.Errorf("%s says %v, want NOPERM", name, err)
			}
		}
	}
	if err := c.Close(); err != nil { // when it returns, nothing is under way
		t.Error(err)
	}
	if got := rdb.calls.Load(); got != 20 {
		t.Errorf("got %d commands of 20 calls, want one each", got)
	}
}

type refusing struct {
	redis.UniversalClient
	calls atomic.Int64
}

func (r *refusing) Process(_ context.Context, cmd redis.Cmder) error {
	r.calls.Add(1)
	cmd.SetErr(behaviour.RefusalError("NOPERM this user has no permissions to run the 'evalsha' command"))
	return cmd.Err()
}

// unheard is an engine whose subscription is never confirmed.
type unheard struct{ engine.Engine }

func (unheard) Listening() bool { return false }

func (unheard) Listen(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", engine.ErrUnknown, ctx.Err())
}

// Locks in vain on a server that refuses connections leave nothing to be done: no
// request has left.
func TestLocksThatNeverLeftLeaveNothingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { behaviour.Pass(time.Minute) }) // what go-redis does after Close has an end too
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: func(_ context.Context, network, _ string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}})
		t.Cleanup(func() { _ = rdb.Close() })
		c := behaviour.ClientOn(t, rdb)
		for range 20 {
			ctx, cancel := context.WithTimeout(behaviour.Bg, 10*time.Second)
			if _, err := c.Mutex("a", relock.WithTTL(time.Hour)).Lock(ctx); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("got %v, want that connections are refused", err)
			}
			cancel()
		}
		synctest.Wait()
		if n := behaviour.ManagerOf(c).Tasks(); n > 5 { // of those that ended while go-redis dialled nobody can tell
			t.Errorf("%d withdrawals of what never left, of 20 Locks", n)
		}
	})
}
