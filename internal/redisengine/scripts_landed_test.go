package redisengine

import (
	"os"
	"testing"

	"github.com/relock-go/relock/internal/engine"
)

// Processes of the version before, and of this one, on one lock.

// landed is a script as processes run it that know of no minimum.
func landed(t *testing.T, name string) *Script {
	t.Helper()
	text, err := os.ReadFile("testdata/landed/" + name + ".lua")
	if err != nil {
		t.Fatal(err)
	}
	sc := newScript(string(text))
	return &sc
}

// landed are the arguments of those scripts.
func (a ask) landed() []any {
	return []any{
		a.hold, a.owner, a.ms(a.ttl, testTTL), a.channel, a.waited.Microseconds(), a.ms(a.life, testLife),
		a.floor, a.ms(a.retention, testRetention), a.subscribed,
	}
}

func (g give) landed() []any {
	args := []any{g.hold, g.token, g.tombstone, g.floor, testRetention, ""}
	if n := g.next; n != nil {
		a := n.landed()
		args = append(args[:5], a[0], a[1], a[2], a[3], a[4], a[5], a[8])
	}
	return args
}

func TestAnOlderProcessTakesAMinimumForAHold(t *testing.T) {
	acquire, release, renew := landed(t, "acquire"), landed(t, "release"), landed(t, "renew")
	runScriptCases(t, []scriptCase{
		{"it waits for it, be it the owner's or another's", func(s *scriptTest) {
			token := s.keep()
			for _, owner := range []string{"a", "b"} {
				s.want(s.mustRun(acquire, s.keys, ask{hold: owner + "2", owner: owner, channel: "c"}.landed()...)[:3],
					replyWaiting, token, engine.KeptOwner)
			}
			s.want(s.status(), 1, 2, token, engine.KeptOwner, 1, left(testKeep), age(0))
		}},
		{"its late requests about the hold change nothing", func(s *scriptTest) {
			token := s.keep()
			s.want(s.mustRun(renew, s.keys[:1], "a1", token, testTTL), 0)
			s.want(s.mustRun(release, s.keys, give{hold: "a1", token: token}.landed()...), 0, 1, 0)
			s.want(s.mustRun(release, s.keys, give{hold: "a1"}.landed()...), 0, 1, 0)
			s.want(s.mustRun(acquire, s.keys, ask{hold: "a1", owner: "a"}.landed()...)[:1], replyTaken)
			s.wantKept(token)
		}},
		{"its check-in has the lock when the minimum is over", func(s *scriptTest) {
			s.keep()
			b := ask{hold: "b1", owner: "b", channel: "c"}
			s.wait(b)
			s.endIn("a1/kept", 0)
			s.want(s.mustRun(acquire, s.keys, b.landed()...), replyGranted, anyToken{}, 1, testTTL)
		}},
		{"its release of the last hold leaves an inner one's minimum", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			s.release(give{hold: "a1", token: token, keep: testKeep})
			s.want(s.mustRun(release, s.keys, give{hold: "a2", token: token}.landed()...)[:1], 1)
			s.want(s.acquire(ask{hold: "b1", owner: "b"})[:1], replyTaken)
			s.wantTTL(s.lock, testKeep)
		}},
	})
}

func TestOlderProcessesBesideTheShortWays(t *testing.T) {
	acquire, release, renew := landed(t, "acquire"), landed(t, "release"), landed(t, "renew")
	runScriptCases(t, []scriptCase{
		{"what a short way granted is a hold to them: renewed, re-entered, given back", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.want(s.mustRun(renew, s.keys[:1], "a1", token, testTTL), 1, token, 1, testTTL)
			s.want(s.mustRun(acquire, s.keys, ask{hold: "a2", owner: "a"}.landed()...), 1, token, 2, left(testTTL))
			s.want(s.mustRun(release, s.keys, give{hold: "a1", token: token}.landed()...), 1, 1, 0)
			s.want(s.mustRun(release, s.keys, give{hold: "a2", token: token}.landed()...), 1, 0, 0)
			s.wantGone(s.lock)
			if after := s.grant(ask{hold: "b1", owner: "b"}); after <= token {
				s.Errorf("got token %d after %d", after, token)
			}
		}},
		{"one of them that waits is granted by a release, with the message it knows", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.want(s.mustRun(acquire, s.keys, ask{hold: "b1", owner: "b", channel: s.name}.landed()...), 2, token, "a", left(testTTL), age(0), 0)
			s.want(s.release(give{hold: "a1", token: token})[:1], 1)
			s.wantMessage(heard, "b1", s.laterToken(token), testLife)
			s.want(s.mustRun(release, s.keys, give{hold: "b1", token: s.token()}.landed()...)[:1], 1)
			s.wantGone(s.lock, s.queue, s.waiters)
		}},
		{"one that joined by a short way is granted by theirs, in the order of arrival", func(s *scriptTest) {
			token := s.mustRun(acquire, s.keys, ask{hold: "a1", owner: "a"}.landed()...)[1].(int64)
			heard := s.listen(s.name)
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: s.name, subscribed: 1}), 2, token, "a", left(testTTL), age(0), 0)
			s.want(s.mustRun(acquire, s.keys, ask{hold: "c1", owner: "c", channel: s.name}.landed()...), 2, token, "a", left(testTTL), age(0), 1)
			s.want(s.mustRun(release, s.keys, give{hold: "a1", token: token}.landed()...)[:1], 1)
			s.wantMessage(heard, "b1", s.laterToken(token), testLife)
			s.wantQueue("c1")
			s.want(s.release(give{hold: "b1", token: s.token()})[:1], 1)
			s.wantHolder("c")
		}},
		{"a next that a short way granted is theirs to give back", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			got := s.release(give{hold: "a1", token: token, next: &ask{hold: "n1", owner: "n", channel: "c"}})
			s.want(got, 1, 0, 1, anyToken{}, 1, testTTL)
			s.want(s.mustRun(release, s.keys, give{hold: "n1", token: got[3].(int64)}.landed()...), 1, 0, 0)
		}},
	})
}
