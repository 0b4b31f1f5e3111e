package behaviour

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relock-go/relock"
)

// longTTL is longer than any check waits for an expiry; shortTTL is waited for.
const (
	longTTL  = 20 * time.Second
	shortTTL = 1500 * time.Millisecond
)

// A promise is one sentence about every lock kind, and how it is checked.
type promise struct {
	sentence string
	check    func(t *testing.T, w *world)
}

var promises = []promise{
	{"a free lock is had, valid for its TTL, and given back", func(t *testing.T, w *world) {
		l := w.Spawn().Lock(w.lock, relock.WithTTL(longTTL))
		if got := l.Name(); got != w.lock {
			t.Errorf("got name %q, want %q", got, w.lock)
		}
		before := time.Now()
		lease := LockOf(t, l)
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
		Unlock(t, lease)
		WantEnd(t, lease, relock.ErrUnlocked)
		w.awaitClean(t)
	}},
	{"a held lock refuses TryLock and names the holder", func(t *testing.T, w *world) {
		a, b := w.Spawn(), w.Spawn()
		lease := LockOf(t, a.Lock(w.lock))
		other, err := b.Lock(w.lock).TryLock(Bg)
		WantErr(t, err, relock.ErrNotAcquired)
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
		Unlock(t, lease)
		again, err := b.Lock(w.lock).TryLock(Bg)
		if err != nil {
			t.Fatal(err)
		}
		Unlock(t, again)
		w.awaitClean(t)
	}},
	{"a second Unlock, also by a copy, is ErrNotHeld and frees nobody else", func(t *testing.T, w *world) {
		l := w.Spawn().Lock(w.lock)
		first := LockOf(t, l)
		copied := *first
		Unlock(t, first)
		second := LockOf(t, l)
		WantErr(t, first.Unlock(Bg), relock.ErrNotHeld)
		WantErr(t, copied.Unlock(Bg), relock.ErrNotHeld)
		if err := second.Err(); err != nil {
			t.Errorf("the next holder's lease has error %v", err)
		}
		_, err := w.Spawn().Lock(w.lock).TryLock(Bg)
		WantErr(t, err, relock.ErrNotAcquired)
		Unlock(t, second)
	}},
	{"tokens rise with every grant", func(t *testing.T, w *world) {
		a, b := w.Spawn().Lock(w.lock), w.Spawn().Lock(w.lock)
		last := tokens(lockOnce(t, a))
		for i := range 20 {
			l := a
			if i%2 == 0 {
				l = b
			}
			next := tokens(lockOnce(t, l))
			for m := range next {
				if next[m] <= last[m] {
					t.Fatalf("token %d after %d", next[m], last[m])
				}
			}
			last = next
		}
	}},
	{"Lock waits for its turn, first come first served, across processes", func(t *testing.T, w *world) {
		holder := w.Spawn().Lock(w.lock)
		lease := LockOf(t, holder)
		const waiters = 6
		turns := make(chan int, waiters)
		var wg sync.WaitGroup
		for i := range waiters {
			l := w.Spawn().Lock(w.lock)
			wg.Go(func() {
				lease := LockOf(t, l)
				turns <- i
				Unlock(t, lease)
			})
			w.awaitWaiters(t, i+1)
			<-time.After(time.Millisecond) // arrivals within one microsecond have no order
		}
		Unlock(t, lease)
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
			l := w.Spawn().Lock(w.lock)
			for range 4 {
				wg.Go(func() {
					for range 5 {
						lease := LockOf(t, l)
						if inside++; inside != 1 {
							t.Errorf("%d inside", inside)
						}
						sections++
						inside--
						Unlock(t, lease)
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
		a, b := w.Spawn(), w.Spawn()
		lease := LockOf(t, a.Lock(w.lock))
		why := errors.New("the caller had enough")
		ctx, cancel := context.WithCancelCause(Bg)
		time.AfterFunc(400*time.Millisecond, func() { cancel(why) })
		_, err := b.Lock(w.lock).Lock(ctx)
		WantErr(t, err, relock.ErrNotAcquired, why, context.Canceled)
		_, err = b.Lock(w.lock).Lock(endsWithin(t, 700*time.Millisecond))
		WantErr(t, err, relock.ErrNotAcquired, context.DeadlineExceeded)
		_, err = a.Lock(w.lock).Lock(endsWithin(t, 700*time.Millisecond))
		WantErr(t, err, relock.ErrNotAcquired, context.DeadlineExceeded)
		Unlock(t, lease)
		w.awaitClean(t)
		Unlock(t, LockOf(t, b.Lock(w.lock)))
	}},
	{"a context that is done already takes nothing", func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(Bg)
		cancel()
		l := w.Spawn().Lock(w.lock)
		_, err := l.Lock(ctx)
		WantErr(t, err, context.Canceled)
		_, err = l.TryLock(ctx)
		WantErr(t, err, context.Canceled)
		w.awaitClean(t)
	}},
	{"the lease's context has the values of Lock's and not its end", func(t *testing.T, w *world) {
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(Bg, key{}, "value"))
		lease := LockIn(t, ctx, w.Spawn().Lock(w.lock))
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
		lease := LockOf(t, w.Spawn().Lock(w.lock, relock.WithTTL(shortTTL)))
		first := lease.ValidUntil()
		select {
		case <-lease.Context().Done():
			t.Fatalf("lost: %v", context.Cause(lease.Context()))
		case <-time.After(2 * shortTTL):
		}
		if !lease.ValidUntil().After(first) {
			t.Error("the validity has not moved")
		}
		Unlock(t, lease)
		w.awaitClean(t)
	}},
	{"a fixed lease ends by itself, as lost, and passes the lock on", func(t *testing.T, w *world) {
		a, b := w.Spawn(), w.Spawn()
		lease := LockOf(t, a.Lock(w.lock, relock.WithLease(shortTTL)))
		next := LockOf(t, b.Lock(w.lock))
		if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("another has the lock and the fixed lease says %v", err)
		}
		WantEnd(t, lease, relock.ErrLost)
		WantErr(t, lease.Unlock(Bg), relock.ErrLost)
		WantErr(t, lease.Unlock(Bg), relock.ErrNotHeld)
		Unlock(t, next)
		w.awaitClean(t)
	}},
	{"a lease is never held longer than WithMaxHold", func(t *testing.T, w *world) {
		start := time.Now()
		lease := LockOf(t, w.Spawn().Lock(w.lock, relock.WithTTL(shortTTL), relock.WithMaxHold(2*shortTTL)))
		WantErr(t, lease.Extend(Bg, longTTL), relock.ErrInvalid)
		WantEnd(t, lease, relock.ErrLost)
		if took := time.Since(start); took < shortTTL {
			t.Errorf("lost after %v, long before %v", took, 2*shortTTL)
		}
		w.awaitClean(t)
	}},
	{"Extend makes a lease valid for longer and never shorter", func(t *testing.T, w *world) {
		lease := LockOf(t, w.Spawn().Lock(w.lock, relock.WithLease(shortTTL)))
		if err := lease.Extend(Bg, longTTL); err != nil {
			t.Fatal(err)
		}
		until := lease.ValidUntil()
		if left := time.Until(until); left < longTTL-2*time.Second {
			t.Errorf("%v left after Extend(%v)", left, longTTL)
		}
		if err := lease.Extend(Bg, shortTTL); err != nil {
			t.Fatal(err)
		}
		if lease.ValidUntil().Before(until) {
			t.Error("a shorter Extend has shortened the lease")
		}
		WantErr(t, lease.Extend(Bg, time.Millisecond), relock.ErrInvalid)
		Unlock(t, lease)
		WantErr(t, lease.Extend(Bg, longTTL), relock.ErrUnlocked)
		w.awaitClean(t)
	}},
	{"Do gives the lock back after an error and after a panic", func(t *testing.T, w *world) {
		l := w.Spawn().Lock(w.lock)
		failure := errors.New("fn failed")
		err := relock.Do(Bg, l, func(ctx context.Context, lease *relock.Lease) error {
			if lease.Err() != nil || ctx.Err() != nil {
				t.Error("fn runs without the lock")
			}
			return failure
		})
		WantErr(t, err, failure)
		w.awaitClean(t)
		func() {
			defer func() {
				if got := recover(); got != "fn panicked" {
					t.Errorf("got panic %v", got)
				}
			}()
			_ = relock.Do(Bg, l, func(context.Context, *relock.Lease) error { panic("fn panicked") })
		}()
		w.awaitClean(t)
	}},
	{"Do tells that the lease was lost under fn", func(t *testing.T, w *world) {
		l := w.Spawn().Lock(w.lock, relock.WithLease(shortTTL))
		err := relock.Do(Bg, l, func(ctx context.Context, _ *relock.Lease) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		WantErr(t, err, relock.ErrLost)
		failure := errors.New("fn failed")
		err = relock.Do(Bg, l, func(ctx context.Context, _ *relock.Lease) error {
			<-ctx.Done()
			return failure
		})
		WantErr(t, err, relock.ErrLost, failure)
	}},
	{"Lock and Do wait no longer than WithWait", func(t *testing.T, w *world) {
		lease := LockOf(t, w.Spawn().Lock(w.lock))
		for _, wait := range []time.Duration{0, 500 * time.Millisecond} {
			l := w.Spawn().Lock(w.lock, relock.WithWait(wait))
			ctx := endsWithin(t, 15*time.Second)
			_, err := l.Lock(ctx)
			WantErr(t, err, relock.ErrNotAcquired)
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
			WantErr(t, err, relock.ErrNotAcquired)
		}
		Unlock(t, lease)
		w.awaitClean(t)
	}},
	{"the end of WithWait ends no lease", func(t *testing.T, w *world) {
		const wait = 500 * time.Millisecond
		lease := LockOf(t, w.Spawn().Lock(w.lock, relock.WithWait(wait)))
		select {
		case <-lease.Context().Done():
			t.Errorf("the lease ended: %v", context.Cause(lease.Context()))
		case <-time.After(wait + wait/2):
		}
		Unlock(t, lease)
	}},
	{"Close ends leases and waits with ErrClosed, and frees the lock", func(t *testing.T, w *world) {
		a, b := w.Spawn(), w.Spawn()
		lease := LockOf(t, a.Lock(w.lock))
		waited := make(chan error, 1)
		go func() {
			_, err := b.Lock(w.lock).Lock(Bg)
			waited <- err
		}()
		w.awaitWaiters(t, 1)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		WantErr(t, <-waited, relock.ErrClosed)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		WantEnd(t, lease, relock.ErrClosed)
		WantErr(t, lease.Unlock(Bg), relock.ErrClosed)
		WantErr(t, lease.Unlock(Bg), relock.ErrNotHeld)
		_, err := a.Lock(w.lock).Lock(Bg)
		WantErr(t, err, relock.ErrClosed)
		w.awaitClean(t)
		Unlock(t, LockOf(t, w.Spawn().Lock(w.lock)))
	}},
	{"names with anything in them are locks of their own", func(t *testing.T, w *world) {
		p := w.Spawn()
		var leases []*relock.Lease
		for _, odd := range []string{"{", "}", "{}", "a b", "a\nb", "a\x00b", "a\U0001F512b", "{tag}x", "%7D", "a}b{c", "::", "{{x}}"} {
			ctx := endsWithin(t, 15*time.Second)
			lease, err := p.Lock(w.lock + odd).TryLock(ctx)
			if err != nil {
				t.Fatalf("name %q: %v", w.lock+odd, err)
			}
			leases = append(leases, lease)
		}
		for _, lease := range leases {
			Unlock(t, lease)
		}
	}},
	{"what cannot be used is ErrInvalid from every call", func(t *testing.T, w *world) {
		p := w.Spawn()
		for _, l := range []relock.Locker{
			p.Lock(""),
			p.Lock(strings.Repeat("x", relock.MaxName+1)),
			p.Lock(w.lock, relock.WithTTL(relock.MinTTL-1)),
			p.Lock(w.lock, relock.WithTTL(relock.MaxTTL+1)),
			p.Lock(w.lock, relock.WithLease(0)),
			p.Lock(w.lock, relock.WithLease(time.Second), relock.WithTTL(time.Second)),
			p.Lock(w.lock, relock.WithLease(2*time.Second), relock.WithMaxHold(time.Second)),
			p.Lock(w.lock, relock.WithWait(-1)),
			p.Lock(w.lock, relock.WithReplicas(0, time.Second)),
			p.Lock(w.lock, nil),
		} {
			_, err := l.Lock(Bg)
			WantErr(t, err, relock.ErrInvalid)
			_, err = l.TryLock(Bg)
			WantErr(t, err, relock.ErrInvalid)
			WantErr(t, relock.Do(Bg, l, nil), relock.ErrInvalid)
		}
		w.awaitClean(t)
	}},
}
