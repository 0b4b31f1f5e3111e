// Package behaviour is what every lock kind must do, on every kind of server, and
// what tests of it have in common: servers, clients in virtual time, and checks.
// It is for tests alone.
package behaviour

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// Scaled returns how much a test does: short by default, and what the claims are
// about where RELOCK_FULL is set.
func Scaled[T any](short, full T) T {
	if os.Getenv("RELOCK_FULL") != "" {
		return full
	}
	return short
}

// Main is the TestMain of packages whose tests leave no goroutine.
func Main(m *testing.M) {
	redis.SetLogger(silence{}) // each refused dial of each fault is a line of go-redis's
	goleak.VerifyTestMain(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Bg is for what no test ends early.
var Bg = context.Background()

// ClientOn returns a Client that is closed with the test; how well is no matter
// here, since its server may be gone.
func ClientOn(t testing.TB, rdb relock.Redis, opts ...relock.Option) *relock.Client {
	t.Helper()
	c, err := relock.New(rdb, opts...)
	if err != nil {
		t.Fatal(err)
	}
	redisOf.Store(c, rdb)
	t.Cleanup(func() {
		redisOf.Delete(c)
		_ = c.Close()
	})
	return c
}

// LockOf takes a lock, which must be had within 20 s.
func LockOf(t testing.TB, l relock.Locker) *relock.Lease {
	t.Helper()
	return LockIn(t, Bg, l)
}

// LockIn is LockOf in a context.
func LockIn(t testing.TB, ctx context.Context, l relock.Locker) *relock.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	lease, err := l.Lock(ctx)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return lease
}

// Unlock gives a lease back, which must be held.
func Unlock(t testing.TB, l *relock.Lease) {
	t.Helper()
	if err := l.Unlock(Bg); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// Eventually asks until cond holds.
func Eventually(t testing.TB, what string, cond func() bool) {
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

// AwaitWaiters waits until so many are in the queue.
func AwaitWaiters(t testing.TB, m *relock.Mutex, n int) {
	t.Helper()
	Eventually(t, "waiters in the queue", func() bool {
		st, err := m.Status(Bg)
		if err != nil {
			t.Fatal(err)
		}
		return st.Waiters == n
	})
}

// KeysLeft are the keys of locks and queues; fences and tombstones stay.
func KeysLeft(t testing.TB, rdb *redis.Client) (left []string) {
	t.Helper()
	keys, err := rdb.Keys(Bg, "relock:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if !strings.HasPrefix(k, "relock:"+redisengine.KindFence) && !strings.HasPrefix(k, "relock:"+redisengine.KindTombstones) {
			left = append(left, k)
		}
	}
	return left
}

// AwaitClean waits until no lock and no queue is on the server.
func AwaitClean(t testing.TB, rdb *redis.Client) {
	t.Helper()
	Eventually(t, "no lock or queue key is left", func() bool { return len(KeysLeft(t, rdb)) == 0 })
}

// Calls is how often the server has executed these commands.
func Calls(t testing.TB, rdb *redis.Client, names ...string) (n int64) {
	t.Helper()
	byName, err := redistest.CommandCalls(Bg, rdb, names...)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range byName {
		n += v
	}
	return n
}

// ResetStats has Calls begin at 0.
func ResetStats(t testing.TB, rdb *redis.Client) {
	t.Helper()
	if err := redistest.ResetStats(Bg, rdb); err != nil {
		t.Fatal(err)
	}
}

// LockCall is Lock, for those who ask for its error alone.
func LockCall(l relock.Locker) func(ctx context.Context) error {
	return func(ctx context.Context) error { _, err := l.Lock(ctx); return err }
}

// TryCall is TryLock, likewise.
func TryCall(l relock.Locker) func(ctx context.Context) error {
	return func(ctx context.Context) error { _, err := l.TryLock(ctx); return err }
}

// Within is call, for at most d.
func Within(d time.Duration, call func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return call(ctx)
	}
}

// WantSaid checks that what Redis said is reachable.
func WantSaid(t *testing.T, name string, err error, prefix string) {
	t.Helper()
	var said redis.Error
	if !errors.As(err, &said) || !redis.HasErrorPrefix(err, prefix) {
		t.Errorf("%s: got %v, want what Redis said: %s", name, err, prefix)
	}
}

// Slack is what a busy machine may add to a promise about time, and less than
// what breaking the promise would take; virtual time knows the exact bounds.
const Slack = 3 * time.Second

// Patience bounds what a test of a topology waits for.
func Patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(Bg, 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// CompositeOf returns the lock of all members.
func CompositeOf(t testing.TB, members ...relock.Locker) *redlock.MultiLock {
	t.Helper()
	c, err := redlock.NewMultiLock(members...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TokensFromNow makes sequencers whose tokens are as a lock would issue them
// now: n apart from the clock.
func TokensFromNow() func(n int64, o relock.Owner) relock.Sequencer {
	base := time.Now().UnixMicro()
	return func(n int64, o relock.Owner) relock.Sequencer {
		return relock.Sequencer{Name: "a", Token: relock.Token(base + n), Owner: o}
	}
}

// RefusalError is an error of a server's.
type RefusalError string

func (r RefusalError) Error() string { return string(r) }

// RedisError marks it as one.
func (RefusalError) RedisError() {}
