package relock_test

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
	"github.com/relock-go/relock/internal/redistest"
	"github.com/relock-go/relock/redlock"
)

// One behaviour table: every lock kind passes it, on every kind of server.

// A process is what one operating-system process would have: clients of its
// own. It makes locks of one kind.
type process struct {
	lock  func(name string, opts ...relock.LockOption) relock.Locker
	close func() error
}

// A kind is a lock kind in a world: processes that share its servers.
type kind struct {
	name  string
	start func(t *testing.T, servers []*redis.Client) func() process
}

// clientKind is a kind that lives on one Client.
func clientKind(name string, lock func(*relock.Client, string, ...relock.LockOption) relock.Locker) kind {
	return kind{name, func(t *testing.T, servers []*redis.Client) func() process {
		return func() process {
			c := newClient(t, servers[0])
			return process{
				lock: func(name string, opts ...relock.LockOption) relock.Locker {
					return lock(c, name, opts...)
				},
				close: c.Close,
			}
		}
	}}
}

var kinds = []kind{
	clientKind("Mutex", func(c *relock.Client, name string, opts ...relock.LockOption) relock.Locker {
		return c.Mutex(name, opts...)
	}),
	clientKind("Reentrant", func(c *relock.Client, name string, opts ...relock.LockOption) relock.Locker {
		return c.Reentrant(name, opts...)
	}),
	redlockKind("RedLock.Mutex", func(r *redlock.RedLock, name string, opts ...relock.LockOption) relock.Locker {
		return r.Mutex(name, opts...)
	}),
	redlockKind("RedLock.Reentrant", func(r *redlock.RedLock, name string, opts ...relock.LockOption) relock.Locker {
		return r.Reentrant(name, opts...)
	}),
	{"MultiLock", func(t *testing.T, servers []*redis.Client) func() process {
		return func() process {
			a, b, r := newClient(t, servers[0]), newClient(t, servers[1]), newRedLock(t, servers)
			return process{
				lock: func(name string, opts ...relock.LockOption) relock.Locker {
					m, err := redlock.NewMultiLock(b.Mutex(name, opts...), r.Mutex(name, opts...), a.Reentrant(name, opts...))
					if err != nil {
						t.Fatal(err)
					}
					return m
				},
				close: func() error { return errors.Join(r.Close(), a.Close(), b.Close()) },
			}
		}
	}},
}

// redlockKind is a kind that lives on a quorum of the servers.
func redlockKind(name string, lock func(*redlock.RedLock, string, ...relock.LockOption) relock.Locker) kind {
	return kind{name, func(t *testing.T, servers []*redis.Client) func() process {
		return func() process {
			r := newRedLock(t, servers)
			return process{
				lock: func(name string, opts ...relock.LockOption) relock.Locker {
					return lock(r, name, opts...)
				},
				close: r.Close,
			}
		}
	}}
}

