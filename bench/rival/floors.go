package rival

import (
	"context"
	"crypto/rand"

	"github.com/redis/go-redis/v9"
)

// Bare is the floor of an uncontended pair: two round trips of an EVALSHA that
// does nothing. It excludes nobody.
var Bare = Kind{
	Name:     "floor: 2 bare EVALSHA",
	Settings: "two round trips of the script `return 1`",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return &bare{env.dial()}, nil },
}

var nothing = redis.NewScript("return 1")

type bare struct{ rdb redis.UniversalClient }

func (b *bare) Locker(name string) Locker { return bareLocker{b, []string{name}} }
func (b *bare) Close() error              { return b.rdb.Close() }

func (b *bare) run(ctx context.Context, keys []string) error {
	return nothing.Run(ctx, b.rdb, keys).Err()
}

// bareLocker is also its Held.
type bareLocker struct {
	b    *bare
	keys []string
}

func (l bareLocker) Lock(ctx context.Context) (Held, error) { return l, l.Unlock(ctx) }

func (l bareLocker) Unlock(ctx context.Context) error { return l.b.run(ctx, l.keys) }

// SetNX is the simplest lock there is: SET NX, and a compare-and-delete. It
// knows no waiting.
var SetNX = Kind{
	Name:     "floor: SET NX + delete",
	Settings: "SET NX PX with a random value, and a script that deletes the key if it still has it",
	Commands: []string{"evalsha", "eval", "set"},
	Open:     func(env Env) (Client, error) { return &setNX{rdb: env.dial(), env: env}, nil },
}

var compareAndDelete = redis.NewScript(
	`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

type setNX struct {
	rdb redis.UniversalClient
	env Env
}

func (s *setNX) Locker(name string) Locker { return &setNXLocker{s, name, ""} }
func (s *setNX) Close() error              { return s.rdb.Close() }

type setNXLocker struct {
	s     *setNX
	name  string
	value string
}

func (l *setNXLocker) Lock(ctx context.Context) (Held, error) {
	l.value = rand.Text()
	ok, err := l.s.rdb.SetNX(ctx, l.name, l.value, l.s.env.TTL).Result()
	if err == nil && !ok {
		err = errGone
	}
	return l, err
}

func (l *setNXLocker) Unlock(ctx context.Context) error {
	n, err := compareAndDelete.Run(ctx, l.s.rdb, []string{l.name}, l.value).Int64()
	if err == nil && n == 0 {
		err = errGone
	}
	return err
}

// BareQuorum is the floor of a quorum lock: the script `return 1` on every node
// at once, twice, each time until a majority has answered.
var BareQuorum = Kind{
	Name:     "floor: quorum of bare EVALSHA",
	Settings: "two rounds of the script `return 1` on five nodes in parallel, each until three have answered; a node that is behind skips rounds",
	Commands: []string{"evalsha", "eval"},
	Nodes:    5,
	Open: func(env Env) (Client, error) {
		q := &bareQuorum{}
		for _, addr := range env.Addrs {
			n := &bareNode{bare: bare{dialNode(addr)}, rounds: make(chan round, 1)}
			q.nodes = append(q.nodes, n)
			go n.serve()
		}
		return q, nil
	},
}

type bareQuorum struct{ nodes []*bareNode }

// bareNode answers one round at a time, the latest: a node that hangs keeps one
// request, and holds up nobody.
type bareNode struct {
	bare
	rounds chan round
}

type round struct {
	ctx     context.Context
	answers chan error
}

func (n *bareNode) serve() {
	for r := range n.rounds {
		r.answers <- n.run(r.ctx, []string{"nothing"})
	}
}

func (q *bareQuorum) Locker(string) Locker { return q }

func (q *bareQuorum) Close() error {
	for _, n := range q.nodes {
		close(n.rounds)
		_ = n.Close()
	}
	return nil
}

func (q *bareQuorum) Lock(ctx context.Context) (Held, error) { return q, q.Unlock(ctx) }

func (q *bareQuorum) Unlock(ctx context.Context) error {
	r := round{ctx, make(chan error, len(q.nodes))}
	for _, n := range q.nodes {
		select {
		case n.rounds <- r:
			continue
		default:
		}
		select {
		case <-n.rounds: // one that was not begun, and is over
		default:
		}
		n.rounds <- r
	}
	for range len(q.nodes)/2 + 1 {
		select {
		case err := <-r.answers:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
