package rival

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/redis/go-redis/v9"
)

// PublishTurns is the floor of every hand-off: it cannot be had for less, as long
// as a message is what wakes the next holder. Its queue is in this process, and
// all clients of one PublishTurns share it.
func PublishTurns() Kind {
	queues := &turnQueues{byName: map[string]*turnQueue{}}
	return Kind{
		Name: "floor: PUBLISH to who waits",
		Settings: "a queue in this process tells who is next; the holder runs a script that publishes to the next one's channel, " +
			"which wakes the goroutine that waits",
		Commands: []string{"evalsha", "eval"},
		Open: func(env Env) (Client, error) {
			e, err := openEars(env, "turn:")
			if err != nil {
				return nil, err
			}
			return &turnClient{e, queues}, nil
		},
	}
}

var publish = redis.NewScript("return redis.call('PUBLISH', KEYS[1], ARGV[1])")

type turnQueues struct {
	mu     sync.Mutex
	byName map[string]*turnQueue // of the locks that are held
}

type turnQueue struct{ waiting []turn }

type turn struct{ channel, hold string }

// enter takes the lock, or has t wait for it.
func (q *turnQueues) enter(name string, t turn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if one := q.byName[name]; one != nil {
		one.waiting = append(one.waiting, t)
		return false
	}
	q.byName[name] = &turnQueue{}
	return true
}

// leave returns who is next, or none.
func (q *turnQueues) leave(name string) (next turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	one := q.byName[name]
	if len(one.waiting) == 0 {
		delete(q.byName, name)
		return turn{}
	}
	next, one.waiting = one.waiting[0], one.waiting[1:]
	return next
}

type turnClient struct {
	*ears
	queues *turnQueues
}

func (c *turnClient) Locker(name string) Locker { return turnLocker{c, name} }

// turnLocker is also its Held.
type turnLocker struct {
	c    *turnClient
	name string
}

func (l turnLocker) Lock(ctx context.Context) (Held, error) {
	t := turn{l.c.channel, rand.Text()}
	heard := l.c.expect(t.hold)
	if l.c.queues.enter(l.name, t) {
		l.c.forget(t.hold)
		return l, l.publish(ctx, turn{})
	}
	return l, await(ctx, heard)
}

func (l turnLocker) Unlock(ctx context.Context) error {
	return l.publish(ctx, l.c.queues.leave(l.name))
}

// publish wakes who is next. What nobody waits for costs a request all the same, as
// it does on a server: a holder that finds the lock free is not at once back.
func (l turnLocker) publish(ctx context.Context, next turn) error {
	return publish.Run(ctx, l.c.rdb, []string{next.channel}, next.hold).Err()
}
