package relock

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

	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// What Close gives back, and what it says of what it cannot.

func TestCloseSaysWhatItLeft(t *testing.T) {
	s := redistest.StartT(t)
	for _, test := range []struct {
		name  string
		leave func(t *testing.T, c *Client, rdb *redis.Client)
		wants []string // nothing: no error
	}{
		{"nothing is held", func(*testing.T, *Client, *redis.Client) {}, nil},
		{"a lock", func(t *testing.T, c *Client, _ *redis.Client) { lockOf(t, c.Mutex("a")) }, []string{"1 locks", `["a"]`}},
		{"a few", func(t *testing.T, c *Client, _ *redis.Client) {
			lockOf(t, c.Mutex("b"))
			lockOf(t, c.Mutex("c", WithLease(time.Minute)))
		}, []string{"2 locks", `["b" "c"]`}},
		{"many", func(t *testing.T, c *Client, _ *redis.Client) {
			for i := range 20 {
				lockOf(t, c.Mutex(fmt.Sprint("many", i)))
			}
		}, []string{"20 locks were not given back, which"}},
		{"a detached one", func(t *testing.T, c *Client, _ *redis.Client) {
			if err := lockOf(t, c.Mutex("d", WithLease(time.Minute))).Detach(); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"an Unlock in vain", func(t *testing.T, c *Client, rdb *redis.Client) {
			lease := lockOf(t, c.Mutex("e"))
			_ = rdb.Close()
			if err := lease.Unlock(bg); !errors.Is(err, redis.ErrClosed) {
				t.Errorf("got %v from Unlock, want ErrClosed of go-redis", err)
			}
			eventually(t, "it is given up", func() bool {
				c.host.mu.Lock()
				defer c.host.mu.Unlock()
				return c.host.tasks == 0
			})
		}, []string{"1 locks", `["e"]`}},
		{"calls that were refused", func(t *testing.T, c *Client, rdb *redis.Client) {
			_ = rdb.Close()
			if _, err := c.Mutex("f").TryLock(bg); !errors.Is(err, redis.ErrClosed) {
				t.Errorf("got %v from TryLock, want ErrClosed of go-redis", err)
			}
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			rdb := s.Client()
			c := clientOn(t, rdb)
			unlock(t, lockOf(t, c.Mutex("warm")))
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
	inBubble(t, func(b *bubble) {
		c, wire := b.client(WithCallTimeout(2 * time.Second))
		lockOf(t, c.Mutex("a"))
		lockOf(t, c.Mutex("b", WithTTL(time.Minute)))
		pass(5 * time.Second)
		wire.cutOff()
		err := c.Close()
		if err == nil || !strings.Contains(err.Error(), "2 locks") || !strings.Contains(err.Error(), "within 53s: no answer within 2s") {
			t.Errorf("got %v, want 2 locks, 53 s after 5 s and a call timeout", err)
		}
		pass(53 * time.Second)
		if b.server.Exists("relock:lock:{a}") || b.server.Exists("relock:lock:{b}") {
			t.Errorf("keys left: %q", b.server.Keys())
		}
	})
}

// A call that was given up without an answer may have taken the lock.
func TestCloseSaysThatACallMayHaveLeftSomething(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, wire := b.client(WithCallTimeout(2 * time.Second))
		unlock(t, lockOf(t, c.Mutex("a")))
		wire.cutOff()
		ctx, cancel := context.WithTimeout(bg, time.Second)
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
	inBubble(t, func(b *bubble) {
		d := &diary{}
		c, _ := b.client(WithTracer(d))
		c.host.dog.stop()
		fixed, kept := lockOf(t, c.Mutex("a", WithLease(10*time.Second))), lockOf(t, c.Mutex("b"))
		pass(time.Minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, l := range []*Lease{fixed, kept} {
			if err := context.Cause(l.Context()); !errors.Is(err, ErrLost) {
				t.Errorf("%s ended by %v, want ErrLost", l.Name(), err)
			}
		}
		synctest.Wait()
		wantStats(t, "all", c.Stats(), Stats{Acquired: 2, Ended: 1, Lost: 1})
		if slices.Contains(d.lines, "release of a") || slices.Contains(d.lines, "release") {
			t.Errorf("got events %q", d.lines)
		}
	})
}

// Leases that are unlocked, lost and closed at one time add up.
func TestStatsAddUpThoughCloseComesInBetween(t *testing.T) {
	m, _ := redistest.Embedded(t)
	for range scaled(20, 200) {
		c := clientOn(t, redistest.InMemoryClient(m))
		var wg sync.WaitGroup
		for i := range 8 {
			name := fmt.Sprint("m", i)
			lease := lockOf(t, c.Mutex(name))
			wg.Go(func() {
				if i%2 == 0 {
					_ = lease.Unlock(bg)
				} else {
					_, _ = c.Mutex(name).ForceUnlock(bg)
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
	c := clientOn(t, counted)
	lockAll(t, c, n)
	counted.n, counted.alone = 0, 0
	resetStats(t, rdb)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if counted.n > 3 || counted.alone > 0 {
		t.Errorf("got %d pipelines and %d requests alone for %d locks, want one, and one for a script that is unknown", counted.n, counted.alone, n)
	}
	if sources := calls(t, rdb, "eval"); sources != 1 {
		t.Errorf("the script was sent by its source %d times, want once", sources)
	}
	if left := keysLeft(t, rdb); len(left) > 0 {
		t.Errorf("%d keys are left", len(left))
	}
	wantStats(t, "closed", withoutRenewals(c.Stats()), Stats{Acquired: n, Closed: n})
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

func lockAll(t testing.TB, c *Client, n int) {
	t.Helper()
	const lanes = 64
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			for i := lane; i < n; i += lanes {
				if _, err := c.Mutex(fmt.Sprint("many-", i), WithTTL(time.Minute)).Lock(bg); err != nil {
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
	r := newRig(t)
	c := r.client(t, true, WithCallTimeout(time.Minute))
	lockAll(t, c, n)
	r.proxy.Delay(faultproxy.Both, 5*time.Millisecond)
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("gave back %d locks in %v", n, time.Since(start))
	if left := keysLeft(t, r.direct); len(left) > 0 {
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
		c := clientOn(t, moving)
		lockOf(t, c.Mutex("a"))
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", refusal, err)
		}
		if left := keysLeft(t, rdb); len(left) > 0 {
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
	return &refusedPipeline{Pipeliner: r.Client.Pipeline(), why: refusal(r.why)}
}

type refusedPipeline struct {
	redis.Pipeliner
	why  refusal
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
	r := newRig(b)
	for b.Loop() {
		b.StopTimer()
		r.proxy.Delay(faultproxy.Both, 0)
		c := r.client(b, true)
		lockAll(b, c, n)
		r.proxy.Delay(faultproxy.Both, 5*time.Millisecond)
		b.StartTimer()
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
}
