package redisengine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/redlock"
	"github.com/relock-go/relock/scripts"
)

// dead is how many connections a router has forgotten.
const dead = 8

// forgotten returns a client on a proxy that has dead connections in the pool of
// its commands and in that of its pipelines, none of which go-redis gives up, and
// the function that has them forgotten: new ones work.
func forgotten(t *testing.T, r *behaviour.Rig, opts ...relock.Option) (c *relock.Client, forget func()) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.Proxy.Addr(), PoolSize: 2 * dead, PipelinePoolSize: 2 * dead, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = rdb.Close() })
	warm := func(ping func()) {
		held := r.Proxy.Hold(faultproxy.Command("ping"), dead)
		var wg sync.WaitGroup
		for range dead {
			wg.Go(ping)
		}
		for range dead {
			<-held.Arrived()
		}
		held.Release()
		wg.Wait()
	}
	warm(func() { _ = rdb.Ping(behaviour.Bg).Err() })
	warm(func() {
		pipe := rdb.Pipeline()
		pipe.Ping(behaviour.Bg)
		_, _ = pipe.Exec(behaviour.Bg)
	})
	return behaviour.ClientOn(t, rdb, opts...), func() { r.Proxy.Freeze(faultproxy.Both) }
}

// Whatever is asked finds a connection that works, within the time of one call.
func TestDeadConnectionsDoNotCostTheCall(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(c *relock.Client, lease *relock.Lease) error
	}{
		{"TryLock", func(c *relock.Client, _ *relock.Lease) error { return behaviour.TryCall(c.Mutex("b"))(behaviour.Bg) }},
		{"Lock", func(c *relock.Client, _ *relock.Lease) error {
			return behaviour.Within(relock.DefaultCallTimeout, behaviour.LockCall(c.Mutex("b")))(behaviour.Bg)
		}},
		{"Extend", func(_ *relock.Client, lease *relock.Lease) error { return lease.Extend(behaviour.Bg, time.Hour) }},
		{"Unlock", func(_ *relock.Client, lease *relock.Lease) error { return lease.Unlock(behaviour.Bg) }},
		{"Status", func(c *relock.Client, _ *relock.Lease) error { _, err := c.Mutex("a").Status(behaviour.Bg); return err }},
		{"Statuses", func(c *relock.Client, _ *relock.Lease) error {
			_, errs := behaviour.InspectorOf(c).Statuses(behaviour.Bg, []string{"a"})
			return errs[0]
		}},
		{"ForceUnlock", func(c *relock.Client, _ *relock.Lease) error {
			_, err := c.Mutex("b").ForceUnlock(behaviour.Bg)
			return err
		}},
		{"MultiLock.TryLock", func(c *relock.Client, _ *relock.Lease) error {
			multi, err := redlock.NewMultiLock(c.Mutex("b"), c.Mutex("c"))
			if err != nil {
				return err
			}
			return behaviour.TryCall(multi)(behaviour.Bg)
		}},
	} {
		for _, near := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, asked inline before: %v", tc.name, near), func(t *testing.T) {
				t.Parallel()
				r := behaviour.NewRig(t)
				c, forget := forgotten(t, r)
				lease := behaviour.LockOf(t, c.Mutex("a"))
				if near {
					behaviour.Eventually(t, "it is asked inline", func() bool {
						behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("b")))
						return behaviour.EngineOf(c).Quick()
					})
				}
				forget()
				start := time.Now()
				err := tc.call(c, lease)
				t.Logf("%v", time.Since(start).Round(time.Millisecond))
				if err != nil {
					t.Errorf("got %v, though a new connection works", err)
				}
			})
		}
	}
}

// The watchdog's batches go by pipelines, and outlive dead connections too.
func TestALeaseOutlivesDeadConnections(t *testing.T) {
	const ttl, call = 3 * time.Second, 600 * time.Millisecond
	r := behaviour.NewRig(t)
	c, forget := forgotten(t, r, relock.WithCallTimeout(call))
	lease := behaviour.LockOf(t, c.Mutex("a", relock.WithTTL(ttl)))
	forget()
	renewed(t, lease, "past connections that are dead")
	if err := r.Proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	behaviour.Unlock(t, lease)
}

// "Gone" may be the answer to the copy of a release that was executed: that is no
// loss, and the waiter that it handed over is not forgotten.
func TestTheCopyOfAReleaseIsNoLoss(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a waiter: %v", waits), func(t *testing.T) {
			r := behaviour.NewRig(t)
			c := r.Client(t, true)
			behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a"))) // loads the scripts
			lease := behaviour.LockOf(t, c.Mutex("a"))
			got := make(chan *relock.Lease, 1)
			if waits {
				go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
				behaviour.Eventually(t, "it waits", func() bool { return !behaviour.ManagerOf(c).Idle() })
			}
			lost := r.Proxy.DropReply(faultproxy.Script(scripts.Source("release.lua")), 1, faultproxy.Silence)
			start := time.Now()
			behaviour.Unlock(t, lease)
			if took := time.Since(start); took >= relock.DefaultCallTimeout {
				t.Errorf("took %v: no copy was sent", took)
			}
			if lost.Hits() != 1 {
				t.Errorf("%d replies lost, want 1", lost.Hits())
			}
			if waits {
				behaviour.Unlock(t, <-got)
			}
			behaviour.AwaitClean(t, r.Direct)
		})
	}
}

