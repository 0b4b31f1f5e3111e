package redisengine

import (
	"testing"
)

func TestRenew(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"a hold gets its TTL again", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.endIn("a1", 7_000)
			s.do("pexpire", s.lock, 7_000)
			s.want(s.renew("a1", token, testTTL), 1, token, 1, testTTL)
			s.wantTTL(s.lock, testTTL)
			s.wantLock("a", token, "a1")
			s.want(s.status(), 1, 0, token, "a", 1, left(testTTL), age(0))
			s.wantFence(token)
		}},
		{"token 0 is whichever the hold has", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.renew("a1", 0, 2*testTTL), 1, token, 1, 2*testTTL)
			s.wantTTL(s.lock, 2*testTTL)
		}},
		{"an end is never brought forward, neither the hold's nor the lock's", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a", ttl: 90_000})
			s.want(s.renew("a1", token, 1_000), 1, token, 2, left(testTTL))
			s.wantTTL(s.lock, 90_000)
			s.want(s.renew("a1", token, 60_000), 1, token, 2, 60_000)
			s.wantTTL(s.lock, 90_000)
		}},
		{"a PERSISTed key has a TTL again", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.do("persist", s.lock)
			s.renew("a1", token, testTTL)
			s.wantTTL(s.lock, testTTL)
		}},
		{"a key whose TTL was cut has it again", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.do("pexpire", s.lock, 10_000)
			s.renew("a1", token, 1_000)
			s.wantTTL(s.lock, testTTL)
		}},
		{"holds that have ended do not count", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.endIn("a2", -1)
			s.want(s.renew("a1", token, testTTL), 1, token, 1, testTTL)
			s.wantHolder("a")
		}},
		{"neither another token nor another hold renews, and nothing is written", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.do("pexpire", s.lock, 7_000)
			before := s.contents()
			s.want(s.renew("a1", token+1, testTTL), 0)
			s.want(s.renew("a1", token-1, testTTL), 0)
			s.want(s.renew("a2", token, testTTL), 0)
			s.want(s.renew("a2", 0, testTTL), 0)
			s.wantContents(before)
			s.wantTTL(s.lock, 7_000)
		}},
		{"a lock that is gone is not made again", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.do("del", s.lock)
			s.want(s.renew("a1", token, testTTL), 0)
			s.wantGone(s.lock)
		}},
		{"a hold that has ended is not revived", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.endIn("a1", -1)
			s.want(s.renew("a1", token, testTTL), 0)
			s.wantHolder("a")
			s.want(s.renew("a2", token, testTTL), 1, token, 1, testTTL)
		}},
		{"a released hold is not revived", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.release(give{hold: "a2", token: token})
			s.want(s.renew("a2", token, testTTL), 0)
			s.wantLock("a", token, "a1")
		}},
	})
}

func TestForce(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"the token that was read frees the lock with all its holds", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.want(s.force(token), 1)
			s.wantGone(s.lock)
			s.want(s.renew("a1", token, testTTL), 0)
		}},
		{"it passes the lock on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name})
			s.want(s.force(token), 1)
			s.want(s.status(), 1, 0, anyToken{}, "b", 1, left(testLife), age(0))
			s.wantMessage(heard, "b1", s.laterToken(token), testLife)
		}},
		{"the next token is above the one it ended, though the fence is lost", func(s *scriptTest) {
			s.do("set", s.fence, s.clock()+hourUS/2)
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.do("del", s.fence)
			s.force(token)
			if got, want := s.token(), token+1; got != want {
				s.Errorf("got token %d, want %d", got, want)
			}
		}},
		{"another token evicts nobody", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			before := s.contents()
			for _, other := range []int64{token - 1, token + 1, 0} {
				s.want(s.force(other), 0)
			}
			s.wantContents(before)
		}},
		{"a copy evicts nobody", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.force(token)
			s.want(s.force(token), 0)
			s.wantHolder("b")
		}},
		{"a free lock stays free", func(s *scriptTest) {
			s.want(s.force(0), 0)
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.release(give{hold: "a1", token: token})
			s.want(s.force(token), 0)
			s.wantGone(s.lock)
		}},
		{"a lock whose holds have ended counts as free", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.endIn("a1", -1)
			s.want(s.force(token), 0)
		}},
	})
}

func TestStatus(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"a free lock", func(s *scriptTest) {
			s.want(s.status(), 0, 0)
		}},
		{"a free lock that others wait for", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.do("del", s.lock)
			s.want(s.status(), 0, 2)
		}},
		{"a held lock: token, owner, live holds, time left of the longest, time held", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a", ttl: 60_000})
			s.acquire(ask{hold: "a3", owner: "a"})
			s.endIn("a3", -1)
			s.wait(ask{hold: "b1", owner: "b"})
			s.do("hset", s.lock, "since", s.clock()/1000-100_000)
			s.want(s.status(), 1, 1, token, "a", 2, left(60_000), age(100_000))
		}},
		{"a PERSISTed key whose holds have all ended is a free lock", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.endIn("a1", -1)
			s.do("persist", s.lock)
			s.want(s.status(), 0, 0)
		}},
		{"it writes nothing", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.endIn("a1", -1)
			s.wait(ask{hold: "b1", owner: "b"})
			s.silence("b1")
			before := s.contents()
			s.status()
			s.wantContents(before)
		}},
	})
}