func newRedLock(t testing.TB, servers []*redis.Client, opts ...redlock.Option) *redlock.RedLock {
	t.Helper()
	var clients []*relock.Client
	for _, rdb := range servers {
		clients = append(clients, newClient(t, rdb))
	}
	// Slow servers are no subject of the table: five of them in one process are.
	r, err := redlock.New(clients, append([]redlock.Option{redlock.WithNodeTimeout(2 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func newClient(t testing.TB, rdb relock.Redis, opts ...relock.Option) *relock.Client {
	t.Helper()
	c, err := relock.New(rdb, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// On embedded servers the table runs in virtual time, where no machine is slow.
func TestBehaviour(t *testing.T) {
	each := func(t *testing.T, check func(t *testing.T, k kind, b promise, lock string)) {
		for _, k := range kinds {
			t.Run(k.name, func(t *testing.T) {
				for i, b := range promises {
					t.Run(b.sentence, func(t *testing.T) { check(t, k, b, fmt.Sprintf("%s-%02d", k.name, i)) })
				}
			})
		}
	}
	t.Run("embedded", func(t *testing.T) {
		each(t, func(t *testing.T, k kind, b promise, lock string) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { <-time.After(time.Minute) }) // what go-redis does after Close has an end too
				var servers []*redis.Client
				for i := range 5 {
					m, _ := redistest.EmbeddedInMemory(t)
					rdb := redistest.InMemoryClient(m, func(o *redis.Options) { o.Addr = fmt.Sprintf("127.0.0.%d:6379", i+1) })
					t.Cleanup(func() { _ = rdb.Close() })
					servers = append(servers, rdb)
				}
				b.check(t, &world{k.start(t, servers), servers, lock})
			})
		})
	})
	t.Run("redis-server", func(t *testing.T) {
		var servers []*redis.Client
		for range 5 {
			servers = append(servers, redistest.StartT(t).Client())
		}
		each(t, func(t *testing.T, k kind, b promise, lock string) {
			t.Parallel()
			b.check(t, &world{k.start(t, servers), servers, lock})
		})
	})
}

// A world is what one behaviour is checked in: a lock of its own.
type world struct {
	spawn   func() process
	servers []*redis.Client
	lock    string
}

// longTTL is longer than any test waits for an expiry; shortTTL is waited for.
const (
	longTTL  = 20 * time.Second
	shortTTL = 1500 * time.Millisecond
)

var bg = context.Background()

func mustLock(t testing.TB, l relock.Locker) *relock.Lease {
	t.Helper()
	return mustLockIn(t, bg, l)
}

func mustLockIn(t testing.TB, ctx context.Context, l relock.Locker) *relock.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	lease, err := l.Lock(ctx)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return lease
}

func mustUnlock(t testing.TB, l *relock.Lease) {
	t.Helper()
	if err := l.Unlock(bg); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

func wantErr(t testing.TB, got error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(got, w) {
			t.Errorf("got error %v, want one that is %v", got, w)
		}
	}
}

// wantEnd waits for the end of the lease's context and checks its cause.
func wantEnd(t testing.TB, l *relock.Lease, cause error) {
	t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(15 * time.Second):
		t.Fatalf("the lease's context did not end; want cause %v", cause)
	}
	wantErr(t, context.Cause(l.Context()), cause)
	wantErr(t, l.Err(), cause)
}

// cancelled is a context that ends after d.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(bg, d)
	t.Cleanup(cancel)
	return ctx
}

// awaitClean waits until no lock, queue or waiters key of the world's lock is
// left on any server.
func (w *world) awaitClean(t testing.TB) {
	t.Helper()
	var left []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		left = nil
		for _, rdb := range w.servers {
			keys, err := rdb.Keys(bg, "*"+w.lock+"*").Result()
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, slices.DeleteFunc(keys, func(k string) bool {
				return strings.Contains(k, "fence") || strings.Contains(k, "tombstones")
			})...)
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("keys left behind: %q", left)
}

// awaitWaiters waits until n waiters are in the queue of the lock, wherever its
// kind keeps that.
func (w *world) awaitWaiters(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(2 * time.Millisecond) {
		if w.waiters(t) == n {
			return
		}
	}
	t.Fatalf("never saw %d waiters", n)
}

// waiters counts who waits at any of the servers. Of a quorum the first may wait
// at other nodes than the rest: where it has a vote already.
func (w *world) waiters(t testing.TB) int {
	t.Helper()
	holds := map[string]bool{}
	for _, rdb := range w.servers {
		queues, err := rdb.Keys(bg, "*queue:{"+w.lock+"}").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queues {
			for _, id := range rdb.ZRange(bg, q, 0, -1).Val() {
				hold, _, _ := strings.Cut(id, "/") // without the number of its try
				holds[hold] = true
			}
		}
	}
	return len(holds)
}

type promise struct {
	sentence string
	check    func(t *testing.T, w *world)
}

