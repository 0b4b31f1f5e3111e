package relock_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redisengine"
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

// guardedWrites are all ways through a Guard; each leaves the mark in the hash
// or the string that it writes.
var guardedWrites = []struct {
	name  string
	write func(g *relock.Guard, key string, s relock.Sequencer, mark string) error
	// want is what the key holds after the mark was written over "old".
	want func(mark string) string
}{
	{
		"Claim", func(g *relock.Guard, key string, s relock.Sequencer, _ string) error {
			return g.Claim(behaviour.Bg, key, s)
		},
		func(string) string { return "old" },
	},
	{
		"Set", func(g *relock.Guard, key string, s relock.Sequencer, mark string) error {
			return g.Set(behaviour.Bg, key, s, mark, 0)
		},
		func(mark string) string { return mark },
	},
	{
		"HSet", func(g *relock.Guard, key string, s relock.Sequencer, mark string) error {
			return g.HSet(behaviour.Bg, key, s, "f", mark)
		},
		func(mark string) string { return mark },
	},
	{
		"Del", func(g *relock.Guard, key string, s relock.Sequencer, _ string) error {
			return g.Del(behaviour.Bg, key, s)
		},
		func(string) string { return "" },
	},
	{"Eval", func(g *relock.Guard, key string, s relock.Sequencer, mark string) error {
		_, err := g.Eval(behaviour.Bg, key, s, "return redis.call('SET', KEYS[1], ARGV[1])", nil, mark)
		return err
	}, func(mark string) string { return mark }},
}

// content is what a key holds, as a string or as a hash's only field.
func content(t *testing.T, rdb *redis.Client, key string) string {
	t.Helper()
	kind, err := rdb.Type(behaviour.Bg, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "none":
		return ""
	case "hash":
		return rdb.HGet(behaviour.Bg, key, "f").Val()
	}
	return rdb.Get(behaviour.Bg, key).Val()
}

func TestGuardRefusesWhoWasOvertaken(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
		for _, w := range guardedWrites {
			for _, tc := range []struct {
				name    string
				s       relock.Sequencer
				refused bool
			}{
				{"a greater token", at(11, "other"), false},
				{"the same token and owner", at(10, "owner"), false},
				{"a smaller token", at(9, "owner"), true},
				{"the same token and another owner", at(10, "other"), true},
				{"no token", relock.Sequencer{Name: "a", Owner: "owner"}, true},
			} {
				t.Run(w.name+" with "+tc.name, func(t *testing.T) {
					key := "data:" + w.name + tc.name
					if w.name == "HSet" {
						rdb.HSet(behaviour.Bg, key, "f", "old")
					} else {
						rdb.Set(behaviour.Bg, key, "old", 0)
					}
					if err := g.Claim(behaviour.Bg, key, at(10, "owner")); err != nil {
						t.Fatal(err)
					}
					err, want := w.write(g, key, tc.s, "new"), w.want("new")
					if tc.refused {
						want = "old"
					}
					if errors.Is(err, relock.ErrStaleToken) != tc.refused || err != nil && !tc.refused {
						t.Errorf("got error %v, want refusal: %v", err, tc.refused)
					}
					if got := content(t, rdb, key); got != want {
						t.Errorf("the data are %q, want %q", got, want)
					}
					// Whoever was accepted is the last one seen, and one refused is not.
					if err := g.Claim(behaviour.Bg, key, at(10, "owner")); (err == nil) == (tc.s.Token > at(10, "").Token) {
						t.Errorf("the earlier holder's Claim afterwards says %v", err)
					}
				})
			}
		}
	})
}

func TestTheFenceOutlivesTheData(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
		if err := g.Set(behaviour.Bg, "expires", at(2, "b"), "b", 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		behaviour.Eventually(t, "the data expire", func() bool { return content(t, rdb, "expires") == "" })
		if err := g.Set(behaviour.Bg, "deleted", at(1, "a"), "a", 0); err != nil {
			t.Fatal(err)
		}
		if err := g.Del(behaviour.Bg, "deleted", at(2, "b")); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"expires", "deleted"} {
			if err := g.Set(behaviour.Bg, key, at(1, "a"), "a", 0); !errors.Is(err, relock.ErrStaleToken) {
				t.Errorf("%s: an earlier holder's Set says %v, want ErrStaleToken", key, err)
			}
			if got := content(t, rdb, key); got != "" {
				t.Errorf("%s: it wrote %q", key, got)
			}
			if err := g.Set(behaviour.Bg, key, at(2, "b"), "b", 0); err != nil {
				t.Errorf("%s: the last holder's Set says %v", key, err)
			}
		}
	})
}

