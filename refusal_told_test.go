package relock

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

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
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
	ctx, cancel := context.WithTimeout(bg, 20*time.Second) // for a call that hangs
	defer cancel()
	err := call(ctx)
	took := time.Since(start).Round(time.Millisecond)
	t.Logf("%-22s %7v  %v", what, took, err)
	if err == nil || errors.Is(err, ErrNotAcquired) {
		t.Errorf("%s: got %v, want why it was refused", what, err)
	}
	return err
}

// toldSoon is asked, and less than the call timeout.
func toldSoon(t *testing.T, what string, call func(context.Context) error) error {
	t.Helper()
	start := time.Now()
	err := asked(t, what, call)
	if took := time.Since(start); took >= DefaultCallTimeout {
		t.Errorf("%s took %v: it waited for what does not come", what, took)
	}
	return err
}

func within(d time.Duration, call func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return call(ctx)
	}
}

func doOnce(c *Client, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		return Do(ctx, c.Mutex(name, WithWait(0)), func(context.Context, *Lease) error { return nil })
	}
}

// tries are the calls that need no lease.
func tries(t *testing.T, c *Client) map[string]func(context.Context) error {
	t.Helper()
	multi, err := NewComposite(engine.Members{c.Mutex("a"), c.Mutex("b")})
	if err != nil {
		t.Fatal(err)
	}
	m := c.Mutex("a")
	return map[string]func(context.Context) error{
		"TryLock":           tryCall(m),
		"Do, WithWait(0)":   doOnce(c, "a"),
		"MultiLock.TryLock": tryCall(multi),
		"Status":            func(ctx context.Context) error { _, err := m.Status(ctx); return err },
		"ForceUnlock":       func(ctx context.Context) error { _, err := m.ForceUnlock(ctx); return err },
		"Queue":             func(ctx context.Context) error { _, _, err := c.Inspector().Queue(ctx, "a", 1); return err },
		"Statuses": func(ctx context.Context) error {
			_, errs := c.Inspector().Statuses(ctx, []string{"a"})
			return errs[0]
		},
		"Guard.Claim": func(ctx context.Context) error {
			return NewGuard(c.eng.rdb).Claim(ctx, "a", Sequencer{Name: "a", Token: Token(time.Now().UnixMicro()), Owner: "x"})
		},
	}
}

// wantAdvice checks that the error says what to do, and not that nobody answered.
func wantAdvice(t *testing.T, what string, err error, said, advice string) {
	t.Helper()
	wantSaid(t, what, err, said)
	if !strings.Contains(err.Error(), advice) || strings.Contains(err.Error(), "no answer") {
		t.Errorf("%s: got %v, want it to say %q", what, err, advice)
	}
}

