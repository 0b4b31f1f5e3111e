package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// impatient fails at once, and waits only as long as the context.
func impatient(o *redis.Options) {
	o.MaxRetries = -1
	o.ContextTimeoutEnabled = true
}

func TestKillLosesEverythingWithoutPersistence(t *testing.T) {
	ctx := within(t)
	s := StartT(t)
	c := s.Client()
	must(t, c.Set(ctx, "k", "v", 0).Err())
	s.Kill()
	if s.Running() {
		t.Error("still running after Kill")
	}
	if _, err := net.Dial("tcp", s.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after Kill: %v, want connection refused", err)
	}
	addr := s.Addr()
	must(t, s.Restart(ctx))
	if s.Addr() != addr {
		t.Errorf("address after Restart = %s, want %s", s.Addr(), addr)
	}
	if err := c.Get(ctx, "k").Err(); err != redis.Nil {
		t.Errorf("Get after Restart: %v, want redis.Nil", err)
	}
}

func TestAppendOnlyFileSurvivesAKill(t *testing.T) {
	ctx := within(t)
	s := StartT(t, WithArgs("--appendonly", "yes"))
	c := s.Client()
	must(t, c.Set(ctx, "k", "v", 0).Err())
	must(t, s.Restart(ctx))
	if got := value[string](t)(c.Get(ctx, "k").Result()); got != "v" {
		t.Errorf("Get after Restart = %q, want v", got)
	}
}

func TestStopWritesTheData(t *testing.T) {
	ctx := within(t)
	dir := t.TempDir()
	s := StartT(t, WithDir(dir), WithArgs("--save", "3600 1"))
	must(t, s.Client().Set(ctx, "k", "v", 0).Err())
	must(t, s.Pause())
	s.Stop()
	if s.Dir() != dir {
		t.Errorf("Dir = %s, want %s", s.Dir(), dir)
	}
	if _, err := os.Stat(dir + "/dump.rdb"); err != nil {
		t.Error(err)
	}
}

// A request that a client gave up on is executed when the server resumes.
func TestPausedServerExecutesLate(t *testing.T) {
	ctx := within(t)
	s := StartT(t)
	c := s.Client(impatient)
	must(t, c.Set(ctx, "k", "0", 0).Err())
	must(t, s.Pause())

	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond) // enough to send it
	defer cancel()
	if err := c.Incr(short, "k").Err(); err == nil {
		t.Fatal("a paused server answered")
	}
	must(t, s.Resume())
	must(t, eventually(ctx, func() error {
		if got := c.Get(ctx, "k").Val(); got != "1" {
			return errors.New("counter is " + got)
		}
		return nil
	}))
}

func TestPausedServerCanBeKilled(t *testing.T) {
	s := StartT(t)
	must(t, s.Pause())
	s.Kill()
	for name, f := range map[string]func() error{"Pause": s.Pause, "Resume": s.Resume} {
		if err := f(); !errors.Is(err, errDown) {
			t.Errorf("%s after Kill: %v, want %v", name, err, errDown)
		}
	}
	must(t, s.Restart(within(t)))
}

func TestCloseRemovesTheFolderAndClosesClients(t *testing.T) {
	Require(t)
	s, err := Start(t.Context())
	must(t, err)
	c := s.Client()
	s.Close()
	s.Close()
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder after Close: %v, want not exist", err)
	}
	if err := c.Ping(t.Context()).Err(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("Ping after Close: %v, want %v", err, redis.ErrClosed)
	}
}

func TestServerThatExitsIsAnErrorWithItsLog(t *testing.T) {
	Require(t)
	_, err := Start(t.Context(), WithArgs("--no-such-option", "1"))
	if !errors.Is(err, errExited) || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("Start = %v, want %v and the log", err, errExited)
	}
}

func TestStartNeedsABinary(t *testing.T) {
	t.Setenv(EnvServer, "/no/such/server")
	if _, err := Start(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start = %v, want %v", err, os.ErrNotExist)
	}
	if _, err := Start(t.Context(), WithBinary("/no/such/server")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start = %v, want %v", err, os.ErrNotExist)
	}
}

// refused stands for a test that must not go on.
type refused struct {
	testing.TB
	skipped, failed bool
}

func (r *refused) Helper() {}

func (r *refused) Skipf(string, ...any) {
	r.skipped = true
	runtime.Goexit()
}

func (r *refused) Fatalf(string, ...any) {
	r.failed = true
	runtime.Goexit()
}

func TestRequireSkipsOrFailsWithoutABinary(t *testing.T) {
	t.Setenv(EnvServer, "/no/such/server")
	for _, env := range [][2]string{{"", ""}, {"1", ""}, {"", "1"}, {"1", "1"}} {
		t.Setenv(EnvRequire, env[0])
		t.Setenv(EnvRequireRedis, env[1])
		want := refused{skipped: env == [2]string{}, failed: env != [2]string{}}
		got := &refused{}
		var wg sync.WaitGroup
		wg.Go(func() { Require(got) })
		wg.Wait()
		if *got != want {
			t.Errorf("%s=%q, %s=%q: %+v, want %+v", EnvRequire, env[0], EnvRequireRedis, env[1], *got, want)
		}
	}
}

func TestAnotherServerOnThePortIsNotTakenForOurs(t *testing.T) {
	s := StartT(t)
	if err := probe(s.Addr(), os.Getpid()); !errors.Is(err, errStranger) {
		t.Errorf("probe with another pid: %v, want %v", err, errStranger)
	}
}

func TestServerWithPasswordStarts(t *testing.T) {
	s := StartT(t, WithArgs("--requirepass", "secret"))
	c := s.Client(func(o *redis.Options) { o.Password = "secret" })
	must(t, c.Ping(within(t)).Err())
}

func TestManyServersAtOnceGetTheirOwnPorts(t *testing.T) {
	Require(t)
	const n = 4
	servers := make([]*Server, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			s, err := Start(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			servers[i] = s
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, s := range servers {
		if s != nil {
			seen[s.Port()] = true
			s.Close()
		}
	}
	if len(seen) != n {
		t.Errorf("%d ports for %d servers", len(seen), n)
	}
}

func TestCommandCalls(t *testing.T) {
	ctx := within(t)
	c := StartT(t).Client()
	must(t, c.Incr(ctx, "k").Err())
	must(t, ResetStats(ctx, c))
	must(t, c.Eval(ctx, "return redis.call('GET', KEYS[1])", []string{"k"}).Err())
	calls := value[map[string]int64](t)(CommandCalls(ctx, c, "EVAL", "get", "incr"))
	want := map[string]int64{"eval": 1, "get": 1, "incr": 0}
	for name, n := range want {
		if got, ok := calls[name]; !ok || got != n {
			t.Errorf("calls of %s = %d, want %d", name, got, n)
		}
	}
	all := value[map[string]int64](t)(CommandCalls(ctx, c))
	if all["config|resetstat"] != 1 || all["eval"] != 1 {
		t.Errorf("all calls = %v", all)
	}
}
