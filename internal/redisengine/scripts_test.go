package redisengine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/redistest"
)

// The reply tables of the scripts. Each case runs on the embedded server, whose
// clock stands still, and on a real one. Time does not pass in a case: what
// time would do (a hold ends, a waiter falls silent) is written into the keys.

const (
	testTTL       = 30_000 // ms
	testLife      = 9_000
	testRetention = 3_600_000
	hourUS        = 3_600_000_000
	maxToken      = int64(1<<53 - 1)
)

type scriptCase struct {
	sentence string
	check    func(s *scriptTest)
}

var scriptServers = []struct {
	name  string
	slack int64
	start func(t *testing.T) *redis.Client
}{
	{"embedded", 0, func(t *testing.T) *redis.Client {
		m, rdb := redistest.Embedded(t)
		m.SetTime(time.Now())
		return rdb
	}},
	{"redis-server", 5_000, func(t *testing.T) *redis.Client { return redistest.StartT(t).Client() }},
}

func runScriptCases(t *testing.T, cases []scriptCase) {
	t.Helper()
	for _, on := range scriptServers {
		t.Run(on.name, func(t *testing.T) {
			rdb := on.start(t)
			for i, c := range cases {
				c.run(t, rdb, on.slack, fmt.Sprintf("case-%d", i))
			}
		})
	}
}

// run checks c by the scripts as they are, and by their long ways alone.
func (c scriptCase) run(t *testing.T, rdb *redis.Client, slack int64, name string) {
	t.Helper()
	t.Run(c.sentence, func(t *testing.T) { c.check(newScriptTest(t, rdb, slack, name)) })
	t.Run(c.sentence+", the long way", func(t *testing.T) {
		s := newScriptTest(t, rdb, slack, name+"-long")
		s.long = true
		c.check(s)
	})
}

// A scriptTest drives the scripts on one lock.
type scriptTest struct {
	*testing.T
	long  bool // without their short ways
	rdb   *redis.Client
	slack int64 // ms that may pass on the server's clock in a case
	name  string
	keys  []string

	lock, fence, queue, waiters, tombstones string // the keys by their kind
}

func newScriptTest(t *testing.T, rdb *redis.Client, slack int64, name string) *scriptTest {
	k := lockKeys("t", name)
	return &scriptTest{t, false, rdb, slack, name, k[:], k[0], k[1], k[2], k[3], k[4]}
}

func (s *scriptTest) run(sc *Script, keys []string, args ...any) ([]any, error) {
	way := sc
	if s.long {
		way = longWay(sc)
	}
	val, err := newCommand(way, anys(keys), args...).run(context.Background(), s.rdb)
	return spelled(sc, val, args), err
}

// spelled is a reply as a list, also where it is a number alone.
func spelled(sc *Script, val any, args []any) []any {
	n, short := val.(int64)
	switch list, _ := val.([]any); {
	case !short:
		return list
	case sc == &releaseScript && n == replyReleased:
		return []any{n, int64(0), int64(0)}
	case sc == &releaseScript:
		return []any{int64(replyReleased), int64(0), int64(replyGranted), n, int64(1), args[7]}
	case sc == &voteScript:
		return []any{int64(replyGranted), n, int64(1), args[6], n, int64(0)}
	}
	return []any{int64(replyGranted), n, int64(1), args[2]}
}

func (s *scriptTest) mustRun(sc *Script, keys []string, args ...any) []any {
	s.Helper()
	got, err := s.run(sc, keys, args...)
	if err != nil {
		s.Fatal(err)
	}
	return got
}

// ask is an acquire; zero fields take the defaults above.
type ask struct {
	hold, owner     string
	ttl             int64
	channel         string
	waited          time.Duration
	life, retention int64
	floor           int64
	subscribed      int
}

func (a ask) ms(n, otherwise int64) int64 {
	if n == 0 {
		return otherwise
	}
	return n
}

func (a ask) args() []any {
	args := []any{"hold:" + a.hold, "owner:" + a.owner, a.ms(a.ttl, testTTL), a.floor, a.ms(a.retention, testRetention)}
	if a.channel != "" {
		args = append(args, a.wait()...)
	}
	return args
}

func (a ask) wait() []any {
	return []any{a.channel, a.waited.Microseconds(), a.ms(a.life, testLife), a.subscribed}
}

func (s *scriptTest) acquire(a ask) []any {
	s.Helper()
	return s.mustRun(&acquireScript, s.keys, a.args()...)
}

// grant acquires what must be granted, and returns the token.
func (s *scriptTest) grant(a ask) int64 {
	s.Helper()
	got := s.acquire(a)
	if len(got) != 4 || got[0] != int64(replyGranted) {
		s.Fatalf("acquire of %s: got %v, want a grant", a.hold, got)
	}
	return got[1].(int64)
}

// wait acquires what another holds, as a waiter.
func (s *scriptTest) wait(a ask) {
	s.Helper()
	if a.channel == "" {
		a.channel = "nobody-hears"
	}
	if got := s.acquire(a); len(got) != 6 || got[0] != int64(replyWaiting) {
		s.Fatalf("acquire of %s: got %v, want waiting", a.hold, got)
	}
}