func toldOfACluster(t *testing.T) {
	cluster := redistest.StartClusterT(t)
	owner, err := cluster.MasterOf(bg, keyOf(DefaultPrefix, kindLock, "a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range cluster.Nodes[:3] {
		if node == owner {
			continue
		}
		c := clientOn(t, node.Client())
		calls := tries(t, c)
		calls["Lock"] = lockCall(c.Mutex("a"))
		multi, _ := NewComposite(engine.Members{c.Mutex("a"), c.Mutex("b")})
		calls["MultiLock.Lock"] = lockCall(multi)
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
	unlock(t, lockOf(t, clientOn(t, pipeliner).Mutex("a"))) // what follows MOVED is not told to
}

func toldOfAReplica(t *testing.T) {
	const call, advice = 300 * time.Millisecond, "does not look for its primary"
	r := redistest.StartReplicasT(t, 1)
	c := clientOn(t, r.Replicas[0].Client(), WithCallTimeout(call))
	multi, _ := NewComposite(engine.Members{c.Mutex("a"), c.Mutex("b")})
	for what, l := range map[string]Locker{"Lock": c.Mutex("a"), "MultiLock.Lock": multi} {
		wantAdvice(t, what, toldSoon(t, what, lockCall(l)), "READONLY", advice)
		err := toldSoon(t, what+", deadline", within(call/3, lockCall(l)))
		wantAdvice(t, what, err, "READONLY", advice)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want the deadline as well", what, err)
		}
	}
	wantAdvice(t, "TryLock", toldSoon(t, "TryLock", tryCall(c.Mutex("a"))), "READONLY", advice)

	// What is behind an AutoPipeliner is not known: it is given time, with a
	// warning.
	pipeliner, err := r.Replicas[0].Client().AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer pipeliner.Close()
	var log lockedBuffer
	c = clientOn(t, pipeliner, WithCallTimeout(20*time.Millisecond), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	const what = "Lock, AutoPipeliner"
	wantAdvice(t, what, toldSoon(t, what, lockCall(c.Mutex("a"))), "READONLY", advice)
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
	r := newRig(t)
	holder := r.client(t, false)
	waiter := r.client(t, false, WithCallTimeout(300*time.Millisecond), WithCheckInterval(50*time.Millisecond))
	lease := lockOf(t, holder.Mutex("a"))
	ended := make(chan error, 1)
	go func() {
		const what = "Lock, in the queue"
		err := asked(t, what, lockCall(waiter.Mutex("a")))
		wantAdvice(t, what, err, "READONLY", "does not look for its primary")
		ended <- err
	}()
	awaitWaiters(t, holder.Mutex("a"), 1)
	if err := r.direct.Do(bg, "replicaof", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("it waits on, and nobody is told")
	}
	if err := r.direct.Do(bg, "replicaof", "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	unlock(t, lease)
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
	r := newRig(t)
	b := &breaker{}
	keptBack(t, r, clientOn(t, r.server.Client(func(o *redis.Options) { o.Limiter = b })), &b.open)
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
	r := newRig(t)
	f := &refuser{}
	rdb := r.server.Client()
	rdb.AddHook(f)
	keptBack(t, r, clientOn(t, rdb), &f.open)
}

// keptBack is what a client says while its requests are kept from leaving.
func keptBack(t *testing.T, r *rig, c *Client, open *atomic.Bool) {
	t.Helper()
	extended, unlocked := lockOf(t, c.Mutex("extended")), lockOf(t, c.Mutex("unlocked"))
	open.Store(true)
	calls := tries(t, c)
	calls["Extend"] = func(ctx context.Context) error { return extended.Extend(ctx, time.Minute) }
	calls["Unlock"] = unlocked.Unlock
	calls["Lock, deadline"] = within(300*time.Millisecond, lockCall(c.Mutex("a")))
	for what, call := range calls {
		err := toldSoon(t, what, call)
		if !errors.Is(err, errOpen) || strings.Contains(err.Error(), "no answer") {
			t.Errorf("%s: got %v, want the word of who refused", what, err)
		}
		if got := errors.Is(err, context.DeadlineExceeded); got != (what == "Lock, deadline") {
			t.Errorf("%s: got %v; by its deadline: %v", what, err, got)
		}
	}
	if n := c.host.backlog(); n != 1 {
		t.Errorf("%d requests go on in the background, want the release of the one lease alone", n)
	}
	got := make(chan *Lease)
	go func() { got <- lockOf(t, c.Mutex("a")) }()
	eventually(t, "it waits", func() bool { return !c.host.Idle() })
	open.Store(false)
	unlock(t, <-got)
	unlock(t, extended)
	awaitClean(t, r.direct)
}

// backlog is how many tasks are under way in the background.
func (h *host) backlog() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tasks
}

func toldOfNoServer(t *testing.T) {
	r := newRig(t)
	c := r.client(t, false)
	unlock(t, lockOf(t, c.Mutex("a")))
	r.server.Kill()
	for what, call := range tries(t, c) {
		err := toldSoon(t, what, call)
		refused := errors.Is(err, syscall.ECONNREFUSED)
		if !refused || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "no answer") {
			t.Errorf("%s: got %v, want that the connection was refused", what, err)
		}
	}
}

// What a client can be expected to find decides what is a refusal for good.
func TestARefusalPassesForAsLongAsItsClientMayFindTheServer(t *testing.T) {
	failover := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}})
	both := redis.NewFailoverClusterClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}})
	one := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	pipeliner, err := one.AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = pipeliner.Close()
		for _, c := range []redis.UniversalClient{failover, both, one, many} {
			_ = c.Close()
		}
	}()
	const never, ever = 0, 1 << 20
	for _, tc := range []struct {
		name            string
		rdb             Redis
		moved, readOnly int // for how many call timeouts it passes
	}{
		{"one server", one, never, 1},
		{"a wrapper of it", struct{ *redis.Client }{one}, never, 1},
		{"Sentinel", failover, never, ever},
		{"a cluster", many, ever, ever},
		{"Sentinel, with reads from replicas", both, ever, ever},
		{"behind an AutoPipeliner", pipeliner, unknownGrace, unknownGrace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for said, want := range map[string]int{"MOVED 1 127.0.0.1:2": tc.moved, "ASK 1 127.0.0.1:2": tc.moved, "READONLY no": tc.readOnly} {
				err := advise(tc.rdb, saying(said))
				wantSaid(t, said, err, said)
				if want > 0 && !passesAfter(err, want-1) || want < ever && passesAfter(err, want) {
					t.Errorf("%s: does not pass for %d call timeouts", said, want)
				}
				if want == ever != (err.Error() == said) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// saying is an error of a server's.
type saying string

func (s saying) Error() string { return string(s) }
func (saying) RedisError()     {}
