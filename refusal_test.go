package relock

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
	ctx, cancel := context.WithTimeout(bg, within)
	defer cancel()
	start := time.Now()
	err := call(ctx)
	if took := time.Since(start); took > within+promptly {
		t.Errorf("%s returned %v after the end of its context, want within 50ms", name, took-within)
	}
	if errors.Is(err, ErrNotAcquired) {
		t.Errorf("%s: got %v, and nobody said that the lock is taken", name, err)
	}
	if err == nil {
		t.Errorf("%s: got no error", name)
	}
	return err
}

func lockCall(l Locker) func(ctx context.Context) error {
	return func(ctx context.Context) error { _, err := l.Lock(ctx); return err }
}

func tryCall(l Locker) func(ctx context.Context) error {
	return func(ctx context.Context) error { _, err := l.TryLock(ctx); return err }
}

// wantSaid checks that what Redis said is reachable.
func wantSaid(t *testing.T, name string, err error, prefix string) {
	t.Helper()
	var said redis.Error
	if !errors.As(err, &said) || !redis.HasErrorPrefix(err, prefix) {
		t.Errorf("%s: got %v, want what Redis said: %s", name, err, prefix)
	}
}

// everyCall runs each call of a client under a deadline, all at once, and has
// check judge its error.
func everyCall(t *testing.T, c *Client, within time.Duration, fault func(), check func(name string, err error)) {
	t.Helper()
	extended, unlocked := lockOf(t, c.Mutex("extended")), lockOf(t, c.Mutex("unlocked"))
	guard, s := NewGuard(c.eng.rdb), unlocked.Sequencer()
	fault()
	var wg sync.WaitGroup
	for name, call := range map[string]func(context.Context) error{
		"Lock":    lockCall(c.Mutex("a")),
		"TryLock": tryCall(c.Mutex("b")),
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
	r := newRig(t)
	c := r.client(t, false)
	// go-redis itself dials five times, over 400 ms, before it gives a reason.
	everyCall(t, c, 2500*time.Millisecond, r.server.Kill, func(name string, err error) {
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want why there was no answer", name, err)
		}
		// Who waits for a lock, or has one, waits for a connection too.
		waits := name == "Lock" || name == "Extend" || name == "Unlock"
		if got := errors.Is(err, context.DeadlineExceeded); got != waits {
			t.Errorf("%s: got %v; by its deadline: %v, want %v", name, err, got, waits)
		}
	})
	if err := r.server.Restart(bg); err != nil {
		t.Fatal(err)
	}
	unlock(t, lockOf(t, c.Mutex("a")))
	awaitClean(t, r.direct)
}

func TestAServerThatHangs(t *testing.T) {
	r := newRig(t)
	c := r.client(t, false)
	pause := func() {
		if err := r.server.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	everyCall(t, c, 300*time.Millisecond, pause, func(name string, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want the deadline", name, err)
		}
	})
	if err := r.server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // releases the lease whose Extend was not answered
		t.Error(err)
	}
	awaitClean(t, r.direct)
}

