package redisengine

import (
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

const guardRetention = 600_000 // ms

// A guardTest drives guard.lua around writes to one key.
type guardTest struct {
	*scriptTest
	data string
}

func (g *guardTest) claim(token int64, owner string) []any {
	g.Helper()
	return g.write(ClaimScript, token, owner)
}

func (g *guardTest) write(sc *Script, token int64, owner string, args ...any) []any {
	g.Helper()
	return g.mustRun(sc, []string{g.data, g.fence}, append(args, token, owner, guardRetention)...)
}

func (g *guardTest) wantFence(token int64, owner string) {
	g.Helper()
	got := g.do("hmget", g.fence, "token", "owner").([]any)
	g.want(got, strconv.FormatInt(token, 10), owner)
	g.wantTTL(g.fence, guardRetention)
}

func TestGuardScript(t *testing.T) {
	type check func(g *guardTest, token int64)
	guarded := []struct {
		sentence string
		check    check
	}{
		{"the first holder is remembered, and its write done", func(g *guardTest, token int64) {
			g.want(g.write(SetScript, token, "a", "x"), 1, "OK")
			g.want([]any{g.do("get", g.data)}, "x")
			g.wantFence(token, "a")
		}},
		{"a claim remembers the holder without touching the data", func(g *guardTest, token int64) {
			g.want(g.claim(token, "a"), 1, 1)
			g.wantGone(g.data)
			g.wantFence(token, "a")
		}},
		{"the same holder writes again, and is remembered for longer", func(g *guardTest, token int64) {
			g.claim(token, "a")
			g.do("pexpire", g.fence, 1_000)
			g.want(g.write(SetScript, token, "a", "x"), 1, "OK")
			g.wantFence(token, "a")
		}},
		{"a later holder is let in", func(g *guardTest, token int64) {
			g.claim(token, "a")
			g.want(g.write(SetScript, token+1, "b", "x"), 1, "OK")
			g.wantFence(token+1, "b")
		}},
		{"an overtaken holder is refused, with the one that overtook it", func(g *guardTest, token int64) {
			g.write(SetScript, token, "a", "x")
			g.claim(token+1, "b")
			g.do("pexpire", g.fence, guardRetention/2)
			g.want(g.write(SetScript, token, "a", "y"), 0, token+1, "b")
			g.want(g.claim(token, "a"), 0, token+1, "b")
			g.want(g.write(DelScript, token, "a"), 0, token+1, "b")
			g.want([]any{g.do("get", g.data)}, "x")
			g.wantTTL(g.fence, guardRetention/2)
		}},
		{"another holder of the same token is refused", func(g *guardTest, token int64) {
			g.claim(token, "a")
			g.want(g.write(SetScript, token, "b", "x"), 0, token, "a")
			g.wantGone(g.data)
			g.wantFence(token, "a")
		}},
		{"a token older than the retention is refused where nothing is remembered", func(g *guardTest, _ int64) {
			now := g.clock()
			g.want(g.write(SetScript, now-guardRetention*1000-1, "a", "x"), 0, 0, "")
			g.wantGone(g.data, g.fence)
			g.want(g.write(SetScript, now-guardRetention*1000+60_000_000, "a", "x"), 1, "OK")
		}},
		{"a token older than the retention is let in where it is remembered", func(g *guardTest, token int64) {
			g.claim(token, "a")
			g.do("hset", g.fence, "token", 7)
			g.want(g.write(SetScript, 7, "a", "x"), 1, "OK")
		}},
		{"tokens are compared as numbers", func(g *guardTest, _ int64) {
			now := g.clock()
			g.do("hset", g.fence, "token", 999, "owner", "a")
			g.want(g.claim(now, "b"), 1, 1)
			g.want(g.claim(999, "a"), 0, now, "b")
			g.do("hset", g.fence, "token", maxToken, "owner", "c")
			g.want(g.claim(now, "d"), 0, maxToken, "c")
		}},
		{"a token more than an hour ahead of the clock is refused", func(g *guardTest, token int64) {
			const hour, minute = 3_600_000_000, 60_000_000
			g.want(g.write(SetScript, token+hour+minute, "a", "x"), 2)
			g.want(g.claim(maxToken, "a"), 2)
			g.wantGone(g.data, g.fence)
			g.want(g.claim(token, "a"), 1, 1)
			g.want(g.claim(token+hour+minute, "a"), 2)
			g.wantFence(token, "a")
			g.want(g.write(SetScript, token+hour-minute, "a", "x"), 1, "OK")
		}},
		{"a deletion leaves the memory", func(g *guardTest, token int64) {
			g.write(SetScript, token, "a", "x")
			g.want(g.write(DelScript, token, "a"), 1, 1)
			g.wantGone(g.data)
			g.want(g.write(SetScript, token-1, "z", "y"), 0, token, "a")
		}},
		{"the write sees its own keys and arguments only", func(g *guardTest, token int64) {
			sc := NewGuarded("return { #KEYS, KEYS[1], #ARGV, ARGV[1], ARGV[2], KEYS[2] == nil, ARGV[3] == nil }")
			got := g.write(sc, token, "a", "x", "y")
			g.want(got[:1], 1)
			g.want(got[1].([]any), 1, g.data, 2, "x", "y", 1, 1)
		}},
		{"a write that returns nothing has a reply", func(g *guardTest, token int64) {
			g.want(g.write(NewGuarded("return nil"), token, "a"), 1)
			g.want(g.write(NewGuarded("local x = 1"), token, "a"), 1)
		}},
		{"a write that fails leaves its holder remembered", func(g *guardTest, token int64) {
			g.do("rpush", g.data, "x")
			_, err := g.run(HsetScript, []string{g.data, g.fence}, "f", "v", token, "a", guardRetention)
			if err == nil {
				g.Error("HSET of a list succeeded")
			}
			g.wantFence(token, "a")
		}},
		{"a fence that is something else is left alone", func(g *guardTest, token int64) {
			g.do("set", g.fence, "x")
			_, err := g.run(SetScript, []string{g.data, g.fence}, "x", token, "a", guardRetention)
			if !redis.HasErrorPrefix(err, "WRONGTYPE") {
				g.Errorf("got error %v, want WRONGTYPE", err)
			}
			g.wantGone(g.data)
		}},
	}
	var cases []scriptCase
	for _, c := range guarded {
		cases = append(cases, scriptCase{c.sentence, func(s *scriptTest) {
			s.fence = KeyOf("t", KindGuard, s.name)
			c.check(&guardTest{s, "data-" + s.name}, s.clock())
		}})
	}
	runScriptCases(t, cases)
}
