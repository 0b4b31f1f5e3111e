package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/faults/history"
)

// DataKey and LogKey are where the store keeps what a lock protects: a number,
// and the list of the writes that were applied.
func DataKey(lock string) string { return "data:" + lock }

// LogKey is described at DataKey.
func LogKey(lock string) string { return "log:" + lock }

// write sets the number and logs that.
const write = `
redis.call('SET', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[2])
return 1`

var plainWrite = redis.NewScript(write)

// change adds one to the data: claim, read, write. It asks nobody whether the
// lease still stands: the process may be stopped right after any such question.
// Between the read and the write is where it stays if it was told to.
func (a *actor) change(ctx context.Context, h *held) {
	m := h.members[0]
	if !a.job.Plain && !a.claim(ctx, h, m) {
		return
	}
	n, ok := a.read(ctx, h, m)
	if !ok {
		return
	}
	if a.stay.CompareAndSwap(true, false) {
		a.stayInside(ctx, m)
	}
	a.write(ctx, h, m, n+1)
}

func (a *actor) claim(ctx context.Context, h *held, m *relock.Lease) bool {
	call := history.Now()
	err := a.guard.Claim(ctx, DataKey(m.Name()), m.Sequencer())
	a.stored(history.Claim, h, m, call, 0, err)
	return err == nil
}

func (a *actor) read(ctx context.Context, h *held, m *relock.Lease) (int64, bool) {
	bounded, cancel := context.WithTimeout(ctx, a.job.Call)
	defer cancel()
	call := history.Now()
	n, err := a.store.Get(bounded, DataKey(m.Name())).Int64()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	a.stored(history.Read, h, m, call, n, err)
	return n, err == nil
}

func (a *actor) write(ctx context.Context, h *held, m *relock.Lease, n int64) {
	keys := []string{LogKey(m.Name())}
	line := fmt.Sprintf("%d %d %s %s", n, int64(m.Token()), m.Owner(), h.id)
	call := history.Now()
	var err error
	if a.job.Plain {
		bounded, cancel := context.WithTimeout(ctx, a.job.Call)
		defer cancel()
		err = plainWrite.Run(bounded, a.store, []string{DataKey(m.Name()), keys[0]}, n, line).Err()
	} else {
		_, err = a.guard.Eval(ctx, DataKey(m.Name()), m.Sequencer(), write, keys, n, line)
	}
	a.stored(history.Write, h, m, call, n, err)
}

func (a *actor) stored(op history.Op, h *held, m *relock.Lease, call, n int64, err error) {
	e := a.event(op, h, m, call, history.Now())
	e.Value, e.Err, e.Valid = n, text(err), history.At(m.ValidUntil())
	switch {
	case errors.Is(err, relock.ErrStaleToken):
		e.Result = history.Stale
	case err != nil:
		e.Result = history.Unknown
	}
	a.rec.Add(e)
}

const stayAtMost = 10 * time.Second

// stayInside announces that the actor is between a read and a write, and goes
// on when it is told to.
func (a *actor) stayInside(ctx context.Context, m *relock.Lease) {
	select {
	case <-a.resumed: // of an earlier stay that was given up
	default:
	}
	a.out.say(SaysInside, m.Name())
	t := time.NewTimer(stayAtMost)
	defer t.Stop()
	select {
	case <-a.resumed:
	case <-t.C:
	case <-ctx.Done():
	}
}
