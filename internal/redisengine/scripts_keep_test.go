package redisengine

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/relock-go/relock/internal/engine"
)

// What a minimum leaves, and what may be late about the hold that had it.

const testKeep = 20_000

// keep grants a1 to owner a and gives it back, kept; it returns the token.
func (s *scriptTest) keep() int64 {
	s.Helper()
	token := s.grant(ask{hold: "a1", owner: "a"})
	s.want(s.release(give{hold: "a1", token: token, keep: testKeep}), replyKept, left(testKeep), 0)
	return token
}

// aged makes the grant of the lock so many ms older.
func (s *scriptTest) aged(ms int64) {
	s.Helper()
	since, _ := strconv.ParseInt(s.do("hget", s.lock, "since").(string), 10, 64)
	s.do("hset", s.lock, "since", since-ms)
}

func (s *scriptTest) wantKept(token int64) {
	s.Helper()
	s.wantLock(engine.KeptOwner, token, "a1/kept")
	s.wantTTL(s.lock, testKeep)
	s.want(s.status(), 1, anything{}, token, engine.KeptOwner, 1, left(testKeep), age(0))
}

func TestAReleaseKeepsTheMinimum(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"the hold is renamed: nobody has the lock until the minimum is over", func(s *scriptTest) {
			token := s.keep()
			s.wantKept(token)
			s.want(s.acquire(ask{hold: "b1", owner: "b"}), replyTaken, token, engine.KeptOwner, left(testKeep), age(0), 0)
			s.want(s.acquire(ask{hold: "a2", owner: "a"})[:3], replyTaken, token, engine.KeptOwner)
			s.wantKept(token)
		}},
		{"the minimum counts from the grant", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.aged(testKeep - 7_000)
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep}), replyKept, left(7_000), 0)
			s.wantTTL(s.lock, 7_000)
		}},
		{"a minimum that is over keeps nothing, and the lock is passed on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.aged(testKeep)
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep})[:1], 1)
			s.wantHolder("b")
		}},
		{"it may be shorter than the TTL, or longer", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.release(give{hold: "a1", token: token, keep: 10 * testTTL}), replyKept, left(10*testTTL), 0)
			s.wantTTL(s.lock, 10*testTTL)
		}},
		{"a withdrawal of a lease keeps it", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.release(give{hold: "a1", lease: token, keep: testKeep}), replyKept, left(testKeep), 0)
			s.wantKept(token)
		}},
		{"what came back under another token was no lease, and is free at once", func(s *scriptTest) {
			old := s.grant(ask{hold: "a1", owner: "a"})
			s.do("del", s.lock)
			s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.release(give{hold: "a1", lease: old, keep: testKeep}), 1, 0, 0)
			s.wantGone(s.lock)
		}},
		{"beside a next and a queue it is kept as well, and the next joins", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep, next: &ask{hold: "n1", owner: "n", channel: "c"}}),
				replyKept, left(testKeep), replyWaiting, token, engine.KeptOwner, left(testKeep), age(0), 1)
			s.wantQueue("b1", "n1")
			s.wantKept(token)
		}},
		{"the lock alone is enough for it", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			got := s.mustRun(&releaseScript, s.keys[:1], give{hold: "a1", token: token, keep: testKeep}.args()...)
			s.want(got, replyKept, left(testKeep), 0)
			s.wantKept(token)
		}},
		{"ForceUnlock frees it at once, and passes it on", func(s *scriptTest) {
			token := s.keep()
			s.wait(ask{hold: "b1", owner: "b"})
			s.want(s.force(token), 1)
			s.wantHolder("b")
		}},
	})
}

func TestAMinimumOfOneHoldAmongSeveral(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"it waits beside the other holds, and is honoured when they are given back", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep}), 1, 1, 0)
			s.want(s.status(), 1, 0, token, "a", 1, left(testTTL), age(0))
			s.want(s.acquire(ask{hold: "a3", owner: "a"}), 1, token, 2, testTTL)
			s.release(give{hold: "a3", token: token})
			s.want(s.release(give{hold: "a2", token: token}), replyKept, left(testKeep), 0)
			s.wantLock(engine.KeptOwner, token, "a2/kept")
			s.wantTTL(s.lock, testKeep)
		}},
		{"it is honoured though the other holds' process died", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.release(give{hold: "a1", token: token, keep: testKeep})
			s.endIn("a2", -1)
			s.want(s.status(), 1, 0, token, engine.KeptOwner, 1, left(testKeep), age(0))
			s.want(s.acquire(ask{hold: "a4", owner: "a"})[:3], replyTaken, token, engine.KeptOwner)
			s.want(s.renew("a1", token, testTTL), 0)
		}},
		{"the lock lives as long as it", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a", ttl: 9_000})
			s.release(give{hold: "a1", token: token, keep: testKeep})
			s.wantTTL(s.lock, testKeep)
		}},
		{"re-entries count from the first", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.aged(15_000)
			s.acquire(ask{hold: "a2", owner: "a"})
			s.release(give{hold: "a1", token: token})
			s.want(s.release(give{hold: "a2", token: token, keep: testKeep}), replyKept, left(testKeep-15_000), 0)
		}},
	})
}

