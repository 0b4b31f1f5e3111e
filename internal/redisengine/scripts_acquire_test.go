package redisengine

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

func TestAcquireGrants(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"a free lock is granted", func(s *scriptTest) {
			got := s.acquire(ask{hold: "a1", owner: "a"})
			token := s.token()
			s.want(got, 1, token, 1, testTTL)
			s.wantLock("a", token, "a1")
			s.wantTTL(s.lock, testTTL)
			s.wantGone(s.queue, s.waiters, s.tombstones)
		}},
		{"a free lock is granted to one who would wait", func(s *scriptTest) {
			s.want(s.acquire(ask{hold: "a1", owner: "a", channel: "c"}), 1, anyToken{}, 1, testTTL)
			s.wantGone(s.queue, s.waiters)
		}},
		{"a free lock is granted beside the tombstone of another hold", func(s *scriptTest) {
			s.release(give{hold: "z1", tombstone: 60_000})
			token := s.grant(ask{hold: "a1", owner: "a", channel: "c"})
			s.wantLock("a", token, "a1")
			s.wantQueue()
			s.release(give{hold: "a1", token: token})
			s.grant(ask{hold: "b1", owner: "b"})
		}},
		{"the fence keeps the token for its retention", func(s *scriptTest) {
			s.wantFence(s.grant(ask{hold: "a1", owner: "a", retention: 77_000}))
			s.wantTTL(s.fence, 77_000)
		}},
		{"an owner of hostile text holds under that very text", func(s *scriptTest) {
			for _, owner := range []string{" ", "a b", "token", "hold:x", "line\nbreak", "n\x00l", "\xff\xfe", strings.Repeat("ö", 64)} {
				token := s.grant(ask{hold: "a1", owner: owner})
				s.wantLock(owner, token, "a1")
				s.want(s.status(), 1, 0, token, owner, 1, left(testTTL), age(0))
				s.wait(ask{hold: "b1", owner: owner + "b"})
				s.want(s.release(give{hold: "a1", token: token})[:1], 1)
				s.wantHolder(owner + "b")
				s.want(s.release(give{hold: "b1"})[:1], 1)
			}
		}},
		{"another's lock is reported, and nothing is written", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			before := s.contents()
			s.want(s.acquire(ask{hold: "b1", owner: "b"}), 3, token, "a", left(testTTL), age(0), 0)
			s.wantContents(before)
			s.wait(ask{hold: "c1", owner: "c"})
			s.want(s.acquire(ask{hold: "b1", owner: "b"}), 3, token, "a", left(testTTL), age(0), 1)
		}},
		{"it tells for how long the lock has been held", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.do("hset", s.lock, "since", s.clock()/1000-12_000)
			s.want(s.acquire(ask{hold: "b1", owner: "b"}), 3, token, "a", left(testTTL), age(12_000), 0)
		}},
	})
}

func TestAcquireMintsTokens(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"the first token is the server's clock", func(s *scriptTest) {
			from := s.clock()
			token := s.grant(ask{hold: "a1", owner: "a"})
			if to := s.clock(); token < from || token > to {
				s.Errorf("got token %d, want the clock between %d and %d", token, from, to)
			}
		}},
		{"each grant has a greater token", func(s *scriptTest) {
			var last int64
			for range 5 {
				token := s.grant(ask{hold: "a1", owner: "a"})
				if token <= last {
					s.Errorf("got token %d after %d", token, last)
				}
				last = token
				s.release(give{hold: "a1", token: token})
			}
		}},
		{"the token rises above a fence that is ahead of the clock", func(s *scriptTest) {
			fence := s.clock() + 5*hourUS
			s.do("set", s.fence, fence)
			if got, want := s.grant(ask{hold: "a1", owner: "a"}), fence+1; got != want {
				s.Errorf("got token %d, want %d", got, want)
			}
			s.wantFence(fence + 1)
			s.wantTTL(s.fence, testRetention)
		}},
		{"the token rises above what the client has seen", func(s *scriptTest) {
			floor := s.clock() + hourUS - 60_000_000
			if got, want := s.grant(ask{hold: "a1", owner: "a", floor: floor}), floor+1; got != want {
				s.Errorf("got token %d, want %d", got, want)
			}
		}},
		{"a mark of more than an hour ahead of the clock is not believed", func(s *scriptTest) {
			floor := s.clock() + hourUS + 60_000_000
			if got := s.grant(ask{hold: "a1", owner: "a", floor: floor}); got >= floor-hourUS {
				s.Errorf("got token %d, want one near the clock", got)
			}
		}},
		{"the last token is 2^53 - 1, without a rounded digit", func(s *scriptTest) {
			s.do("set", s.fence, maxToken-1)
			s.wantLock("a", s.grant(ask{hold: "a1", owner: "a"}), "a1")
			s.wantFence(maxToken)
		}},
		{"no token is minted at 2^53", func(s *scriptTest) {
			for _, fence := range []string{strconv.FormatInt(maxToken, 10), "9223372036854775807"} {
				s.do("set", s.fence, fence)
				s.wantErr("RELOCK", func() ([]any, error) {
					return s.run(&acquireScript, s.keys, ask{hold: "a1", owner: "a"}.args()...)
				})
				s.wantErr("RELOCK", func() ([]any, error) { // on the way that looks at tombstones
					s.do("zadd", s.tombstones, 1, "z1")
					defer s.do("del", s.tombstones)
					return s.run(&acquireScript, s.keys, ask{hold: "a1", owner: "a"}.args()...)
				})
			}
		}},
		{"a fence that is no number is left alone", func(s *scriptTest) {
			for _, fence := range []string{"garbage", "", "nan", "-inf", "1e300", "0x10", "1.5", "-3"} {
				s.do("del", s.lock)
				s.do("set", s.fence, fence)
				s.wantErr("WRONGTYPE", func() ([]any, error) {
					return s.run(&acquireScript, s.keys, ask{hold: "a1", owner: "a"}.args()...)
				})
			}
			s.do("del", s.lock, s.fence)
			s.do("rpush", s.fence, "x")
			s.wantErr("WRONGTYPE", func() ([]any, error) {
				return s.run(&acquireScript, s.keys, ask{hold: "a1", owner: "a"}.args()...)
			})
		}},
	})
}

