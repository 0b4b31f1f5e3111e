package redisengine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What a shortRun is drawn from.

func (r *shortRun) of(list ...string) string { return list[r.rnd.IntN(len(list))] }

func (r *shortRun) number(list ...int64) int64 { return list[r.rnd.IntN(len(list))] }

// do runs one plain command, whose failure is of no interest.
func (r *shortRun) do(args ...any) any {
	val, _ := r.w.rdb.Do(context.Background(), args...).Result()
	return val
}

func (r *shortRun) pass() {
	r.now += r.number(1, 999, 1000, 1000, 500_000, 1_000_000, 1_000_000, 5_000_000, 20_000_000, 1, 1000, 1000, 500_000, r.number(-1, -3_000_000))
}

// disturb makes of the keys what others may, or time.
func (r *shortRun) disturb() {
	lock, fence, queue, waiters, tombstones := r.keys[0], r.keys[1], r.keys[2], r.keys[3], r.keys[4]
	hold := r.hold()
	end := r.now/1000 + r.number(-5_000, 0, 1, 5_000)
	key := r.of(r.keys...)
	switch r.rnd.IntN(16) {
	case 0, 1:
		r.do("del", key)
	case 2:
		r.do("persist", key)
	case 3:
		r.do("del", key)
		switch r.rnd.IntN(4) {
		case 0:
			r.do("set", key, "x")
		case 1:
			r.do("rpush", key, "x")
		case 2:
			r.do("hset", key, "name", "x", "tokens", 7)
		case 3:
			r.do("zadd", key, 7, "x")
		}
	case 4, 5:
		r.do("set", fence, r.of("", "garbage", "nan", "0x10", "1e15", "-3", "1.5", "0", "007", "9007199254740990", "9007199254740991", "9223372036854775807",
			strconv.FormatInt(r.now, 10), strconv.FormatInt(r.now-1, 10), strconv.FormatInt(r.now+1, 10), strconv.FormatInt(r.now+5*hourUS, 10), " "+strconv.FormatInt(r.now-9, 10)))
		if r.rnd.IntN(2) == 0 {
			r.do("pexpire", fence, 77_000)
		}
	case 6:
		r.do("hdel", lock, r.of("token", "since", "hold:"+hold, "owner:"+hold[:1]))
	case 7:
		r.do("hset", lock, "hold:"+r.owner()+r.of("1", "2"), r.of(strconv.FormatInt(end, 10), "x"))
	case 8:
		r.do("hset", lock, "hold:"+r.owner()+r.of("1", "2")+"/kept", end)
	case 9:
		r.do("hset", lock, r.of("token", "since"), r.of("x", "12", strconv.FormatInt(r.now, 10), strconv.FormatInt(r.now+9, 10)))
	case 10:
		r.do("hset", lock, r.of("issued", "note", "owner:z"), 1)
	case 11:
		r.do("hdel", waiters, hold)
	case 12:
		r.do("hset", waiters, hold, r.of("garbage", "", fmt.Sprintf("%d 9000 30000 %s %s %s", end, r.of("0", "1", "2"), r.of(heardChannel, unheardChannel), hold[:1])))
	case 13:
		r.do("zadd", queue, r.now-r.number(0, 1000, 5_000_000), r.hold())
	case 14:
		r.do("zadd", tombstones, end+60_000, hold)
	case 15:
		r.do("pexpire", key, 500_000)
	}
}

func (r *shortRun) hold() string { return r.of("a1", "a2", "b1", "c1", "d1", "e1", "f1") }

func (r *shortRun) ask(wait bool) ask {
	hold := r.hold()
	a := ask{
		hold: hold, owner: hold[:1], ttl: r.number(30_000, 60_000, 60_000, 5_000), life: r.number(9_000, 100_000, 100_000, 20_000),
		floor: r.number(0, 0, 0, 0, 0, 0, r.now-1, r.now, r.now+5, r.now+hourUS, r.now+hourUS+1), subscribed: r.rnd.IntN(2), retention: r.number(testRetention, 7_200_000),
	}
	if wait {
		a.channel = r.of(heardChannel, heardChannel, unheardChannel)
	}
	return a
}

func (r *shortRun) token() int64 {
	n, _ := strconv.ParseInt(fmt.Sprint(r.do("hget", r.keys[0], "token")), 10, 64)
	return n
}

// field is what follows a word in the lock's fields, if there is one.
func (r *shortRun) field(word, otherwise string) string {
	fields, _ := r.w.rdb.HKeys(context.Background(), r.keys[0]).Result()
	slices.Sort(fields)
	for _, f := range fields {
		if rest, is := strings.CutPrefix(f, word); is && !strings.HasSuffix(f, "/kept") {
			return rest
		}
	}
	return otherwise
}

func (r *shortRun) holder() string { return r.field("hold:", r.hold()) }

func (r *shortRun) owner() string { return r.field("owner:", "a") }

func (r *shortRun) give() give {
	g := give{hold: r.holder(), token: r.token(), floor: r.number(0, 0, 0, 0, 0, r.now-1, r.now, r.now+5, r.now+hourUS+1)}
	switch r.rnd.IntN(28) {
	case 0:
		g.tombstone = 60_000
	case 1:
		g.token = r.number(0, 1, g.token+1, -1)
	case 2:
		g.hold = r.hold()
	case 3:
		g.keep, g.lease = r.number(1, 20_000), g.token
	case 4, 5, 6, 7, 8, 9, 10:
		next := r.ask(true)
		g.next = &next
	}
	return g
}

// request draws a request and runs it on either side.
func (r *shortRun) request() {
	switch r.rnd.IntN(12) {
	case 0, 1, 2:
		r.compare(&acquireScript, r.w.acquire, r.keys, r.ask(false).args())
	case 3, 4, 5, 6:
		r.compare(&acquireScript, r.w.acquire, r.keys, r.ask(true).args())
	case 7, 8, 9, 10:
		args := r.give().args()
		if r.rnd.IntN(8) == 0 {
			args[3] = int64(0) // a node of a quorum
		}
		keys := r.keys
		if r.rnd.IntN(16) == 0 {
			keys = keys[:1]
		}
		r.compare(&releaseScript, r.w.release, keys, args)
	case 11:
		if r.rnd.IntN(6) == 0 {
			r.compare(&allScript, r.w.all, r.keys, r.ask(false).args())
			return
		}
		a := r.ask(r.rnd.IntN(2) == 0)
		args := a.args()
		args[4] = int64(0)
		proposed := r.number(0, r.token(), r.now-1, r.now, r.now+1, r.now+5_000_000, r.now+hourUS, r.now+hourUS+1)
		r.compare(&voteScript, r.w.vote, r.keys, append([]any{proposed, r.number(0, 0, 0, 1, 2), testRetention, ""}, args...))
	}
}
