package redisengine

import (
	"testing"
	"time"
)

func TestRelease(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"the only hold frees the lock; the fence stays", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.release(give{hold: "a1", token: token}), 1, 0, 0)
			s.wantGone(s.lock, s.queue, s.waiters, s.tombstones)
			s.wantFence(token)
		}},
		{"a second copy changes nothing", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.release(give{hold: "a1", token: token})
			s.want(s.release(give{hold: "a1", token: token}), 0, 0, 0)
			s.grant(ask{hold: "b1", owner: "b"})
			before := s.contents()
			s.want(s.release(give{hold: "a1", token: token})[:1], 0)
			s.wantContents(before)
		}},
		{"neither a wrong token nor another hold id frees it", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			for _, waiting := range []bool{false, true} {
				if waiting {
					s.wait(ask{hold: "b1", owner: "b"})
				}
				before := s.contents()
				for _, g := range []give{{hold: "a1", token: token - 1}, {hold: "a1", token: token + 1}, {hold: "a2", token: token}, {hold: "a2"}} {
					s.want(s.release(g), 0, 1, 0)
					s.wantContents(before)
				}
			}
		}},
		{"a hold of an earlier token under the same id is not released by it", func(s *scriptTest) {
			old := s.grant(ask{hold: "a1", owner: "a"})
			s.release(give{hold: "a1", token: old})
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.release(give{hold: "a1", token: old}), 0, 1, 0)
			s.wantLock("a", token, "a1")
		}},
		{"an inner hold leaves the others, for as long as they live", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a", ttl: 20_000})
			s.acquire(ask{hold: "a2", owner: "a", ttl: 90_000})
			s.acquire(ask{hold: "a3", owner: "a", ttl: 50_000})
			s.want(s.release(give{hold: "a2", token: token}), 1, 2, 0)
			s.wantLock("a", token, "a1", "a3")
			s.wantTTL(s.lock, 50_000)
			s.want(s.release(give{hold: "a3", token: token}), 1, 1, 0)
			s.wantLock("a", token, "a1")
			s.wantTTL(s.lock, 20_000)
			s.want(s.release(give{hold: "a1", token: token}), 1, 0, 0)
			s.wantGone(s.lock)
		}},
		{"holds that have ended do not keep the lock", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.endIn("a1", -1)
			s.want(s.release(give{hold: "a2", token: token})[:1], 1)
			s.wantHolder("b")
		}},
		{"holds that have ended are dropped by an inner release", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.acquire(ask{hold: "a3", owner: "a", ttl: 20_000})
			s.endIn("a1", -1)
			s.want(s.release(give{hold: "a2", token: token}), 1, 1, 0)
			s.wantLock("a", token, "a3")
			s.wantTTL(s.lock, 20_000)
		}},
		{"a hold that has ended is gone", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.endIn("a1", -1)
			s.want(s.release(give{hold: "a1", token: token}), 0, 1, 0)
			s.wantHolder("a")
		}},
		{"a PERSISTed key whose holds have all ended is removed", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.endIn("a1", -1)
			s.endIn("a2", -1)
			s.do("persist", s.lock)
			s.want(s.release(give{hold: "a2", token: token}), 0, 0, 0)
			s.wantGone(s.lock)
		}},
		{"the head of the queue has it next, with a greater token", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name})
			s.wait(ask{hold: "c1", owner: "c", channel: s.name, waited: time.Hour})
			s.want(s.release(give{hold: "a1", token: token})[:1], 1)
			s.want(s.status(), 1, 1, anyToken{}, "c", 1, left(testLife), age(0))
			s.wantMessage(heard, "c1", s.laterToken(token), testLife)
			s.wantNoMessage(heard, s.name)
			s.wantQueue("b1")
		}},
		{"the next token is above that of the lock, though the fence is lost", func(s *scriptTest) {
			s.do("set", s.fence, s.clock()+hourUS/2)
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.do("del", s.fence)
			s.release(give{hold: "a1", token: token})
			if got, want := s.token(), token+1; got != want {
				s.Errorf("got token %d, want %d", got, want)
			}
		}},
		{"the next token is above what the client has seen", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			floor := s.clock() + hourUS/2
			s.release(give{hold: "a1", token: token, floor: floor})
			if got, want := s.token(), floor+1; got != want {
				s.Errorf("got token %d, want %d", got, want)
			}
		}},
	})
}

