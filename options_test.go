package relock

import (
	"encoding"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// wantInvalid checks that err is ErrInvalid and says what is wrong.
func wantInvalid(t *testing.T, err error, names string) {
	t.Helper()
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), names) {
		t.Errorf("got error %v, want ErrInvalid that names %q", err, names)
	}
}

// idle is a client that nothing is sent to.
func idle(t *testing.T) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestNewRefusesOptionsOutOfRange(t *testing.T) {
	for name, c := range map[string]struct {
		opt   Option
		names string
	}{
		"a TTL below the least":          {WithTTL(MinTTL - 1), "WithTTL"},
		"a TTL above the greatest":       {WithTTL(MaxTTL + 1), "WithTTL"},
		"no TTL":                         {WithTTL(0), "WithTTL"},
		"a negative TTL":                 {WithTTL(-time.Second), "WithTTL"},
		"too short a check interval":     {WithCheckInterval(10*time.Millisecond - 1), "WithCheckInterval"},
		"too long a check interval":      {WithCheckInterval(time.Hour + 1), "WithCheckInterval"},
		"too short a call timeout":       {WithCallTimeout(time.Millisecond - 1), "WithCallTimeout"},
		"too long a call timeout":        {WithCallTimeout(time.Hour + 1), "WithCallTimeout"},
		"too short a retention":          {WithFenceRetention(time.Second - 1), "WithFenceRetention"},
		"too long a retention":           {WithFenceRetention(MaxTTL + 1), "WithFenceRetention"},
		"no prefix":                      {WithPrefix(""), "prefix"},
		"too long a prefix":              {WithPrefix(strings.Repeat("p", 65)), "prefix"},
		"a prefix with an opening brace": {WithPrefix("a{b"), "prefix"},
		"a prefix with a closing brace":  {WithPrefix("a}b"), "prefix"},
		"a prefix with a space":          {WithPrefix("a b"), "prefix"},
		"a prefix with a line break":     {WithPrefix("a\nb"), "prefix"},
		"a prefix with a NUL":            {WithPrefix("a\x00b"), "prefix"},
		"a prefix with a DEL":            {WithPrefix("a\x7fb"), "prefix"},
		"no logger":                      {WithLogger(nil), "WithLogger"},
		"a nil option":                   {nil, "nil Option"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := New(idle(t), WithPrefix("fine"), c.opt, WithTTL(time.Second))
			wantInvalid(t, err, c.names)
			if c2 != nil {
				t.Error("got a client beside the error")
			}
		})
	}
}

func TestNewTakesOptionsAtTheirLimits(t *testing.T) {
	for name, opts := range map[string][]Option{
		"none": nil,
		"the least": {
			WithTTL(MinTTL), WithCheckInterval(10 * time.Millisecond), WithCallTimeout(time.Millisecond),
			WithFenceRetention(time.Second), WithPrefix("p"), WithLogger(slog.New(slog.DiscardHandler)),
		},
		"the greatest": {
			WithTTL(MaxTTL), WithCheckInterval(time.Hour), WithCallTimeout(time.Hour),
			WithFenceRetention(MaxTTL), WithPrefix(strings.Repeat("p", 64)),
		},
		"a prefix of parts": {WithPrefix("app:v1/locks-ö")},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(idle(t), opts...)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	got := newSettings(nil)
	got.log = nil
	want := settings{prefix: "relock", ttl: 30 * time.Second, check: 3 * time.Second, call: 3 * time.Second, retention: time.Hour}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNewRefusesClients(t *testing.T) {
	var none *redis.Client
	var noCluster *redis.ClusterClient
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	t.Cleanup(func() { _ = ring.Close() })
	for name, c := range map[string]struct {
		rdb   Redis
		names string
	}{
		"nil":                        {nil, "nil"},
		"a nil *redis.Client":        {none, "nil *redis.Client"},
		"a nil *redis.ClusterClient": {noCluster, "nil *redis.ClusterClient"},
		"a *redis.Ring":              {ring, "Ring"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.rdb)
			wantInvalid(t, err, c.names)
			wantInvalid(t, NewGuard(c.rdb).Claim(t.Context(), "k", Sequencer{"n", 1, "o"}), c.names)
		})
	}
}

