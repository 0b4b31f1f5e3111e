package demo

import (
	"context"
	"fmt"
	"strings"
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
	return counts{Lock: t.lock.scripts.Load(), Guard: t.data.scripts.Load(), Read: t.data.reads.Load()}
}

// counter is a hook of go-redis that counts what is sent.
type counter struct{ scripts, reads atomic.Int64 }

func (c *counter) count(cmd redis.Cmder) {
	switch strings.ToLower(cmd.Name()) {
	case "eval", "evalsha":
		c.scripts.Add(1)
	case "get":
		c.reads.Add(1)
	}
}

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.count(cmd)
		}
		return next(ctx, cmds)
	}
}