// A server that stalls takes no more connections from the pool than pipelines may be
// without an answer, however many ask: as many as were under way, and the few
// beside them that have it asked again.
func TestAServerThatStallsTakesFewConnections(t *testing.T) {
	const callers, call = 64, 900 * time.Millisecond
	r := behaviour.NewRig(t)
	open := &connections{}
	rdb := redis.NewClient(&redis.Options{Addr: r.Proxy.Addr(), PoolSize: 20 * callers, PipelinePoolSize: 20 * callers, Dialer: open.dial})
	defer rdb.Close()
	c := behaviour.ClientOn(t, rdb, relock.WithCallTimeout(call))
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	most := behaviour.EngineOf(c).MostUnderWay()
	held := r.Proxy.Hold(faultproxy.Command("evalsha"), 0)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if _, err := c.Mutex(fmt.Sprint("name", i)).TryLock(behaviour.Bg); !engine.Unanswered(err) {
				t.Errorf("got %v, want no answer", err)
			}
		})
	}
	wg.Wait()
	if n := open.most(); n > most+1 { // one may be idle in the pool of single requests
		t.Errorf("%d connections at a time, want no more than %d and an idle one", n, most)
	}
	t.Logf("%d connections at a time, %d requests that were first on one", open.most(), held.Hits())
	held.Release()
	behaviour.AwaitClean(t, r.Direct)
}

// connections counts those that are open.
type connections struct {
	mu        sync.Mutex
	now, peak int
	dialled   int
}

func (c *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.add(1)
	return &counted{Conn: conn, closed: sync.OnceFunc(func() { c.add(-1) })}, nil
}

func (c *connections) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.dialled += max(n, 0)
	c.peak = max(c.peak, c.now)
}

func (c *connections) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peak
}

func (c *connections) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dialled
}

// counted is a connection that says when it is closed.
type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// Another copy of an acquire may have had another answer than the one that came:
// each answer says so, however its request left, and each error.
func TestAnAnswerSaysThatItsRequestWasCopied(t *testing.T) {
	request := func(hold string) *engine.Request {
		return &engine.Request{Name: "a", Hold: hold, Owner: hold, TTL: behaviour.TTL, Life: behaviour.TTL, Arrived: time.Now()}
	}
	for _, tc := range []struct {
		name   string
		script string
		ask    func(e *redisengine.Engine) (engine.Answer, error)
	}{
		{"an acquire", "acquire.lua", func(e *redisengine.Engine) (engine.Answer, error) {
			return e.Acquire(behaviour.Bg, request("1"))
		}},
		{"a check-in", "acquire.lua", func(e *redisengine.Engine) (ans engine.Answer, err error) {
			done := make(chan struct{})
			e.SendBatch(behaviour.Bg, []engine.BatchItem{{CheckIn: request("1"), Done: func(a engine.Answer, e error) {
				ans, err = a, e
				close(done)
			}}})
			<-done
			return ans, err
		}},
		{"several locks", "all.lua", func(e *redisengine.Engine) (engine.Answer, error) {
			all, err := e.AcquireAll(behaviour.Bg, []*engine.Request{request("1")})
			return all[0], err
		}},
		{"a release", "release.lua", func(e *redisengine.Engine) (engine.Answer, error) {
			rel, err := e.Release(behaviour.Bg, &engine.Release{Name: "a", Hold: "2", Next: request("1")})
			return rel.Next, err
		}},
	} {
		for _, wrong := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, of a key that is not ours: %v", tc.name, wrong), func(t *testing.T) {
				t.Parallel()
				r := behaviour.NewRig(t)
				c := r.Client(t, true)
				behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("b"))) // loads the scripts
				if wrong {
					r.Direct.Set(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, "a"), "", 0)
				}
				if ans, _ := tc.ask(behaviour.EngineOf(c)); ans.Copied {
					t.Error("it was not copied")
				}
				held := r.Proxy.Hold(faultproxy.Script(scripts.Source(tc.script)), 1)
				defer held.Release()
				ans, err := tc.ask(behaviour.EngineOf(c))
				if !ans.Copied {
					t.Error("it was copied, and does not say so")
				}
				if errors.Is(err, engine.ErrWrongType) != wrong {
					t.Errorf("got error %v", err)
				}
			})
		}
	}
}

// writes counts the writes of connections that bring several runs of scripts.
type writes struct {
	connections
	n atomic.Int64
}

func (w *writes) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := w.connections.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &written{conn, w}, nil
}

func (w *writes) together() int64 { return w.n.Load() }

type written struct {
	net.Conn
	w *writes
}

func (c *written) Write(p []byte) (int, error) {
	if bytes.Count(p, []byte("\r\nevalsha\r\n")) > 1 {
		c.w.n.Add(1)
	}
	return c.Conn.Write(p)
}
