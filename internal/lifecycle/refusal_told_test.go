package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// A refusal is told at once, in the words of who refuses, with what to do. Run
// with -v it is a table: what was asked, how long it took, and the error.
func TestRefusalsAreTold(t *testing.T) {
	t.Run("one node of a cluster", toldOfACluster)
	t.Run("a replica", toldOfAReplica)
	t.Run("a primary that becomes a replica", toldOfADemotion)
	t.Run("an open breaker", toldOfABreaker)
	t.Run("a hook that refuses", toldOfAHook)
	t.Run("connections refused", toldOfNoServer)
}

// asked runs a call, logs what came of it, and returns its error, which is not
// that another holds the lock.
func asked(t *testing.T, what string, call func(context.Context) error) error {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(behaviour.Bg, 20*time.Second) // for a call that hangs
	defer cancel()
	err := call(ctx)
	took := time.Since(start).Round(time.Millisecond)
	t.Logf("%-22s %7v  %v", what, took, err)
	if err == nil || errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("%s: got %v, want why it was refused", what, err)
	}
	return err
}

// toldSoon is asked, and less than the call timeout.
func toldSoon(t *testing.T, what string, call func(context.Context) error) error {
	t.Helper()
	start := time.Now()
	err := asked(t, what, call)
	if took := time.Since(start); took >= relock.DefaultCallTimeout {
		t.Errorf("%s took %v: it waited for what does not come", what, took)
	}
	return err
}

func doOnce(c *relock.Client, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		return relock.Do(ctx, c.Mutex(name, relock.WithWait(0)), func(context.Context, *relock.Lease) error { return nil })
	}
}

// tries are the calls that need no lease.
func tries(t *testing.T, c *relock.Client) map[string]func(context.Context) error {
	t.Helper()
	multi, err := redlock.NewMultiLock(c.Mutex("a"), c.Mutex("b"))
	if err != nil {
		t.Fatal(err)
	}
	m := c.Mutex("a")
	return map[string]func(context.Context) error{
		"TryLock":           behaviour.TryCall(m),
		"Do, WithWait(0)":   doOnce(c, "a"),
		"MultiLock.TryLock": behaviour.TryCall(multi),
		"Status":            func(ctx context.Context) error { _, err := m.Status(ctx); return err },
		"ForceUnlock":       func(ctx context.Context) error { _, err := m.ForceUnlock(ctx); return err },
		"Queue":             func(ctx context.Context) error { _, _, err := behaviour.InspectorOf(c).Queue(ctx, "a", 1); return err },
		"Statuses": func(ctx context.Context) error {
			_, errs := behaviour.InspectorOf(c).Statuses(ctx, []string{"a"})
			return errs[0]
		},
		"Guard.Claim": func(ctx context.Context) error {
			return relock.NewGuard(behaviour.RedisOf(c)).Claim(ctx, "a", relock.Sequencer{Name: "a", Token: relock.Token(time.Now().UnixMicro()), Owner: "x"})
		},
	}
}

// wantAdvice checks that the error says what to do, and not that nobody answered.
func wantAdvice(t *testing.T, what string, err error, said, advice string) {
	t.Helper()
	behaviour.WantSaid(t, what, err, said)
	if !strings.Contains(err.Error(), advice) || strings.Contains(err.Error(), "no answer") {
		t.Errorf("%s: got %v, want it to say %q", what, err, advice)
	}
}

func toldOfACluster(t *testing.T) {
	cluster := redistest.StartClusterT(t)
	owner, err := cluster.MasterOf(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, "a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range cluster.Nodes[:3] {
		if node == owner {
			continue
		}
		c := behaviour.ClientOn(t, node.Client())
		calls := tries(t, c)
		calls["Lock"] = behaviour.LockCall(c.Mutex("a"))
		multi, _ := redlock.NewMultiLock(c.Mutex("a"), c.Mutex("b"))
		calls["MultiLock.Lock"] = behaviour.LockCall(multi)
		for what, call := range calls {
			said := "MOVED"
			if strings.HasPrefix(what, "MultiLock") {
				said = "" // or CROSSSLOT
			}
			wantAdvice(t, what, toldSoon(t, what, call), said, "use redis.NewClusterClient")
		}
		break
	}
	pipeliner, err := cluster.Client().AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer pipeliner.Close()
	behaviour.Unlock(t, behaviour.LockOf(t, behaviour.ClientOn(t, pipeliner).Mutex("a"))) // what follows MOVED is not told to
}