// TIME does not pad its microseconds.
func TestTokensOfAClockOfFewMicroseconds(t *testing.T) {
	m, rdb := redistest.Embedded(t)
	now := time.Now().Truncate(time.Second).Add(42 * time.Microsecond)
	m.SetTime(now)
	for _, long := range []bool{false, true} {
		s := newScriptTest(t, rdb, 0, strconv.FormatBool(long))
		s.long = long
		if got, want := s.grant(ask{hold: "a1", owner: "a"}), now.UnixMicro(); got != want {
			t.Errorf("got token %d, want %d", got, want)
		}
		s.wantTTL(s.lock, testTTL)
	}
}

// Whatever stands in the place of the lock is not ours to touch.
func TestForeignKeys(t *testing.T) {
	runs := []struct {
		name string
		run  func(s *scriptTest) ([]any, error)
	}{
		{"acquire", func(s *scriptTest) ([]any, error) {
			return s.run(&acquireScript, s.keys, ask{hold: "a1", owner: "a"}.args()...)
		}},
		{"acquire as a waiter", func(s *scriptTest) ([]any, error) {
			return s.run(&acquireScript, s.keys, ask{hold: "a1", owner: "a", channel: "c"}.args()...)
		}},
		{"release", func(s *scriptTest) ([]any, error) {
			return s.run(&releaseScript, s.keys, give{hold: "a1", token: 7}.args()...)
		}},
		{"withdrawal", func(s *scriptTest) ([]any, error) {
			return s.run(&releaseScript, s.keys, give{hold: "a1", tombstone: 60_000}.args()...)
		}},
		{"one-key release", func(s *scriptTest) ([]any, error) {
			return s.run(&releaseScript, s.keys[:1], give{hold: "a1", token: 7}.args()...)
		}},
		{"renew", func(s *scriptTest) ([]any, error) { return s.run(&renewScript, s.keys[:1], "a1", 7, testTTL) }},
		{"force", func(s *scriptTest) ([]any, error) { return s.run(&forceScript, s.keys, 7, 0, testRetention) }},
		{"status", func(s *scriptTest) ([]any, error) { return s.run(&statusScript, s.keys) }},
	}
	foreign := []struct {
		name string
		put  func(s *scriptTest)
	}{
		{"text", func(s *scriptTest) { s.do("set", s.lock, "x") }},
		{"a list", func(s *scriptTest) { s.do("rpush", s.lock, "x") }},
		{"a stranger's hash", func(s *scriptTest) { s.do("hset", s.lock, "name", "x", "tokens", 7) }},
		{"a hash with a token only", func(s *scriptTest) { s.do("hset", s.lock, "token", 7) }},
		{"a hash with an owner only", func(s *scriptTest) { s.do("hset", s.lock, "owner:a", 1) }},
		{"a hash whose token is text", func(s *scriptTest) { s.do("hset", s.lock, "owner:a", 1, "token", "x") }},
	}
	var cases []scriptCase
	for _, f := range foreign {
		for _, r := range runs {
			cases = append(cases, scriptCase{r.name + " leaves " + f.name + " alone", func(s *scriptTest) {
				f.put(s)
				s.wantErr("WRONGTYPE", func() ([]any, error) {
					got, err := r.run(s)
					if !errors.Is(err, engine.ErrWrongType) {
						s.Errorf("got error %v, want engine.ErrWrongType", err)
					}
					return got, err
				})
				s.want([]any{s.do("pttl", s.lock)}, -1)
			}})
		}
	}
	runScriptCases(t, cases)
}

