package rival

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// Relock is this module's Mutex.
var Relock = Kind{
	Name:     "relock",
	Settings: "Client.Mutex on a go-redis client, defaults",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openRelock(plain(env), false, mutexLocker) },
}

// RelockAuto is the same on go-redis's AutoPipeliner, which shares round trips
// among goroutines.
var RelockAuto = Kind{
	Name:     "relock (AutoPipeliner)",
	Settings: "Client.Mutex on redis.Client.AsyncAutoPipelineWithOptions, two batches at once, unordered",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openRelock(plain(env), true, mutexLocker) },
}

// RelockReentrant is this module's Reentrant, an owner a goroutine.
var RelockReentrant = Kind{
	Name:     "relock (Reentrant)",
	Settings: "Client.Reentrant, an owner of its own a goroutine (WithOwner): each is in the server's queue, not in the client's",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openRelock(plain(env), false, reentrantLocker) },
}

// RelockHooked is the same on a client with a hook, as one that makes spans or
// counts: its requests leave one by one.
var RelockHooked = Kind{
	Name:     "relock (hook)",
	Settings: "Client.Mutex on a go-redis client with a hook that counts its commands",
	Commands: []string{"evalsha", "eval"},
	Hooked:   true,
	Open:     func(env Env) (Client, error) { return openRelock(hooked(env), false, mutexLocker) },
}

type relockClient struct {
	rdb    redis.UniversalClient
	auto   *redis.AutoPipeliner
	client *relock.Client
	locker func(*relock.Client, string) Locker
}

// twoBatches keeps the server busy while the client reads replies. relock needs no
// order: what depends on a reply is sent after it.
var twoBatches = &redis.AutoPipelineOptions{MaxConcurrentBatches: 2, Unordered: true}

func openRelock(env Env, auto bool, locker func(*relock.Client, string) Locker, opts ...relock.Option) (Client, error) {
	c := &relockClient{rdb: env.dial(), locker: locker}
	if env.Hook != nil {
		c.rdb.AddHook(env.Hook)
	}
	var rdb relock.Redis = c.rdb
	if one, ok := c.rdb.(*redis.Client); ok && auto {
		var err error
		if c.auto, err = one.AsyncAutoPipelineWithOptions(twoBatches); err != nil {
			return nil, err
		}
		rdb = c.auto
	}
	opts = append(opts, relock.WithTTL(env.TTL))
	if env.CheckInterval > 0 {
		opts = append(opts, relock.WithCheckInterval(env.CheckInterval))
	}
	var err error
	c.client, err = relock.New(rdb, opts...)
	return c, err
}

func (c *relockClient) Locker(name string) Locker { return c.locker(c.client, name) }

func (c *relockClient) Close() error {
	err := c.client.Close()
	if c.auto != nil {
		_ = c.auto.Close()
	}
	_ = c.rdb.Close()
	return err
}

// relockLocker is a lock of this module, and the context it is taken with.
type relockLocker struct {
	relock.Locker
	owner relock.Owner
}

func mutexLocker(c *relock.Client, name string) Locker { return relockLocker{c.Mutex(name), ""} }

func reentrantLocker(c *relock.Client, name string) Locker {
	return relockLocker{c.Reentrant(name), relock.NewOwner()}
}

func (l relockLocker) Lock(ctx context.Context) (Held, error) {
	if l.owner != "" {
		ctx = relock.WithOwner(ctx, l.owner)
	}
	lease, err := l.Locker.Lock(ctx)
	if err != nil {
		return nil, err
	}
	return relockHeld{lease}, nil
}

type relockHeld struct{ *relock.Lease }

func (h relockHeld) Lost() <-chan struct{} { return h.Context().Done() }
