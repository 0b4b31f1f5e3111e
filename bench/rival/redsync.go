package rival

import (
	"context"
	"math"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// redsyncExpiry is redsync's default. It is also what its per-node timeout is a
// fraction of, so a longer one would make a hung node cost more.
const redsyncExpiry = 8 * time.Second

// Redsync is go-redsync/redsync on one server.
var Redsync = Kind{
	Name:     "redsync",
	Settings: "redsync v4.18.1, one pool, default retry delay (50 to 250 ms, random), tries without bound",
	Commands: []string{"evalsha", "eval", "set"},
	Keeper:   true,
	Open:     func(env Env) (Client, error) { return openRedsync(env, env.TTL, false) },
}

// Redsync5 is the same on five servers.
var Redsync5 = Kind{
	Name: "redsync x5",
	Settings: "redsync v4.18.1, five pools, default expiry (8 s) and per-node timeout (5 % of it), tries without bound; " +
		"the go-redis clients of its nodes give up a reply after those 400 ms too, and resend nothing",
	Commands: Redsync.Commands,
	Nodes:    5,
	Open:     func(env Env) (Client, error) { return openRedsync(env, redsyncExpiry, false) },
}

// Redsync5Fast is the same, and does not wait for those that are not needed.
var Redsync5Fast = Kind{
	Name:     "redsync x5 (fail-fast)",
	Settings: Redsync5.Settings + ", WithFailFast(true)",
	Commands: Redsync.Commands,
	Nodes:    5,
	Open:     func(env Env) (Client, error) { return openRedsync(env, redsyncExpiry, true) },
}

type redsyncClient struct {
	rdbs []redis.UniversalClient
	rs   *redsync.Redsync
	opts []redsync.Option
	keep bool
}

func openRedsync(env Env, expiry time.Duration, failFast bool) (Client, error) {
	c := &redsyncClient{keep: env.Keep, opts: []redsync.Option{
		redsync.WithExpiry(expiry), redsync.WithTries(math.MaxInt32), redsync.WithFailFast(failFast),
	}}
	if len(env.Addrs) == 1 {
		c.rdbs = append(c.rdbs, env.dial())
	} else {
		for _, addr := range env.Addrs {
			c.rdbs = append(c.rdbs, dialBounded(addr))
		}
	}
	var pools []redsyncredis.Pool
	for _, rdb := range c.rdbs {
		pools = append(pools, goredis.NewPool(rdb))
	}
	c.rs = redsync.New(pools...)
	return c, nil
}

func (c *redsyncClient) Locker(name string) Locker {
	return &redsyncLocker{c.rs.NewMutex(name, c.opts...), c}
}

func (c *redsyncClient) Close() error {
	for _, rdb := range c.rdbs {
		_ = rdb.Close()
	}
	return nil
}

// redsyncLocker is also its Held: a redsync.Mutex has one holder at a time.
type redsyncLocker struct {
	m *redsync.Mutex
	c *redsyncClient
}

func (l *redsyncLocker) Lock(ctx context.Context) (Held, error) {
	sent := time.Now()
	if err := l.m.LockContext(ctx); err != nil {
		return nil, err
	}
	if l.c.keep {
		ttl := l.m.Until().Sub(sent)
		return keep(l, ttl, func(ctx context.Context) error { _, err := l.m.ExtendContext(ctx); return err }), nil
	}
	return l, nil
}

func (l *redsyncLocker) Unlock(ctx context.Context) error {
	ok, err := l.m.UnlockContext(ctx)
	if err == nil && !ok {
		return errGone
	}
	return err
}

// dialBounded opens a client for a node that may hang: redsync's own timeout does
// not bound its releases.
func dialBounded(addr string) *redis.Client {
	o := options(addr)
	o.ContextTimeoutEnabled, o.ReadTimeout, o.MaxRetries = true, redsyncExpiry/20, -1
	return redis.NewClient(o)
}
