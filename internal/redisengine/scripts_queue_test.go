package redisengine

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestAcquireQueues(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"a waiter learns the holder and its place", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			for i, hold := range []string{"b1", "c1", "d1"} {
				s.want(s.acquire(ask{hold: hold, owner: hold, channel: "c"}), 2, token, "a", left(testTTL), age(0), i)
			}
			s.wantQueue("b1", "c1", "d1")
			s.wantTTL(s.queue, testLife)
			s.wantTTL(s.waiters, testLife)
			s.wantLock("a", token, "a1")
			s.wantFence(token)
		}},
		{"the queue is in the order of arrival, not of the requests", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			for _, w := range []struct {
				hold   string
				waited time.Duration
				place  int
			}{{"b1", time.Minute, 0}, {"c1", time.Hour, 0}, {"d1", 10 * time.Minute, 1}, {"e1", 0, 3}} {
				s.want(s.acquire(ask{hold: w.hold, owner: w.hold, channel: "c", waited: w.waited}),
					2, token, "a", left(testTTL), age(0), w.place)
			}
			s.wantQueue("c1", "d1", "b1", "e1")
		}},
		{"arrival is the server's time less the time waited", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			from := s.clock()
			s.wait(ask{hold: "b1", owner: "b", waited: time.Minute})
			got := int64(s.rdb.ZScore(context.Background(), s.queue, "b1").Val())
			if to := s.clock(); got < from-60_000_000 || got > to-60_000_000 {
				s.Errorf("got arrival %d, want a minute before %d to %d", got, from, to)
			}
		}},
		{"a check-in keeps its place and its entry alive", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b", waited: time.Hour})
			s.wait(ask{hold: "c1", owner: "c", waited: time.Minute})
			s.silence("b1")
			s.do("pexpire", s.queue, 1_000)
			s.do("pexpire", s.waiters, 1_000)
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c"}), 2, token, "a", left(testTTL), age(0), 0)
			s.wantTTL(s.queue, testLife)
			s.wantTTL(s.waiters, testLife)
			s.release(give{hold: "a1", token: token})
			s.wantHolder("b")
		}},
		{"a waiter of a short life leaves that of the others alone", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c", life: 1_000})
			s.wantTTL(s.queue, testLife)
			s.wantTTL(s.waiters, testLife)
		}},
		{"waiters that fell silent are dropped when the lock is passed on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			for _, hold := range []string{"b1", "c1", "d1", "e1"} {
				s.wait(ask{hold: hold, owner: hold})
			}
			for _, hold := range []string{"b1", "c1", "e1"} {
				s.silence(hold)
			}
			s.release(give{hold: "a1", token: token})
			s.wantHolder("d1")
			s.wantQueue("e1") // behind the new holder: nobody has looked at it yet
		}},
		{"a queue entry without a waiter's entry is dropped", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.do("hdel", s.waiters, "b1")
			s.release(give{hold: "a1", token: token})
			s.wantHolder("c")
			s.wantQueue()
		}},
		{"nobody is granted a free lock past waiters that all fell silent but he", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.silence("b1")
			s.do("del", s.lock)
			s.want(s.acquire(ask{hold: "c1", owner: "c"}), 1, anyToken{}, 1, testTTL)
			s.wantQueue()
		}},
	})
}

