package redisengine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/redistest"
)

// The short ways of the scripts do what the long ones would. Random requests meet
// random keys: each is run by the script as it is and, on a copy of the keys, by
// what is left of it without its short ways. Keys, reply and messages must be the
// same. Both take the clock from a key, and push their messages to a list.

const (
	shortSequences = 160
	shortSteps     = 20
	soon           = 3_000 // ms: no step takes so long
)

func TestShortWays(t *testing.T) {
	for _, on := range []struct {
		name     string
		embedded bool
	}{{"embedded", true}, {"redis-server", false}} {
		t.Run(on.name, func(t *testing.T) {
			w := newShortWorld(t, on.embedded, asItIs)
			w.sequences(shortSequences)
			if w.fresh < shortSequences || w.released < shortSequences/2 || w.handed < shortSequences/8 {
				t.Error("want more of each")
			}
		})
	}
	t.Run("a server of 32 bits", func(t *testing.T) { newShortWorld(t, true, as32Bits).sequences(shortSequences / 4) })
}

// FuzzShortWays is the same for go test -fuzz, on the embedded server.
func FuzzShortWays(f *testing.F) {
	w := newShortWorld(f, true, asItIs)
	f.Fuzz(func(t *testing.T, seed uint64) { w.sequence(t, seed) })
}

var shortPart = regexp.MustCompile(`(?s)-- short \{\n.*?-- short \}\n`)

func asItIs(source string) string { return source }

// as32Bits has %d print no more than 32 bits do.
func as32Bits(source string) string {
	return strings.ReplaceAll(source, "string.format",
		"(function(form, n) return string.format(form, form == '%d' and math.max(-2147483648, math.min(2147483647, n)) or n) end)")
}

// A twin is a script, and what is left of it without its short ways.
type twin struct{ both, long Script }

func twinOf(sc *Script, with func(string) string) twin {
	source := with(strings.NewReplacer("call('TIME')", "call('MGET', 'clock:s', 'clock:us')", "'PUBLISH'", "'RPUSH'").Replace(sc.source))
	return twin{newScript(source), newScript(shortPart.ReplaceAllString(source, ""))}
}

type shortWorld struct {
	testing.TB
	rdb                         *redis.Client
	real                        bool
	sub                         *redis.PubSub
	acquire, release, vote, all twin
	fresh, released, handed     int // how often a short way was seen
}

func newShortWorld(tb testing.TB, embedded bool, with func(string) string) *shortWorld {
	w := &shortWorld{
		TB: tb, real: !embedded,
		acquire: twinOf(&acquireScript, with), release: twinOf(&releaseScript, with),
		vote: twinOf(&voteScript, with), all: twinOf(&allScript, with),
	}
	if embedded {
		_, w.rdb = redistest.Embedded(tb)
	} else {
		w.rdb = redistest.StartT(tb).Client()
	}
	w.sub = w.rdb.Subscribe(context.Background(), heardChannel)
	tb.Cleanup(func() { _ = w.sub.Close() })
	if _, err := w.sub.Receive(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w *shortWorld) sequences(n int) {
	for seed := range uint64(n) {
		w.sequence(w.TB, seed)
	}
	if shortPart.FindString(w.acquire.both.source) == "" || shortPart.MatchString(w.acquire.long.source) {
		w.Error("the scripts have no short ways, or the long ones have")
	}
	w.Logf("short ways: %d fresh grants, %d releases, %d of them with a grant", w.fresh, w.released, w.handed)
}

// A shortRun is one sequence.
type shortRun struct {
	testing.TB
	w     *shortWorld
	rnd   *rand.Rand
	now   int64 // us
	keys  []string
	twins []string // the copies
	seed  uint64
	step  int
	past  []string
}

func (w *shortWorld) sequence(tb testing.TB, seed uint64) {
	k, c := lockKeys("t", "short"), lockKeys("t", "long")
	r := &shortRun{
		TB: tb, w: w, rnd: rand.New(rand.NewPCG(seed, 1)), now: 1_790_000_000_000_000 + int64(seed%1000), keys: k[:], twins: c[:], seed: seed,
	}
	if err := w.rdb.FlushAll(context.Background()).Err(); err != nil {
		tb.Fatal(err)
	}
	for r.step = range shortSteps {
		if r.rnd.IntN(4) == 0 {
			r.pass()
		}
		if r.rnd.IntN(12) == 0 {
			r.disturb()
		}
		r.request()
	}
}

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
	case 4, 5, 6, 7:
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

// compare runs the twins, each on its keys.
func (r *shortRun) compare(kind *Script, sc twin, keys []string, args []any) {
	ctx := context.Background()
	r.past = append(r.past, fmt.Sprint(r.step, " at ", r.now, " ", args))
	ended := r.hasEnded(kind, args)
	for _, key := range r.keys {
		// Time is the clock key's, and what would end meanwhile by the server's goes on.
		if ms, _ := r.do("pttl", key).(int64); ms >= 0 && ms < soon {
			r.do("persist", key)
		}
	}
	begun := time.Now()
	_, _ = r.w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.MSet(ctx, "clock:s", r.now/1_000_000, "clock:us", r.now%1_000_000)
		p.Del(ctx, r.twins...)
		for i, key := range r.keys {
			p.Copy(ctx, key, r.twins[i], 0, false)
		}
		return nil
	})
	before := r.contents(r.keys)
	if r.rnd.IntN(6) == 0 && r.w.real {
		r.do("config", "set", "maxmemory", "1mb") // it has more
		defer r.do("config", "set", "maxmemory", "0")
	}
	got, gotNumber := r.run(kind, &sc.both, keys, args)
	gotKeys := r.contents(r.keys)
	want, _ := r.run(kind, &sc.long, r.twins[:len(keys)], args)
	wantKeys := r.contents(r.twins)
	if kind == &releaseScript && gotNumber == replyReleased && len(want) > 0 {
		reply := want[0].([]any)
		if reply[0] == int64(replyReleased) {
			reply[1] = int64(0) // the holds left of whoever has the lock by now
		} else if ended && reply[0] == int64(replyGone) {
			reply[0] = int64(replyReleased) // the short way asks no clock
		}
	}
	passed := time.Since(begun).Milliseconds() + 2
	if passed > soon {
		return // too slow to tell what ended from what never was
	}
	if !reflect.DeepEqual(got, want) || !slices.EqualFunc(gotKeys, wantKeys, func(a, b content) bool { return a.same(b, passed) }) {
		r.Fatalf("seed %d: after\n%s\nof the keys\n%s\nthe short way replied %v and left\n%s\nthe long one %v and\n%s",
			r.seed, strings.Join(r.past, "\n"), show(before), got, show(gotKeys), want, show(wantKeys))
	}
	r.count(kind, gotNumber, gotKeys[0].kind != "none")
}

