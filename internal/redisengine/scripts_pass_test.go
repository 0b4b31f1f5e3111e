package redisengine

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/redistest"
)

// Who is passed over by a grant, since nobody would hear of it, and for how long.

// hangUp ends a subscription, and returns when the server knows.
func (s *scriptTest) hangUp(ps *redis.PubSub) {
	s.Helper()
	if err := ps.Unsubscribe(context.Background()); err != nil {
		s.Fatal(err)
	}
	for {
		msg, err := ps.Receive(context.Background())
		if err != nil {
			s.Fatal(err)
		}
		if sub, is := msg.(*redis.Subscription); is && sub.Kind == "unsubscribe" {
			return
		}
	}
}

// waitAndHangUp is wait, by a client whose subscription is gone afterwards.
func (s *scriptTest) waitAndHangUp(a ask) {
	s.Helper()
	a.subscribed = 1
	ps := s.listen(a.channel)
	s.wait(a)
	s.hangUp(ps)
}

// wantHere checks what an entry says of its subscription.
func (s *scriptTest) wantHere(hold, want string) {
	s.Helper()
	entry := strings.Fields(s.do("hget", s.waiters, hold).(string))
	if got := entry[3]; got != want {
		s.Errorf("got %s in the entry %q of %s, want %s", got, entry, hold, want)
	}
}

func TestWhatAnEntrySaysOfItsSubscription(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"its client's word alone says nothing: the subscription may be at another server", func(s *scriptTest) {
			s.grant(ask{hold: "z1", owner: "z"})
			s.wait(ask{hold: "a1", owner: "a", channel: "nobody", subscribed: 1})
			s.wantHere("a1", hereUnknown)
		}},
		{"that the server sees a subscriber says nothing where its client does not rely on it", func(s *scriptTest) {
			s.grant(ask{hold: "z1", owner: "z"})
			s.listen(s.name)
			s.wait(ask{hold: "a1", owner: "a", channel: s.name})
			s.wantHere("a1", hereUnknown)
		}},
		{"both together do", func(s *scriptTest) {
			s.grant(ask{hold: "z1", owner: "z"})
			s.listen(s.name)
			s.wait(ask{hold: "a1", owner: "a", channel: s.name, subscribed: 1})
			s.wantHere("a1", hereSeen)
		}},
		{"each check-in looks anew", func(s *scriptTest) {
			s.grant(ask{hold: "z1", owner: "z"})
			a := ask{hold: "a1", owner: "a", channel: s.name, subscribed: 1}
			s.wait(a)
			s.wantHere("a1", hereUnknown)
			ps := s.listen(s.name)
			s.wait(a)
			s.wantHere("a1", hereSeen)
			s.hangUp(ps)
			s.wait(a)
			s.wantHere("a1", hereUnknown)
		}},
		{"so does a release for the next that it names", func(s *scriptTest) {
			token := s.grant(ask{hold: "z1", owner: "z"})
			s.wait(ask{hold: "a1", owner: "a"})
			s.listen(s.name)
			s.release(give{hold: "z1", token: token, next: &ask{hold: "n1", owner: "n", channel: s.name, subscribed: 1}})
			s.wantHere("n1", hereSeen)
			s.release(give{hold: "a1", next: &ask{hold: "n2", owner: "n", channel: "nobody", subscribed: 1}})
			s.wait(ask{hold: "b1", owner: "b"})
			s.release(give{hold: "b1", next: &ask{hold: "n3", owner: "m", channel: "nobody", subscribed: 1}})
			s.wantHere("n3", hereUnknown)
		}},
		{"one that was passed over is marked, and else as it was", func(s *scriptTest) {
			token := s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: " a  b ", channel: s.name, ttl: 12_000, life: 8_000})
			before := s.do("hget", s.waiters, "a1").(string)
			s.release(give{hold: "z1", token: token})
			after := s.do("hget", s.waiters, "a1").(string)
			if want := strings.Replace(before, " 1 ", " 2 ", 1); after != want {
				s.Errorf("got entry %q, want %q", after, want)
			}
		}},
	})
}

