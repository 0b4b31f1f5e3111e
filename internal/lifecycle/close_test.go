package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// What Close gives back, and what it says of what it cannot.

func TestCloseSaysWhatItLeft(t *testing.T) {
	s := redistest.StartT(t)
	for _, test := range []struct {
		name  string
		leave func(t *testing.T, c *relock.Client, rdb *redis.Client)
		wants []string // nothing: no error
	}{
		{"nothing is held", func(*testing.T, *relock.Client, *redis.Client) {}, nil},
		{"a lock", func(t *testing.T, c *relock.Client, _ *redis.Client) { behaviour.LockOf(t, c.Mutex("a")) }, []string{"1 locks", `["a"]`}},
		{"a few", func(t *testing.T, c *relock.Client, _ *redis.Client) {
			behaviour.LockOf(t, c.Mutex("b"))
			behaviour.LockOf(t, c.Mutex("c", relock.WithLease(time.Minute)))
		}, []string{"2 locks", `["b" "c"]`}},
		{"many", func(t *testing.T, c *relock.Client, _ *redis.Client) {
			for i := range 20 {
				behaviour.LockOf(t, c.Mutex(fmt.Sprint("many", i)))
			}
		}, []string{"20 locks were not given back, which"}},
		{"a detached one", func(t *testing.T, c *relock.Client, _ *redis.Client) {
			if err := behaviour.LockOf(t, c.Mutex("d", relock.WithLease(time.Minute))).Detach(); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"an Unlock in vain", func(t *testing.T, c *relock.Client, rdb *redis.Client) {
			lease := behaviour.LockOf(t, c.Mutex("e"))
			_ = rdb.Close()
			if err := lease.Unlock(behaviour.Bg); !errors.Is(err, redis.ErrClosed) {
				t.Errorf("got %v from Unlock, want ErrClosed of go-redis", err)
			}
			behaviour.Eventually(t, "it is given up", func() bool {
				return behaviour.ManagerOf(c).Tasks() == 0
			})
		}, []string{"1 locks", `["e"]`}},
		{"calls that were refused", func(t *testing.T, c *relock.Client, rdb *redis.Client) {
			_ = rdb.Close()
			if _, err := c.Mutex("f").TryLock(behaviour.Bg); !errors.Is(err, redis.ErrClosed) {
				t.Errorf("got %v from TryLock, want ErrClosed of go-redis", err)
			}
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			rdb := s.Client()
			c := behaviour.ClientOn(t, rdb)
			behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("warm")))
			test.leave(t, c, rdb)
			_ = rdb.Close() // before its client
			err := c.Close()
			if (err != nil) != (test.wants != nil) || err != nil && !errors.Is(err, redis.ErrClosed) {
				t.Errorf("got %v, want %q and ErrClosed of go-redis", err, test.wants)
			}
			for _, text := range test.wants {
				if !strings.Contains(fmt.Sprint(err), text) {
					t.Errorf("got %v, want %q in it", err, text)
				}
			}
			if again := c.Close(); again != nil {
				t.Errorf("a second Close says %v", again)
			}
			st := c.Stats()
			if st.Held != 0 || st.Acquired != st.Released+st.Unanswered+st.Lost+st.Ended+st.Detached+st.Closed {
				t.Errorf("does not add up: %+v", st)
			}
		})
	}
}

// What is said to have expired has.
func TestCloseSaysWhenTheLastHasExpired(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client(relock.WithCallTimeout(2 * time.Second))
		behaviour.LockOf(t, c.Mutex("a"))
		behaviour.LockOf(t, c.Mutex("b", relock.WithTTL(time.Minute)))
		behaviour.Pass(5 * time.Second)
		wire.CutOff()
		err := c.Close()
		if err == nil || !strings.Contains(err.Error(), "2 locks") || !strings.Contains(err.Error(), "within 53s: no answer within 2s") {
			t.Errorf("got %v, want 2 locks, 53 s after 5 s and a call timeout", err)
		}
		behaviour.Pass(53 * time.Second)
		if b.Server.Exists("relock:lock:{a}") || b.Server.Exists("relock:lock:{b}") {
			t.Errorf("keys left: %q", b.Server.Keys())
		}
	})
}

// A call that was given up without an answer may have taken the lock.
func TestCloseSaysThatACallMayHaveLeftSomething(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, wire := b.Client(relock.WithCallTimeout(2 * time.Second))
		behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
		wire.CutOff()
		ctx, cancel := context.WithTimeout(behaviour.Bg, time.Second)
		defer cancel()
		if _, err := c.Mutex("a").Lock(ctx); err == nil {
			t.Error("got a lock")
		}
		if err := c.Close(); err == nil || !strings.Contains(err.Error(), "1 calls") || strings.Contains(err.Error(), "locks were") {
			t.Errorf("got %v, want one call", err)
		}
	})
}

// A lease whose end was not noticed, and one that is being unlocked, are not
// Close's.
func TestALeaseThatCloseFindsOverIsCountedOnce(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		d := &behaviour.Diary{}
		c, _ := b.Client(relock.WithTracer(d))
		behaviour.ManagerOf(c).StopWatchdog()
		fixed, kept := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(10*time.Second))), behaviour.LockOf(t, c.Mutex("b"))
		behaviour.Pass(time.Minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, l := range []*relock.Lease{fixed, kept} {
			if err := context.Cause(l.Context()); !errors.Is(err, relock.ErrLost) {
				t.Errorf("%s ended by %v, want ErrLost", l.Name(), err)
			}
		}
		synctest.Wait()
		behaviour.WantStats(t, "all", c.Stats(), relock.Stats{Acquired: 2, Ended: 1, Lost: 1})
		if slices.Contains(d.Lines, "release of a") || slices.Contains(d.Lines, "release") {
			t.Errorf("got events %q", d.Lines)
		}
	})
}