func TestWhatIsLateAboutAKeptHold(t *testing.T) {
	late := func(sentence string, send func(s *scriptTest, token int64), want func(s *scriptTest, token int64)) scriptCase {
		return scriptCase{sentence, func(s *scriptTest) {
			token := s.keep()
			send(s, token)
			s.wantKept(token)
			if want != nil {
				want(s, token)
			}
		}}
	}
	runScriptCases(t, []scriptCase{
		late("a renewal finds it gone", func(s *scriptTest, token int64) {
			s.want(s.renew("a1", token, 2*testTTL), 0)
			s.want(s.renew("a1", 0, 2*testTTL), 0)
		}, nil),
		late("an acquire is no re-entry", func(s *scriptTest, token int64) {
			s.want(s.acquire(ask{hold: "a1", owner: "a"})[:3], replyTaken, token, engine.KeptOwner)
		}, nil),
		late("a withdrawal frees nothing", func(s *scriptTest, _ int64) {
			s.want(s.release(give{hold: "a1"}), replyKept, left(testKeep), 0)
			s.want(s.release(give{hold: "a1", tombstone: 60_000}), replyKept, left(testKeep), 0)
			s.want(s.acquire(ask{hold: "a1", owner: "a"}), replyTombstoned)
		}, nil),
		late("a copy of the release is told the same, and joins no next", func(s *scriptTest, token int64) {
			g := give{hold: "a1", token: token, keep: testKeep, next: &ask{hold: "n1", owner: "n", channel: "c"}}
			s.want(s.release(g), replyKept, left(testKeep), 0)
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep}), replyKept, left(testKeep), 0)
		}, func(s *scriptTest, _ int64) { s.wantQueue() }),
		{"a hold whose acquire may be under way is refused from then on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.release(give{hold: "a1", token: token, keep: testKeep, tombstone: 60_000})
			s.want(s.acquire(ask{hold: "a1", owner: "a", channel: "c"}), replyTombstoned)
			s.do("del", s.lock)
			s.want(s.acquire(ask{hold: "a1", owner: "a"}), replyTombstoned)
			s.wantQueue()
		}},
		{"a copy that comes when another has the lock changes nothing", func(s *scriptTest) {
			token := s.keep()
			s.do("del", s.lock)
			s.grant(ask{hold: "b1", owner: "b"})
			before := s.contents()
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep}), 0, 1, 0)
			s.wantContents(before)
		}},
		{"a copy that comes when the minimum is over passes the lock on, and joins no next", func(s *scriptTest) {
			token := s.keep()
			s.wait(ask{hold: "b1", owner: "b"})
			s.endIn("a1/kept", 0)
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep, next: &ask{hold: "n1", owner: "n", channel: "c"}}), 0, 0, 0)
			s.wantHolder("b")
			s.wantQueue()
		}},
		{"a release that finds its hold ended passes the lock on too", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.do("del", s.lock)
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep}), 0, 0, 0)
			s.wantHolder("b")
		}},
	})
}

func TestAReleaseThatKeepsNudgesTheFirstTwo(t *testing.T) {
	nudge := func(s *scriptTest, got, hold string) {
		s.Helper()
		before, rest, _ := strings.Cut(got, " kept ")
		ms, key, _ := strings.Cut(rest, " ")
		n, err := strconv.ParseInt(ms, 10, 64)
		if before != hold || err != nil || key != s.lock || !s.matches(n, left(testKeep)) {
			s.Errorf("got message %q, want that %s's turn comes in %d ms", got, hold, testKeep)
		}
	}
	runScriptCases(t, []scriptCase{
		{"and nobody else", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			for _, hold := range []string{"b1", "c1", "d1"} {
				s.wait(ask{hold: hold, owner: hold, channel: s.name})
			}
			s.release(give{hold: "a1", token: token, keep: testKeep})
			nudge(s, s.hear(heard), "b1")
			nudge(s, s.hear(heard), "c1")
			s.wantNoMessage(heard, s.name)
		}},
		{"but not those that fell silent, nor the next, which hears it by the reply", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name})
			s.silence("b1")
			s.wait(ask{hold: "c1", owner: "c", channel: s.name})
			s.release(give{hold: "a1", token: token, keep: testKeep, next: &ask{hold: "n1", owner: "n", channel: s.name}})
			nudge(s, s.hear(heard), "c1")
			s.wantNoMessage(heard, s.name)
			s.wantQueue("c1", "n1")
		}},
		{"and is read as no grant, by any process", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name})
			s.release(give{hold: "a1", token: token, keep: testKeep})
			got := s.hear(heard)
			// What every process takes for a grant: hold, token, TTL and key.
			var hold, key string
			var n, ttl int64
			if parsed, _ := fmt.Sscanf(got, "%s %d %d %s", &hold, &n, &ttl, &key); parsed > 1 {
				s.Errorf("message %q reads as a grant", got)
			}
		}},
	})
}
