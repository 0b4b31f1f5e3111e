package redisengine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// singleTest is the engine on one lock, with what it asks for.
type singleTest struct {
	*scriptTest
	eng   *Engine
	asked int // how many requests there were
}

func (s *singleTest) ask(hold, owner string, wait bool) engine.Answer {
	s.Helper()
	ans, err := s.eng.Acquire(context.Background(), s.request(hold, owner, wait))
	if err != nil {
		s.Fatal(err)
	}
	return ans
}

// request has each arrive a second after the one before: they say how long they
// have waited, by our clock, and the embedded server's stands still.
func (s *singleTest) request(hold, owner string, wait bool) *engine.Request {
	s.asked++
	return &engine.Request{
		Name: s.name, Hold: hold, Owner: owner, TTL: testTTL * time.Millisecond, Life: testLife * time.Millisecond,
		Arrived: time.Now().Add(time.Duration(s.asked)*time.Second - time.Hour), Wait: wait,
	}
}

func (s *singleTest) give(r engine.Release) engine.Released {
	s.Helper()
	r.Name = s.name
	rel, err := s.eng.Release(context.Background(), &r)
	if err != nil {
		s.Fatal(err)
	}
	return rel
}

func (s *singleTest) wantAnswer(got, want engine.Answer) {
	s.Helper()
	slack := time.Duration(s.slack) * time.Millisecond
	if got.Left > want.Left || got.Left < want.Left-slack || got.Age < want.Age || got.Age > want.Age+slack {
		s.Errorf("got %v left and %v held, want %v and %v", got.Left, got.Age, want.Left, want.Age)
	}
	if got.Sent.IsZero() {
		s.Error("got an answer that does not say when it was asked for")
	}
	want.Left, want.Age, want.Sent = got.Left, got.Age, got.Sent
	if got != want {
		s.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSingleReadsEveryReply(t *testing.T) {
	const ttl, life = testTTL * time.Millisecond, testLife * time.Millisecond
	var cases []scriptCase
	for _, c := range []struct {
		sentence string
		check    func(s *singleTest)
	}{
		{"granted, waiting, taken, withdrawn", func(s *singleTest) {
			a := s.ask("a1", "a", false)
			s.wantAnswer(a, engine.Answer{State: engine.Granted, Token: a.Token, Count: 1, Left: ttl})
			s.wantAnswer(s.ask("a2", "a", true), engine.Answer{State: engine.Granted, Token: a.Token, Count: 2, Left: ttl})
			s.wantAnswer(s.ask("b1", "b", true), engine.Answer{State: engine.Waiting, Token: a.Token, Owner: "a", Left: ttl})
			s.wantAnswer(s.ask("c1", "c", true), engine.Answer{State: engine.Waiting, Token: a.Token, Owner: "a", Left: ttl, Place: 1})
			s.wantAnswer(s.ask("d1", "d", false), engine.Answer{State: engine.Taken, Token: a.Token, Owner: "a", Left: ttl, Place: 2})
			s.give(engine.Release{Hold: "b1", Tombstone: true})
			s.wantAnswer(s.ask("b1", "b", true), engine.Answer{State: engine.Tombstoned})
			s.wantTTL(s.tombstones, engine.TombstoneLife.Milliseconds())
		}},
		{"renewed and absent", func(s *singleTest) {
			a := s.ask("a1", "a", false)
			r := engine.Renewal{Name: s.name, Hold: "a1", Token: a.Token, TTL: ttl}
			got, err := s.eng.Renew(context.Background(), &r)
			if err != nil {
				s.Fatal(err)
			}
			s.wantAnswer(got, engine.Answer{State: engine.Granted, Token: a.Token, Count: 1, Left: ttl})
			r.Token++
			if got, err = s.eng.Renew(context.Background(), &r); err != nil {
				s.Fatal(err)
			}
			s.wantAnswer(got, engine.Answer{})
		}},
		{"released, gone, and what became of the next", func(s *singleTest) {
			a := s.ask("a1", "a", false)
			s.ask("a2", "a", false)
			rel := s.give(engine.Release{Hold: "a2", Token: a.Token, Next: s.request("n1", "n", true)})
			s.wantAnswer(rel.Next, engine.Answer{State: engine.Waiting, Token: a.Token, Owner: "a", Left: ttl})
			rel = s.give(engine.Release{Hold: "a2", Token: a.Token, Next: s.request("m1", "m", true)})
			s.wantAnswer(rel.Next, engine.Answer{})
			if !rel.Gone {
				s.Error("a second release was not told that the hold is gone")
			}
			rel = s.give(engine.Release{Hold: "a1", Token: a.Token, Next: s.request("n1", "n", true)})
			s.wantAnswer(rel.Next, engine.Answer{State: engine.Granted, Token: rel.Next.Token, Count: 1, Left: ttl})
			if rel.Gone || rel.Next.Token <= a.Token {
				s.Errorf("got %+v after token %d", rel, a.Token)
			}
			if rel = s.give(engine.Release{Hold: "n1"}); rel.Gone {
				s.Error("a withdrawal of a grant was told that the hold is gone")
			}
		}},
		{"status and force", func(s *singleTest) {
			ctx := context.Background()
			st, err := s.eng.Status(ctx, s.name)
			if err != nil || st != (engine.Status{}) {
				s.Errorf("got %+v and error %v, want a free lock", st, err)
			}
			a := s.ask("a1", "a", false)
			s.ask("b1", "b", true)
			st, err = s.eng.Status(ctx, s.name)
			want := engine.Status{Held: true, Owner: "a", Count: 1, Token: a.Token, Left: st.Left, Age: st.Age, Waiters: 1}
			if err != nil || st != want || st.Left <= ttl/2 || st.Left > ttl {
				s.Errorf("got %+v and error %v, want %+v", st, err, want)
			}
			for _, f := range []struct {
				token int64
				want  bool
			}{{a.Token + 1, false}, {a.Token, true}, {a.Token, false}} {
				if got, err := s.eng.Force(ctx, s.name, f.token); got != f.want || err != nil {
					s.Errorf("force of token %d: got %v and error %v, want %v", f.token, got, err, f.want)
				}
			}
			s.wantAnswer(s.ask("c1", "c", false), engine.Answer{
				State: engine.Taken, Token: s.ask("c1", "c", false).Token, Owner: "b", Left: life,
			})
		}},
		{"a client asks for tokens above all it has seen", func(s *singleTest) {
			mark := s.clock() + hourUS/2
			s.eng.sees(mark)
			s.eng.sees(mark - 1)
			if got := s.ask("a1", "a", false).Token; got != mark+1 {
				s.Errorf("got token %d, want %d", got, mark+1)
			}
			if got := s.eng.highWater.Load(); got != mark+1 {
				s.Errorf("got high-water mark %d, want %d", got, mark+1)
			}
			if _, err := s.eng.Parse("h " + "1795000000000000000 1 " + s.lock); err != nil || s.eng.highWater.Load() != 1795000000000000000 {
				s.Errorf("got high-water mark %d and error %v, want the message's token", s.eng.highWater.Load(), err)
			}
		}},
		{"a batch of renewals and check-ins answers each", func(s *singleTest) {
			a := s.ask("a1", "a", false)
			s.ask("b1", "b", true)
			type answer struct {
				ans engine.Answer
				err error
			}
			answers := [2]chan answer{make(chan answer, 1), make(chan answer, 1)}
			done := func(i int) func(engine.Answer, error) {
				return func(ans engine.Answer, err error) { answers[i] <- answer{ans, err} }
			}
			s.eng.SendBatch(context.Background(), []engine.BatchItem{
				{Renew: &engine.Renewal{Name: s.name, Hold: "a1", Token: a.Token, TTL: ttl}, Done: done(0)},
				{CheckIn: s.request("b1", "b", true), Done: done(1)},
			})
			for i, want := range []engine.Answer{
				{State: engine.Granted, Token: a.Token, Count: 1, Left: ttl},
				{State: engine.Waiting, Token: a.Token, Owner: "a", Left: ttl},
			} {
				got := <-answers[i]
				if got.err != nil {
					s.Error(got.err)
				}
				s.wantAnswer(got.ans, want)
			}
		}},
	} {
		cases = append(cases, scriptCase{c.sentence, func(s *scriptTest) {
			cfg := testConfig("t")
			c.check(&singleTest{scriptTest: s, eng: New(s.rdb, "id", cfg)})
		}})
	}
	runScriptCases(t, cases)
}

// serverError is an error that a server answered.
type serverError string

func (e serverError) Error() string { return string(e) }

func (e serverError) RedisError() {}

// refuseMany refuses scripts of more than one key.
type refuseMany struct {
	*redis.Client
	with serverError
}

func (r refuseMany) Process(ctx context.Context, cmd redis.Cmder) error {
	if cmd.Args()[2] != 1 {
		cmd.SetErr(r.with)
		return r.with
	}
	return r.Client.Process(ctx, cmd)
}

func TestReleaseFallsBackToTheLocksKey(t *testing.T) {
	var cases []scriptCase
	for _, code := range []serverError{"TRYAGAIN Multiple keys request during rehashing of slot", "OOM command not allowed when used memory > 'maxmemory'."} {
		word, _, _ := strings.Cut(string(code), " ")
		cases = append(cases, scriptCase{"after " + word, func(s *scriptTest) {
			token := s.grant(ask{hold: "a1", owner: "a"})
			eng := New(refuseMany{s.rdb, code}, "id", testConfig("t"))
			rel, err := eng.Release(context.Background(), &engine.Release{Name: s.name, Hold: "a1", Token: token, Tombstone: true})
			if err != nil || rel.Gone {
				s.Errorf("got %+v and error %v, want it released", rel, err)
			}
			s.wantGone(s.lock)
		}})
	}
	cases = append(cases, scriptCase{"but after nothing else", func(s *scriptTest) {
		token := s.grant(ask{hold: "a1", owner: "a"})
		eng := New(refuseMany{s.rdb, "NOPERM no"}, "id", testConfig("t"))
		_, err := eng.Release(context.Background(), &engine.Release{Name: s.name, Hold: "a1", Token: token})
		if !redis.HasErrorPrefix(err, "NOPERM") {
			s.Errorf("got error %v, want NOPERM", err)
		}
		s.wantLock("a", token, "a1")
	}})
	runScriptCases(t, cases)
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	eng := New(nil, "id", testConfig("t"))
	for _, payload := range []string{
		"", " ", "h", "h 1", "h 1 1", "h 1 1 ", "h x 1 t:lock:{a}", "h 1 x t:lock:{a}", "h 1 1 t:queue:{a}", "h 1 1 u:lock:{a}", "h 1 1 t:lock:{}",
	} {
		if m, err := eng.Parse(payload); err == nil {
			t.Errorf("%q was read as %+v", payload, m)
		}
	}
	if got := eng.highWater.Load(); got != 0 {
		t.Errorf("got high-water mark %d from malformed messages", got)
	}
}

func TestMalformedRepliesAreErrors(t *testing.T) {
	eng := New(nil, "id", testConfig("relock"))
	for _, val := range []any{
		nil, "OK", int64(1), int64(0), int64(-7),
		[]any{},
		[]any{"1"},
		[]any{int64(1)},
		[]any{int64(1), int64(2), int64(3)},
		[]any{int64(1), "2", int64(3), int64(4)},
		[]any{int64(2), int64(2), int64(3), int64(4), int64(5), int64(6)},
		[]any{int64(2), int64(2), "a", int64(4)},
	} {
		if ans, err := eng.readAnswer(val, time.Now(), &engine.Request{}); err == nil {
			t.Errorf("%v was read as %+v", val, ans)
		}
	}
	for _, val := range []any{nil, "OK", int64(0), int64(1_700_000_000_000_000), []any{}, []any{int64(1)}} {
		if rd := readReply(val); rd.err == nil {
			if rel := rd.released(time.Now(), nil); rd.err == nil {
				t.Errorf("%v was read as %+v", val, rel)
			}
		}
	}
	if _, _, err := readGuarded([]any{int64(0), int64(1)}); err == nil {
		t.Errorf("got error %v of half a refusal", err)
	}
}
