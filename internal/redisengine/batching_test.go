package redisengine_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// pairs has each of n goroutines take and give back a lock of its own until stop.
func pairs(t *testing.T, c *relock.Client, n int, stop <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	for g := range n {
		m := c.Mutex("own" + strconv.Itoa(g))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				lease, err := m.Lock(callerOf(m.Name()))
				if err == nil {
					err = lease.Unlock(callerOf(m.Name()))
				}
				if err != nil {
					t.Errorf("%s: %v", m.Name(), err)
					return
				}
			}
		})
	}
	return &wg
}

// times has each of n goroutines do that so often.
func times(t *testing.T, c *relock.Client, n, often int) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range n {
		m := c.Mutex("own" + strconv.Itoa(g))
		wg.Go(func() {
			for range often {
				lease, err := m.Lock(callerOf(m.Name()))
				if err == nil {
					err = lease.Unlock(callerOf(m.Name()))
				}
				if err != nil {
					t.Errorf("%s: %v", m.Name(), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// By default requests leave one by one where hooks look on, each with the context of its
// caller; if that is asked for, together; and the hooks see them all either way.
func TestHooksSeeBatchesWhereTheyAreAskedFor(t *testing.T) {
	on := []relock.Option{relock.WithBatching(true)}
	for name, opts := range map[string][]relock.Option{"by default": nil, "on": on, "off": {relock.WithBatching(false)}} {
		for _, protocol := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s, RESP%d", name, protocol), func(t *testing.T) {
				s := redistest.StartT(t)
				rdb := s.Client(func(o *redis.Options) { o.Protocol = protocol })
				seen := newLookout()
				rdb.AddHook(seen)
				c := behaviour.ClientOn(t, rdb, opts...)
				behaviour.ResetStats(t, s.Client())
				times(t, c, 64, 20)
				seen.wantExecuted(t, executed(t, []*redistest.Server{s}))
				batched := seen.batches() > 0
				if batched != (name == "on") {
					t.Errorf("requests left together: %v", batched)
				}
				if len(seen.strangers) > 0 && name != "on" {
					t.Errorf("requests without their caller's context: %q", seen.strangers[:min(4, len(seen.strangers))])
				}
			})
		}
	}
}

// Without hooks requests leave together by default, if that is not forbidden. A pipeline
// is seen by the dialled connection: it is one write with several commands.
func TestRequestsOfAClientWithoutHooksLeaveTogether(t *testing.T) {
	for name, opts := range map[string][]relock.Option{"by default": nil, "off": {relock.WithBatching(false)}} {
		for _, protocol := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s, RESP%d", name, protocol), func(t *testing.T) {
				s := redistest.StartT(t)
				wire := &writes{}
				rdb := s.Client(func(o *redis.Options) { o.Protocol, o.Dialer = protocol, wire.dial })
				times(t, behaviour.ClientOn(t, rdb, opts...), 64, 20)
				if batched := wire.together() > 0; batched != (name == "by default") {
					t.Errorf("requests left together: %v", batched)
				}
			})
		}
	}
}

// A hook may be added while requests leave together: those that begin after that leave
// one by one, under the context of their caller.
func TestAHookThatIsAddedEndsTheBatches(t *testing.T) {
	s := redistest.StartT(t)
	rdb := s.Client()
	c := behaviour.ClientOn(t, rdb)
	stop := make(chan struct{})
	running := pairs(t, c, 16, stop)
	behaviour.Eventually(t, "there are pairs", func() bool { return behaviour.Calls(t, s.Client(), "evalsha") > 500 })
	first := newLookout()
	rdb.AddHook(first)
	behaviour.Eventually(t, "it sees requests", func() bool { return first.counts()["evalsha"] > 500 })
	close(stop)
	running.Wait()
	late := newLookout()
	rdb.AddHook(late)
	behaviour.ResetStats(t, s.Client())
	times(t, c, 16, 10)
	late.wantExecuted(t, executed(t, []*redistest.Server{s}))
	if late.batches() > 0 || len(late.strangers) > 0 {
		t.Errorf("%d pipelines, and requests without their caller's context: %q", late.batches(), late.strangers)
	}
}

// A server that forgets its scripts is taught them again, in the middle of pipelines.
func TestAServerThatForgetsItsScriptsUnderLoad(t *testing.T) {
	s := redistest.StartT(t)
	c := behaviour.ClientOn(t, s.Client())
	stop := make(chan struct{})
	running := pairs(t, c, 64, stop)
	for range 30 {
		if err := s.Client().ScriptFlush(behaviour.Bg).Err(); err != nil {
			t.Fatal(err)
		}
		before := behaviour.Calls(t, s.Client(), "evalsha")
		behaviour.Eventually(t, "there are more requests", func() bool { return behaviour.Calls(t, s.Client(), "evalsha") > before+100 })
	}
	if n := behaviour.Calls(t, s.Client(), "eval"); n == 0 {
		t.Error("the server was not taught")
	}
	close(stop)
	running.Wait()
	behaviour.AwaitClean(t, s.Client())
}

