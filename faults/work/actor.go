package work

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/redlock"
)

// actor is one goroutine of a worker, with random numbers of its own: what it
// wants to do is the same in every run of a seed.
type actor struct {
	*worker
	index int
	rng   *rand.Rand
}

// The kinds of lock that sections take.
const (
	kindMutex  = "mutex"
	kindNested = "reentrant" // re-entered by its context
)

const lockPatience = 8 * time.Second

func (a *actor) run(ctx context.Context) {
	for !a.finishing.Load() && ctx.Err() == nil {
		a.section(ctx)
		a.rest(ctx, time.Duration(a.rng.Int64N(int64(2*a.job.Pause)+1)))
	}
}

// rest returns after d.
func (a *actor) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// section takes one lock in one of the ways.
func (a *actor) section(ctx context.Context) {
	switch n := a.rng.IntN(100); {
	case a.job.Steady:
		a.steady(ctx)
	case a.index >= a.job.Actors/2:
		a.private(ctx)
	case n < 55:
		a.take(ctx, kindMutex, a.locks.Mutex(a.shared(), a.options()...))
	case n < 70:
		a.nested(ctx)
	case n < 80:
		a.owned(ctx)
	default:
		a.multi(ctx)
	}
}

func (a *actor) shared() string { return a.job.Shared[a.rng.IntN(len(a.job.Shared))] }

// private is a section nobody else wants.
func (a *actor) private(ctx context.Context) {
	a.take(ctx, kindMutex, a.locks.Mutex(fmt.Sprintf("own-%d-%d", a.job.Worker, a.index)))
}

// steady is a section that changes contended data and does nothing else.
func (a *actor) steady(ctx context.Context) {
	if h := a.lock(ctx, kindMutex, a.locks.Mutex(a.shared())); h != nil {
		a.change(ctx, h)
		a.unlock(ctx, h)
	}
}

// options has a few holds take a fixed lease.
func (a *actor) options() []relock.LockOption {
	if a.rng.IntN(10) == 0 {
		return []relock.LockOption{relock.WithLease(a.job.TTL)}
	}
	return nil
}

// take is one section: lock, change the data, unlock.
func (a *actor) take(ctx context.Context, kind string, l relock.Locker) {
	if h := a.lock(ctx, kind, l); h != nil {
		if a.rng.IntN(100) < a.changes() {
			a.change(ctx, h)
		}
		a.linger(ctx, h)
		a.unlock(ctx, h)
	}
}

// changes is in how many of 100 sections the data are changed.
func (a *actor) changes() int {
	if a.index >= a.job.Actors/2 {
		return 20
	}
	return 60
}

// nested re-enters a lock with the context of the outer lease, and gives the
// holds back in either order.
func (a *actor) nested(ctx context.Context) {
	l := a.locks.Reentrant(a.shared())
	outer := a.lock(ctx, kindNested, l)
	if outer == nil {
		return
	}
	inner := a.lock(outer.lease.Context(), kindNested, l)
	if inner == nil {
		a.unlock(ctx, outer)
		return
	}
	if a.rng.IntN(2) == 0 {
		outer, inner = inner, outer
	}
	a.unlock(ctx, inner)
	a.change(ctx, outer)
	a.unlock(ctx, outer)
}

// owned takes a lock for an owner that all processes have, which therefore
// excludes none of them: the data are left alone.
func (a *actor) owned(ctx context.Context) {
	owner := relock.Owner(fmt.Sprintf("workflow-%d", a.rng.IntN(2)))
	if h := a.lock(relock.WithOwner(ctx, owner), history.Shared, a.locks.Reentrant(a.shared())); h != nil {
		a.linger(ctx, h)
		a.unlock(ctx, h)
	}
}

// multi takes two locks together and changes the data of one.
func (a *actor) multi(ctx context.Context) {
	first := a.rng.IntN(len(a.job.Shared))
	second := (first + 1 + a.rng.IntN(len(a.job.Shared)-1)) % len(a.job.Shared)
	l, err := redlock.NewMultiLock(a.locks.Mutex(a.job.Shared[first]), a.locks.Mutex(a.job.Shared[second]))
	if err != nil {
		panic(err) // both are of this module
	}
	a.take(ctx, history.Multi, l)
}

// linger holds some locks for longer, a few past their TTL, so that they are
// renewed.
func (a *actor) linger(ctx context.Context, h *held) {
	switch n := a.rng.IntN(200); {
	case n == 0:
		a.rest(ctx, a.job.TTL*3/2)
	case n < 4:
		a.rest(ctx, time.Duration(a.rng.Int64N(int64(a.job.TTL/2))))
	case n < 10:
		a.extend(ctx, h)
	}
}
