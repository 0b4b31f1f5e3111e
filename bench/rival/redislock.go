package rival

import (
	"context"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

// Redislock100 is bsm/redislock, trying every 100 ms.
var Redislock100 = redislockEvery(100*time.Millisecond, "redislock 100ms")

// Redislock1 is bsm/redislock, trying every millisecond.
var Redislock1 = redislockEvery(time.Millisecond, "redislock 1ms")

func redislockEvery(every time.Duration, name string) Kind {
	return Kind{
		Name:     name,
		Settings: "redislock v0.9.4, LinearBackoff(" + every.String() + ")",
		Commands: []string{"evalsha", "eval"},
		Keeper:   true,
		Open: func(env Env) (Client, error) {
			rdb := env.dial()
			return &redislockClient{rdb, redislock.New(rdb), env, every}, nil
		},
	}
}

type redislockClient struct {
	rdb   redis.UniversalClient
	locks *redislock.Client
	env   Env
	every time.Duration
}

func (c *redislockClient) Locker(name string) Locker {
	return redislockLocker{c, name, &redislock.Options{RetryStrategy: redislock.LinearBackoff(c.every)}}
}

func (c *redislockClient) Close() error { return c.rdb.Close() }

type redislockLocker struct {
	c    *redislockClient
	name string
	opts *redislock.Options
}

func (l redislockLocker) Lock(ctx context.Context) (Held, error) {
	lock, err := l.c.locks.Obtain(ctx, l.name, l.c.env.TTL, l.opts)
	if err != nil {
		return nil, err
	}
	if l.c.env.Keep {
		return keep(redislockHeld{lock}, l.c.env.TTL, func(ctx context.Context) error {
			return lock.Refresh(ctx, l.c.env.TTL, nil)
		}), nil
	}
	return redislockHeld{lock}, nil
}

type redislockHeld struct{ *redislock.Lock }

func (h redislockHeld) Unlock(ctx context.Context) error { return h.Release(ctx) }
