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
	Open:     func(env Env) (Client, error) { return &bare{Dial(env.Addrs[0])}, nil },
}

var nothing = redis.NewScript("return 1")

type bare struct{ rdb *redis.Client }

func (b *bare) Locker(string) Locker { return b }
func (b *bare) Close() error         { return b.rdb.Close() }

func (b *bare) Lock(ctx context.Context) (Held, error) { return b, b.Unlock(ctx) }

func (b *bare) Unlock(ctx context.Context) error {
	return nothing.Run(ctx, b.rdb, []string{"nothing"}).Err()
}

// SetNX is the simplest lock there is: SET NX, and a compare-and-delete. It
// knows no waiting.
var SetNX = Kind{
	Name:     "floor: SET NX + delete",
	Settings: "SET NX PX with a random value, and a script that deletes the key if it still has it",
	Commands: []string{"evalsha", "eval", "set"},
	Open:     func(env Env) (Client, error) { return &setNX{rdb: Dial(env.Addrs[0]), env: env}, nil },
}

var compareAndDelete = redis.NewScript(
	`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

type setNX struct {
	rdb *redis.Client
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

// Writes is what relock cannot do without: two scripts with the keys and the
// arguments of relock's, that read and write what a token, a hold with an end and
// an empty queue take, and decide nothing. It excludes nobody.
var Writes = Kind{
	Name:     "floor: relock's reads and writes",
	Settings: "TIME, EXISTS, GET, SET, HSET and PEXPIRE in one script; HMGET, EXISTS and DEL in another; keys and arguments as relock's",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return &writes{rdb: Dial(env.Addrs[0]), env: env}, nil },
}

var (
	writeHold = redis.NewScript(`
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000000 + clock[2])
if redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[5]) == 0 then
  redis.call('GET', KEYS[2])
  redis.call('SET', KEYS[2], now, 'PX', ARGV[8])
  redis.call('HSET', KEYS[1], 'owner:' .. ARGV[2], 1, 'hold:' .. ARGV[1], now, 'token', now, 'since', now)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 1
end
return 0`)
	dropHold = redis.NewScript(`
local seen = redis.call('HMGET', KEYS[1], 'token', 'hold:' .. ARGV[1])
if seen[2] and redis.call('EXISTS', KEYS[3]) == 0 then
  return redis.call('DEL', KEYS[1])
end
return 0`)
)

type writes struct {
	rdb *redis.Client
	env Env
}

func (w *writes) Close() error { return w.rdb.Close() }

func (w *writes) Locker(name string) Locker {
	l := &writesLocker{w: w}
	for _, kind := range []string{"lock", "fence", "queue", "waiters", "tombstones"} {
		l.keys = append(l.keys, "relock:"+kind+":{"+name+"}")
	}
	return l
}

type writesLocker struct {
	w    *writes
	keys []string
	hold string
}

func (l *writesLocker) Lock(ctx context.Context) (Held, error) {
	l.hold = rand.Text()
	return l, l.run(ctx, writeHold, l.hold, "host/12345/"+l.hold, l.w.env.TTL.Milliseconds(), "", 0, 9000, 0, 3_600_000, 1)
}

func (l *writesLocker) Unlock(ctx context.Context) error {
	return l.run(ctx, dropHold, l.hold, int64(1_700_000_000_000_000), 0, 0, 3_600_000, "")
}

func (l *writesLocker) run(ctx context.Context, s *redis.Script, args ...any) error {
	n, err := s.Run(ctx, l.w.rdb, l.keys, args...).Int64()
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
			n := &bareNode{bare: bare{Dial(addr)}, rounds: make(chan round, 1)}
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
		r.answers <- n.Unlock(r.ctx)
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