func TestAcquireReenters(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"a further hold of the owner has the same token", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.acquire(ask{hold: "a2", owner: "a"}), 1, token, 2, left(testTTL))
			s.want(s.acquire(ask{hold: "a3", owner: "a", channel: "c"}), 1, token, 3, left(testTTL))
			s.wantLock("a", token, "a1", "a2", "a3")
			s.wantFence(token)
			s.wantGone(s.queue, s.waiters)
		}},
		{"the same hold again repeats token and count, and renews", func(s *scriptTest) {
			for _, again := range []ask{{hold: "a1", owner: "a"}, {hold: "a1", owner: "a", channel: "c"}} {
				token := s.grant(ask{hold: "a1", owner: "a"})
				s.endIn("a1", 7_000)
				s.do("pexpire", s.lock, 7_000)
				s.want(s.acquire(again), 1, token, 1, left(testTTL))
				s.wantLock("a", token, "a1")
				s.wantTTL(s.lock, testTTL)
				s.want(s.status(), 1, 0, token, "a", 1, left(testTTL), age(0))
				s.want(s.release(give{hold: "a1", token: token})[:1], 1)
				s.wantGone(s.lock)
			}
		}},
		{"the same inner hold again counts once", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			for range 3 {
				s.want(s.acquire(ask{hold: "a2", owner: "a"}), 1, token, 2, left(testTTL))
			}
			s.wantLock("a", token, "a1", "a2")
		}},
		{"a shorter TTL never shortens the lock, nor the hold", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.acquire(ask{hold: "a2", owner: "a", ttl: 8_000}), 1, token, 2, left(8_000))
			s.wantTTL(s.lock, testTTL)
			s.want(s.acquire(ask{hold: "a1", owner: "a", ttl: 8_000}), 1, token, 2, left(testTTL))
			s.wantTTL(s.lock, testTTL)
		}},
		{"a longer TTL prolongs the lock", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.acquire(ask{hold: "a2", owner: "a", ttl: 90_000}), 1, token, 2, left(90_000))
			s.wantTTL(s.lock, 90_000)
		}},
		{"a hold that has ended does not count, and is dropped", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.endIn("a1", -1)
			s.want(s.acquire(ask{hold: "a3", owner: "a"}), 1, token, 2, left(testTTL))
			s.wantLock("a", token, "a2", "a3")
		}},
		{"a hold that has ended may come again while another of its owner lives", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.endIn("a1", -1)
			s.want(s.acquire(ask{hold: "a1", owner: "a"}), 1, token, 2, left(testTTL))
			s.wantLock("a", token, "a1", "a2")
		}},
		{"a lock whose holds have all ended is free, though its key was PERSISTed", func(s *scriptTest) {
			old := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			for _, hold := range []string{"a1", "a2"} {
				s.endIn(hold, -1)
			}
			s.do("persist", s.lock)
			token := s.grant(ask{hold: "b1", owner: "b"})
			if token <= old {
				s.Errorf("got token %d after %d", token, old)
			}
			s.wantLock("b", token, "b1")
			s.wantTTL(s.lock, testTTL)
		}},
		{"its last owner gets it with a new token too", func(s *scriptTest) {
			old := s.grant(ask{hold: "a1", owner: "a"})
			s.endIn("a1", -1)
			s.do("persist", s.lock)
			token := s.grant(ask{hold: "a1", owner: "a"})
			if token <= old {
				s.Errorf("got token %d after %d", token, old)
			}
			s.wantLock("a", token, "a1")
			s.wantTTL(s.lock, testTTL)
		}},
		{"a PERSISTed key has a TTL again after a repeat and after a re-entry", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			for _, hold := range []string{"a1", "a2"} {
				s.do("persist", s.lock)
				s.acquire(ask{hold: hold, owner: "a"})
				s.wantTTL(s.lock, testTTL)
			}
		}},
		{"a waiter whose owner has got the lock enters at its check-in, and leaves the queue", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.wait(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "a2", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.release(give{hold: "z1", token: old})
			s.wantQueue("a2", "b1")
			s.want(s.acquire(ask{hold: "a2", owner: "a", channel: "c"}), 1, s.token(), 2, left(testTTL))
			s.wantQueue("b1")
		}},
	})
}

func TestRunRefusesAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := newCommand(&statusScript, nil).run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}
