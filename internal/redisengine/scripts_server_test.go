package redisengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// With full memory a server refuses what might need more. What gives back must
// pass all the same.
func TestScriptsOnFullMemory(t *testing.T) {
	rdb := redistest.StartT(t).Client()
	full := func(s *scriptTest) {
		s.Helper()
		s.do("config", "set", "maxmemory-policy", "noeviction")
		s.do("config", "set", "maxmemory", "1")
		s.Cleanup(func() { rdb.ConfigSet(context.Background(), "maxmemory", "0") })
	}
	refused := func(s *scriptTest, a ask) {
		s.Helper()
		s.wantErr("OOM", func() ([]any, error) { return s.run(&acquireScript, s.keys, a.args()...) })
	}
	for _, c := range []scriptCase{
		{"a free lock cannot be acquired", func(s *scriptTest) {
			full(s)
			refused(s, ask{hold: "a1", owner: "a"})
			refused(s, ask{hold: "a1", owner: "a", channel: "c"})
		}},
		{"a free lock cannot be acquired beside a tombstone either", func(s *scriptTest) {
			s.release(give{hold: "z1", tombstone: 60_000})
			full(s)
			refused(s, ask{hold: "a1", owner: "a"})
			refused(s, ask{hold: "a1", owner: "a", channel: "c"})
		}},
		{"a lock cannot be re-entered, nor its queue joined", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			full(s)
			refused(s, ask{hold: "a2", owner: "a"})
			refused(s, ask{hold: "b1", owner: "b", channel: "c"})
		}},
		{"a repeated acquire renews", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.endIn("a1", 7_000)
			s.do("pexpire", s.lock, 7_000)
			full(s)
			s.want(s.acquire(ask{hold: "a1", owner: "a"}), 1, token, 1, testTTL)
			s.wantTTL(s.lock, testTTL)
		}},
		{"a hold is renewed", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.endIn("a1", 7_000)
			s.do("pexpire", s.lock, 7_000)
			full(s)
			s.want(s.renew("a1", token, testTTL), 1, token, 1, testTTL)
			s.wantTTL(s.lock, testTTL)
			s.want(s.status(), 1, 0, token, "a", 1, left(testTTL), age(0))
		}},
		{"a hold is released", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			full(s)
			s.want(s.release(give{hold: "a1", token: token}), 1, 0, 0)
			s.wantGone(s.lock)
		}},
		{"an inner hold is released", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a", ttl: 20_000})
			s.acquire(ask{hold: "a2", owner: "a"})
			full(s)
			s.want(s.release(give{hold: "a2", token: token}), 1, 1, 0)
			s.wantLock("a", token, "a1")
			s.wantTTL(s.lock, 20_000)
			s.want(s.release(give{hold: "a1", token: token}), 1, 0, 0)
			s.wantGone(s.lock)
		}},
		{"a hold is released and kept, among others too", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			full(s)
			s.want(s.release(give{hold: "a1", token: token, keep: testKeep}), 1, 1, 0)
			s.want(s.release(give{hold: "a2", token: token, keep: testKeep, tombstone: 60_000}), replyKept, left(testKeep), 0)
			s.wantLock(engine.KeptOwner, token, "a2/kept")
		}},
		{"a release passes the lock on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			heard := s.listen(s.name)
			s.wait(ask{hold: "b1", owner: "b", channel: s.name})
			full(s)
			s.want(s.release(give{hold: "a1", token: token})[:1], 1)
			s.wantHolder("b")
			fresh := s.laterToken(token)
			s.wantMessage(heard, "b1", fresh, testLife)
			s.want(s.release(give{hold: "b1", token: fresh}), 1, 0, 0)
		}},
		{"a release grants its next", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			full(s)
			got := s.release(give{hold: "a1", token: token, tombstone: 60_000, next: &ask{hold: "n1", owner: "n", channel: "c"}})
			s.want(got, 1, 0, 1, s.token(), 1, testTTL)
			s.want(s.acquire(ask{hold: "a1", owner: "a"}), 4)
		}},
		{"a waiter checks in, and keeps its place", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.silence("b1")
			full(s)
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c"}), 2, token, "a", left(testTTL), age(0), 0)
			s.release(give{hold: "a1", token: token})
			s.wantHolder("b")
		}},
		{"the head's check-in of a free lock is granted", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.do("del", s.lock)
			full(s)
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c"}), 1, anyToken{}, 1, testTTL)
			s.wantQueue()
		}},
		{"a waiter is withdrawn, with a tombstone", func(s *scriptTest) {
			s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			full(s)
			s.want(s.release(give{hold: "b1", tombstone: 60_000}), 2, 1, 0)
			s.wantQueue()
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c"}), 4)
		}},
		{"what never came is withdrawn, with a tombstone", func(s *scriptTest) {
			full(s)
			s.want(s.release(give{hold: "b1", tombstone: 60_000}), 0, 0, 0)
			s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c"}), 4)
		}},
		{"a granted hold is withdrawn, and passed on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "c1", owner: "c"})
			s.release(give{hold: "a1", token: token})
			full(s)
			s.want(s.release(give{hold: "b1", tombstone: 60_000})[:1], 1)
			s.wantHolder("c")
		}},
		{"a lock is forced free, and passed on", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.wait(ask{hold: "b1", owner: "b"})
			full(s)
			s.want(s.force(token), 1)
			s.wantHolder("b")
		}},
		{"the lock's key alone is released", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			full(s)
			s.want(s.mustRun(&releaseScript, s.keys[:1], give{hold: "a2", token: token}.args()...), 1, 1, 0)
			s.want(s.mustRun(&releaseScript, s.keys[:1], give{hold: "a1", token: token}.args()...), 1, 0, 0)
			s.wantGone(s.lock)
		}},
	} {
		c.run(t, rdb, 5_000, strings.ReplaceAll(c.sentence, " ", "-"))
	}
}