func TestReleaseNamesTheNext(t *testing.T) {
	next := ask{hold: "n1", owner: "n", channel: "c", ttl: 40_000}
	waited := func(d time.Duration) *ask {
		n := next
		n.waited = d
		return &n
	}
	runScriptCases(t, []scriptCase{
		{"it is granted in the reply where nobody waits", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			got := s.release(give{hold: "a1", token: token, next: &next})
			fresh := s.laterToken(token)
			s.want(got, 1, 0, 1, fresh, 1, 40_000)
			s.wantLock("n", fresh, "n1")
			s.wantTTL(s.lock, 40_000)
			s.wantQueue()
		}},
		{"it is granted in the reply where it arrived first, and nothing is published", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name, waited: time.Minute})
			got := s.release(give{hold: "a1", token: token, next: waited(time.Hour)})
			s.want(got, 1, 0, 1, s.token(), 1, 40_000)
			s.wantQueue("b1")
			s.wantTTL(s.lock, 40_000)
			s.wantNoMessage(heard, s.name)
		}},
		{"it joins the queue at the place of its arrival", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name, waited: time.Hour})
			s.wait(ask{hold: "c1", owner: "c", channel: s.name, waited: 2 * time.Minute})
			s.wait(ask{hold: "d1", owner: "d", channel: s.name})
			got := s.release(give{hold: "a1", token: token, next: waited(time.Minute)})
			fresh := s.laterToken(token)
			s.want(got, 1, anything{}, 2, fresh, "b", left(testLife), age(0), 1)
			s.wantMessage(heard, "b1", fresh, testLife)
			s.wantQueue("c1", "n1", "d1")
		}},
		{"it joins the queue behind the owner's other holds", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.want(s.release(give{hold: "a2", token: token, next: &next}), 1, 1, 2, token, "a", left(testTTL), age(0), 0)
			s.wantQueue("n1")
			s.wantTTL(s.queue, testLife)
		}},
		{"it keeps its place where it waits already", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			n := next
			n.waited = time.Hour
			s.wait(n)
			s.wait(ask{hold: "b1", owner: "b", waited: time.Minute})
			s.want(s.release(give{hold: "a1", token: token, next: &next})[:3], 1, 0, 1)
			s.wantQueue("b1")
		}},
		{"it is reported where it holds already", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "n1", owner: "a", ttl: 50_000})
			s.want(s.release(give{hold: "a1", token: token, next: &ask{hold: "n1", owner: "a", channel: "c"}}),
				1, 0, 1, token, 1, left(50_000))
			s.wantLock("a", token, "n1")
		}},
		{"it is neither joined nor granted where the hold is gone", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.release(give{hold: "a1", token: token})
			s.want(s.release(give{hold: "a1", token: token, next: &next}), 0, 0, 0)
			s.wantGone(s.lock, s.queue, s.waiters)

			s.grant(ask{hold: "b1", owner: "b"})
			s.want(s.release(give{hold: "a1", token: token, next: &next})[:1], 0)
			s.wantHolder("b")
			s.wantQueue()
		}},
		{"it is neither joined nor granted where it was withdrawn", func(s *scriptTest) {
			s.release(give{hold: "n1", tombstone: 60_000})
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.want(s.release(give{hold: "a2", token: token, next: &next}), 1, 1, 0)
			s.want(s.release(give{hold: "a1", token: token, next: &next}), 1, 0, 0)
			s.wantGone(s.lock, s.queue, s.waiters)
		}},
		{"others go on where it was withdrawn", func(s *scriptTest) {
			s.release(give{hold: "n1", tombstone: 60_000})
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.want(s.release(give{hold: "a1", token: token, next: &next})[:1], 1)
			s.wantHolder("b")
			s.wantQueue()
		}},
		{"a withdrawal names the next too", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			got := s.release(give{hold: "b1", tombstone: 60_000, next: &next})
			s.want(got, 2, anything{}, 2, s.token(), "a", left(testTTL), age(0), 0)
			s.wantQueue("n1")
		}},
	})
}

