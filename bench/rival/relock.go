package rival

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// Relock is this module's Mutex.
var Relock = Kind{
	Name:     "relock",
	Settings: "Client.Mutex on a go-redis client, defaults",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openRelock(env, false, mutexLocker) },
}

// RelockAuto is the same on go-redis's AutoPipeliner, which shares round trips
// among goroutines.
var RelockAuto = Kind{
	Name:     "relock (AutoPipeliner)",
	Settings: "Client.Mutex on redis.Client.AsyncAutoPipelineWithOptions, two batches at once, unordered",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openRelock(env, true, mutexLocker) },
}

// RelockReentrant is this module's Reentrant, an owner a goroutine.
var RelockReentrant = Kind{
	Name:     "relock (Reentrant)",
	Settings: "Client.Reentrant, an owner of its own a goroutine (WithOwner): each is in the server's queue, not in the client's",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openRelock(env, false, reentrantLocker) },
}

type relockClient struct {
	rdb    *redis.Client
	auto   *redis.AutoPipeliner
	client *relock.Client
	locker func(*relock.Client, string) Locker
}

// twoBatches keeps the server busy while the client reads replies. relock needs no
// order: what depends on a reply is sent after it.
var twoBatches = &redis.AutoPipelineOptions{MaxConcurrentBatches: 2, Unordered: true}

func openRelock(env Env, auto bool, locker func(*relock.Client, string) Locker) (Client, error) {
	c := &relockClient{rdb: Dial(env.Addrs[0]), locker: locker}
	var rdb relock.Redis = c.rdb
	background := env.Background
	if background == nil {
		background = new(atomic.Int64)
	}
	if auto {
		var err error
		if c.auto, err = c.rdb.AsyncAutoPipelineWithOptions(twoBatches); err != nil {
			return nil, err
		}
		rdb = countingPipes{c.auto, background}
	} else {
		c.rdb.AddHook(counting{background})
	}
	opts := []relock.Option{relock.WithTTL(env.TTL)}
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

// counting counts what goes out in pipelines: relock's renewals and check-ins,
// and nothing else, do. It is a hook, so that relock sees the client itself.
type counting struct{ background *atomic.Int64 }

func (counting) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (c counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.background.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

// countingPipes does the same for an AutoPipeliner, all of whose commands go out
// in pipelines: those of its own Pipeline are relock's.
type countingPipes struct {
	*redis.AutoPipeliner
	background *atomic.Int64
}

func (c countingPipes) Pipeline() redis.Pipeliner {
	return countingPipe{c.AutoPipeliner.Pipeline(), c.background}
}

type countingPipe struct {
	redis.Pipeliner
	background *atomic.Int64
}

func (p countingPipe) Process(ctx context.Context, cmd redis.Cmder) error {
	p.background.Add(1)
	return p.Pipeliner.Process(ctx, cmd)
}
