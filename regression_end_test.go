package relock

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
)

// Ends that took too long, or left too much behind.

func TestCloseEndsACallThatWaitsThoughNothingIsAnswered(t *testing.T) {
	for _, stage := range []string{"asking", "listening", "confirming"} {
		t.Run(stage, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				h, _ := b.client()
				a, wire := b.client(WithCallTimeout(time.Minute))
				unlock(t, lockOf(t, a.Mutex("other"))) // a connection
				lease := lockOf(t, h.Mutex("a"))
				if stage == "asking" {
					wire.cutOff()
				}
				if stage == "listening" {
					a.host.eng = unheard{a.host.eng}
				}
				got := make(chan error, 1)
				go func() {
					_, err := a.Mutex("a", WithLease(time.Minute)).Lock(bg)
					got <- err
				}()
				synctest.Wait()
				if stage == "confirming" { // a fixed lease that came by message is renewed first
					wire.cutOff()
					unlock(t, lease)
					synctest.Wait()
				}
				start := time.Now()
				go func() { _ = a.Close() }()
				if err := <-got; !errors.Is(err, ErrClosed) {
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
	c := clientOn(t, &rdb)
	for range 10 {
		for name, call := range map[string]func(context.Context) error{"Lock": lockCall(c.Mutex("a")), "TryLock": tryCall(c.Mutex("a"))} {
			if err := call(bg); !redis.HasErrorPrefix(err, "NOPERM") {
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
	cmd.SetErr(refusal("NOPERM this user has no permissions to run the 'evalsha' command"))
	return cmd.Err()
}

type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

// The first answer is lost, and the second says that nothing is held any more:
// a fixed lease of the same client would never hear of it otherwise.
func TestAForceUnlockWhoseAnswerIsLostEndsTheLease(t *testing.T) {
	r := newRig(t)
	c := r.client(t, true)
	lease := lockOf(t, c.Mutex("a", WithLease(time.Hour)))
	if err := r.direct.ScriptLoad(bg, forceScript.source).Err(); err != nil {
		t.Fatal(err)
	}
	drop := r.proxy.DropReply(faultproxy.Script(forceScript.source), 1, faultproxy.Close)
	if _, err := c.Mutex("a").ForceUnlock(bg); err != nil {
		t.Fatal(err)
	}
	if drop.Hits() != 1 {
		t.Fatalf("%d answers dropped, want 1", drop.Hits())
	}
	if err := lease.Err(); !errors.Is(err, ErrLost) {
		t.Errorf("the lease says %v, want ErrLost", err)
	}
	awaitClean(t, r.direct)
}

// The server is farther away than a check interval: the subscription is
// confirmed all the same, and its silence is not taken for its end.
func TestASubscriptionFarAwayIsKept(t *testing.T) {
	const interval, far = 20 * time.Millisecond, 60 * time.Millisecond
	r := newRig(t)
	lease := lockOf(t, r.client(t, false).Mutex("a"))
	r.proxy.Delay(faultproxy.Both, far)
	waiter := r.splitClient(t, WithCheckInterval(interval))
	got := make(chan *Lease, 1)
	go func() { got <- lockOf(t, waiter.Mutex("a")) }()
	eventually(t, "a subscription", waiter.eng.Listening)
	again := r.proxy.Count(faultproxy.Command("subscribe"))
	<-time.After(time.Second)
	if n := again.Hits(); n > 1 {
		t.Errorf("subscribed %d times more within a second", n)
	}
	unlock(t, lease)
	unlock(t, <-got)
}

// However long a connection took to be made, a silent one is found in time.
func TestASubscriptionMadeLateIsNotTrustedLonger(t *testing.T) {
	n := newNotifier(nil, "", newSettings(nil), nil)
	n.ready.Store(true)
	if got := n.patience(time.Hour); got > max(DefaultCheckInterval, DefaultCallTimeout) {
		t.Errorf("silent for %v before it is asked, want no longer than a check interval or a call", got)
	}
}

// unheard is an engine whose subscription is never confirmed.
type unheard struct{ engine.Engine }

func (unheard) Listening() bool { return false }

func (unheard) Listen(ctx context.Context) error {
	<-ctx.Done()
	return fromServer(ctx.Err())
}
