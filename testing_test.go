package relock

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
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
	redis.SetLogger(silence{}) // each refused dial of each fault is a line of go-redis's
	goleak.VerifyTestMain(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

var bg = context.Background()

// rig is a real server behind a proxy.
type rig struct {
	server *redistest.Server
	proxy  *faultproxy.Proxy
	direct *redis.Client
}

func newRig(t testing.TB, args ...string) *rig {
	t.Helper()
	s := redistest.StartT(t, redistest.WithArgs(args...))
	p, err := faultproxy.New(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &rig{server: s, proxy: p, direct: s.Client()}
}

// client returns a Client of its own connections, through the proxy or not.
func (r *rig) client(t testing.TB, proxied bool, opts ...Option) *Client {
	t.Helper()
	if !proxied {
		return clientOn(t, r.server.Client(), opts...)
	}
	rdb := redis.NewClient(&redis.Options{Addr: r.proxy.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return clientOn(t, rdb, opts...)
}

// clientOn returns a Client that is closed with the test; how well is no matter
// here, since its server may be gone.
func clientOn(t testing.TB, rdb Redis, opts ...Option) *Client {
	t.Helper()
	c, err := New(rdb, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func lockOf(t testing.TB, l Locker) *Lease {
	t.Helper()
	return lockIn(t, bg, l)
}

func lockIn(t testing.TB, ctx context.Context, l Locker) *Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	lease, err := l.Lock(ctx)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return lease
}

func unlock(t testing.TB, l *Lease) {
	t.Helper()
	if err := l.Unlock(bg); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// eventually asks until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(15 * time.Second)
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

func awaitWaiters(t testing.TB, m *Mutex, n int) {
	t.Helper()
	eventually(t, "waiters in the queue", func() bool {
		st, err := m.Status(bg)
		if err != nil {
			t.Fatal(err)
		}
		return st.Waiters == n
	})
}

// keysLeft are the keys of locks and queues; fences and tombstones stay.
func keysLeft(t testing.TB, rdb *redis.Client) (left []string) {
	t.Helper()
	keys, err := rdb.Keys(bg, "relock:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if !strings.HasPrefix(k, "relock:"+kindFence) && !strings.HasPrefix(k, "relock:"+kindTombstones) {
			left = append(left, k)
		}
	}
	return left
}

func awaitClean(t testing.TB, rdb *redis.Client) {
	t.Helper()
	eventually(t, "no lock or queue key is left", func() bool { return len(keysLeft(t, rdb)) == 0 })
}

func calls(t testing.TB, rdb *redis.Client, names ...string) (n int64) {
	t.Helper()
	byName, err := redistest.CommandCalls(bg, rdb, names...)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range byName {
		n += v
	}
	return n
}

func resetStats(t testing.TB, rdb *redis.Client) {
	t.Helper()
	if err := redistest.ResetStats(bg, rdb); err != nil {
		t.Fatal(err)
	}
}
