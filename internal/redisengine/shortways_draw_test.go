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

// subscribe has subscribers come and go.
func (r *shortRun) subscribe() {
	r.do("del", "subscribers")
	if r.rnd.IntN(20) == 0 {
		r.do("set", "subscribers", "may not be asked for")
		return
	}
	r.do("hset", "subscribers", heardChannel, r.number(0, 1, 1, 2), unheardChannel, r.number(0, 0, 0, 1))
}

// scene begins with a holder and one who waits, of whom something is odd.
func (r *shortRun) scene() {
	r.do("hset", "subscribers", heardChannel, 1)
	b := ask{hold: "b1", owner: "b", ttl: r.number(5_000, 60_000), life: 20_000, channel: heardChannel, subscribed: 1}
	r.compare(&acquireScript, r.w.acquire, r.keys, ask{hold: "a1", owner: "a", ttl: 60_000}.args())
	r.compare(&acquireScript, r.w.acquire, r.keys, b.args())
	r.now += 1000
	lock, fence, waiters, seen := r.keys[0], r.keys[1], r.keys[3], r.now/1000
	switch r.rnd.IntN(9) {
	case 0:
		r.do("hset", lock, "hold:a1", seen-r.number(0, 1))
	case 1:
		r.do("hset", waiters, "b1", fmt.Sprintf("%d 20000 60000 1 %s b", seen-20_000+r.number(0, 1), heardChannel))
	case 2:
		r.do("hset", "subscribers", heardChannel, 0)
	case 3:
		r.do("del", waiters)
		r.do("set", waiters, "x")
	case 4:
		r.do("hset", waiters, "b1", fmt.Sprintf("%d 20000 60000 2 %s b", seen, heardChannel))
	case 5:
		r.do("hdel", waiters, "b1")
	case 6:
		r.do("set", fence, r.now-r.number(0, 1, 2, 5_000))
	case 7:
		r.do("hdel", lock, "hold:a1")
		r.do("hset", lock, "hold:a1/kept", seen+40_000)
	}
	switch r.rnd.IntN(4) {
	case 0, 1:
		r.compare(&releaseScript, r.w.release, r.keys, give{hold: "a1", token: r.token()}.args())
	case 2:
		r.compare(&acquireScript, r.w.acquire, r.keys, b.args())
	case 3:
		r.compare(&acquireScript, r.w.acquire, r.keys, ask{hold: "d1", owner: "d", channel: heardChannel, subscribed: 1}.args())
	}
}

func (r *shortRun) oddFence() string {
	return r.of("", "garbage", "nan", "0x10", "1e15", "-3", "1.5", "0", "007", "9007199254740990", "9007199254740991", "9223372036854775807",
		strconv.FormatInt(r.now, 10), strconv.FormatInt(r.now-1, 10), strconv.FormatInt(r.now+1, 10), strconv.FormatInt(r.now+5*hourUS, 10), " "+strconv.FormatInt(r.now-9, 10))
}

// free begins with a lock that is free, and tokens that are odd.
func (r *shortRun) free() {
	if r.rnd.IntN(2) == 0 {
		r.do("set", r.keys[1], r.oddFence(), "px", 77_000)
	}
	floor := r.number(0, r.now-1, r.now, r.now+5, r.now+hourUS, r.now+hourUS+1)
	switch r.rnd.IntN(3) {
	case 0:
		r.compare(&acquireScript, r.w.acquire, r.keys, ask{hold: "a1", owner: "a", floor: floor}.args())
	case 1:
		args := ask{hold: "a1", owner: "a"}.args()
		args[4] = int64(0)
		r.compare(&voteScript, r.w.vote, r.keys, append([]any{floor, r.number(0, 2), testRetention, ""}, args...))
	case 2:
		r.compare(&acquireScript, r.w.acquire, r.keys, ask{hold: "a1", owner: "a"}.args())
		r.now += 1000
		next := ask{hold: "b1", owner: "b", channel: heardChannel}
		r.compare(&releaseScript, r.w.release, r.keys, give{hold: "a1", token: r.token(), floor: floor, next: &next, keep: r.number(0, 0, 20_000)}.args())
	}
}

// disturb makes of the keys what others may, or time.
func (r *shortRun) disturb() {
	lock, fence, queue, waiters, tombstones := r.keys[0], r.keys[1], r.keys[2], r.keys[3], r.keys[4]
	hold := r.hold()
	end := r.now/1000 + r.number(-5_000, 0, 1, 5_000)
	key := r.of(r.keys...)
	switch r.rnd.IntN(18) {
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
		r.do("set", fence, r.oddFence())
		if r.rnd.IntN(2) == 0 {
			r.do("pexpire", fence, 77_000)
		}
	case 6:
		r.do("hdel", lock, r.of("token", "hold:"+hold))
	case 7:
		r.do("hset", lock, "hold:"+r.of(r.holder(), r.owner()+"1"), r.of(strconv.FormatInt(end, 10), "x"))
	case 8:
		if r.rnd.IntN(2) == 0 {
			r.do("hdel", lock, "hold:"+r.holder())
		}
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
	case 15, 16:
		r.do("hset", lock, "hold:"+r.holder(), r.now/1000-r.number(0, 1))
	case 17:
		r.do("pexpire", key, 500_000)
	}
}

func (r *shortRun) hold() string { return r.of("a1", "a2", "b1", "c1", "d1", "e1", "f1") }

func (r *shortRun) ask(wait bool) ask {
	hold := r.hold()
	a := ask{
		hold: hold, owner: hold[:1], ttl: r.number(30_000, 60_000, 60_000, 5_000), life: r.number(lives...),
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
		if g.next = &next; r.rnd.IntN(4) == 0 {
			g.keep, g.lease = 20_000, g.token
		}
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
		fence, _ := strconv.ParseInt(fmt.Sprint(r.do("get", r.keys[1])), 10, 64)
		proposed := r.number(0, r.token(), fence, fence+1, r.now-1, r.now, r.now+1, r.now+5_000_000, r.now+hourUS, r.now+hourUS+1)
		r.compare(&voteScript, r.w.vote, r.keys, append([]any{proposed, r.number(0, 0, 0, 1, 2), testRetention, ""}, args...))
	}
}
