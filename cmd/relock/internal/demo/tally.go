package demo

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/cmd/relock/internal/dial"
)

// tally counts the commands of a worker by what they are for: the lock has a
// connection pool of its own.
type tally struct{ lock, data counter }

func (t *tally) clients(ctx context.Context, j job) (locks, data redis.UniversalClient, err error) {
	at, err := dial.Parse(j.Redis, j.TLS)
	if err != nil {
		return nil, nil, err
	}
	locks, err = at.Connect(j.Cluster)
	if err != nil {
		return nil, nil, err
	}
	data, err = at.Connect(j.Cluster)
	if err != nil {
		return nil, nil, err
	}
	locks.AddHook(&t.lock)
	data.AddHook(&t.data)
	for _, rdb := range []redis.UniversalClient{locks, data} {
		if err := rdb.Ping(ctx).Err(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", dial.ErrUnreachable, err)
		}
	}
	return locks, data, nil
}

func (t *tally) counts() counts {
	return counts{
		Lock: t.lock.scripts.Load(), Guard: t.data.scripts.Load(), Read: t.data.reads.Load(),
		Unsure: t.lock.unsure.Load() + t.data.unsure.Load(),
	}
}

// counter is a hook of go-redis that counts what is sent.
type counter struct {
	scripts, reads atomic.Int64
	unsure         atomic.Int64 // scripts without an answer: they may not have reached the server
}

func (c *counter) count(cmd redis.Cmder) {
	switch {
	case isScript(cmd.Name()):
		c.scripts.Add(1)
		c.unsure.Add(1)
	case cmd.Name() == "get":
		c.reads.Add(1)
	}
}

// answered takes note of what became of cmd.
func (c *counter) answered(cmd redis.Cmder, err error) {
	var said redis.Error
	if isScript(cmd.Name()) && (err == nil || errors.As(err, &said)) {
		c.unsure.Add(-1)
	}
}

func isScript(name string) bool { return name == "eval" || name == "evalsha" }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		err := next(ctx, cmd)
		c.answered(cmd, err)
		return err
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.count(cmd)
		}
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			c.answered(cmd, cmd.Err())
		}
		return err
	}
}