// Leases that are unlocked, lost and closed at one time add up.
func TestStatsAddUpThoughCloseComesInBetween(t *testing.T) {
	m, _ := redistest.Embedded(t)
	for range behaviour.Scaled(20, 200) {
		c := behaviour.ClientOn(t, redistest.InMemoryClient(m))
		var wg sync.WaitGroup
		for i := range 8 {
			name := fmt.Sprint("m", i)
			lease := behaviour.LockOf(t, c.Mutex(name))
			wg.Go(func() {
				if i%2 == 0 {
					_ = lease.Unlock(behaviour.Bg)
				} else {
					_, _ = c.Mutex(name).ForceUnlock(behaviour.Bg)
				}
			})
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		st := c.Stats()
		if st.Acquired != 8 || st.Held != 0 || st.Acquired != st.Released+st.Unanswered+st.Lost+st.Closed {
			t.Errorf("does not add up: %+v", st)
		}
	}
}

func TestCloseGivesBackManyByOneRoundTrip(t *testing.T) {
	const n = 300
	s := redistest.StartT(t) // a pipe in memory holds no batch of this size
	rdb := s.Client()
	counted := &pipelines{Client: s.Client()}
	c := behaviour.ClientOn(t, counted)
	lockAll(t, c, n)
	counted.n, counted.alone = 0, 0
	behaviour.ResetStats(t, rdb)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if counted.n > 3 || counted.alone > 0 {
		t.Errorf("got %d pipelines and %d requests alone for %d locks, want one, and one for a script that is unknown", counted.n, counted.alone, n)
	}
	if sources := behaviour.Calls(t, rdb, "eval"); sources != 1 {
		t.Errorf("the script was sent by its source %d times, want once", sources)
	}
	if left := behaviour.KeysLeft(t, rdb); len(left) > 0 {
		t.Errorf("%d keys are left", len(left))
	}
	behaviour.WantStats(t, "closed", withoutRenewals(c.Stats()), relock.Stats{Acquired: n, Closed: n})
}

// pipelines counts what is sent.
type pipelines struct {
	*redis.Client
	mu       sync.Mutex
	n, alone int
}

func (p *pipelines) Pipeline() redis.Pipeliner {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	return p.Client.Pipeline()
}

func (p *pipelines) Process(ctx context.Context, cmd redis.Cmder) error {
	p.mu.Lock()
	p.alone++
	p.mu.Unlock()
	return p.Client.Process(ctx, cmd)
}

func lockAll(t testing.TB, c *relock.Client, n int) {
	t.Helper()
	const workers = 64
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < n; i += workers {
				if _, err := c.Mutex(fmt.Sprint("many-", i), relock.WithTTL(time.Minute)).Lock(behaviour.Bg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// 5,000 locks on a server 10 ms away. How long that takes is up to the machine as
// well, and only logged.
func TestCloseOfThousandsOnAServerFarAway(t *testing.T) {
	const n = 5000
	r := behaviour.NewRig(t)
	c := r.Client(t, true, relock.WithCallTimeout(time.Minute))
	lockAll(t, c, n)
	r.Proxy.Delay(faultproxy.Both, 5*time.Millisecond)
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("gave back %d locks in %v", n, time.Since(start))
	if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
		t.Errorf("%d locks are left", len(left))
	}
}

// A release of a batch that is refused since its slot moves, or memory is full,
// gives back the lock's key alone, as any release.
func TestABatchedReleaseFallsBackToTheLocksKey(t *testing.T) {
	m, rdb := redistest.Embedded(t)
	for _, refusal := range []string{"TRYAGAIN keys move", "OOM command not allowed"} {
		moving := &refusingPipelines{Client: redistest.InMemoryClient(m), why: refusal}
		t.Cleanup(func() { _ = moving.Close() })
		c := behaviour.ClientOn(t, moving)
		behaviour.LockOf(t, c.Mutex("a"))
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", refusal, err)
		}
		if left := behaviour.KeysLeft(t, rdb); len(left) > 0 {
			t.Errorf("%s: left %q", refusal, left)
		}
	}
}

// refusingPipelines refuses what is sent by a pipeline.
type refusingPipelines struct {
	*redis.Client
	why string
}

func (r *refusingPipelines) Pipeline() redis.Pipeliner {
	return &refusedPipeline{Pipeliner: r.Client.Pipeline(), why: behaviour.RefusalError(r.why)}
}

type refusedPipeline struct {
	redis.Pipeliner
	why  behaviour.RefusalError
	cmds []redis.Cmder
}

func (p *refusedPipeline) Process(_ context.Context, cmd redis.Cmder) error {
	p.cmds = append(p.cmds, cmd)
	return nil
}

func (p *refusedPipeline) Exec(context.Context) ([]redis.Cmder, error) {
	for _, cmd := range p.cmds {
		cmd.SetErr(p.why)
	}
	return p.cmds, p.why
}

func BenchmarkClose(b *testing.B) {
	const n = 5000
	r := behaviour.NewRig(b)
	for b.Loop() {
		b.StopTimer()
		r.Proxy.Delay(faultproxy.Both, 0)
		c := r.Client(b, true)
		lockAll(b, c, n)
		r.Proxy.Delay(faultproxy.Both, 5*time.Millisecond)
		b.StartTimer()
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
}
