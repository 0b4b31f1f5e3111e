package rival

import (
	"context"
	"crypto/rand"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// HandOffWrites is the floor of a hand-off that relock's data allows: what its
// scripts read and write for a queue, a token, a hold and a message, with relock's
// keys and arguments. It is a lock as long as nothing goes wrong: nobody dies, no
// message is lost, no time runs out, each client has one waiter.
var HandOffWrites = Kind{
	Name: "floor: a hand-off's reads and writes",
	Settings: "a queue on the server with relock's keys, reads and writes, that expects no failure: EXISTS, HGETALL, TIME, ZADD, " +
		"PUBSUB NUMSUB, HSET and PTTL in one script; ZRANGE, HMGET, HLEN, HGET, TIME, GET, PUBSUB NUMSUB, DEL, SET, PUBLISH, HDEL, ZREM, " +
		"HSET and PEXPIRE in another; keys and arguments as relock's, recorded from the wire",
	Commands: []string{"evalsha", "eval"},
	Open:     openQueueFloor,
}

// joinQueue replies 1 if the lock is had, and 0 if the channel, which is at that
// place of the arguments, will say so.
func joinQueue(channel int) *redis.Script {
	return redis.NewScript(`
local call = redis.call
if call('EXISTS', KEYS[1], KEYS[3], KEYS[5]) == 0 then
` + grantLua + `
  return 1
end
call('HGETALL', KEYS[1])
local clock = call('TIME')
local channel = ARGV[` + strconv.Itoa(channel+1) + `]
call('ZADD', KEYS[3], 'NX', string.format('%d', clock[1] * 1000000 + clock[2]), ARGV[1])
call('PUBSUB', 'NUMSUB', channel)
call('HSET', KEYS[4], ARGV[1], channel)
if call('PTTL', KEYS[3]) < 9000 then
  call('PEXPIRE', KEYS[3], 30000)
  call('PEXPIRE', KEYS[4], 30000)
end
return 0`)
}

var passOn = redis.NewScript(`
local call = redis.call
local waiter = call('ZRANGE', KEYS[3], 0, 0)[1]
call('HMGET', KEYS[1], 'token', ARGV[1])
call('HLEN', KEYS[1])
if not waiter then
  return call('DEL', KEYS[1])
end
local channel = call('HGET', KEYS[4], waiter)
local clock = call('TIME')
local now = string.format('%d', clock[1] * 1000000 + clock[2])
call('GET', KEYS[2])
call('PUBSUB', 'NUMSUB', channel)
call('DEL', KEYS[1])
call('SET', KEYS[2], now, 'PX', 3600000)
call('PUBLISH', channel, waiter)
call('HDEL', KEYS[4], waiter)
call('ZREM', KEYS[3], waiter)
call('HSET', KEYS[1], 'owner', 1, waiter, now, 'token', now, 'since', now)
call('PEXPIRE', KEYS[1], 30000)
return 1`)

type queueFloor struct {
	*ears
	join *redis.Script
	at   int // of the channel in its arguments
}

func openQueueFloor(env Env) (Client, error) {
	if recordedHandOff.lock.keys == nil {
		return nil, errNotRecorded
	}
	e, err := openEars(env, recordedChannel+"floor:")
	if err != nil {
		return nil, err
	}
	at := recordedHandOff.lock.channel()
	return &queueFloor{e, joinQueue(at), at}, nil
}

func (q *queueFloor) Locker(name string) Locker {
	return &queueFloorLocker{q, recordedHandOff.lock.of(name), recordedHandOff.unlock.of(name)}
}

// queueFloorLocker is also its Held.
type queueFloorLocker struct {
	q            *queueFloor
	lock, unlock request
}

func (l *queueFloorLocker) Lock(ctx context.Context) (Held, error) {
	hold := rand.Text()
	l.lock.args[0], l.lock.args[l.q.at], l.unlock.args[0] = hold, l.q.channel, hold
	heard := l.q.expect(hold)
	n, err := l.lock.run(ctx, l.q.rdb, l.q.join)
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return l, await(ctx, heard)
	}
	l.q.forget(hold)
	return l, nil
}

func (l *queueFloorLocker) Unlock(ctx context.Context) error {
	n, err := l.unlock.run(ctx, l.q.rdb, passOn)
	if err == nil && n == 0 {
		err = errGone
	}
	return err
}