func TestLocksRefuseNamesAndOptions(t *testing.T) {
	type options []LockOption
	for name, c := range map[string]struct {
		lock  string
		opts  options
		names string
	}{
		"an empty name":                      {"", nil, "name"},
		"too long a name":                    {strings.Repeat("x", MaxName+1), nil, "name"},
		"a nil option":                       {"a", options{nil}, "nil LockOption"},
		"a TTL below the least":              {"a", options{WithTTL(MinTTL - 1)}, "WithTTL"},
		"a TTL above the greatest":           {"a", options{WithTTL(MaxTTL + 1)}, "WithTTL"},
		"too short a lease":                  {"a", options{WithLease(MinTTL - 1)}, "WithLease"},
		"too long a lease":                   {"a", options{WithLease(MaxTTL + 1)}, "WithLease"},
		"too short a greatest hold":          {"a", options{WithMaxHold(MinTTL - 1)}, "WithMaxHold"},
		"too long a greatest hold":           {"a", options{WithMaxHold(MaxTTL + 1)}, "WithMaxHold"},
		"no least hold":                      {"a", options{WithMinHold(0)}, "WithMinHold"},
		"too short a least hold":             {"a", options{WithMinHold(time.Millisecond - 1)}, "WithMinHold"},
		"too long a least hold":              {"a", options{WithMinHold(MaxTTL + 1)}, "WithMinHold"},
		"a least hold beyond the greatest":   {"a", options{WithMaxHold(time.Second), WithMinHold(time.Second + 1)}, "WithMinHold"},
		"no replicas":                        {"a", options{WithReplicas(0, time.Second)}, "WithReplicas"},
		"fewer replicas than none":           {"a", options{WithReplicas(-1, time.Second)}, "WithReplicas"},
		"no time for replicas":               {"a", options{WithReplicas(1, 0)}, "WithReplicas"},
		"less than a millisecond for them":   {"a", options{WithReplicas(1, time.Millisecond-1)}, "WithReplicas"},
		"a negative wait":                    {"a", options{WithWait(-1)}, "WithWait"},
		"a TTL and a lease":                  {"a", options{WithTTL(time.Second), WithLease(time.Second)}, "WithTTL and WithLease"},
		"a lease and a TTL":                  {"a", options{WithLease(time.Second), WithTTL(time.Second)}, "WithTTL and WithLease"},
		"a lease beyond the greatest hold":   {"a", options{WithLease(2 * time.Second), WithMaxHold(time.Second)}, "WithMaxHold"},
		"the same the other way round":       {"a", options{WithMaxHold(time.Second), WithLease(2 * time.Second)}, "WithMaxHold"},
		"replicas waited for a third of TTL": {"a", options{WithTTL(3 * time.Second), WithReplicas(1, time.Second)}, "WithReplicas"},
		"the same with the client's TTL":     {"a", options{WithReplicas(1, DefaultTTL/3)}, "WithReplicas"},
		"the first of two mistakes":          {"a", options{WithWait(-1), WithLease(0)}, "WithWait"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := New(idle(t))
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			m, r := client.Mutex(c.lock, c.opts...), client.Reentrant(c.lock, c.opts...)
			for _, l := range []Locker{m, r} {
				_, err := l.Lock(ctx)
				wantInvalid(t, err, c.names)
				_, err = l.TryLock(ctx)
				wantInvalid(t, err, c.names)
			}
			_, err = m.Status(ctx)
			wantInvalid(t, err, c.names)
			_, err = r.Status(ctx)
			wantInvalid(t, err, c.names)
			_, err = m.ForceUnlock(ctx)
			wantInvalid(t, err, c.names)
			_, err = r.ForceUnlock(ctx)
			wantInvalid(t, err, c.names)
		})
	}
}

func TestLocksTakeNamesAndOptionsAtTheirLimits(t *testing.T) {
	for name, opts := range map[string][]LockOption{
		"none":                           nil,
		"the least TTL":                  {WithTTL(MinTTL)},
		"the greatest TTL":               {WithTTL(MaxTTL)},
		"a lease as long as a hold":      {WithLease(time.Second), WithMaxHold(time.Second)},
		"a TTL beyond the greatest hold": {WithTTL(time.Minute), WithMaxHold(time.Second)},
		"no wait":                        {WithWait(0)},
		"the shortest least hold":        {WithMinHold(time.Millisecond)},
		"the longest least hold":         {WithMinHold(MaxTTL)},
		"a least hold as the greatest":   {WithMinHold(time.Second), WithMaxHold(time.Second), WithLease(MinTTL)},
		"replicas":                       {WithTTL(3 * time.Second), WithReplicas(1, time.Second-1)},
	} {
		t.Run(name, func(t *testing.T) {
			if set := newLockSettings(strings.Repeat("x", MaxName), DefaultTTL, opts); set.err != nil {
				t.Error(set.err)
			}
		})
	}
}

func TestTTLOfALock(t *testing.T) {
	for name, c := range map[string]struct {
		opts []LockOption
		want time.Duration
	}{
		"the client's":    {nil, time.Minute},
		"its own":         {[]LockOption{WithTTL(time.Second)}, time.Second},
		"its fixed lease": {[]LockOption{WithLease(2 * time.Second)}, 2 * time.Second},
		"the last of two": {[]LockOption{WithTTL(time.Second), WithTTL(3 * time.Second)}, 3 * time.Second},
	} {
		if set := newLockSettings("a", time.Minute, c.opts); set.ttl != c.want || set.err != nil {
			t.Errorf("%s: got TTL %v and error %v, want %v", name, set.ttl, set.err, c.want)
		}
	}
}

