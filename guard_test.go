package relock

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/redistest"
)

// onBoth runs check on miniredis and on a real server.
func onBoth(t *testing.T, check func(t *testing.T, rdb *redis.Client)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		_, rdb := redistest.Embedded(t)
		check(t, rdb)
	})
	t.Run("redis-server", func(t *testing.T) { check(t, redistest.StartT(t).Client()) })
}

// tokensFromNow makes sequencers whose tokens are as a lock would issue them
// now: n apart from the clock.
func tokensFromNow() func(n int64, o Owner) Sequencer {
	base := time.Now().UnixMicro()
	return func(n int64, o Owner) Sequencer { return Sequencer{Name: "a", Token: Token(base + n), Owner: o} }
}

// guardedWrites are all ways through a Guard; each leaves the mark in the hash
// or the string that it writes.
var guardedWrites = []struct {
	name  string
	write func(g *Guard, key string, s Sequencer, mark string) error
	// want is what the key holds after the mark was written over "old".
	want func(mark string) string
}{
	{
		"Claim", func(g *Guard, key string, s Sequencer, _ string) error { return g.Claim(bg, key, s) },
		func(string) string { return "old" },
	},
	{
		"Set", func(g *Guard, key string, s Sequencer, mark string) error { return g.Set(bg, key, s, mark, 0) },
		func(mark string) string { return mark },
	},
	{
		"HSet", func(g *Guard, key string, s Sequencer, mark string) error { return g.HSet(bg, key, s, "f", mark) },
		func(mark string) string { return mark },
	},
	{
		"Del", func(g *Guard, key string, s Sequencer, _ string) error { return g.Del(bg, key, s) },
		func(string) string { return "" },
	},
	{"Eval", func(g *Guard, key string, s Sequencer, mark string) error {
		_, err := g.Eval(bg, key, s, "return redis.call('SET', KEYS[1], ARGV[1])", nil, mark)
		return err
	}, func(mark string) string { return mark }},
}

// content is what a key holds, as a string or as a hash's only field.
func content(t *testing.T, rdb *redis.Client, key string) string {
	t.Helper()
	kind, err := rdb.Type(bg, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "none":
		return ""
	case "hash":
		return rdb.HGet(bg, key, "f").Val()
	}
	return rdb.Get(bg, key).Val()
}

func TestGuardRefusesWhoWasOvertaken(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := NewGuard(rdb), tokensFromNow()
		for _, w := range guardedWrites {
			for _, tc := range []struct {
				name    string
				s       Sequencer
				refused bool
			}{
				{"a greater token", at(11, "other"), false},
				{"the same token and owner", at(10, "owner"), false},
				{"a smaller token", at(9, "owner"), true},
				{"the same token and another owner", at(10, "other"), true},
				{"no token", Sequencer{Name: "a", Owner: "owner"}, true},
			} {
				t.Run(w.name+" with "+tc.name, func(t *testing.T) {
					key := "data:" + w.name + tc.name
					if w.name == "HSet" {
						rdb.HSet(bg, key, "f", "old")
					} else {
						rdb.Set(bg, key, "old", 0)
					}
					if err := g.Claim(bg, key, at(10, "owner")); err != nil {
						t.Fatal(err)
					}
					err, want := w.write(g, key, tc.s, "new"), w.want("new")
					if tc.refused {
						want = "old"
					}
					if errors.Is(err, ErrStaleToken) != tc.refused || err != nil && !tc.refused {
						t.Errorf("got error %v, want refusal: %v", err, tc.refused)
					}
					if got := content(t, rdb, key); got != want {
						t.Errorf("the data are %q, want %q", got, want)
					}
					// Whoever was accepted is the last one seen, and one refused is not.
					if err := g.Claim(bg, key, at(10, "owner")); (err == nil) == (tc.s.Token > at(10, "").Token) {
						t.Errorf("the earlier holder's Claim afterwards says %v", err)
					}
				})
			}
		}
	})
}

func TestTheFenceOutlivesTheData(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := NewGuard(rdb), tokensFromNow()
		if err := g.Set(bg, "expires", at(2, "b"), "b", 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the data expire", func() bool { return content(t, rdb, "expires") == "" })
		if err := g.Set(bg, "deleted", at(1, "a"), "a", 0); err != nil {
			t.Fatal(err)
		}
		if err := g.Del(bg, "deleted", at(2, "b")); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"expires", "deleted"} {
			if err := g.Set(bg, key, at(1, "a"), "a", 0); !errors.Is(err, ErrStaleToken) {
				t.Errorf("%s: an earlier holder's Set says %v, want ErrStaleToken", key, err)
			}
			if got := content(t, rdb, key); got != "" {
				t.Errorf("%s: it wrote %q", key, got)
			}
			if err := g.Set(bg, key, at(2, "b"), "b", 0); err != nil {
				t.Errorf("%s: the last holder's Set says %v", key, err)
			}
		}
	})
}

