package redlock_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// scaled returns how much a test does: short by default, and what the claims are
// about where RELOCK_FULL is set.
func scaled[T any](short, full T) T {
	if os.Getenv("RELOCK_FULL") != "" {
		return full
	}
	return short
}

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // go-redis reports every dead node it dials
	// A pool that could not dial asks once a second whether it may end.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

var bg = context.Background()

// rig is some real servers.
type rig struct {
	servers []*redistest.Server
	direct  []*redis.Client
}

func newRig(t testing.TB, n int, args ...string) *rig {
	t.Helper()
	r := &rig{}
	for range n {
		s := redistest.StartT(t, redistest.WithArgs(args...))
		r.servers = append(r.servers, s)
		r.direct = append(r.direct, s.Client())
	}
	return r
}

func (r *rig) addrs() (all []string) {
	for _, s := range r.servers {
		all = append(all, s.Addr())
	}
	return all
}

// between returns the addresses of r's servers with a proxy in front of those of
// index i, and the proxies.
func (r *rig) between(t *testing.T, i ...int) (addrs []string, proxies []*faultproxy.Proxy) {
	t.Helper()
	addrs = r.addrs()
	for _, i := range i {
		p, err := faultproxy.New(addrs[i])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		proxies, addrs[i] = append(proxies, p), p.Addr()
	}
	return addrs, proxies
}

// redLock returns a RedLock of its own connections, as another process would
// have, to the addresses.
func redLock(t testing.TB, addrs []string, opts ...redlock.Option) *redlock.RedLock {
	t.Helper()
	return redLockOf(t, clients(t, addrs), opts...)
}

func redLockOf(t testing.TB, all []*relock.Client, opts ...redlock.Option) *redlock.RedLock {
	t.Helper()
	r, err := redlock.New(all, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func clients(t testing.TB, addrs []string, opts ...relock.Option) (all []*relock.Client) {
	t.Helper()
	for _, a := range addrs {
		rdb := redis.NewClient(&redis.Options{Addr: a})
		c, err := relock.New(rdb, opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = c.Close(), rdb.Close() })
		all = append(all, c)
	}
	return all
}

func lock(t testing.TB, l relock.Locker) *relock.Lease {
	t.Helper()
	return lockIn(t, bg, l)
}

func lockIn(t testing.TB, ctx context.Context, l relock.Locker) *relock.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	lease, err := l.Lock(ctx)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return lease
}

func unlock(t testing.TB, l *relock.Lease) {
	t.Helper()
	if err := l.Unlock(bg); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// eventually asks until cond holds. The bound is for what never comes: no test
// is about how long it takes.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// orphans are the keys of locks and queues; fences, tombstones and the nodes'
// own stay.
func orphans(t testing.TB, all ...*redis.Client) (left []string) {
	t.Helper()
	for _, rdb := range all {
		keys, err := rdb.Keys(bg, "relock:*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			stays := func(kind string) bool { return strings.Contains(k, kind) }
			if !slices.ContainsFunc([]string{"fence", "tombstones", "rednode"}, stays) {
				left = append(left, k)
			}
		}
	}
	return left
}

func awaitClean(t testing.TB, all ...*redis.Client) {
	t.Helper()
	var left []string
	defer func() {
		if t.Failed() {
			t.Logf("left behind: %q", left)
		}
	}()
	eventually(t, "no lock or queue key is left", func() bool {
		left = orphans(t, all...)
		return len(left) == 0
	})
}

// calls counts the scripts that a server has run.
func calls(t testing.TB, rdb *redis.Client) (n int64) {
	t.Helper()
	byName, err := redistest.CommandCalls(bg, rdb, "evalsha", "eval")
	if err != nil {
		t.Fatal(err)
	}
	return byName["evalsha"] + byName["eval"]
}

// median measures what a mean would hide.
type median struct {
	b     *testing.B
	times []time.Duration
}

func newMedian(b *testing.B) *median { return &median{b: b} }

func (m *median) measure(f func()) {
	start := time.Now()
	f()
	m.times = append(m.times, time.Since(start))
}

func (m *median) report() {
	slices.Sort(m.times)
	m.b.ReportMetric(float64(m.times[len(m.times)/2].Nanoseconds()), "ns/median")
	m.b.ReportMetric(float64(m.times[len(m.times)-1].Nanoseconds()), "ns/max")
}

func await(t testing.TB, arrived <-chan struct{}) {
	t.Helper()
	select {
	case <-arrived:
	case <-time.After(10 * time.Second):
		t.Fatal("the acquire has never been sent")
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(bg, d)
	t.Cleanup(cancel)
	return ctx
}
