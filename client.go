package relock

import (
	"context"
	"reflect"

	"github.com/redis/go-redis/v9"
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
	host *host
	set  settings
	eng  *single
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
	id := newID()
	eng := newSingle(rdb, id, set)
	return &Client{host: newHost(eng, id, set), set: set, eng: eng}, nil
}

func checkRedis(rdb Redis) error {
	if rdb == nil {
		return invalid("a nil Redis client")
	}
	if v := reflect.ValueOf(rdb); v.Kind() == reflect.Pointer && v.IsNil() {
		return invalid("a nil %T", rdb)
	}
	if _, ring := any(rdb).(*redis.Ring); ring {
		return invalid("a *redis.Ring: a lock would move with its shards; use RedLock over its servers")
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
// those that Detach has left do not. A second Close waits for the first, and
// returns nil.
func (c *Client) Close() error { return c.host.close() }

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

func (c *Client) lock(name string, opts []LockOption) lock {
	return c.host.lock(name, opts)
}