var promises = []promise{
	{"a free lock is had, valid for its TTL, and given back", func(t *testing.T, w *world) {
		l := w.spawn().lock(w.lock, relock.WithTTL(longTTL))
		if got := l.Name(); got != w.lock {
			t.Errorf("got name %q, want %q", got, w.lock)
		}
		before := time.Now()
		lease := mustLock(t, l)
		if err := lease.Err(); err != nil {
			t.Errorf("a held lease has error %v", err)
		}
		took := time.Since(before)
		if left := lease.ValidUntil().Sub(before); left < longTTL*95/100-time.Second || left > longTTL+took {
			t.Errorf("got a validity of %v, want about %v and no more", left, longTTL)
		}
		if lease.Context().Err() != nil {
			t.Error("the context of a held lease has ended")
		}
		mustUnlock(t, lease)
		wantEnd(t, lease, relock.ErrUnlocked)
		w.awaitClean(t)
	}},
	{"a held lock refuses TryLock and names the holder", func(t *testing.T, w *world) {
		a, b := w.spawn(), w.spawn()
		lease := mustLock(t, a.lock(w.lock))
		other, err := b.lock(w.lock).TryLock(bg)
		wantErr(t, err, relock.ErrNotAcquired)
		if other != nil {
			t.Error("got a lease beside the error")
		}
		var held *relock.NotAcquiredError
		if !errors.As(err, &held) {
			t.Fatalf("got %T, want a NotAcquiredError in it", err)
		}
		if lease.Token() != 0 && (held.Owner != lease.Owner() || held.Token != lease.Token() || held.TTL <= 0) {
			t.Errorf("got holder %q, token %d, %v left; want %q, %d", held.Owner, held.Token, held.TTL, lease.Owner(), lease.Token())
		}
		mustUnlock(t, lease)
		again, err := b.lock(w.lock).TryLock(bg)
		if err != nil {
			t.Fatal(err)
		}
		mustUnlock(t, again)
		w.awaitClean(t)
	}},
	{"a second Unlock, also by a copy, is ErrNotHeld and frees nobody else", func(t *testing.T, w *world) {
		l := w.spawn().lock(w.lock)
		first := mustLock(t, l)
		copied := *first
		mustUnlock(t, first)
		second := mustLock(t, l)
		wantErr(t, first.Unlock(bg), relock.ErrNotHeld)
		wantErr(t, copied.Unlock(bg), relock.ErrNotHeld)
		if err := second.Err(); err != nil {
			t.Errorf("the next holder's lease has error %v", err)
		}
		_, err := w.spawn().lock(w.lock).TryLock(bg)
		wantErr(t, err, relock.ErrNotAcquired)
		mustUnlock(t, second)
	}},
	{"tokens rise with every grant", func(t *testing.T, w *world) {
		a, b := w.spawn().lock(w.lock), w.spawn().lock(w.lock)
		last := tokens(mustLockOnce(t, a))
		for i := range 20 {
			l := a
			if i%2 == 0 {
				l = b
			}
			next := tokens(mustLockOnce(t, l))
			for m := range next {
				if next[m] <= last[m] {
					t.Fatalf("token %d after %d", next[m], last[m])
				}
			}
			last = next
		}
	}},
	{"Lock waits for its turn, first come first served, across processes", func(t *testing.T, w *world) {
		holder := w.spawn().lock(w.lock)
		lease := mustLock(t, holder)
		const waiters = 6
		turns := make(chan int, waiters)
		var wg sync.WaitGroup
		for i := range waiters {
			l := w.spawn().lock(w.lock)
			wg.Go(func() {
				lease := mustLock(t, l)
				turns <- i
				mustUnlock(t, lease)
			})
			w.awaitWaiters(t, i+1)
			<-time.After(time.Millisecond) // arrivals within one microsecond have no order
		}
		mustUnlock(t, lease)
		wg.Wait()
		close(turns)
		var got []int
		for i := range turns {
			got = append(got, i)
		}
		if !slices.IsSorted(got) || len(got) != waiters {
			t.Errorf("got turns %v, want them in order of arrival", got)
		}
		w.awaitClean(t)
	}},
	{"goroutines of several processes exclude one another", func(t *testing.T, w *world) {
		inside, sections := 0, 0 // unguarded on purpose: the lock is their guard
		var wg sync.WaitGroup
		for range 3 {
			l := w.spawn().lock(w.lock)
			for range 4 {
				wg.Go(func() {
					for range 5 {
						lease := mustLock(t, l)
						if inside++; inside != 1 {
							t.Errorf("%d inside", inside)
						}
						sections++
						inside--
						mustUnlock(t, lease)
					}
				})
			}
		}
		wg.Wait()
		if sections != 60 {
			t.Errorf("got %d sections, want 60", sections)
		}
		w.awaitClean(t)
	}},
	{"a wait that its context ends is ErrNotAcquired with the cause, and leaves nothing", func(t *testing.T, w *world) {
		a, b := w.spawn(), w.spawn()
		lease := mustLock(t, a.lock(w.lock))
		why := errors.New("the caller had enough")
		ctx, cancel := context.WithCancelCause(bg)
		time.AfterFunc(400*time.Millisecond, func() { cancel(why) })
		_, err := b.lock(w.lock).Lock(ctx)
		wantErr(t, err, relock.ErrNotAcquired, why, context.Canceled)
		_, err = b.lock(w.lock).Lock(within(t, 700*time.Millisecond))
		wantErr(t, err, relock.ErrNotAcquired, context.DeadlineExceeded)
		_, err = a.lock(w.lock).Lock(within(t, 700*time.Millisecond))
		wantErr(t, err, relock.ErrNotAcquired, context.DeadlineExceeded)
		mustUnlock(t, lease)
		w.awaitClean(t)
		mustUnlock(t, mustLock(t, b.lock(w.lock)))
	}},
	{"a context that is done already takes nothing", func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(bg)
		cancel()
		l := w.spawn().lock(w.lock)
		_, err := l.Lock(ctx)
		wantErr(t, err, context.Canceled)
		_, err = l.TryLock(ctx)
		wantErr(t, err, context.Canceled)
		w.awaitClean(t)
	}},
	{"the lease's context has the values of Lock's and not its end", func(t *testing.T, w *world) {
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(bg, key{}, "value"))
		lease := mustLockIn(t, ctx, w.spawn().lock(w.lock))
		cancel()
		if err := lease.Context().Err(); err != nil {
			t.Errorf("the lease's context ended with Lock's: %v", err)
		}
		if got := lease.Context().Value(key{}); got != "value" {
			t.Errorf("got value %v, want Lock's", got)
		}
		if err := lease.Unlock(ctx); err != nil {
			t.Errorf("Unlock with a context that is done: %v", err)
		}
		w.awaitClean(t)
	}},
	{"the watchdog keeps a lease past its TTL", func(t *testing.T, w *world) {
		lease := mustLock(t, w.spawn().lock(w.lock, relock.WithTTL(shortTTL)))
		first := lease.ValidUntil()
		select {
		case <-lease.Context().Done():
			t.Fatalf("lost: %v", context.Cause(lease.Context()))
		case <-time.After(2 * shortTTL):
		}
		if !lease.ValidUntil().After(first) {
			t.Error("the validity has not moved")
		}
		mustUnlock(t, lease)
		w.awaitClean(t)
	}},
	{"a fixed lease ends by itself, as lost, and passes the lock on", func(t *testing.T, w *world) {
		a, b := w.spawn(), w.spawn()
		lease := mustLock(t, a.lock(w.lock, relock.WithLease(shortTTL)))
		next := mustLock(t, b.lock(w.lock))
		if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("another has the lock and the fixed lease says %v", err)
		}
		wantEnd(t, lease, relock.ErrLost)
		wantErr(t, lease.Unlock(bg), relock.ErrLost)
		wantErr(t, lease.Unlock(bg), relock.ErrNotHeld)
		mustUnlock(t, next)
		w.awaitClean(t)
	}},
	{"a lease is never held longer than WithMaxHold", func(t *testing.T, w *world) {
		start := time.Now()
		lease := mustLock(t, w.spawn().lock(w.lock, relock.WithTTL(shortTTL), relock.WithMaxHold(2*shortTTL)))
		wantErr(t, lease.Extend(bg, longTTL), relock.ErrInvalid)
		wantEnd(t, lease, relock.ErrLost)
		if took := time.Since(start); took < shortTTL {
			t.Errorf("lost after %v, long before %v", took, 2*shortTTL)
		}
		w.awaitClean(t)
	}},
	{"Extend makes a lease valid for longer and never shorter", func(t *testing.T, w *world) {
		lease := mustLock(t, w.spawn().lock(w.lock, relock.WithLease(shortTTL)))
		if err := lease.Extend(bg, longTTL); err != nil {
			t.Fatal(err)
		}
		until := lease.ValidUntil()
		if left := time.Until(until); left < longTTL-2*time.Second {
			t.Errorf("%v left after Extend(%v)", left, longTTL)
		}
		if err := lease.Extend(bg, shortTTL); err != nil {
			t.Fatal(err)
		}
		if lease.ValidUntil().Before(until) {
			t.Error("a shorter Extend has shortened the lease")
		}
		wantErr(t, lease.Extend(bg, time.Millisecond), relock.ErrInvalid)
		mustUnlock(t, lease)
		wantErr(t, lease.Extend(bg, longTTL), relock.ErrUnlocked)
		w.awaitClean(t)
	}},
	{"Do gives the lock back after an error and after a panic", func(t *testing.T, w *world) {
		l := w.spawn().lock(w.lock)
		failure := errors.New("fn failed")
		err := relock.Do(bg, l, func(ctx context.Context, lease *relock.Lease) error {
			if lease.Err() != nil || ctx.Err() != nil {
				t.Error("fn runs without the lock")
			}
			return failure
		})
		wantErr(t, err, failure)
		w.awaitClean(t)
		func() {
			defer func() {
				if got := recover(); got != "fn panicked" {
					t.Errorf("got panic %v", got)
				}
			}()
			_ = relock.Do(bg, l, func(context.Context, *relock.Lease) error { panic("fn panicked") })
		}()
		w.awaitClean(t)
	}},
	{"Do tells that the lease was lost under fn", func(t *testing.T, w *world) {
		l := w.spawn().lock(w.lock, relock.WithLease(shortTTL))
		err := relock.Do(bg, l, func(ctx context.Context, _ *relock.Lease) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		wantErr(t, err, relock.ErrLost)
		failure := errors.New("fn failed")
		err = relock.Do(bg, l, func(ctx context.Context, _ *relock.Lease) error {
			<-ctx.Done()
			return failure
		})
		wantErr(t, err, relock.ErrLost, failure)
	}},
	{"Lock and Do wait no longer than WithWait", func(t *testing.T, w *world) {
		lease := mustLock(t, w.spawn().lock(w.lock))
		for _, wait := range []time.Duration{0, 500 * time.Millisecond} {
			l := w.spawn().lock(w.lock, relock.WithWait(wait))
			ctx := within(t, 15*time.Second)
			_, err := l.Lock(ctx)
			wantErr(t, err, relock.ErrNotAcquired)
			if ctx.Err() != nil {
				t.Errorf("with a wait of %v it waited until its context ended", wait)
			}
			if waited := errors.Is(err, context.DeadlineExceeded); waited != (wait > 0) {
				t.Errorf("with a wait of %v: %v", wait, err)
			}
			err = relock.Do(ctx, l, func(context.Context, *relock.Lease) error {
				t.Error("fn ran without the lock")
				return nil
			})
			wantErr(t, err, relock.ErrNotAcquired)
		}
		mustUnlock(t, lease)
		w.awaitClean(t)
	}},
	{"the end of WithWait ends no lease", func(t *testing.T, w *world) {
		const wait = 500 * time.Millisecond
		lease := mustLock(t, w.spawn().lock(w.lock, relock.WithWait(wait)))
		select {
		case <-lease.Context().Done():
			t.Errorf("the lease ended: %v", context.Cause(lease.Context()))
		case <-time.After(wait + wait/2):
		}
		mustUnlock(t, lease)
	}},
	{"Close ends leases and waits with ErrClosed, and frees the lock", func(t *testing.T, w *world) {
		a, b := w.spawn(), w.spawn()
		lease := mustLock(t, a.lock(w.lock))
		waited := make(chan error, 1)
		go func() {
			_, err := b.lock(w.lock).Lock(bg)
			waited <- err
		}()
		w.awaitWaiters(t, 1)
		if err := b.close(); err != nil {
			t.Error(err)
		}
		wantErr(t, <-waited, relock.ErrClosed)
		if err := a.close(); err != nil {
			t.Error(err)
		}
		wantEnd(t, lease, relock.ErrClosed)
		wantErr(t, lease.Unlock(bg), relock.ErrClosed)
		wantErr(t, lease.Unlock(bg), relock.ErrNotHeld)
		_, err := a.lock(w.lock).Lock(bg)
		wantErr(t, err, relock.ErrClosed)
		w.awaitClean(t)
		mustUnlock(t, mustLock(t, w.spawn().lock(w.lock)))
	}},
	{"names with anything in them are locks of their own", func(t *testing.T, w *world) {
		p := w.spawn()
		var leases []*relock.Lease
		for _, odd := range []string{"{", "}", "{}", "a b", "a\nb", "a\x00b", "a\U0001F512b", "{tag}x", "%7D", "a}b{c", "::", "{{x}}"} {
			ctx := within(t, 15*time.Second)
			lease, err := p.lock(w.lock + odd).TryLock(ctx)
			if err != nil {
				t.Fatalf("name %q: %v", w.lock+odd, err)
			}
			leases = append(leases, lease)
		}
		for _, lease := range leases {
			mustUnlock(t, lease)
		}
	}},
	{"what cannot be used is ErrInvalid from every call", func(t *testing.T, w *world) {
		p := w.spawn()
		for _, l := range []relock.Locker{
			p.lock(""),
			p.lock(strings.Repeat("x", relock.MaxName+1)),
			p.lock(w.lock, relock.WithTTL(relock.MinTTL-1)),
			p.lock(w.lock, relock.WithTTL(relock.MaxTTL+1)),
			p.lock(w.lock, relock.WithLease(0)),
			p.lock(w.lock, relock.WithLease(time.Second), relock.WithTTL(time.Second)),
			p.lock(w.lock, relock.WithLease(2*time.Second), relock.WithMaxHold(time.Second)),
			p.lock(w.lock, relock.WithWait(-1)),
			p.lock(w.lock, relock.WithReplicas(0, time.Second)),
			p.lock(w.lock, nil),
		} {
			_, err := l.Lock(bg)
			wantErr(t, err, relock.ErrInvalid)
			_, err = l.TryLock(bg)
			wantErr(t, err, relock.ErrInvalid)
			wantErr(t, relock.Do(bg, l, nil), relock.ErrInvalid)
		}
		w.awaitClean(t)
	}},
}

// tokens are the tokens of a lease, or of its members.
func tokens(l *relock.Lease) (all []relock.Token) {
	for _, m := range l.Members() {
		all = append(all, tokens(m)...)
	}
	if len(all) == 0 {
		all = append(all, l.Token())
	}
	return all
}

func mustLockOnce(t testing.TB, l relock.Locker) *relock.Lease {
	t.Helper()
	lease := mustLock(t, l)
	mustUnlock(t, lease)
	return lease
}

func TestZeroLease(t *testing.T) {
	for _, l := range []*relock.Lease{nil, {}} {
		wantErr(t, l.Err(), relock.ErrNotHeld)
		wantErr(t, l.Unlock(bg), relock.ErrNotHeld)
		wantErr(t, l.Extend(bg, time.Second), relock.ErrNotHeld)
		wantEnd(t, l, relock.ErrNotHeld)
		if l.Name() != "" || l.Token() != 0 || l.Owner() != "" || !l.ValidUntil().IsZero() || l.Members() != nil {
			t.Error("a zero lease has something")
		}
	}
}
