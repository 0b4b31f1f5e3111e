package redisengine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/relock-go/relock/internal/redistest"
)

// Random sequences of requests, late copies of earlier ones among them, have
// the replies and leave the state that the model says, on either server. On the
// real one no time passes that matters: nothing ends during a sequence.

func TestProtocolAgainstModel(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		w := newFuzzWorld(t, true)
		rapid.Check(t, w.sequence)
	})
	t.Run("redis-server", func(t *testing.T) {
		w := newFuzzWorld(t, false)
		rapid.Check(t, w.sequence)
	})
}

// FuzzProtocol is the same for go test -fuzz, on the embedded server.
func FuzzProtocol(f *testing.F) {
	w := newFuzzWorld(f, true)
	f.Fuzz(rapid.MakeFuzz(w.sequence))
}

// A fuzzWorld is a server, with a subscriber that hears one of two channels while
// it is open.
type fuzzWorld struct {
	mini  *miniredis.Miniredis // nil: a real server
	rdb   *redis.Client
	now   time.Time // of mini
	sub   *redis.PubSub
	open  bool
	heard chan string
	times fuzzTimes
	seq   int
}

// fuzzTimes are what TTLs (ms) and waits for them are drawn from.
type fuzzTimes struct {
	ttl, life, keep, pass []int64
	slack                 int64
}

const (
	heardChannel   = "ear"
	unheardChannel = "nobody"
)

func newFuzzWorld(tb testing.TB, embedded bool) *fuzzWorld {
	w := &fuzzWorld{heard: make(chan string, 1000)}
	if embedded {
		w.mini, w.rdb = redistest.Embedded(tb)
		w.now = time.Now().Truncate(time.Millisecond)
		w.mini.SetTime(w.now)
		w.times = fuzzTimes{
			ttl: []int64{2_000, 5_000, 30_000}, life: []int64{1_000, 9_000}, keep: []int64{1, 1_000, 3_000, 60_000},
			pass: []int64{1, 1, 500, 500, 1_000, 2_000, 5_000, 30_000},
		}
	} else {
		w.rdb = redistest.StartT(tb).Client()
		w.times = fuzzTimes{ttl: []int64{3_600_000, 7_200_000}, life: []int64{3_600_000, 9_000_000}, keep: []int64{3_600_000, 7_200_000}, slack: 60_000}
	}
	w.sub, w.open = w.rdb.Subscribe(context.Background(), heardChannel), true
	tb.Cleanup(func() { _ = w.sub.Close() })
	if _, err := w.sub.Receive(context.Background()); err != nil {
		tb.Fatal(err)
	}
	go func() {
		for {
			msg, err := w.sub.ReceiveMessage(context.Background())
			if err != nil {
				return
			}
			w.heard <- msg.Payload
		}
	}()
	return w
}

// hears tells whether the server has a subscriber of channel.
func (w *fuzzWorld) hears(channel string) bool { return w.open && channel == heardChannel }

// setOpen has the subscriber come or go, and returns when the server knows.
func (w *fuzzWorld) setOpen(t *rapid.T, open bool) {
	if w.open == open {
		return
	}
	ctx, subscribers := context.Background(), int64(0)
	if w.open = open; open {
		_ = w.sub.Subscribe(ctx, heardChannel)
		subscribers = 1
	} else {
		_ = w.sub.Unsubscribe(ctx, heardChannel)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		got, err := w.rdb.PubSubNumSub(ctx, heardChannel).Result()
		if err == nil && got[heardChannel] == subscribers {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d subscribers, %v; want %d", got[heardChannel], err, subscribers)
		}
	}
}

// A fuzzRun is one sequence on one lock.
type fuzzRun struct {
	*rapid.T
	w              *fuzzWorld
	m              *model
	keys           []string
	match          scriptTest
	seats          []seat
	start          int64             // of the sequence, on the model's clock
	laysTombstones bool              // releases may leave tombstones
	drawn          int64             // holds made so far
	past           []func() string   // every request so far, to be sent again
	tokens         []int64           // of every grant, rising
	hasTombstone   map[string]bool   // holds that were withdrawn and are refused
	owner          map[string]string // of every hold
	came           map[string]time.Duration
}