func TestWhereNothingIsRememberedAnOldTokenIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := NewGuard(rdb, WithFenceRetention(time.Minute)), tokensFromNow()
		if err := g.Set(bg, "a", at(-90e6, "old"), "x", 0); !errors.Is(err, ErrStaleToken) {
			t.Errorf("a token of 90s ago: got %v, want ErrStaleToken", err)
		}
		if got := content(t, rdb, "a"); got != "" {
			t.Errorf("it wrote %q", got)
		}
		if err := g.Set(bg, "a", at(-30e6, "young"), "x", 0); err != nil {
			t.Errorf("a token of 30s ago: got %v", err)
		}
		// The default retention is a week.
		if err := NewGuard(rdb).Set(bg, "b", at(-90e6, "old"), "x", 0); err != nil {
			t.Errorf("with the default retention a token of 90s ago: got %v", err)
		}
		ttl, err := rdb.PTTL(bg, keyOf(DefaultPrefix, kindGuard, "b")).Result()
		if err != nil || ttl > DefaultGuardRetention || ttl < DefaultGuardRetention-time.Minute {
			t.Errorf("the fence lives for %v, %v; want %v", ttl, err, DefaultGuardRetention)
		}
	})
}

func TestGuardSetHonoursItsTTL(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := NewGuard(rdb), tokensFromNow()
		for _, tc := range []struct {
			ttl, atLeast, atMost time.Duration
		}{
			{time.Hour, time.Hour - time.Minute, time.Hour},
			{redis.KeepTTL, time.Hour - time.Minute, time.Hour},
			{0, -1, -1},
		} {
			if err := g.Set(bg, "a", at(1, "a"), "x", tc.ttl); err != nil {
				t.Fatal(err)
			}
			if got := rdb.PTTL(bg, "a").Val(); got < tc.atLeast || got > tc.atMost {
				t.Errorf("Set with ttl %v: the data live for %v", tc.ttl, got)
			}
		}
	})
}

func TestEvalIsTheCallersScript(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := NewGuard(rdb), tokensFromNow()
		eval := func(source string, keys []string, args ...any) (any, error) {
			return g.Eval(bg, "{a}data", at(1, "a"), source, keys, args...)
		}
		t.Run("sees its own keys and arguments only", func(t *testing.T) {
			for range 2 { // loaded, and by its name
				got, err := eval("return {#KEYS, KEYS[1], KEYS[2], #ARGV, ARGV[1], ARGV[2]}", []string{"{a}more"}, "x", 7)
				want := []any{int64(2), "{a}data", "{a}more", int64(2), "x", "7"}
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("got %v, %v; want %v", got, err, want)
				}
			}
			got, err := eval("return {#KEYS, #ARGV}", nil)
			if want := []any{int64(1), int64(0)}; err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
		t.Run("returns nil as redis.Nil", func(t *testing.T) {
			for _, source := range []string{"return nil", "return false", "return redis.call('GET', 'absent{a}')", "local x = 1"} {
				if got, err := eval(source, nil); got != nil || !errors.Is(err, redis.Nil) {
					t.Errorf("%s: got %v, %v; want redis.Nil", source, got, err)
				}
			}
		})
		t.Run("may end in a comment, and have functions and names of its own", func(t *testing.T) {
			got, err := eval("local fence, token = 1, 2\nlocal function write() return fence + token end\nreturn write() -- done", nil)
			if err != nil || got != int64(3) {
				t.Errorf("got %v, %v; want 3", got, err)
			}
		})
		t.Run("has its errors come through", func(t *testing.T) {
			for _, source := range []string{
				"return redis.error_reply('CUSTOM no')", "return {err = 'CUSTOM no'}",
				"return redis.pcall('HGET', 'no hash', 'too', 'many', 'CUSTOM')", "return redis.call('NOSUCH')",
			} {
				var said redis.Error
				if got, err := eval(source, nil); !errors.As(err, &said) || got != nil {
					t.Errorf("%s: got %v, %v; want what Redis said", source, got, err)
				}
			}
			if _, err := eval("return redis.error_reply('CUSTOM no')", nil); !redis.HasErrorPrefix(err, "CUSTOM") {
				t.Errorf("got %v, want the script's own error", err)
			}
			if _, err := eval("this is no Lua", nil); err == nil {
				t.Error("a script that does not compile has no error")
			}
		})
	})
}

