package redisengine

import (
	"context"
	"errors"
	"fmt"
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
// same. Both take the clock and the
// subscribers from keys, and push their messages to lists.

const (
	shortSequences = 120
	shortSteps     = 16
	soon           = 3_000 // ms: no step takes so long
)

func TestShortWays(t *testing.T) {
	for _, on := range []struct {
		name     string
		embedded bool
	}{{"embedded", true}, {"redis-server", false}} {
		t.Run(on.name, func(t *testing.T) {
			w := newShortWorld(t, on.embedded, asItIs)
			if raceEnabled {
				w.sequences(shortSequences / 10) // one goroutine: that takes long, and finds no race
				return
			}
			w.sequences(shortSequences)
			if w.fresh < shortSequences/2 || w.released < shortSequences/2 || w.handed < shortSequences/8 || w.next == 0 {
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

// Every server that runs the long ways runs the short ones.
func TestScriptsNeedNoNewCommand(t *testing.T) {
	called := regexp.MustCompile(`call\('([A-Z]+)'([^)]*)`)
	old := strings.Fields("DEL EXISTS GET HDEL HEXISTS HGET HGETALL HLEN HMGET HSET HSETNX PEXPIRE PTTL PUBLISH PUBSUB SET TIME " +
		"ZADD ZCARD ZRANGE ZRANK ZREM ZREMRANGEBYSCORE ZSCORE")
	for _, sc := range []*Script{&acquireScript, &releaseScript, &renewScript, &forceScript, &statusScript, &allScript, &voteScript, &enrolScript, &inspectScript} {
		for _, call := range called.FindAllStringSubmatch(sc.source, -1) {
			if !slices.Contains(old, call[1]) || call[1] == "SET" && strings.Contains(call[2], "'GET'") {
				t.Errorf("got %s%s, which servers below 6.2 may not know", call[1], call[2])
			}
		}
	}
}

var shortPart = regexp.MustCompile(`(?s)-- short \{\n.*?-- short \}\n`)

func asItIs(source string) string { return source }

// as32Bits has %d print no more than 32 bits do.
func as32Bits(source string) string {
	return strings.ReplaceAll(source, "string.format",
		"(function(form, n) return string.format(form, form == '%d' and math.max(-2147483648, math.min(2147483647, n)) or n) end)")
}

// longWay is what is left of a script without its short ways.
func longWay(sc *Script) *Script {
	long := newScript(shortPart.ReplaceAllString(sc.source, ""))
	return &long
}

// A twin is a script, and what is left of it without its short ways.
type twin struct{ both, long Script }

func twinOf(sc *Script, with func(string) string) twin {
	both := newScript(with(strings.NewReplacer(
		"call('TIME')", "call('MGET', 'clock:s', 'clock:us')",
		"'PUBLISH'", "'RPUSH'",
		"'PUBSUB', 'NUMSUB',", "'HMGET', 'subscribers', 'any',",
	).Replace(sc.source)))
	return twin{both, *longWay(&both)}
}

type shortWorld struct {
	testing.TB
	rdb                           *redis.Client
	real                          bool
	acquire, release, vote, all   twin
	fresh, released, handed, next int // how often a short way was seen
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
	return w
}

func (w *shortWorld) sequences(n int) {
	for seed := range uint64(n) {
		w.sequence(w.TB, seed)
	}
	if shortPart.FindString(w.acquire.both.source) == "" || shortPart.MatchString(w.acquire.long.source) {
		w.Error("the scripts have no short ways, or the long ones have")
	}
	w.Logf("short ways: %d fresh grants, %d releases, %d to the first who waits, %d to a next", w.fresh, w.released, w.handed, w.next)
}

// lives are those of waiters, ms.
var lives = []int64{9_000, 20_000, 100_000}

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
	if r.rnd.IntN(2) == 0 {
		r.free()
	} else {
		r.scene()
	}
	for r.step = range shortSteps {
		if r.rnd.IntN(4) == 0 {
			r.pass()
		}
		if r.rnd.IntN(12) == 0 {
			r.disturb()
		}
		if r.rnd.IntN(6) == 0 {
			r.subscribe()
		}
		r.request()
	}
}

// compare runs the twins, each on its keys.
func (r *shortRun) compare(kind *Script, sc twin, keys []string, args []any) {
	ctx := context.Background()
	r.past = append(r.past, fmt.Sprint(r.step, " at ", r.now, " ", args))
	ended := r.hasEnded(kind, args)
	before := r.contents(r.keys)
	for i, key := range r.keys {
		// Time is the clock key's, and what would end meanwhile by the server's goes on.
		if before[i].ends(soon) {
			r.do("persist", key)
		}
	}
	for _, life := range lives {
		// Whether a check-in prolongs the queue is not to hang on a millisecond.
		if ms := before[2].ttl; ms <= life && ms > life-soon {
			r.do("pexpire", r.keys[2], life-soon)
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
	if r.rnd.IntN(6) == 0 && r.w.real {
		r.do("config", "set", "maxmemory", "1mb") // it has more
		defer r.do("config", "set", "maxmemory", "0")
	}
	got, gotNumber := r.run(kind, &sc.both, keys, args)
	gotKeys := r.contents(r.keys)
	want, _ := r.run(kind, &sc.long, r.twins[:len(keys)], args)
	wantKeys := r.contents(r.twins)
	if kind == &releaseScript && gotNumber == replyReleased && len(want) > 0 {
		reply, is := want[0].([]any)
		if is && reply[0] == int64(replyReleased) {
			reply[1] = int64(0) // the holds left of whoever has the lock by now
		} else if is && ended && reply[0] == int64(replyGone) {
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
	r.count(kind, gotNumber, gotKeys[0].kind != "")
}

func (r *shortRun) count(kind *Script, number int64, held bool) {
	switch {
	case number == 0:
	case kind == &acquireScript:
		r.w.fresh++
	case kind == &releaseScript && number > replyReleased:
		r.w.next++
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
	kind string // empty: it is not there
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
	_, _ = r.w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			if all[i].ttl, _ = ttls[i].Int64(); all[i].ttl != -2 {
				all[i].kind = kinds[i].Val()
			}
			switch all[i].kind {
			case "string":
				all[i].has = p.Get(ctx, key)
			case "list":
				all[i].has = p.LRange(ctx, key, 0, -1)
			case "zset":
				all[i].has = p.ZRangeWithScores(ctx, key, 0, -1)
			case "hash":
				all[i].has = p.HGetAll(ctx, key)
			}
		}
		return nil
	})
	for i := range all {
		switch cmd := all[i].has.(type) {
		case *redis.StringCmd:
			all[i].has = cmd.Val()
		case *redis.StringSliceCmd:
			all[i].has = cmd.Val()
		case *redis.ZSliceCmd:
			all[i].has = cmd.Val()
		case *redis.MapStringStringCmd:
			all[i].has = cmd.Val()
		}
	}
	return all
}