func TestWhereNothingIsRememberedAnOldTokenIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := relock.NewGuard(rdb, relock.WithFenceRetention(time.Minute)), behaviour.TokensFromNow()
		if err := g.Set(behaviour.Bg, "a", at(-90e6, "old"), "x", 0); !errors.Is(err, relock.ErrStaleToken) {
			t.Errorf("a token of 90s ago: got %v, want ErrStaleToken", err)
		}
		if got := content(t, rdb, "a"); got != "" {
			t.Errorf("it wrote %q", got)
		}
		if err := g.Set(behaviour.Bg, "a", at(-30e6, "young"), "x", 0); err != nil {
			t.Errorf("a token of 30s ago: got %v", err)
		}
		// The default retention is a week.
		if err := relock.NewGuard(rdb).Set(behaviour.Bg, "b", at(-90e6, "old"), "x", 0); err != nil {
			t.Errorf("with the default retention a token of 90s ago: got %v", err)
		}
		ttl, err := rdb.PTTL(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindGuard, "b")).Result()
		if err != nil || ttl > relock.DefaultGuardRetention || ttl < relock.DefaultGuardRetention-time.Minute {
			t.Errorf("the fence lives for %v, %v; want %v", ttl, err, relock.DefaultGuardRetention)
		}
	})
}

func TestATokenFromTheFutureIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
		for _, w := range guardedWrites {
			err := w.write(g, "a", at((time.Hour+time.Minute).Microseconds(), "forger"), "x")
			if !errors.Is(err, relock.ErrInvalid) || errors.Is(err, relock.ErrStaleToken) {
				t.Errorf("%s with a token of 61 minutes ahead: got %v, want ErrInvalid", w.name, err)
			}
		}
		if keys := rdb.Keys(behaviour.Bg, "*").Val(); len(keys) > 0 {
			t.Errorf("it wrote %q", keys)
		}
		if err := g.Claim(behaviour.Bg, "a", at(0, "a")); err != nil {
			t.Errorf("the next holder: %v", err)
		}
	})
}

func TestGuardSetHonoursItsTTL(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
		for _, tc := range []struct {
			ttl, atLeast, atMost time.Duration
		}{
			{time.Hour, time.Hour - time.Minute, time.Hour},
			{redis.KeepTTL, time.Hour - time.Minute, time.Hour},
			{0, -1, -1},
		} {
			if err := g.Set(behaviour.Bg, "a", at(1, "a"), "x", tc.ttl); err != nil {
				t.Fatal(err)
			}
			if got := rdb.PTTL(behaviour.Bg, "a").Val(); got < tc.atLeast || got > tc.atMost {
				t.Errorf("Set with ttl %v: the data live for %v", tc.ttl, got)
			}
		}
	})
}