func TestOwnersOutOfRange(t *testing.T) {
	client, err := New(idle(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []Owner{"", Owner(strings.Repeat("x", MaxOwner+1)), KeptOwner} {
		ctx := WithOwner(t.Context(), owner)
		_, err := client.Reentrant("a").TryLock(ctx)
		wantInvalid(t, err, "owner")
		_, err = client.Reentrant("a").Lock(ctx)
		wantInvalid(t, err, "owner")
	}
	if err := checkOwner(Owner(strings.Repeat("x", MaxOwner))); err != nil {
		t.Error(err)
	}
	if err := checkOwner(NewOwner()); err != nil {
		t.Error(err)
	}
}

func TestGuardRefusesArguments(t *testing.T) {
	ctx := t.Context()
	s := Sequencer{"n", 1, "o"}
	for name, opt := range map[string]GuardOption{
		"nil GuardOption": nil, "WithFenceRetention": WithFenceRetention(0), "WithCallTimeout": WithCallTimeout(0), "prefix": WithPrefix("{"),
	} {
		wantInvalid(t, NewGuard(idle(t), opt).Claim(ctx, "k", s), name)
	}
	g := NewGuard(idle(t))
	wantInvalid(t, g.Claim(ctx, "", s), "empty key")
	wantInvalid(t, g.Claim(ctx, "k", Sequencer{"n", 1, ""}), "owner")
	wantInvalid(t, g.Set(ctx, "k", s, "x", -2), "ttl")
	wantInvalid(t, g.HSet(ctx, "k", s), "pairs")
	wantInvalid(t, g.HSet(ctx, "k", s, "f"), "pairs")
	for _, token := range []Token{0, -1} {
		err := g.Claim(ctx, "k", Sequencer{"n", token, "o"})
		wantInvalid(t, err, "token")
		if !errors.Is(err, ErrStaleToken) {
			t.Errorf("got error %v, want ErrStaleToken too", err)
		}
	}
}

func TestSequencerText(t *testing.T) {
	for _, s := range []Sequencer{
		{"job", 1, "worker"},
		{"a:b", Token(maxToken), "host/1/x"},
		{"{a} %7D+&=\n\x00", 42, " :% +"},
		{"\U0001F512\xff", 1 << 62, Owner(strings.Repeat("\x00", MaxOwner))},
	} {
		text, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseSequencer(string(text))
		if err != nil || got != s {
			t.Errorf("got %+v and error %v from %q, want %+v", got, err, text, s)
		}
		encoded, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var decoded Sequencer
		if err := json.Unmarshal(encoded, &decoded); err != nil || decoded != s {
			t.Errorf("got %+v and error %v from %s, want %+v", decoded, err, encoded, s)
		}
	}
	text, err := Sequencer{"my job", 42, "a:b"}.MarshalText()
	if got, want := string(text), "relock1:42:a%3Ab:my+job"; got != want || err != nil {
		t.Errorf("got %q and error %v, want %q", got, err, want)
	}
	var _ encoding.TextUnmarshaler = (*Sequencer)(nil)
}

func TestSequencerRefuses(t *testing.T) {
	for _, s := range []Sequencer{{}, {"", 1, "o"}, {"n", 1, ""}, {"n", 0, "o"}, {"n", -1, "o"}} {
		if text, err := s.MarshalText(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: got %q and error %v, want ErrInvalid", s, text, err)
		}
	}
	for _, text := range []string{
		"", ":", ":::", "relock1", "relock1:1:o", "relock1:1:o:n:", "relock2:1:o:n", "RELOCK1:1:o:n", " relock1:1:o:n",
		"relock1::o:n", "relock1:0:o:n", "relock1:-1:o:n", "relock1:x:o:n", "relock1:1.5:o:n", "relock1: 1:o:n", "relock1:0x1:o:n",
		"relock1:9223372036854775808:o:n", "relock1:1::n", "relock1:1:o:", "relock1:1:%:n", "relock1:1:o:%zz",
	} {
		got, err := ParseSequencer(text)
		wantInvalid(t, err, "sequencer")
		if got != (Sequencer{}) {
			t.Errorf("%q: got %+v beside the error", text, got)
		}
	}
}

// FuzzSequencer checks that what is read is what was written, and that what is
// refused is ErrInvalid.
func FuzzSequencer(f *testing.F) {
	f.Add("relock1:42:a%3Ab:my+job", "name", int64(1), "owner")
	f.Add("relock1:0:o:n", "", int64(-1), "")
	f.Add("relock1:+1:o:n", "%", int64(1<<62), ":")
	f.Fuzz(func(t *testing.T, text, name string, token int64, owner string) {
		if s, err := ParseSequencer(text); err == nil {
			again, err := s.MarshalText()
			if err != nil {
				t.Fatalf("%q was read as %+v, which cannot be written: %v", text, s, err)
			}
			if back, err := ParseSequencer(string(again)); err != nil || back != s {
				t.Errorf("%q was read as %+v, then as %+v, %v", text, s, back, err)
			}
		} else if !errors.Is(err, ErrInvalid) {
			t.Errorf("got error %v, want ErrInvalid", err)
		}
		s := Sequencer{name, Token(token), Owner(owner)}
		written, err := s.MarshalText()
		if err != nil {
			return
		}
		if got, err := ParseSequencer(string(written)); err != nil || got != s {
			t.Errorf("got %+v and error %v, want %+v", got, err, s)
		}
	})
}