// A seat draws the holds of one owner, one generation after the other.
type seat struct{ owner, hold string }

func (w *fuzzWorld) sequence(t *rapid.T) {
	w.seq++
	k := lockKeys("fuzz", strconv.Itoa(w.seq))
	r := &fuzzRun{
		T: t, w: w, keys: k[:], match: scriptTest{slack: w.times.slack},
		m:            &model{now: w.clock(t), tombstones: map[string]int64{}},
		hasTombstone: map[string]bool{}, owner: map[string]string{}, came: map[string]time.Duration{},
	}
	r.start = r.m.now
	w.setOpen(t, true)
	r.laysTombstones = rapid.Bool().Draw(t, "laysTombstones")
	if w.mini != nil {
		w.mini.FlushAll()
	}
	for _, owner := range []string{"a", "a", "a", "b", "b", "c", "d"} {
		r.seats = append(r.seats, seat{owner: owner})
	}
	actions := map[string]func(*rapid.T){
		"try":                          func(*rapid.T) { r.do(r.acquire(r.drawAsk("hold", false))) },
		"lock":                         func(*rapid.T) { r.do(r.acquire(r.drawAsk("hold", true))) },
		"lock again":                   func(*rapid.T) { r.do(r.acquire(r.drawAsk("hold", true))) },
		"lock more":                    func(*rapid.T) { r.do(r.acquire(r.drawAsk("hold", true))) },
		"release":                      func(*rapid.T) { r.do(r.release(r.drawGive(r.drawHolder(), r.currentToken()))) },
		"give back":                    func(*rapid.T) { r.do(r.release(r.drawKeep(r.drawGive(r.drawHolder(), r.currentToken())))) },
		"keep any":                     func(*rapid.T) { r.do(r.release(r.drawKeep(r.drawGive(r.drawHold("hold"), r.drawToken())))) },
		"keep and withdraw":            func(*rapid.T) { r.do(r.release(r.drawKeep(r.drawGive(r.drawHolder(), 0)))) },
		"release any":                  func(*rapid.T) { r.do(r.release(r.drawGive(r.drawHold("hold"), r.drawToken()))) },
		"withdraw":                     func(*rapid.T) { r.do(r.release(r.drawGive(r.drawWaiter(), 0))) },
		"renew":                        func(*rapid.T) { r.do(r.renew(r.drawHolder(), r.currentToken(), r.drawTTL())) },
		"renew any":                    func(*rapid.T) { r.do(r.renew(r.drawHold("hold"), r.drawToken(), r.drawTTL())) },
		"force":                        func(*rapid.T) { r.do(r.force(r.drawToken())) },
		"status":                       func(*rapid.T) { r.send(r.status()) },
		"the subscriber comes or goes": func(t *rapid.T) { w.setOpen(t, rapid.Bool().Draw(t, "open")) },
		"late copy": func(t *rapid.T) {
			if len(r.past) > 0 {
				r.send(rapid.SampledFrom(r.past).Draw(t, "copy of"))
			}
		},
		"late copy of something recent": func(t *rapid.T) {
			if n := len(r.past); n > 0 {
				r.send(r.past[n-1-rapid.IntRange(0, min(3, n-1)).Draw(t, "back")])
			}
		},
	}
	if w.mini != nil {
		actions["time passes"] = func(t *rapid.T) { r.pass(rapid.SampledFrom(w.times.pass).Draw(t, "ms")) }
	}
	t.Repeat(actions)
	r.wantSilence()
}

