package rival

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redisson replays the message flow of Redisson's RLock, from its description:
// try; if taken, subscribe to the lock's channel (one subscription a client and
// lock, shared by its waiters); try again; then wait for a message or for the
// holder's time to end, and try again. The unlock deletes, publishes, and leaves
// a latch key for its own resends, which is deleted afterwards. A message wakes
// one waiter in every client.
var Redisson = Kind{
	Name:     "Redisson's flow",
	Settings: "a replay of Redisson's message flow in Go (go-redis): no watchdog, one subscription a client and lock, one waiter a client woken by each message",
	Commands: []string{"evalsha", "eval", "subscribe", "unsubscribe", "unlink"},
	Open:     openRedisson,
}

var (
	redissonAcquire = redis.NewScript(`
local owned = redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1
if owned or redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  return -1
end
return redis.call('PTTL', KEYS[1])`)

	redissonRelease = redis.NewScript(`
local before = redis.call('GET', KEYS[3])
if before then
  return tonumber(before)
end
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then
  return -1
end
local left, done = redis.call('HINCRBY', KEYS[1], ARGV[2], -1), 0
if left > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
else
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', KEYS[2], '0')
  done = 1
end
redis.call('SET', KEYS[3], done, 'PX', ARGV[3])
return done`)
)

type redissonClient struct {
	rdb redis.UniversalClient
	id  string
	ttl time.Duration
	seq atomic.Int64

	mu      sync.Mutex
	entries map[string]*redissonEntry
}

// redissonEntry is a client's subscription to one lock's channel.
type redissonEntry struct {
	users  int // guarded by the client's mutex
	latch  chan struct{}
	pubsub *redis.PubSub
	ready  chan struct{}
}

func openRedisson(env Env) (Client, error) {
	return &redissonClient{rdb: env.dial(), id: rand.Text(), ttl: env.TTL, entries: map[string]*redissonEntry{}}, nil
}

func (c *redissonClient) Close() error { return c.rdb.Close() }

func (c *redissonClient) Locker(name string) Locker {
	return &redissonLocker{c: c, name: name, owner: c.id + ":" + strconv.FormatInt(c.seq.Add(1), 10)}
}

// enter subscribes, or shares the subscription that is there.
func (c *redissonClient) enter(ctx context.Context, name string) (*redissonEntry, error) {
	c.mu.Lock()
	e := c.entries[name]
	if e == nil {
		e = &redissonEntry{latch: make(chan struct{}, 1<<16), ready: make(chan struct{})}
		c.entries[name] = e
		e.pubsub = c.rdb.Subscribe(context.Background(), redissonChannel(name))
		go e.run()
	}
	e.users++
	c.mu.Unlock()
	select {
	case <-e.ready:
		return e, nil
	case <-ctx.Done():
		c.leave(name, e)
		return nil, context.Cause(ctx)
	}
}

func (c *redissonClient) leave(name string, e *redissonEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users == 0 {
		delete(c.entries, name)
		go e.pubsub.Close()
	}
}

func (e *redissonEntry) run() {
	for {
		msg, err := e.pubsub.Receive(context.Background())
		switch msg.(type) {
		case *redis.Subscription:
			close(e.ready)
		case *redis.Message:
			e.latch <- struct{}{}
		}
		if err != nil {
			return
		}
	}
}

func redissonChannel(name string) string { return "redisson_lock__channel:{" + name + "}" }
func redissonLatch(name string) string   { return "redisson_unlock_latch:{" + name + "}" }

// redissonLocker is also its Held.
type redissonLocker struct {
	c     *redissonClient
	name  string
	owner string
}

// try returns the holder's time left, or less than 0 if the lock was taken.
func (l *redissonLocker) try(ctx context.Context) (time.Duration, error) {
	left, err := redissonAcquire.Run(ctx, l.c.rdb, []string{l.name}, l.c.ttl.Milliseconds(), l.owner).Int64()
	return time.Duration(left) * time.Millisecond, err
}

func (l *redissonLocker) Lock(ctx context.Context) (Held, error) {
	left, err := l.try(ctx)
	if err != nil || left < 0 {
		return l, err
	}
	e, err := l.c.enter(ctx, l.name)
	if err != nil {
		return nil, err
	}
	defer l.c.leave(l.name, e)
	for {
		left, err := l.try(ctx)
		if err != nil || left < 0 {
			return l, err
		}
		select {
		case <-e.latch:
		case <-time.After(left):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *redissonLocker) Unlock(ctx context.Context) error {
	latch := redissonLatch(l.name) + ":" + l.owner
	keys := []string{l.name, redissonChannel(l.name), latch}
	done, err := redissonRelease.Run(ctx, l.c.rdb, keys, l.c.ttl.Milliseconds(), l.owner, 10_000).Int64()
	if err != nil {
		return err
	}
	if done < 0 {
		return errGone
	}
	if err := l.c.rdb.Unlink(ctx, latch).Err(); err != nil {
		return fmt.Errorf("delete the latch: %w", err)
	}
	return nil
}