func TestPassingOver(t *testing.T) {
	runScriptCases(t, []scriptCase{
		{"one whose subscription was never seen here is granted though nobody here hears it", func(s *scriptTest) {
			token := s.grant(ask{hold: "z1", owner: "z"})
			s.wait(ask{hold: "a1", owner: "a", channel: "nobody", subscribed: 1})
			s.release(give{hold: "z1", token: token})
			s.wantHolder("a")
			s.wantQueue()
		}},
		{"one whose subscription was seen here, and is gone, is passed over, in its place, for the next", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			heard := s.listen(s.name)
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name + "-gone"})
			s.wait(ask{hold: "b1", owner: "b", channel: s.name, subscribed: 1})
			s.wait(ask{hold: "c1", owner: "c", channel: s.name, subscribed: 1})
			s.release(give{hold: "z1", token: old})
			s.wantHolder("b")
			s.wantMessage(heard, "b1", s.token(), testLife)
			s.wantQueue("a1", "c1")
		}},
		{"it is sent no message: a replica's subscriber would take that for its grant", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			all := s.rdb.PSubscribe(context.Background(), s.name+"*")
			s.Cleanup(func() { _ = all.Close() })
			if _, err := all.Receive(context.Background()); err != nil {
				s.Fatal(err)
			}
			s.release(give{hold: "z1", token: old})
			s.wantNoMessage(all, s.name)
		}},
		{"where nobody can be reached the lock stays free, and goes to who asks", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.want(s.release(give{hold: "z1", token: old}), 1, 0, 0)
			s.wantGone(s.lock)
			s.wantQueue("a1")
			token := s.grant(ask{hold: "b1", owner: "b"})
			s.wantLock("b", token, "b1")
			s.wantQueue("a1")
			s.release(give{hold: "b1", token: token})
			s.grant(ask{hold: "a1", owner: "a", channel: s.name, subscribed: 1})
			s.wantQueue()
		}},
		{"one that has died is passed over as long as its entry lives", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.release(give{hold: "z1", token: old})
			for i := range 5 {
				hold := fmt.Sprint("b", i)
				s.release(give{hold: hold, token: s.grant(ask{hold: hold, owner: "b"})})
				s.wantGone(s.lock)
				s.wantQueue("a1")
				s.wantHere("a1", herePassed)
			}
		}},
		{"one that is back is granted by a message, without a check-in", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.release(give{hold: "z1", token: old})
			token := s.grant(ask{hold: "b1", owner: "b"})
			heard := s.listen(s.name)
			s.release(give{hold: "b1", token: token})
			s.wantHolder("a")
			s.wantMessage(heard, "a1", s.token(), testLife)
		}},
		{"one that checks in after it was passed over is not again before its next check-in", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.release(give{hold: "z1", token: old})
			token := s.grant(ask{hold: "b1", owner: "b"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.wantHere("a1", hereUnknown)
			s.release(give{hold: "b1", token: token})
			s.wantHolder("a")
		}},
		{"and may be from that one on", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.release(give{hold: "z1", token: old})
			token := s.grant(ask{hold: "b1", owner: "b"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.wantHere("a1", hereSeen)
			s.release(give{hold: "b1", token: token})
			s.wantGone(s.lock)
		}},
		{"an older process's word is believed once, and then no more than anybody's", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			s.wait(ask{hold: "a1", owner: "a", channel: "nobody"})
			entry := s.do("hget", s.waiters, "a1").(string)
			s.do("hset", s.waiters, "a1", strings.Replace(entry, " 0 nobody", " 1 nobody", 1))
			s.release(give{hold: "z1", token: old})
			s.wantGone(s.lock)
			token := s.grant(ask{hold: "b1", owner: "b"})
			s.wait(ask{hold: "a1", owner: "a", channel: "nobody", subscribed: 1})
			s.release(give{hold: "b1", token: token})
			s.wantHolder("a")
		}},
		{"a grant looks past at most 100 that cannot be reached", func(s *scriptTest) {
			old := s.grant(ask{hold: "z1", owner: "z"})
			ps := s.listen(s.name)
			for i := range 100 {
				s.wait(ask{hold: fmt.Sprint("a", i), owner: "a", channel: s.name, subscribed: 1})
			}
			s.hangUp(ps)
			s.wait(ask{hold: "b1", owner: "b", channel: "nobody"})
			s.release(give{hold: "z1", token: old})
			s.wantGone(s.lock)
			s.release(give{hold: "a0"}) // a place less to look past
			s.wantHolder("b")
		}},
	})
}

// Who may not ask for subscribers says nothing of them, and passes nobody over.
func TestPassingOverWithoutTheRightToAsk(t *testing.T) {
	srv := redistest.StartT(t)
	admin := srv.Client()
	if err := admin.Do(context.Background(), "acl", "setuser", "shy", "on", ">secret", "~*", "&*", "+@all", "-pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	shy := srv.Client(func(o *redis.Options) { o.Username, o.Password = "shy", "secret" })
	for _, long := range []bool{false, true} {
		name := fmt.Sprint("lock-", long)
		s, all := newScriptTest(t, shy, 5_000, name), newScriptTest(t, admin, 5_000, name)
		s.long, all.long = long, long
		token := s.grant(ask{hold: "z1", owner: "z"})
		s.listen(s.name)
		s.wait(ask{hold: "a1", owner: "a", channel: s.name, subscribed: 1})
		s.wantHere("a1", hereUnknown)
		all.waitAndHangUp(ask{hold: "a1", owner: "a", channel: "gone"})
		s.wantHere("a1", hereSeen)
		s.release(give{hold: "z1", token: token})
		s.wantHolder("a")
	}
}

// Full memory does not keep a mark from being made: not on a node of a quorum
// either, where a try has written nothing before it.
func TestPassingOverOnFullMemory(t *testing.T) {
	rdb := redistest.StartT(t).Client()
	for name, retention := range map[string]int{"of its own": testRetention, "of a quorum": 0} {
		t.Run(name, func(t *testing.T) {
			s := newScriptTest(t, rdb, 5_000, name)
			s.grant(ask{hold: "z1", owner: "z"})
			s.waitAndHangUp(ask{hold: "a1", owner: "a", channel: s.name})
			s.do("del", s.lock)
			s.do("config", "set", "maxmemory-policy", "noeviction")
			s.do("config", "set", "maxmemory", "1")
			s.Cleanup(func() { rdb.ConfigSet(context.Background(), "maxmemory", "0") })
			args := ask{hold: "b1", owner: "b"}.args()
			args[4] = retention
			got, err := s.run(&acquireScript, s.keys, args...)
			if retention > 0 {
				if !redis.HasErrorPrefix(err, "OOM") {
					t.Errorf("got %v, %v; want OOM", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s.wantHere("a1", herePassed)
			s.wantHolder("b")
		})
	}
}
