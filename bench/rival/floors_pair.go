package rival

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// BareSame is the floor of an uncontended pair with relock's arguments.
var BareSame = Kind{
	Name: "floor: 2 EVALSHA, relock's arguments",
	Settings: "two round trips of the script `return 1`, with the keys and arguments of relock's acquire and release, as recorded " +
		"from the wire",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openReplay(env, recordedPair, nothing, nothing) },
}

// BareHandOff is the same with those of one that waits, and of a release that
// passes the lock on.
var BareHandOff = Kind{
	Name: "floor: 2 EVALSHA, a hand-off's arguments",
	Settings: "two round trips of the script `return 1`, with the keys and arguments of relock's acquire that waits and release that " +
		"passes the lock on, as recorded from the wire",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openReplay(env, recordedHandOff, nothing, nothing) },
}

// Writes is what relock cannot do without: two scripts with the keys and the
// arguments of relock's, that read and write what a token, a hold with an end and
// an empty queue take, and decide nothing. It excludes nobody.
var Writes = Kind{
	Name: "floor: relock's reads and writes",
	Settings: "EXISTS, TIME, GET, SET, HSET and PEXPIRE in one script; ZRANGE, HMGET, HLEN and DEL in another; keys and arguments " +
		"as relock's, recorded from the wire",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openReplay(env, recordedPair, writeHold, dropHold) },
}

// grantLua writes a token and a hold.
const grantLua = `
local clock = call('TIME')
local now = string.format('%d', clock[1] * 1000000 + clock[2])
call('GET', KEYS[2])
call('SET', KEYS[2], now, 'PX', 3600000)
call('HSET', KEYS[1], ARGV[2], 1, ARGV[1], now, 'token', now, 'since', now)
call('PEXPIRE', KEYS[1], 30000)`

var (
	writeHold = redis.NewScript(`
local call = redis.call
if call('EXISTS', KEYS[1], KEYS[3], KEYS[5]) ~= 0 then
  return 0
end
` + grantLua + `
return 1`)
	dropHold = redis.NewScript(`
local call = redis.call
local waiter = call('ZRANGE', KEYS[3], 0, 0)[1]
local seen = call('HMGET', KEYS[1], 'token', ARGV[1])
if seen[2] and not waiter and call('HLEN', KEYS[1]) == 4 then
  return call('DEL', KEYS[1])
end
return 0`)
)

// replay sends the requests of an exchange, to scripts of our own. These reply 0 to
// say that they failed.
type replay struct {
	rdb          redis.UniversalClient
	exchange     exchange
	lock, unlock *redis.Script
}

func openReplay(env Env, e exchange, lock, unlock *redis.Script) (Client, error) {
	if e.lock.keys == nil {
		return nil, errNotRecorded
	}
	return &replay{env.dial(), e, lock, unlock}, nil
}

func (r *replay) Close() error { return r.rdb.Close() }

func (r *replay) Locker(name string) Locker {
	l := &replayLocker{r, r.exchange.lock.of(name), r.exchange.unlock.of(name)}
	l.unlock.args[0] = l.lock.args[0] // one hold
	return l
}

// replayLocker is also its Held.
type replayLocker struct {
	r            *replay
	lock, unlock request
}

func (l *replayLocker) Lock(ctx context.Context) (Held, error) {
	return l, l.run(ctx, l.lock, l.r.lock)
}

func (l *replayLocker) Unlock(ctx context.Context) error { return l.run(ctx, l.unlock, l.r.unlock) }

func (l *replayLocker) run(ctx context.Context, r request, s *redis.Script) error {
	n, err := r.run(ctx, l.r.rdb, s)
	if err == nil && n == 0 {
		err = errGone
	}
	return err
}