func (r *shortRun) count(kind *Script, number int64, held bool) {
	switch {
	case number == 0:
	case kind == &acquireScript:
		r.w.fresh++
	case kind == &releaseScript && held:
		r.w.handed++
	case kind == &releaseScript:
		r.w.released++
	}
}

// hasEnded tells whether a release is of a hold that has.
func (r *shortRun) hasEnded(kind *Script, args []any) bool {
	if kind != &releaseScript {
		return false
	}
	end, err := r.w.rdb.HGet(context.Background(), r.keys[0], args[0].(string)).Result()
	n, _ := strconv.ParseInt(end, 10, 64)
	return err == nil && n <= r.now/1000
}

// run returns the reply with the messages, whatever the keys were called, and the
// number if the reply was one.
func (r *shortRun) run(kind, sc *Script, keys []string, args []any) (got []any, number int64) {
	ctx := context.Background()
	val, err := newCommand(sc, anys(keys), args...).process(ctx, r.w.rdb)
	if err != nil && !errors.Is(err, redis.Nil) {
		word, _, _ := strings.Cut(err.Error(), " ")
		got = append(got, "error "+word)
	}
	number, _ = val.(int64)
	got = append(got, spelled(kind, val, args))
	for _, channel := range []string{heardChannel, unheardChannel} {
		for _, message := range r.w.rdb.LRange(ctx, channel, 0, -1).Val() {
			got = append(got, channel, strings.Replace(message, r.twins[0], r.keys[0], 1))
		}
		r.do("del", channel)
	}
	return got, number
}

// content is what a key has.
type content struct {
	kind string
	has  any
	ttl  int64
}

func show(all []content) string {
	var b strings.Builder
	for i, c := range all {
		fmt.Fprintf(&b, "  %d %s %v, %d ms left\n", i+1, c.kind, c.has, c.ttl)
	}
	return b.String()
}

// same allows for what has passed since the first was written, in ms.
func (c content) same(with content, passed int64) bool {
	if c.ends(passed) || with.ends(passed) {
		return true // who reads it later may find it gone
	}
	late := c.ttl - with.ttl
	if c.ttl > 0 && with.ttl > 0 && late >= -passed && late <= passed {
		late = 0
	}
	return c.kind == with.kind && late == 0 && reflect.DeepEqual(c.has, with.has)
}

func (c content) ends(passed int64) bool { return c.ttl >= 0 && c.ttl <= passed }

func (r *shortRun) contents(keys []string) []content {
	ctx := context.Background()
	all := make([]content, len(keys))
	kinds, ttls := make([]*redis.StatusCmd, len(keys)), make([]*redis.Cmd, len(keys))
	_, _ = r.w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			kinds[i], ttls[i] = p.Type(ctx, key), p.Do(ctx, "pttl", key)
		}
		return nil
	})
	for i, key := range keys {
		all[i].kind = kinds[i].Val()
		all[i].ttl, _ = ttls[i].Int64()
		switch all[i].kind {
		case "string":
			all[i].has = r.do("get", key)
		case "list":
			all[i].has = r.do("lrange", key, 0, -1)
		case "zset":
			all[i].has = r.do("zrange", key, 0, -1, "withscores")
		case "hash":
			fields := r.w.rdb.HGetAll(ctx, key).Val()
			var sorted []string
			for _, f := range slices.Sorted(maps.Keys(fields)) {
				sorted = append(sorted, f+"="+fields[f])
			}
			all[i].has = sorted
		}
	}
	return all
}
