package relock

import (
	"context"
	"reflect"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redisengine"
)

// Redis is what relock needs of a go-redis client. *redis.Client,
// *redis.ClusterClient and *redis.AutoPipeliner have it. The client stays the
// caller's: relock neither closes nor changes it.
type Redis interface {
	Process(ctx context.Context, cmd redis.Cmder) error
	Pipeline() redis.Pipeliner
	Subscribe(ctx context.Context, channels ...string) *redis.PubSub
}

// A Client makes locks on one Redis deployment. It is safe for concurrent use;
// one is enough for a process. It has no goroutine and no connection of its own
// while nobody holds or waits for one of its locks, a subscription aside, which
// lingers for at most two check intervals.
type Client struct {
	life   *lifecycle.Manager
	set    settings
	redis  *redisengine.Engine // nil: its locks are on another engine
	quorum bool                // which is a quorum of them
}

// New returns a Client on rdb. It does no I/O.
//
// It returns [ErrInvalid] for a nil client, for a *redis.Ring (whose locks
// would move with its shards) and for an option out of range.
func New(rdb Redis, opts ...Option) (*Client, error) {
	if err := checkRedis(rdb); err != nil {
		return nil, err
	}
	set := newSettings(opts)
	if set.err != nil {
		return nil, set.err
	}
	id := engine.NewID()
	eng := redisengine.New(rdb, id, set.redis(rdb))
	return &Client{life: lifecycle.New(eng, id, set.life(false)), set: set, redis: eng}, nil
}

func checkRedis(rdb Redis) error {
	if rdb == nil {
		return engine.Invalid("a nil Redis client")
	}
	if v := reflect.ValueOf(rdb); v.Kind() == reflect.Pointer && v.IsNil() {
		return engine.Invalid("a nil %T", rdb)
	}
	if _, ring := any(rdb).(*redis.Ring); ring {
		return engine.Invalid("a *redis.Ring: a lock would move with its shards; use RedLock over its servers")
	}
	return nil
}

// Close ends the client. Calls that wait return [ErrClosed]; the contexts of
// its leases end with ErrClosed, and then what they held is released, many by one
// round trip. Close it before rdb.
//
// Close waits for that, for at most the call timeout. It returns an error where
// something is left: how many locks, which, if they are few, by when the last of
// them has expired, and why, which is redis.ErrClosed where rdb was closed first.
// Those count that Unlock or a loss has left to be given back in the background;
// those that Detach has left do not. The lock of a function that leads ([Lead]) is
// given back when that has returned, and not before: it is left, to its end on the
// server, where that takes longer than the call timeout. A second Close waits for the first, and
// returns nil.
func (c *Client) Close() error { return c.life.Close() }

// Mutex returns the lock of that name, for holders that do not re-enter. It
// does no I/O; an error in name or opts is returned by every call.
func (c *Client) Mutex(name string, opts ...LockOption) *Mutex {
	return &Mutex{c.lock(name, opts)}
}

// Reentrant returns the lock of that name, for owners that may hold it several
// times. The Mutex and the Reentrant of one name are one lock. It does no I/O;
// an error in name or opts is returned by every call.
func (c *Client) Reentrant(name string, opts ...LockOption) *Reentrant {
	return &Reentrant{c.lock(name, opts)}
}

func (c *Client) lock(name string, opts []LockOption) lifecycle.Lock {
	t := newTerms(name, c.set.ttl, opts)
	switch {
	case t.Err != nil:
	case t.Replicas > 0 && t.ReplicaTimeout >= c.set.call:
		t.Err = engine.Invalid("WithReplicas: a timeout of %v is no less than the call timeout of %v", t.ReplicaTimeout, c.set.call)
	case t.Replicas > 0:
		t.Err = c.life.SupportsReplicas()
	}
	if t.Err == nil && t.MinHold > 0 && c.quorum {
		t.Err = engine.Invalid("WithMinHold: a RedLock has no minimum")
	}
	return c.life.Lock(name, t)
}

func init() {
	access.Client = func(client any) access.Inside {
		c := client.(*Client)
		return access.Inside{Manager: c.life, Redis: c.redis}
	}
	access.NewClient = func(make func(access.Settings) engine.Engine, opts any) (any, error) {
		given, _ := opts.([]Option)
		set := newSettings(given)
		if set.err != nil {
			return nil, set.err
		}
		id := engine.NewID()
		eng := make(access.Settings{
			ID: id, Prefix: set.prefix, Check: set.check, Call: set.call, Retention: set.retention, Log: set.log,
		})
		return &Client{life: lifecycle.New(eng, id, set.life(false)), set: set}, nil
	}
	access.NewQuorum = func(quorum engine.Engine, like any) any {
		set := like.(*Client).set
		return &Client{life: lifecycle.New(quorum, engine.NewID(), set.life(true)), set: set, quorum: true}
	}
	access.Member = func(lock any) (lifecycle.Member, bool) {
		switch l := lock.(type) {
		case *Mutex:
			return lifecycle.Member{Lock: l.l, Whose: freshOwner}, true
		case *Reentrant:
			return lifecycle.Member{Lock: l.l, Whose: reentrantOwner}, true
		}
		return lifecycle.Member{}, false
	}
	access.NewLease = func(l lifecycle.Lease) any { return &Lease{l} }
	access.Lease = func(lease any) lifecycle.Lease { return lease.(*Lease).o }
}
