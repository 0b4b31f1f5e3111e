package redisengine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// The time that a server spends in the scripts, by its own account, each call beside
// one of a script that does nothing, with the same keys and arguments, in the same
// run:
//
//	go test -run '^$' -bench ScriptTime ./internal/redisengine
//
// Rounds of both take turns, and what is reported is the median with its quartiles: a
// server that is put off the processor within a call counts that too.

const (
	benchRounds = 41
	benchCalls  = 200 // in a round
	// benchTTL is one with which nothing ends during a round.
	benchTTL = 30 * time.Second
)

var bareScript = newScript("return 1")

// A scriptBench is a server with the engines of some clients, each of which hears
// its grants.
type scriptBench struct {
	*testing.B
	rdb     *redis.Client
	engines []*Engine
	holds   int
	sent    []*command // of this round
}

func newScriptBench(b *testing.B, clients int) *scriptBench {
	b.Helper()
	s := &scriptBench{B: b, rdb: redistest.StartT(b).Client()}
	for i := range clients {
		cfg := testConfig("bench")
		cfg.NewSubscription = func(channel string, _ func(string) (engine.Message, error)) Subscription {
			ps := s.rdb.Subscribe(context.Background(), channel)
			b.Cleanup(func() { _ = ps.Close() })
			if _, err := ps.Receive(context.Background()); err != nil {
				b.Fatal(err)
			}
			go func() {
				for range ps.Channel() {
					continue
				}
			}()
			return hearing{}
		}
		s.engines = append(s.engines, New(s.rdb, fmt.Sprintf("ABCDEFGHIJKLMNOPQRSTUVWXY%d", i), cfg))
	}
	return s
}

// hearing is a subscription that is there.
type hearing struct{ quiet }

func (hearing) Listening() bool { return true }

func (s *scriptBench) request(name, owner string, wait bool) *engine.Request {
	s.holds++
	return &engine.Request{
		Name: name, Hold: fmt.Sprintf("%026d", s.holds), Owner: owner, TTL: benchTTL, Life: 9 * time.Second,
		Arrived: time.Now(), Wait: wait,
	}
}

// run sends c and returns its reply.
func (s *scriptBench) run(c *command) any {
	s.Helper()
	val, err := c.process(context.Background(), s.rdb)
	if err != nil {
		s.Fatal(err)
	}
	s.sent = append(s.sent, c)
	return val
}

func (s *scriptBench) acquire(e *Engine, r *engine.Request) engine.Answer {
	s.Helper()
	ans, err := e.readAnswer(s.run(e.acquireCommand(r)), time.Now(), r)
	if err != nil {
		s.Fatal(err)
	}
	return ans
}

func (s *scriptBench) release(e *Engine, r *engine.Request, token int64) {
	s.Helper()
	s.run(e.releaseCommand(&engine.Release{Name: r.Name, Hold: r.Hold, Token: token}))
}

// bare runs what does nothing, with the keys and the arguments of what was sent.
func (s *scriptBench) bare() {
	for _, c := range slices.Clone(s.sent) {
		keys, args := c.parts()
		s.run(newCommand(&bareScript, keys, args...))
	}
}

// micros is how long the scripts that f runs took the server, all together.
func (s *scriptBench) micros(f func()) float64 {
	s.Helper()
	ctx := context.Background()
	if err := s.rdb.ConfigResetStat(ctx).Err(); err != nil {
		s.Fatal(err)
	}
	f()
	_, after, _ := strings.Cut(s.rdb.Info(ctx, "commandstats").Val(), "cmdstat_evalsha:calls=")
	_, after, _ = strings.Cut(after, ",usec=")
	usec, _, _ := strings.Cut(after, ",")
	n, err := strconv.ParseFloat(usec, 64)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// measure reports what a call of each round took, and that over a bare one's.
func (s *scriptBench) measure(round, after func()) {
	s.Helper()
	var took, over []float64
	for n := range benchRounds + 1 {
		s.sent = nil
		t := s.micros(round)
		floor := s.micros(s.bare)
		after()
		if n > 0 { // the first one tells the server the scripts
			took, over = append(took, t/benchCalls), append(over, t/floor)
		}
	}
	slices.Sort(took)
	slices.Sort(over)
	s.ReportMetric(took[benchRounds/2], "µs")
	s.ReportMetric(over[benchRounds/2], "x-bare")
	s.ReportMetric(over[benchRounds/4], "x-bare-q1")
	s.ReportMetric(over[benchRounds*3/4], "x-bare-q3")
	s.ReportMetric(0, "ns/op")
}

func BenchmarkScriptTime(b *testing.B) {
	for _, wait := range []bool{false, true} {
		b.Run(fmt.Sprintf("a pair, waiting=%t", wait), func(b *testing.B) {
			s := newScriptBench(b, 1)
			e := s.engines[0]
			s.measure(func() {
				for range benchCalls {
					r := s.request("pair", "owner-of-the-lock-of-the-pair", wait)
					s.release(e, r, s.acquire(e, r).Token)
				}
			}, func() {})
		})
	}
	for _, clients := range []int{2, 8} {
		b.Run(fmt.Sprintf("a hand-off among %d", clients), func(b *testing.B) { benchHandOff(b, clients) })
	}
	for _, waiters := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("an acquire that joins %d", waiters), func(b *testing.B) { benchJoin(b, waiters) })
	}
}

// benchHandOff has one client after the other join behind the others, and the
// first of them release.
func benchHandOff(b *testing.B, clients int) {
	s := newScriptBench(b, clients)
	var queue []*engine.Request
	next, token := 0, int64(0)
	join := func() {
		r := s.request("hand-off", fmt.Sprintf("owner-of-client-number-%d", next%clients), true)
		token = s.acquire(s.engines[next%clients], r).Token
		queue = append(queue, r)
		next++
	}
	for range clients - 1 {
		join()
	}
	s.measure(func() {
		for range benchCalls {
			join() // behind the holder, whose token it is told
			s.release(s.engines[0], queue[0], token)
			queue = queue[1:]
		}
	}, func() {})
}

// benchJoin has newcomers join a queue of so many, and leave it.
func benchJoin(b *testing.B, waiters int) {
	s := newScriptBench(b, 1)
	e := s.engines[0]
	join := func() *engine.Request {
		r := s.request("join", fmt.Sprintf("owner-of-waiter-%d", s.holds), true)
		r.TTL, r.Life = time.Hour, time.Hour
		s.acquire(e, r)
		return r
	}
	for range waiters + 1 {
		join()
	}
	var joined []*engine.Request
	s.measure(func() {
		for range benchCalls {
			joined = append(joined, join())
		}
	}, func() {
		for _, r := range joined {
			s.release(e, r, 0)
		}
		joined = nil
	})
}