func (w *fuzzWorld) clock(t *rapid.T) int64 {
	now, err := w.rdb.Time(context.Background()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now.UnixMicro()
}

func (r *fuzzRun) pass(ms int64) {
	r.w.now = r.w.now.Add(time.Duration(ms) * time.Millisecond)
	r.w.mini.SetTime(r.w.now)
	r.m.now += ms * 1000
	if got := r.w.clock(r.T); got != r.m.now {
		r.Fatalf("got a clock of %d, want %d", got, r.m.now)
	}
	r.m.tick()
	r.checkState()
}

// do sends a new request, which may be sent again later.
func (r *fuzzRun) do(request func() string) {
	r.past = append(r.past, request)
	r.send(request)
}

func (r *fuzzRun) send(request func() string) {
	what := request()
	if what == "" {
		r.Skip("its tombstone is over: a server may take it or refuse it")
	}
	r.Log(what)
	r.checkState()
}

// over tells whether a hold was withdrawn so long ago that it may be refused or
// not.
func (r *fuzzRun) over(hold string) bool { return r.hasTombstone[hold] && !r.m.hasTombstone(hold) }

// run runs a script, learns the token of a new grant, and compares the reply.
func (r *fuzzRun) run(sc *Script, floor int64, want []any, args ...any) {
	r.Helper()
	ctx := context.Background()
	fence, _ := r.w.rdb.Get(ctx, r.keys[1]).Int64()
	least := max(fence+1, r.w.clock(r.T))
	if floor <= r.w.clock(r.T)+hourUS {
		least = max(least, floor+1)
	}
	keys := r.keys
	if sc == &renewScript {
		keys = keys[:1]
	}
	val, err := newCommand(sc, anys(keys), args...).run(ctx, r.w.rdb)
	if err != nil {
		r.Fatal(err)
	}
	r.learnToken(least)
	got := spelled(sc, val, args)
	if !slices.EqualFunc(got, want, r.matches) {
		r.Fatalf("%v: got reply %v, want %v", args, got, want)
	}
	for _, msg := range r.m.sent {
		r.wantMessage(msg)
	}
}

func (r *fuzzRun) matches(got, want any) bool {
	if _, token := want.(theToken); token {
		return got == r.m.lock.token
	}
	return r.match.matches(got, want)
}

// learnToken reads the token of a lock that was just granted: it is above all
// before it, and no more above them than needed.
func (r *fuzzRun) learnToken(least int64) {
	r.Helper()
	if r.m.lock == nil || r.m.lock.token != 0 {
		return
	}
	token, err := r.w.rdb.HGet(context.Background(), r.keys[0], "token").Int64()
	if err != nil {
		r.Fatalf("no token in a lock that %s should have: %v", r.m.lock.owner, err)
	}
	// A token is lost where nobody who waits could be reached.
	if most := max(least, r.w.clock(r.T)) + 1; token < least || token > most {
		r.Fatalf("got token %d, want it between %d and %d", token, least, most)
	}
	if n := len(r.tokens); n > 0 && token <= r.tokens[n-1] {
		r.Fatalf("got token %d after %d", token, r.tokens[n-1])
	}
	r.tokens = append(r.tokens, token)
	r.m.lock.token = token
}

func (r *fuzzRun) wantMessage(m modelMessage) {
	r.Helper()
	if !r.w.hears(m.channel) {
		return
	}
	want := fmt.Sprintf("%s %d %d %s", m.hold, r.m.lock.token, m.ttl, r.keys[0])
	got := r.hear()
	if m.nudge {
		// What is left of a minimum falls as time passes.
		before, rest, _ := strings.Cut(got, " kept ")
		ms, key, _ := strings.Cut(rest, " ")
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil && before == m.hold && key == r.keys[0] && r.match.matches(n, left(m.ttl)) {
			return
		}
		want = fmt.Sprintf("%s kept %d %s", m.hold, m.ttl, r.keys[0])
	}
	if got != want {
		r.Fatalf("got message %q, want %q", got, want)
	}
}

// wantSilence checks that no message is left over.
func (r *fuzzRun) wantSilence() {
	r.Helper()
	r.w.setOpen(r.T, true)
	if err := r.w.rdb.Publish(context.Background(), heardChannel, "the end").Err(); err != nil {
		r.Fatal(err)
	}
	if got := r.hear(); got != "the end" {
		for r.hear() != "the end" {
			continue // the next sequence starts without it
		}
		r.Fatalf("got message %q, want none", got)
	}
}

func (r *fuzzRun) hear() string {
	r.Helper()
	select {
	case got := <-r.w.heard:
		return got
	case <-time.After(10 * time.Second):
		r.Fatal("no message")
		return ""
	}
}