func TestEvalIsTheCallersScript(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
		eval := func(source string, keys []string, args ...any) (any, error) {
			return g.Eval(behaviour.Bg, "{a}data", at(1, "a"), source, keys, args...)
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
	g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
	s := at(1, "a")
	done, cancel := context.WithCancel(behaviour.Bg)
	cancel()
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for _, tc := range []struct {
		name string
		got  error
		want error
	}{
		{"a nil client", relock.NewGuard(nil).Claim(behaviour.Bg, "k", s), relock.ErrInvalid},
		{"a typed nil", relock.NewGuard((*redis.Client)(nil)).Claim(behaviour.Bg, "k", s), relock.ErrInvalid},
		{"a Ring", relock.NewGuard(ring).Claim(behaviour.Bg, "k", s), relock.ErrInvalid},
		{"a nil option", relock.NewGuard(rdb, nil).Claim(behaviour.Bg, "k", s), relock.ErrInvalid},
		{"a bad prefix", relock.NewGuard(rdb, relock.WithPrefix("{}")).Claim(behaviour.Bg, "k", s), relock.ErrInvalid},
		{"a short retention", relock.NewGuard(rdb, relock.WithFenceRetention(time.Millisecond)).Claim(behaviour.Bg, "k", s), relock.ErrInvalid},
		{"an empty key", g.Claim(behaviour.Bg, "", s), relock.ErrInvalid},
		{"a zero Sequencer", g.Claim(behaviour.Bg, "k", relock.Sequencer{}), relock.ErrInvalid},
		{"a zero Sequencer, which is stale too", g.Claim(behaviour.Bg, "k", relock.Sequencer{}), relock.ErrStaleToken},
		{"a long owner", g.Claim(behaviour.Bg, "k", at(1, relock.Owner(strings.Repeat("x", relock.MaxOwner+1)))), relock.ErrInvalid},
		{"no owner", g.Claim(behaviour.Bg, "k", at(1, "")), relock.ErrInvalid},
		{"a negative ttl", g.Set(behaviour.Bg, "k", s, "x", -time.Second), relock.ErrInvalid},
		{"no fields", g.HSet(behaviour.Bg, "k", s), relock.ErrInvalid},
		{"a field without a value", g.HSet(behaviour.Bg, "k", s, "f"), relock.ErrInvalid},
		{"a context that is done", g.Set(done, "k", s, "x", 0), context.Canceled},
	} {
		if !errors.Is(tc.got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	if keys := rdb.Keys(behaviour.Bg, "*").Val(); len(keys) > 0 {
		t.Errorf("written nevertheless: %q", keys)
	}
}

// The negative twin: a holder that does not claim before it reads loses an
// update that an overtaken one wrote in between. With Claim it does not.
func TestAClaimBeforeTheReadSavesTheUpdate(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		for _, claims := range []bool{false, true} {
			t.Run(fmt.Sprintf("with Claim: %v", claims), func(t *testing.T) {
				g, m := relock.NewGuard(rdb), behaviour.ClientOn(t, rdb).Mutex("m")
				key := fmt.Sprintf("counter:%v", claims)
				acknowledged := 0
				read := func(l *relock.Lease) int {
					if claims {
						if err := g.Claim(behaviour.Bg, key, l.Sequencer()); err != nil {
							t.Fatal(err)
						}
					}
					n, _ := rdb.Get(behaviour.Bg, key).Int()
					return n
				}
				write := func(l *relock.Lease, n int) {
					if err := g.Set(behaviour.Bg, key, l.Sequencer(), n+1, 0); err == nil {
						acknowledged++
					} else if !errors.Is(err, relock.ErrStaleToken) {
						t.Fatal(err)
					}
				}
				first := behaviour.LockOf(t, m)
				a := read(first)
				if freed, err := m.ForceUnlock(behaviour.Bg); !freed || err != nil {
					t.Fatalf("ForceUnlock: %v, %v", freed, err)
				}
				// The holder that does not know yet waits locally: another client takes over.
				second := behaviour.LockOf(t, behaviour.ClientOn(t, rdb).Mutex("m"))
				b := read(second)
				write(first, a)
				write(second, b)
				got, _ := rdb.Get(behaviour.Bg, key).Int()
				if lost := acknowledged - got; (lost != 0) == claims {
					t.Errorf("%d updates acknowledged, %d in the data", acknowledged, got)
				}
				behaviour.Unlock(t, second)
				_ = first.Unlock(behaviour.Bg)
			})
		}
	})
}

func TestARefusalSaysWhoWasThere(t *testing.T) {
	onBoth(t, func(t *testing.T, rdb *redis.Client) {
		g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
		if err := g.Claim(behaviour.Bg, "k", at(2, "later")); err != nil {
			t.Fatal(err)
		}
		err := g.Claim(behaviour.Bg, "k", at(1, "earlier"))
		for _, part := range []string{at(1, "").Token.String(), at(2, "").Token.String(), "earlier", "later", `"k"`} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("the refusal %q does not name %s", err, part)
			}
		}
	})
}

func TestAGuardsFenceIsInTheSlotOfItsKey(t *testing.T) {
	s := redistest.StartT(t, redistest.WithArgs("--cluster-enabled", "yes"))
	rdb := s.Client()
	slot := func(k string) int64 {
		n, err := rdb.ClusterKeySlot(behaviour.Bg, k).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, key := range []string{"plain", "50%off", "a{b"} {
		if a, b := slot(key), slot(redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindGuard, key)); a != b {
			t.Errorf("%q is in slot %d, its fence in %d", key, a, b)
		}
	}
}

// A guarded write whose reply is lost may have happened; it does not happen
// again.
func TestAGuardedWriteIsNotSentTwice(t *testing.T) {
	m, direct := redistest.Embedded(t)
	p, err := faultproxy.New(m.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	g, at := relock.NewGuard(rdb), behaviour.TokensFromNow()
	const increment = "return redis.call('INCR', KEYS[1])"
	if _, err := g.Eval(behaviour.Bg, "a", at(1, "a"), increment, nil); err != nil {
		t.Fatal(err)
	}
	p.DropReply(faultproxy.Command("evalsha"), 1, faultproxy.Close)
	if _, err := g.Eval(behaviour.Bg, "a", at(1, "a"), increment, nil); !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("got %v where no answer came", err)
	}
	if got := content(t, direct, "a"); got != "2" {
		t.Errorf("two writes have counted to %s", got)
	}
}
