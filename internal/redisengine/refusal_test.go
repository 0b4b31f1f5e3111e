package redisengine_test

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

// What Redis refuses: each with an error that says so, by the end of ctx, and
// with nothing left behind.

// promptly is how long a call may take after the end of its context: 50 ms, and
// what a busy machine may add. It is less than the timeouts of go-redis and of a
// call, which would end it otherwise.
const promptly = 2 * time.Second

// wantByDeadline runs a call under a deadline, which it must keep, and returns
// its error.
func wantByDeadline(t *testing.T, name string, within time.Duration, call func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(behaviour.Bg, within)
	defer cancel()
	start := time.Now()
	err := call(ctx)
	if took := time.Since(start); took > within+promptly {
		t.Errorf("%s returned %v after the end of its context, want within 50ms", name, took-within)
	}
	if errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("%s: got %v, and nobody said that the lock is taken", name, err)
	}
	if err == nil {
		t.Errorf("%s: got no error", name)
	}
	return err
}

// everyCall runs each call of a client under a deadline, all at once, and has
// check judge its error.
func everyCall(t *testing.T, c *relock.Client, within time.Duration, fault func(), check func(name string, err error)) {
	t.Helper()
	extended, unlocked := behaviour.LockOf(t, c.Mutex("extended")), behaviour.LockOf(t, c.Mutex("unlocked"))
	guard, s := relock.NewGuard(behaviour.RedisOf(c)), unlocked.Sequencer()
	fault()
	var wg sync.WaitGroup
	for name, call := range map[string]func(context.Context) error{
		"Lock":    behaviour.LockCall(c.Mutex("a")),
		"TryLock": behaviour.TryCall(c.Mutex("b")),
		"Status":  func(ctx context.Context) error { _, err := c.Mutex("a").Status(ctx); return err },
		"Force":   func(ctx context.Context) error { _, err := c.Mutex("a").ForceUnlock(ctx); return err },
		"Extend":  func(ctx context.Context) error { return extended.Extend(ctx, time.Minute) },
		"Unlock":  unlocked.Unlock,
		"Claim":   func(ctx context.Context) error { return guard.Claim(ctx, "k", s) },
	} {
		wg.Go(func() { check(name, wantByDeadline(t, name, within, call)) })
	}
	wg.Wait()
}

func TestAServerThatIsDown(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	// go-redis itself dials five times, over 400 ms, before it gives a reason.
	everyCall(t, c, 2500*time.Millisecond, r.Server.Kill, func(name string, err error) {
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want why there was no answer", name, err)
		}
		// Who waits for a lock, or has one, waits for a connection too.
		waits := name == "Lock" || name == "Extend" || name == "Unlock"
		if got := errors.Is(err, context.DeadlineExceeded); got != waits {
			t.Errorf("%s: got %v; by its deadline: %v, want %v", name, err, got, waits)
		}
	})
	if err := r.Server.Restart(behaviour.Bg); err != nil {
		t.Fatal(err)
	}
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("a")))
	behaviour.AwaitClean(t, r.Direct)
}

func TestAServerThatHangs(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	pause := func() {
		if err := r.Server.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	everyCall(t, c, 300*time.Millisecond, pause, func(name string, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want the deadline", name, err)
		}
	})
	if err := r.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // releases the lease whose Extend was not answered
		t.Error(err)
	}
	behaviour.AwaitClean(t, r.Direct)
}

// The call timeout bounds what no context bounds.
func TestTryLockWaitsNoLongerThanTheCallTimeout(t *testing.T) {
	const call = 200 * time.Millisecond
	r := behaviour.NewRig(t)
	m := r.Client(t, false, relock.WithCallTimeout(call)).Mutex("a")
	behaviour.Unlock(t, behaviour.LockOf(t, m))
	if err := r.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := m.TryLock(behaviour.Bg)
	if took := time.Since(start); took > call+promptly {
		t.Errorf("returned after %v, the call timeout is %v", took, call)
	}
	if err == nil || errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want an error that is not ErrNotAcquired", err)
	}
	if err := r.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	behaviour.AwaitClean(t, r.Direct)
}

func TestAReadOnlyReplica(t *testing.T) {
	r := redistest.StartReplicasT(t, 1)
	c := behaviour.ClientOn(t, r.Replicas[0].Client(), relock.WithCallTimeout(time.Second))
	for name, call := range map[string]func(context.Context) error{
		"Lock": behaviour.LockCall(c.Mutex("a")), "TryLock": behaviour.TryCall(c.Mutex("a")),
	} {
		err := wantByDeadline(t, name, 300*time.Millisecond, call)
		behaviour.WantSaid(t, name, err, "READONLY")
	}
}