func toldOfAReplica(t *testing.T) {
	const call, advice = 300 * time.Millisecond, "does not look for its primary"
	r := redistest.StartReplicasT(t, 1)
	c := behaviour.ClientOn(t, r.Replicas[0].Client(), relock.WithCallTimeout(call))
	multi, _ := redlock.NewMultiLock(c.Mutex("a"), c.Mutex("b"))
	for what, l := range map[string]relock.Locker{"Lock": c.Mutex("a"), "MultiLock.Lock": multi} {
		wantAdvice(t, what, toldSoon(t, what, behaviour.LockCall(l)), "READONLY", advice)
		err := toldSoon(t, what+", deadline", behaviour.Within(call/3, behaviour.LockCall(l)))
		wantAdvice(t, what, err, "READONLY", advice)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want the deadline as well", what, err)
		}
	}
	wantAdvice(t, "TryLock", toldSoon(t, "TryLock", behaviour.TryCall(c.Mutex("a"))), "READONLY", advice)

	// What is behind an AutoPipeliner is not known: it is given time, with a
	// warning.
	pipeliner, err := r.Replicas[0].Client().AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer pipeliner.Close()
	var log lockedBuffer
	c = behaviour.ClientOn(t, pipeliner, relock.WithCallTimeout(20*time.Millisecond), relock.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	const what = "Lock, AutoPipeliner"
	wantAdvice(t, what, toldSoon(t, what, behaviour.LockCall(c.Mutex("a"))), "READONLY", advice)
	if !strings.Contains(log.String(), "refused by Redis") {
		t.Errorf("%s: logged %q, want a warning that says READONLY", what, log.String())
	}
}

// lockedBuffer takes a log from many goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// toldOfADemotion is about one that waits already: its check-ins are refused.
func toldOfADemotion(t *testing.T) {
	r := behaviour.NewRig(t)
	holder := r.Client(t, false)
	waiter := r.Client(t, false, relock.WithCallTimeout(300*time.Millisecond), relock.WithCheckInterval(50*time.Millisecond))
	lease := behaviour.LockOf(t, holder.Mutex("a"))
	ended := make(chan error, 1)
	go func() {
		const what = "Lock, in the queue"
		err := asked(t, what, behaviour.LockCall(waiter.Mutex("a")))
		wantAdvice(t, what, err, "READONLY", "does not look for its primary")
		ended <- err
	}()
	behaviour.AwaitWaiters(t, holder.Mutex("a"), 1)
	if err := r.Direct.Do(behaviour.Bg, "replicaof", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("it waits on, and nobody is told")
	}
	if err := r.Direct.Do(behaviour.Bg, "replicaof", "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	behaviour.Unlock(t, lease)
}

var errOpen = errors.New("the breaker is open")

// breaker is a redis.Limiter.
type breaker struct{ open atomic.Bool }

func (b *breaker) Allow() error {
	if b.open.Load() {
		return errOpen
	}
	return nil
}

func (b *breaker) ReportResult(error) {}

func toldOfABreaker(t *testing.T) {
	r := behaviour.NewRig(t)
	b := &breaker{}
	keptBack(t, r, behaviour.ClientOn(t, r.Server.Client(func(o *redis.Options) { o.Limiter = b })), &b.open)
}

// refuser is a hook that passes nothing on, and looks at every command, as a
// tracer's does.
type refuser struct{ open atomic.Bool }

func (f *refuser) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *refuser) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		_ = fmt.Sprint(cmd, cmd.Args())
		if f.open.Load() {
			cmd.SetErr(errOpen)
			return errOpen
		}
		return next(ctx, cmd)
	}
}

func (f *refuser) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if f.open.Load() {
			for _, cmd := range cmds {
				cmd.SetErr(errOpen)
			}
			return errOpen
		}
		return next(ctx, cmds)
	}
}

func toldOfAHook(t *testing.T) {
	r := behaviour.NewRig(t)
	f := &refuser{}
	rdb := r.Server.Client()
	rdb.AddHook(f)
	keptBack(t, r, behaviour.ClientOn(t, rdb), &f.open)
}

// keptBack is what a client says while its requests are kept from leaving.
func keptBack(t *testing.T, r *behaviour.Rig, c *relock.Client, open *atomic.Bool) {
	t.Helper()
	extended, unlocked := behaviour.LockOf(t, c.Mutex("extended")), behaviour.LockOf(t, c.Mutex("unlocked"))
	open.Store(true)
	calls := tries(t, c)
	calls["Extend"] = func(ctx context.Context) error { return extended.Extend(ctx, time.Minute) }
	calls["Unlock"] = unlocked.Unlock
	calls["Lock, deadline"] = behaviour.Within(300*time.Millisecond, behaviour.LockCall(c.Mutex("a")))
	for what, call := range calls {
		err := toldSoon(t, what, call)
		if !errors.Is(err, errOpen) || strings.Contains(err.Error(), "no answer") {
			t.Errorf("%s: got %v, want the word of who refused", what, err)
		}
		if got := errors.Is(err, context.DeadlineExceeded); got != (what == "Lock, deadline") {
			t.Errorf("%s: got %v; by its deadline: %v", what, err, got)
		}
	}
	if n := behaviour.ManagerOf(c).Tasks(); n != 1 {
		t.Errorf("%d requests go on in the background, want the release of the one lease alone", n)
	}
	got := make(chan *relock.Lease)
	go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
	behaviour.Eventually(t, "it waits", func() bool { return !behaviour.ManagerOf(c).Idle() })
	open.Store(false)
	behaviour.Unlock(t, <-got)
	behaviour.Unlock(t, extended)
	behaviour.AwaitClean(t, r.Direct)
}

func toldOfNoServer(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	r.Server.Kill()
	for what, call := range tries(t, c) {
		err := toldSoon(t, what, call)
		refused := errors.Is(err, syscall.ECONNREFUSED)
		if !refused || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "no answer") {
			t.Errorf("%s: got %v, want that the connection was refused", what, err)
		}
	}
}