// The call timeout bounds what no context bounds.
func TestTryLockWaitsNoLongerThanTheCallTimeout(t *testing.T) {
	const call = 200 * time.Millisecond
	r := newRig(t)
	m := r.client(t, false, WithCallTimeout(call)).Mutex("a")
	unlock(t, lockOf(t, m))
	if err := r.server.Pause(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := m.TryLock(bg)
	if took := time.Since(start); took > call+promptly {
		t.Errorf("returned after %v, the call timeout is %v", took, call)
	}
	if err == nil || errors.Is(err, ErrNotAcquired) {
		t.Errorf("got %v, want an error that is not ErrNotAcquired", err)
	}
	if err := r.server.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitClean(t, r.direct)
}

func TestAReadOnlyReplica(t *testing.T) {
	r := redistest.StartReplicasT(t, 1)
	c := clientOn(t, r.Replicas[0].Client(), WithCallTimeout(time.Second))
	for name, call := range map[string]func(context.Context) error{
		"Lock": lockCall(c.Mutex("a")), "TryLock": tryCall(c.Mutex("a")),
	} {
		err := wantByDeadline(t, name, 300*time.Millisecond, call)
		wantSaid(t, name, err, "READONLY")
	}
}

// fill has the server refuse whatever needs memory, until the function that it
// returns is called.
func fill(t *testing.T, rdb *redis.Client) (drain func()) {
	t.Helper()
	set := func(max string) {
		if err := rdb.ConfigSet(bg, "maxmemory", max).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("1")
	return func() { set("0") }
}

func TestFullMemory(t *testing.T) {
	const ttl = 900 * time.Millisecond
	r := newRig(t)
	c, other := r.client(t, false), r.client(t, false, WithCheckInterval(300*time.Millisecond))
	l := c.Reentrant("a", WithTTL(ttl))
	alone := lockOf(t, c.Mutex("alone"))
	outer := lockOf(t, l)
	inner := lockIn(t, outer.Context(), l)
	far, near := make(chan *Lease, 1), make(chan *Lease, 1)
	go func() { far <- lockOf(t, other.Mutex("a", WithTTL(ttl))) }()
	awaitWaiters(t, other.Mutex("a"), 1)
	drain := fill(t, r.direct)

	for name, call := range map[string]func(context.Context) error{
		"Lock": lockCall(c.Mutex("b")), "TryLock": tryCall(c.Mutex("b")),
	} {
		wantSaid(t, name, wantByDeadline(t, name, 10*time.Second, call), "OOM")
	}
	before := outer.ValidUntil()
	eventually(t, "two renewals", func() bool { return outer.ValidUntil().Sub(before) > ttl/2 })
	if err := inner.Unlock(bg); err != nil {
		t.Errorf("inner Unlock: %v", err)
	}
	if err := outer.Err(); err != nil {
		t.Errorf("after the inner Unlock the outer hold says %v", err)
	}
	unlock(t, alone)
	unlock(t, outer)
	lease := <-far // across clients, by message
	before = lease.ValidUntil()
	eventually(t, "the next holder's renewal", func() bool { return lease.ValidUntil().After(before) })
	go func() { near <- lockOf(t, other.Mutex("a")) }()
	eventually(t, "a local waiter", func() bool {
		other.host.mu.Lock()
		defer other.host.mu.Unlock()
		return other.host.waiting == 1
	})
	unlock(t, lease)
	unlock(t, <-near) // within a client, in the reply
	drain()
	awaitClean(t, r.direct)
}

// failSaves has the server refuse writes since it cannot save its data.
func failSaves(t *testing.T, r *rig) (repair func()) {
	t.Helper()
	if err := r.direct.ConfigSet(bg, "save", "3600 100000").Err(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.server.Dir()); err != nil {
		t.Fatal(err)
	}
	_ = r.direct.BgSave(bg).Err()
	eventually(t, "a save fails", func() bool {
		info, err := r.server.Info(bg, "persistence")
		return err == nil && info["rdb_last_bgsave_status"] == "err"
	})
	return func() {
		if err := r.direct.ConfigSet(bg, "save", "").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAServerThatCannotSave(t *testing.T) {
	const ttl = 900 * time.Millisecond
	r := newRig(t)
	c := r.client(t, false)
	lease := lockOf(t, c.Mutex("a", WithTTL(ttl)))
	repair := failSaves(t, r)
	before := time.Now()
	wantSaid(t, "Lock", wantByDeadline(t, "Lock", 300*time.Millisecond, lockCall(c.Mutex("b"))), "MISCONF")
	wantLostAtDeadline(t, lease, ttl)
	if lease.ValidUntil().Sub(before) < ttl/3 {
		t.Error("the lease was lost before it had to be")
	}
	repair()
	awaitClean(t, r.direct)
	lease = lockOf(t, c.Mutex("a"))
	_ = failSavesAgain(t, r)
	wantSaid(t, "Unlock", wantByDeadline(t, "Unlock", 10*time.Second, lease.Unlock), "MISCONF")
	repair()
	awaitClean(t, r.direct) // the release went on in the background
}

func failSavesAgain(t *testing.T, r *rig) error {
	t.Helper()
	return r.direct.ConfigSet(bg, "save", "3600 100000").Err()
}