// give is a release.
type give struct {
	hold             string
	token            int64
	tombstone, floor int64
	next             *ask
	keep             int64 // ms; 0: no minimum
	lease            int64 // its token; 0: token
}

func (g give) args() []any {
	args := []any{"hold:" + g.hold, g.token, g.floor, testRetention}
	if g.tombstone == 0 && g.next == nil && g.keep == 0 {
		return args
	}
	args = append(args, g.tombstone)
	if n := g.next; n != nil {
		args = append(append(args, "hold:"+n.hold, "owner:"+n.owner, n.ms(n.ttl, testTTL)), n.wait()...)
	} else {
		args = append(args, "")
	}
	if g.keep > 0 {
		args = append(args, g.keep, cmp.Or(g.lease, g.token))
	}
	return args
}

func (s *scriptTest) release(g give) []any {
	s.Helper()
	return s.mustRun(&releaseScript, s.keys, g.args()...)
}

func (s *scriptTest) renew(hold string, token, ttl int64) []any {
	s.Helper()
	return s.mustRun(&renewScript, s.keys[:1], hold, token, ttl)
}

func (s *scriptTest) force(token int64) []any {
	s.Helper()
	return s.mustRun(&forceScript, s.keys, token, 0, testRetention)
}

func (s *scriptTest) status() []any {
	s.Helper()
	return s.mustRun(&statusScript, s.keys)
}

// In a wanted reply: left is a time that falls, age one that rises, anyToken a
// token that the case looks at apart, anything what is not promised.
type (
	left     int64
	age      int64
	anyToken struct{}
	anything struct{}
)

func (s *scriptTest) matches(got, want any) bool {
	n, isInt := got.(int64)
	switch want := want.(type) {
	case left:
		return isInt && n <= int64(want) && n >= int64(want)-s.slack
	case age:
		return isInt && n >= int64(want) && n <= int64(want)+s.slack
	case anything:
		return true
	case anyToken:
		return isInt && n > 0
	case int:
		return isInt && n == int64(want)
	default:
		return got == want
	}
}

func (s *scriptTest) want(got []any, want ...any) {
	s.Helper()
	if !slices.EqualFunc(got, want, s.matches) {
		s.Errorf("got reply %v, want %v", got, want)
	}
}

// wantErr runs one script that must be refused, with nothing changed.
func (s *scriptTest) wantErr(prefix string, run func() ([]any, error)) {
	s.Helper()
	before := s.contents()
	got, err := run()
	if !redis.HasErrorPrefix(err, prefix) {
		s.Errorf("got %v and error %v, want %s", got, err, prefix)
	}
	s.wantContents(before)
}

// contents is all that the lock's keys hold, their TTLs aside.
func (s *scriptTest) contents() string {
	s.Helper()
	var b strings.Builder
	for _, key := range s.keys {
		switch s.do("type", key) {
		case "string":
			fmt.Fprintf(&b, "%s = %q\n", key, s.do("get", key))
		case "list":
			fmt.Fprintf(&b, "%s = %q\n", key, s.do("lrange", key, 0, -1))
		case "zset":
			fmt.Fprintf(&b, "%s = %q\n", key, s.do("zrange", key, 0, -1, "withscores"))
		case "hash":
			fmt.Fprintf(&b, "%s = %q\n", key, s.rdb.HGetAll(context.Background(), key).Val())
		}
	}
	return b.String()
}

func (s *scriptTest) wantContents(want string) {
	s.Helper()
	if got := s.contents(); got != want {
		s.Errorf("keys changed: got\n%swant\n%s", got, want)
	}
}

// do runs one plain command.
func (s *scriptTest) do(args ...any) any {
	s.Helper()
	val, err := s.rdb.Do(context.Background(), args...).Result()
	if err != nil {
		s.Fatalf("%v: %v", args, err)
	}
	return val
}

// listen subscribes, and returns when that is confirmed.
func (s *scriptTest) listen(channel string) *redis.PubSub {
	s.Helper()
	ps := s.rdb.Subscribe(context.Background(), channel)
	s.Cleanup(func() { _ = ps.Close() })
	if _, err := ps.Receive(context.Background()); err != nil {
		s.Fatal(err)
	}
	return ps
}

func (s *scriptTest) wantMessage(ps *redis.PubSub, hold string, token, ttl int64) {
	s.Helper()
	want := fmt.Sprintf("%s %d %d %s", hold, token, ttl, s.lock)
	if got := s.hear(ps); got != want {
		s.Errorf("got message %q, want %q", got, want)
	}
}

func (s *scriptTest) hear(ps *redis.PubSub) string {
	s.Helper()
	msg, err := ps.ReceiveTimeout(context.Background(), 10*time.Second)
	if err != nil {
		s.Fatal(err)
	}
	return msg.(*redis.Message).Payload
}

// wantNoMessage checks that the next message on the channel is one sent now.
func (s *scriptTest) wantNoMessage(ps *redis.PubSub, channel string) {
	s.Helper()
	s.do("publish", channel, "the next")
	if got := s.hear(ps); got != "the next" {
		s.Errorf("got message %q, want none", got)
	}
}