// fill has the server refuse whatever needs memory, until the function that it
// returns is called.
func fill(t *testing.T, rdb *redis.Client) (drain func()) {
	t.Helper()
	set := func(max string) {
		if err := rdb.ConfigSet(behaviour.Bg, "maxmemory", max).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("1")
	return func() { set("0") }
}

func TestFullMemory(t *testing.T) {
	const ttl = 900 * time.Millisecond
	r := behaviour.NewRig(t)
	c, other := r.Client(t, false), r.Client(t, false, relock.WithCheckInterval(300*time.Millisecond))
	l := c.Reentrant("a", relock.WithTTL(ttl))
	alone := behaviour.LockOf(t, c.Mutex("alone"))
	outer := behaviour.LockOf(t, l)
	inner := behaviour.LockIn(t, outer.Context(), l)
	far, near := make(chan *relock.Lease, 1), make(chan *relock.Lease, 1)
	go func() { far <- behaviour.LockOf(t, other.Mutex("a", relock.WithTTL(ttl))) }()
	behaviour.AwaitWaiters(t, other.Mutex("a"), 1)
	drain := fill(t, r.Direct)

	for name, call := range map[string]func(context.Context) error{
		"Lock": behaviour.LockCall(c.Mutex("b")), "TryLock": behaviour.TryCall(c.Mutex("b")),
	} {
		behaviour.WantSaid(t, name, wantByDeadline(t, name, 10*time.Second, call), "OOM")
	}
	before := outer.ValidUntil()
	behaviour.Eventually(t, "two renewals", func() bool { return outer.ValidUntil().Sub(before) > ttl/2 })
	if err := inner.Unlock(behaviour.Bg); err != nil {
		t.Errorf("inner Unlock: %v", err)
	}
	if err := outer.Err(); err != nil {
		t.Errorf("after the inner Unlock the outer hold says %v", err)
	}
	behaviour.Unlock(t, alone)
	behaviour.Unlock(t, outer)
	lease := <-far // across clients, by message
	before = lease.ValidUntil()
	behaviour.Eventually(t, "the next holder's renewal", func() bool { return lease.ValidUntil().After(before) })
	go func() { near <- behaviour.LockOf(t, other.Mutex("a")) }()
	behaviour.Eventually(t, "a local waiter", func() bool {
		return other.Stats().Waiting == 1
	})
	behaviour.Unlock(t, lease)
	behaviour.Unlock(t, <-near) // within a client, in the reply
	drain()
	behaviour.AwaitClean(t, r.Direct)
}

// failSaves has the server refuse writes since it cannot save its data.
func failSaves(t *testing.T, r *behaviour.Rig) (repair func()) {
	t.Helper()
	if err := r.Direct.ConfigSet(behaviour.Bg, "save", "3600 100000").Err(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.Server.Dir()); err != nil {
		t.Fatal(err)
	}
	_ = r.Direct.BgSave(behaviour.Bg).Err()
	behaviour.Eventually(t, "a save fails", func() bool {
		info, err := r.Server.Info(behaviour.Bg, "persistence")
		return err == nil && info["rdb_last_bgsave_status"] == "err"
	})
	return func() {
		if err := r.Direct.ConfigSet(behaviour.Bg, "save", "").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAServerThatCannotSave(t *testing.T) {
	const ttl = 900 * time.Millisecond
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	lease := behaviour.LockOf(t, c.Mutex("a", relock.WithTTL(ttl)))
	repair := failSaves(t, r)
	before := time.Now()
	behaviour.WantSaid(t, "Lock", wantByDeadline(t, "Lock", 300*time.Millisecond, behaviour.LockCall(c.Mutex("b"))), "MISCONF")
	wantLostAtDeadline(t, lease, ttl)
	if lease.ValidUntil().Sub(before) < ttl/3 {
		t.Error("the lease was lost before it had to be")
	}
	repair()
	behaviour.AwaitClean(t, r.Direct)
	lease = behaviour.LockOf(t, c.Mutex("a"))
	_ = failSavesAgain(t, r)
	behaviour.WantSaid(t, "Unlock", wantByDeadline(t, "Unlock", 10*time.Second, lease.Unlock), "MISCONF")
	repair()
	behaviour.AwaitClean(t, r.Direct) // the release went on in the background
}

func failSavesAgain(t *testing.T, r *behaviour.Rig) error {
	t.Helper()
	return r.Direct.ConfigSet(behaviour.Bg, "save", "3600 100000").Err()
}