// Callers whose pipeline cannot log in are told what the server said, and go on once it
// lets them in.
func TestALoginThatFailsIsToldToAllOfAPipeline(t *testing.T) {
	for name, opts := range map[string][]relock.Option{"by default": nil, "on, with a hook": {relock.WithBatching(true)}} {
		t.Run(name, func(t *testing.T) {
			r := behaviour.NewRig(t)
			rdb := r.User(t, "lodger")
			if opts != nil {
				rdb.AddHook(newLookout())
			}
			c := behaviour.ClientOn(t, rdb, opts...)
			times(t, c, 64, 2)
			for _, cmd := range [][]any{{"acl", "setuser", "lodger", "resetpass", ">other"}, {"client", "kill", "user", "lodger"}} {
				if err := r.Direct.Do(behaviour.Bg, cmd...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for g := range 64 {
				wg.Go(func() {
					// What breaks with the old connections is sent again.
					behaviour.WantSaid(t, "TryLock", behaviour.TryCall(c.Mutex("own"+strconv.Itoa(g)))(behaviour.Bg), "WRONGPASS")
				})
			}
			wg.Wait()
			if err := r.Direct.Do(behaviour.Bg, "acl", "setuser", "lodger", ">secret").Err(); err != nil {
				t.Fatal(err)
			}
			times(t, c, 64, 2)
			behaviour.AwaitClean(t, r.Direct)
		})
	}
}

// A connection that is cut when its pipeline was written costs none of the callers its
// lock, and none is counted twice.
func TestAConnectionThatIsCutBehindAPipeline(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, true)
	times(t, c, 32, 2) // loads the scripts
	lost := r.Proxy.DropReply(faultproxy.Command("evalsha"), 20, faultproxy.Close)
	owners := make([]*relock.Lease, 32)
	var wg sync.WaitGroup
	for g := range owners {
		wg.Go(func() {
			lease, err := c.Mutex("own" + strconv.Itoa(g)).Lock(behaviour.Bg)
			if err != nil {
				t.Error(err)
				return
			}
			owners[g] = lease
		})
	}
	wg.Wait()
	if lost.Hits() == 0 {
		t.Error("no reply was lost")
	}
	lost.Remove()
	for g, lease := range owners {
		st, err := c.Mutex("own" + strconv.Itoa(g)).Status(behaviour.Bg)
		if err != nil || st.Count != 1 || st.Token != lease.Token() {
			t.Errorf("%d: %+v, %v", g, st, err)
		}
		behaviour.Unlock(t, lease)
	}
	behaviour.AwaitClean(t, r.Direct)
}

// go-redis sends no pipeline of ours twice, whatever it is told to retry.
func TestAPipelineIsNotSentTwice(t *testing.T) {
	r := behaviour.NewRig(t)
	rdb := redis.NewClient(&redis.Options{Addr: r.Proxy.Addr(), MaxRetries: 10})
	t.Cleanup(func() { _ = rdb.Close() })
	lost := r.Proxy.DropReply(faultproxy.Command("evalsha"), 1, faultproxy.Close)
	pipe := rdb.Pipeline()
	var passed []*faultproxy.Rule
	for i := range 5 {
		word := fmt.Sprint("command", i)
		passed = append(passed, r.Proxy.Count(faultproxy.Word(word)))
		_ = pipe.Process(behaviour.Bg, unrepeated{redis.NewCmd(behaviour.Bg, "evalsha", "no such script", 0, word)})
	}
	if _, err := pipe.Exec(behaviour.Bg); err == nil || lost.Hits() != 1 {
		t.Errorf("%d replies were lost, and the pipeline says %v", lost.Hits(), err)
	}
	for i, rule := range passed { // what follows the first one may be lost with its connection
		if n := rule.Hits(); n > 1 || n < 1 && i == 0 {
			t.Errorf("command %d reached the server %d times", i, n)
		}
	}
}

// unrepeated is a command of ours, as go-redis sees it.
type unrepeated struct{ *redis.Cmd }

func (unrepeated) NoRetry() bool { return true }

// Slow scripts in front of others delay them, and fail none.
func TestASlowScriptInFrontOfOthers(t *testing.T) {
	s := redistest.StartT(t)
	c := behaviour.ClientOn(t, s.Client())
	stop := make(chan struct{})
	running := pairs(t, c, 64, stop)
	const busy = "local t = redis.call('TIME') local stop = t[1] * 1000 + t[2] / 1000 + ARGV[1] repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > stop"
	for _, ms := range []int{100, 400, 1500} {
		err := s.Client().Eval(behaviour.Bg, busy, nil, ms).Err()
		if err != nil && err != redis.Nil {
			t.Fatal(err)
		}
	}
	close(stop)
	running.Wait()
	behaviour.AwaitClean(t, s.Client())
}

// Who waits in a dispatcher returns when its context ends, and when its client is closed.
func TestACancelAndCloseWakeWhoWaitsInADispatcher(t *testing.T) {
	r := behaviour.NewRig(t)
	c := behaviour.ClientOn(t, r.Server.Client())
	times(t, c, 16, 4)
	if err := r.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 32 { // fill what may be under way, and wait
		wg.Go(func() {
			name := "own" + strconv.Itoa(i)
			if err := behaviour.LockCall(c.Mutex(name))(behaviour.Bg); err == nil {
				t.Errorf("%s was taken from a server that is stopped", name)
			}
		})
	}
	behaviour.Eventually(t, "requests wait in the dispatcher", func() bool { return behaviour.EngineOf(c).Waiting() >= 8 })
	ctx, cancel := context.WithCancel(behaviour.Bg)
	ended := make(chan error, 1)
	go func() { _, err := c.Mutex("cancelled").Lock(ctx); ended <- err }()
	behaviour.Eventually(t, "it waits in the dispatcher", func() bool { return behaviour.EngineOf(c).WaitsFor("cancelled") })
	at := time.Now()
	cancel()
	behaviour.WantErr(t, <-ended, context.Canceled, engine.ErrUnsent)
	if took := time.Since(at); took > promptly {
		t.Errorf("returned %v after the cancel, want within 50ms", took)
	}
	at = time.Now()
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	wg.Wait()
	if took := time.Since(at); took > promptly {
		t.Errorf("returned %v after Close, want within 50ms", took)
	}
	if err := r.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	behaviour.AwaitClean(t, r.Direct)
}
