package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/faults/history"
)

// held is a lease and how it stands in the history.
type held struct {
	lease   *relock.Lease
	members []*relock.Lease // that are recorded: the lease, or those of a MultiLock
	kind    string
	id      string
	watched func() bool // ends the watch of its context
}

// lock takes l and records it. It returns nil where the lock was not had. Some
// calls only try, and some are cancelled soon.
func (a *actor) lock(ctx context.Context, kind string, l relock.Locker) *held {
	h := &held{kind: kind, id: fmt.Sprintf("w%d-%d", a.job.Worker, a.holds.Add(1))}
	patience, try := lockPatience, false
	switch n := a.rng.IntN(100); {
	case n < 8:
		try = true
	case n < 13:
		patience = time.Duration(1 + a.rng.Int64N(int64(50*time.Millisecond)))
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	call := history.Now()
	if try {
		h.lease, err = l.TryLock(bounded)
	} else {
		h.lease, err = l.Lock(bounded)
	}
	done := history.Now()
	if err != nil {
		owner, _ := relock.OwnerFrom(ctx)
		a.rec.Add(history.Event{
			Op: history.Lock, Lock: l.Name(), Hold: h.id, Kind: kind, Owner: string(owner), Call: call, Return: done,
			Result: lockFailed(err), Err: err.Error(), Worker: a.job.Worker,
		})
		return nil
	}
	a.had(h, call, done)
	return h
}

// lockFailed tells whether a failed Lock may yet take effect.
func lockFailed(err error) history.Result {
	if errors.Is(err, relock.ErrNotAcquired) && !errors.Is(err, context.DeadlineExceeded) {
		return history.Fail
	}
	return history.Unknown
}

// had records a granted call, for every lock that it took.
func (a *actor) had(h *held, call, done int64) {
	if h.members = h.lease.Members(); h.members == nil {
		h.members = []*relock.Lease{h.lease}
	}
	events := make([]history.Event, len(h.members))
	for i, m := range h.members {
		events[i] = a.event(history.Lock, h, m, call, done)
		events[i].Valid = history.At(m.ValidUntil())
	}
	a.rec.Add(events...)
	if a.rng.IntN(4) == 0 {
		h.watched = context.AfterFunc(h.lease.Context(), func() { a.ended(h) })
	}
}

func (a *actor) event(op history.Op, h *held, m *relock.Lease, call, done int64) history.Event {
	return history.Event{
		Op: op, Lock: m.Name(), Hold: h.id, Kind: h.kind, Owner: string(m.Owner()), Token: int64(m.Token()),
		Call: call, Return: done, Result: history.OK, Worker: a.job.Worker,
	}
}

// ended records that a lease was lost.
func (a *actor) ended(h *held) {
	now := history.Now()
	if !errors.Is(context.Cause(h.lease.Context()), relock.ErrLost) {
		return
	}
	for _, m := range h.members {
		e := a.event(history.Ended, h, m, now, now)
		e.Valid = history.At(m.ValidUntil())
		a.rec.Add(e)
	}
}

// unlock gives h back and records it, and sometimes does it again.
func (a *actor) unlock(ctx context.Context, h *held) {
	valid := make([]int64, len(h.members))
	for i, m := range h.members {
		valid[i] = history.At(m.ValidUntil())
	}
	call := history.Now()
	err := h.lease.Unlock(ctx)
	done := history.Now()
	if h.watched != nil {
		h.watched()
	}
	events := make([]history.Event, len(h.members))
	for i, m := range h.members {
		events[i] = a.event(history.Unlock, h, m, call, done)
		events[i].Valid = valid[i]
		events[i].Result, events[i].Err = unlocked(err), text(err)
	}
	a.rec.Add(events...)
	if a.rng.IntN(20) == 0 {
		a.again(ctx, h)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func unlocked(err error) history.Result {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, relock.ErrLost):
		return history.Lost
	}
	return history.Unknown
}

// again unlocks or extends what was unlocked.
func (a *actor) again(ctx context.Context, h *held) {
	call := history.Now()
	var err error
	if a.rng.IntN(2) == 0 {
		err = h.lease.Unlock(ctx)
	} else {
		err = h.lease.Extend(ctx, a.job.TTL)
	}
	e := a.event(history.Again, h, h.members[0], call, history.Now())
	e.Err = text(err)
	if errors.Is(err, relock.ErrNotHeld) || errors.Is(err, relock.ErrUnlocked) || errors.Is(err, relock.ErrLost) {
		e.Result = history.Fail
	}
	a.rec.Add(e)
}

// extend asks for more time.
func (a *actor) extend(ctx context.Context, h *held) {
	call := history.Now()
	err := h.lease.Extend(ctx, a.job.TTL)
	done := history.Now()
	for _, m := range h.members {
		e := a.event(history.Extend, h, m, call, done)
		e.Valid = history.At(m.ValidUntil())
		e.Result, e.Err = unlocked(err), text(err)
		a.rec.Add(e)
	}
}