// Who may not publish must still be able to release.
func TestScriptsWithoutTheRightToPublish(t *testing.T) {
	srv := redistest.StartT(t)
	admin := srv.Client()
	if err := admin.Do(context.Background(), "acl", "setuser", "mute", "on", ">secret", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	mute := srv.Client(func(o *redis.Options) { o.Username, o.Password = "mute", "secret" })
	heard := admin.Subscribe(context.Background(), "c")
	defer heard.Close()
	if _, err := heard.Receive(context.Background()); err != nil {
		t.Fatal(err)
	}
	for way := range 4 {
		s, subscribed := newScriptTest(t, mute, 5_000, fmt.Sprint("lock-", way)), way%2
		s.long = way > 1
		if err := mute.Publish(context.Background(), "c", "x").Err(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Fatalf("PUBLISH: got error %v, want NOPERM", err)
		}
		token := s.grant(ask{hold: "a1", owner: "a"})
		s.wait(ask{hold: "b1", owner: "b", channel: "c", subscribed: subscribed})
		s.want(s.release(give{hold: "a1", token: token})[:1], 1)
		s.wantHolder("b")
		s.want(s.acquire(ask{hold: "b1", owner: "b", channel: "c", subscribed: subscribed}), 1, anyToken{}, 1, left(testTTL))
		s.want(s.release(give{hold: "b1"}), 1, 0, 0)
		s.wantGone(s.lock, s.queue, s.waiters)
	}
}

func TestUnknownScripts(t *testing.T) {
	flush := func(s *scriptTest) {
		s.Helper()
		s.do("script", "flush")
	}
	renewal := func(s *scriptTest, id string, token int64) *command {
		return newCommand(&renewScript, []any{s.lock}, id, token, testTTL)
	}
	runScriptCases(t, []scriptCase{
		{"a script that the server has forgotten is sent, and runs once", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			for range 2 {
				flush(s)
				s.want(s.acquire(ask{hold: "a2", owner: "a"}), 1, token, 2, left(testTTL))
			}
			flush(s)
			s.want(s.renew("a2", token, testTTL), 1, token, 2, testTTL)
			flush(s)
			s.want(s.release(give{hold: "a2", token: token}), 1, 1, 0)
			flush(s)
			s.wantHolder("a")
			flush(s)
			s.want(s.force(token), 1)
		}},
		{"it is known from then on", func(s *scriptTest) {
			flush(s)
			s.status()
			s.want(s.do("script", "exists", statusScript.name.(string)).([]any), 1)
		}},
		{"a batch runs each of its commands once, and answers each", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			s.acquire(ask{hold: "a2", owner: "a"})
			batch := []*command{
				renewal(s, "a1", token), renewal(s, "gone", token), renewal(s, "a2", token),
				newCommand(&acquireScript, anys(s.keys), ask{hold: "a3", owner: "a"}.args()...),
				newCommand(&statusScript, anys(s.keys)),
			}
			flush(s)
			s.mustRun(&statusScript, s.keys) // only some are unknown
			vals, errs := runAll(context.Background(), s.rdb, batch)
			if err := errors.Join(errs...); err != nil {
				s.Fatal(err)
			}
			s.want(vals[0].([]any), 1, token, 2, testTTL)
			s.want(vals[1].([]any), 0)
			s.want(vals[2].([]any), 1, token, 2, testTTL)
			s.want(vals[3].([]any), 1, token, 3, left(testTTL))
			s.want(vals[4].([]any)[:3], 1, 0, token)
			s.wantLock("a", token, "a1", "a2", "a3")
		}},
		{"an error of one command of a batch is no other's", func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			foreign := newScriptTest(s.T, s.rdb, s.slack, s.name+"-foreign")
			foreign.do("set", foreign.lock, "x")
			batch := []*command{renewal(s, "a1", token), renewal(foreign, "a1", token), renewal(s, "a1", token)}
			flush(s)
			vals, errs := runAll(context.Background(), s.rdb, batch)
			if errs[0] != nil || errs[2] != nil || !redis.HasErrorPrefix(errs[1], "WRONGTYPE") {
				s.Fatalf("got errors %v, want WRONGTYPE for the second alone", errs)
			}
			s.want(vals[2].([]any), 1, token, 1, testTTL)
		}},
		{"a batch whose time is over is not answered", func(s *scriptTest) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, errs := runAll(ctx, s.rdb, []*command{newCommand(&statusScript, anys(s.keys))})
			if !errors.Is(errs[0], context.Canceled) {
				s.Errorf("got error %v, want context.Canceled", errs[0])
			}
		}},
		{"the engine decodes them all the same", func(s *scriptTest) {
			e := New(s.rdb, "id", testConfig("relock"))
			flush(s)
			ans, err := e.Acquire(context.Background(), &engine.Request{Name: s.name, Hold: "a1", Owner: "a", TTL: 30 * time.Second})
			if err != nil || ans.State != engine.Granted {
				s.Errorf("got %+v and error %v, want a grant", ans, err)
			}
		}},
	})
}