func TestWithdraw(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"a waiter leaves the queue", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.want(s.release(give{hold: "b1"}), 2, 1, 0)
			s.wantQueue("c1")
			s.wantLock("a", token, "a1")
			s.want(s.release(give{hold: "b1"}), 0, 1, 0)
		}},
		{"a hold that was granted in the meantime is passed on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.release(give{hold: "a1", token: token})
			s.want(s.release(give{hold: "b1", tombstone: 60_000})[:1], 1)
			s.wantHolder("c")
			s.wantQueue()
		}},
		{"a waiter of a lock that has ended passes it on", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.do("del", s.lock)
			s.want(s.release(give{hold: "b1"})[:1], 2)
			s.wantHolder("c")
			s.wantQueue()
		}},
		{"a withdrawn hold is refused, whether the lock is free, taken or its owner's", func(s *scriptTest) {
			s.want(s.release(give{hold: "b1", tombstone: 60_000}), 0, 0, 0)
			s.wantTTL(s.tombstones, 60_000)
			refused := func() {
				s.Helper()
				before := s.contents()
				s.want(s.acquire(ask{hold: "b1", owner: "b"}), 4)
				s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c"}), 4)
				s.wantContents(before)
			}
			refused()
			token := s.grant(ask{hold: "a1", owner: "a"})
			refused()
			s.wait(ask{hold: "c1", owner: "c"})
			refused()
			s.release(give{hold: "a1", token: token})
			s.release(give{hold: "c1"})
			s.grant(ask{hold: "b2", owner: "b"})
			refused()
		}},
		{"a released hold is refused where an acquire of it may be under way", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.release(give{hold: "a1", token: token, tombstone: 60_000}), 1, 0, 0)
			s.want(s.acquire(ask{hold: "a1", owner: "a"}), 4)
			s.grant(ask{hold: "a2", owner: "a"})
		}},
		{"an inner hold is refused as well", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.want(s.release(give{hold: "a2", token: token, tombstone: 60_000}), 1, 1, 0)
			s.want(s.acquire(ask{hold: "a2", owner: "a"}), 4)
			s.wantLock("a", token, "a1")
		}},
		{"tombstones that are over are cleared away by the next", func(s *scriptTest) {
			s.release(give{hold: "b1", tombstone: 60_000})
			s.do("zadd", s.tombstones, s.clock()/1000-1, "b1")
			s.release(give{hold: "c1", tombstone: 60_000})
			s.want(s.do("zrange", s.tombstones, 0, -1).([]any), "c1")
			s.grant(ask{hold: "b1", owner: "b"})
		}},
	})
}

// With the lock's key alone a release frees it and does no more.
func TestOneKeyRelease(t *testing.T) {
	one := func(s *scriptTest, g give) []any {
		s.Helper()
		return s.mustRun(&releaseScript, s.keys[:1], g.args()...)
	}
	runScriptCases(t, []scriptCase{
		{"it frees the lock and leaves the queue to its check-ins", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.want(one(s, give{hold: "a1", token: token, tombstone: 60_000, next: &ask{hold: "n1", owner: "n", channel: "c"}}), 1, 0, 0)
			s.wantGone(s.lock, s.tombstones)
			s.wantQueue("b1")
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c"}), 1, anyToken{}, 1, testTTL)
		}},
		{"it gives up an inner hold", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a", ttl: 20_000})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.want(one(s, give{hold: "a2", token: token}), 1, 1, 0)
			s.wantLock("a", token, "a1")
			s.wantTTL(s.lock, 20_000)
		}},
		{"it checks hold and token", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			before := s.contents()
			s.want(one(s, give{hold: "a1", token: token + 1}), 0, 1, 0)
			s.want(one(s, give{hold: "a2", token: token}), 0, 1, 0)
			s.wantContents(before)
			s.want(one(s, give{hold: "a1"}), 1, 0, 0)
			s.want(one(s, give{hold: "a1", token: token}), 0, 0, 0)
		}},
	})
}