func TestGuardRefusesWhatCannotBeUsed(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	g, at := NewGuard(rdb), tokensFromNow()
	s := at(1, "a")
	done, cancel := context.WithCancel(bg)
	cancel()
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for _, tc := range []struct {
		name string
		got  error
		want error
	}{
		{"a nil client", NewGuard(nil).Claim(bg, "k", s), ErrInvalid},
		{"a typed nil", NewGuard((*redis.Client)(nil)).Claim(bg, "k", s), ErrInvalid},
		{"a Ring", NewGuard(ring).Claim(bg, "k", s), ErrInvalid},
		{"a nil option", NewGuard(rdb, nil).Claim(bg, "k", s), ErrInvalid},
		{"a bad prefix", NewGuard(rdb, WithPrefix("{}")).Claim(bg, "k", s), ErrInvalid},
		{"a short retention", NewGuard(rdb, WithFenceRetention(time.Millisecond)).Claim(bg, "k", s), ErrInvalid},
		{"an empty key", g.Claim(bg, "", s), ErrInvalid},
		{"a zero Sequencer", g.Claim(bg, "k", Sequencer{}), ErrInvalid},
		{"a zero Sequencer, which is stale too", g.Claim(bg, "k", Sequencer{}), ErrStaleToken},
		{"no owner", g.Claim(bg, "k", at(1, "")), ErrInvalid},
		{"a negative ttl", g.Set(bg, "k", s, "x", -time.Second), ErrInvalid},
		{"no fields", g.HSet(bg, "k", s), ErrInvalid},
		{"a field without a value", g.HSet(bg, "k", s, "f"), ErrInvalid},
		{"a context that is done", g.Set(done, "k", s, "x", 0), context.Canceled},
	} {
		if !errors.Is(tc.got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	if keys := rdb.Keys(bg, "*").Val(); len(keys) > 0 {
		t.Errorf("written nevertheless: %q", keys)
	}
}

// The negative twin: a holder that does not claim before it reads loses an
// update that an overtaken one wrote in between. With Claim it does not.
func TestAClaimBeforeTheReadSavesTheUpdate(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		for _, claims := range []bool{false, true} {
			t.Run(fmt.Sprintf("with Claim: %v", claims), func(t *testing.T) {
				g, m := NewGuard(rdb), clientOn(t, rdb).Mutex("m")
				key := fmt.Sprintf("counter:%v", claims)
				acknowledged := 0
				read := func(l *Lease) int {
					if claims {
						if err := g.Claim(bg, key, l.Sequencer()); err != nil {
							t.Fatal(err)
						}
					}
					n, _ := rdb.Get(bg, key).Int()
					return n
				}
				write := func(l *Lease, n int) {
					if err := g.Set(bg, key, l.Sequencer(), n+1, 0); err == nil {
						acknowledged++
					} else if !errors.Is(err, ErrStaleToken) {
						t.Fatal(err)
					}
				}
				first := lockOf(t, m)
				a := read(first)
				if freed, err := m.ForceUnlock(bg); !freed || err != nil {
					t.Fatalf("ForceUnlock: %v, %v", freed, err)
				}
				// The holder that does not know yet waits locally: another client takes over.
				second := lockOf(t, clientOn(t, rdb).Mutex("m"))
				b := read(second)
				write(first, a)
				write(second, b)
				got, _ := rdb.Get(bg, key).Int()
				if lost := acknowledged - got; (lost != 0) == claims {
					t.Errorf("%d updates acknowledged, %d in the data", acknowledged, got)
				}
				unlock(t, second)
				_ = first.Unlock(bg)
			})
		}
	})
}

func TestARefusalSaysWhoWasThere(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := NewGuard(rdb), tokensFromNow()
		if err := g.Claim(bg, "k", at(2, "later")); err != nil {
			t.Fatal(err)
		}
		err := g.Claim(bg, "k", at(1, "earlier"))
		for _, part := range []string{at(1, "").Token.String(), at(2, "").Token.String(), "earlier", "later", `"k"`} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("the refusal %q does not name %s", err, part)
			}
		}
	})
}
