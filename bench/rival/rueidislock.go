package rival

import (
	"context"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

// Rueidislock is redis/rueidis/rueidislock.
var Rueidislock = Kind{
	Name: "rueidislock",
	Settings: "rueidislock v1.0.79, KeyMajority 1, NoLoopTracking, TryNextAfter 2 s (with one key it only bounds a request: " +
		"at its default of 20 ms a busy machine fails requests, and their waiters then wait for no message)",
	Commands: []string{"evalsha", "eval"},
	Open:     openRueidislock,
}

type rueidislockClient struct{ locks rueidislock.Locker }

func openRueidislock(env Env) (Client, error) {
	l, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: env.Addrs, ClientSetInfo: rueidis.DisableClientSetInfo},
		KeyMajority:    1,
		NoLoopTracking: true,
		KeyValidity:    env.TTL,
		ExtendInterval: env.TTL / 3, // as often as the others
		TryNextAfter:   2 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return rueidislockClient{l}, nil
}

func (c rueidislockClient) Locker(name string) Locker { return rueidislockLocker{c, name} }

func (c rueidislockClient) Close() error {
	c.locks.Close()
	return nil
}

type rueidislockLocker struct {
	c    rueidislockClient
	name string
}

func (l rueidislockLocker) Lock(ctx context.Context) (Held, error) {
	// The hold would end with ctx, so ctx bounds the wait alone.
	holding, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	held, release, err := l.c.locks.WithContext(holding, l.name)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &rueidislockHeld{held, release, cancel}, nil
}

type rueidislockHeld struct {
	ctx     context.Context
	release context.CancelFunc
	cancel  context.CancelFunc
}

func (h *rueidislockHeld) Lost() <-chan struct{} { return h.ctx.Done() }

// Unlock returns when the key is deleted.
func (h *rueidislockHeld) Unlock(context.Context) error {
	gone := h.ctx.Err() != nil
	h.release()
	h.cancel()
	if gone {
		return errGone
	}
	return nil
}