// The lock is free though somebody waits: its holder's TTL ran out.
func TestAcquireOfAFreeLockThatOthersWaitFor(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"a try goes to the head of the queue", func(s *scriptTest) {
			old := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name, subscribed: 1})
			s.wait(ask{hold: "c1", owner: "c", channel: s.name, subscribed: 1})
			s.do("del", s.lock)
			got := s.acquire(ask{hold: "d1", owner: "d"})
			token := s.laterToken(old)
			s.want(got, 3, token, "b", left(testLife), age(0), 1)
			s.wantMessage(heard, "b1", token, testLife)
			s.wantLock("b", token, "b1")
			s.wantQueue("c1")
		}},
		{"a newcomer queues behind the others", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.do("del", s.lock)
			s.want(s.acquire(ask{hold: "d1", owner: "d", channel: "c"}), 2, anyToken{}, "b", left(testLife), age(0), 1)
			s.wantQueue("c1", "d1")
		}},
		{"a newcomer that arrived before all others is granted in the reply", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.do("del", s.lock)
			s.want(s.acquire(ask{hold: "d1", owner: "d", channel: "c", waited: time.Hour}), 1, anyToken{}, 1, testTTL)
			s.wantQueue("b1")
		}},
		{"the head's check-in is granted in the reply, for its whole TTL, without a message", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name})
			s.wait(ask{hold: "c1", owner: "c", channel: s.name})
			s.do("del", s.lock)
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: s.name}), 1, anyToken{}, 1, testTTL)
			s.wantTTL(s.lock, testTTL)
			s.wantNoMessage(heard, s.name)
			s.wantQueue("c1")
		}},
		{"another's check-in wakes the head", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name})
			s.wait(ask{hold: "c1", owner: "c", channel: s.name})
			s.do("del", s.lock)
			got := s.acquire(ask{hold: "c1", owner: "c", channel: s.name})
			s.want(got, 2, s.token(), "b", left(testLife), age(0), 0)
			s.wantMessage(heard, "b1", s.token(), testLife)
		}},
	})
}

func TestGrantsByMessage(t *testing.T) {
	passOn := func(s *scriptTest, waiter ask) int64 {
		s.Helper()
		old := s.grant(ask{hold: "z1", owner: "z"})
		s.wait(waiter)
		s.release(give{hold: "z1", token: old})
		token, err := s.rdb.HGet(context.Background(), s.lock, "token").Int64()
		if err != nil || token <= old {
			s.Fatalf("got token %d and error %v, want more than %d", token, err, old)
		}
		return token
	}
	runScriptCases(t, []scriptCase{
		{"the message has hold, token, time left and key; the grant lives as long as its entry", func(s *scriptTest) {
			heard := s.listen(s.name)
			token := passOn(s, ask{hold: "a1", owner: "a", channel: s.name})
			s.wantMessage(heard, "a1", token, testLife)
			s.wantLock("a", token, "a1")
			s.wantTTL(s.lock, testLife)
			s.wantFence(token)
			s.wantTTL(s.fence, testRetention)
			s.want(s.renew("a1", token, testTTL), 1, token, 1, testTTL)
		}},
		{"a TTL below the entry's life is not prolonged", func(s *scriptTest) {
			heard := s.listen(s.name)
			token := passOn(s, ask{hold: "a1", owner: "a", channel: s.name, ttl: 2_000})
			s.wantMessage(heard, "a1", token, 2_000)
			s.wantTTL(s.lock, 2_000)
		}},
		{"the message names the key though the lock's name is hostile", func(s *scriptTest) {
			s = newScriptTest(s.T, s.rdb, s.slack, s.name+" {b c}\n\x00%}")
			heard := s.listen("hostile")
			token := passOn(s, ask{hold: "a1", owner: "a", channel: "hostile"})
			payload := s.hear(heard)
			m, err := (&Engine{cfg: testConfig("t")}).Parse(payload)
			if err != nil || m.Name != s.name || m.Hold != "a1" || m.Token != token || m.Left != testLife*time.Millisecond {
				s.Errorf("got %+v and error %v from %q", m, err, payload)
			}
		}},
		{"an owner of hostile text is granted under that very text", func(s *scriptTest) {
			for _, owner := range []string{" ", " a  b ", "line\nbreak", "n\x00l", "\xff\xfe", "1 2 3 0 c d", strings.Repeat("ö", 64)} {
				token := passOn(s, ask{hold: "a1", owner: owner})
				s.wantLock(owner, token, "a1")
				s.release(give{hold: "a1", token: token})
			}
		}},
	})
}
