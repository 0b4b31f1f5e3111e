package relock_test

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

// wantInvalid checks that err is ErrInvalid and says what is wrong.
func wantInvalid(t *testing.T, err error, names string) {
	t.Helper()
	if !errors.Is(err, relock.ErrInvalid) || !strings.Contains(err.Error(), names) {
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
		opt   relock.Option
		names string
	}{
		"a TTL below the least":          {relock.WithTTL(relock.MinTTL - 1), "WithTTL"},
		"a TTL above the greatest":       {relock.WithTTL(relock.MaxTTL + 1), "WithTTL"},
		"no TTL":                         {relock.WithTTL(0), "WithTTL"},
		"a negative TTL":                 {relock.WithTTL(-time.Second), "WithTTL"},
		"too short a check interval":     {relock.WithCheckInterval(10*time.Millisecond - 1), "WithCheckInterval"},
		"too long a check interval":      {relock.WithCheckInterval(time.Hour + 1), "WithCheckInterval"},
		"too short a call timeout":       {relock.WithCallTimeout(time.Millisecond - 1), "WithCallTimeout"},
		"too long a call timeout":        {relock.WithCallTimeout(time.Hour + 1), "WithCallTimeout"},
		"too short a retention":          {relock.WithFenceRetention(time.Second - 1), "WithFenceRetention"},
		"too long a retention":           {relock.WithFenceRetention(relock.MaxTTL + 1), "WithFenceRetention"},
		"no prefix":                      {relock.WithPrefix(""), "prefix"},
		"too long a prefix":              {relock.WithPrefix(strings.Repeat("p", 65)), "prefix"},
		"a prefix with an opening brace": {relock.WithPrefix("a{b"), "prefix"},
		"a prefix with a closing brace":  {relock.WithPrefix("a}b"), "prefix"},
		"a prefix with a space":          {relock.WithPrefix("a b"), "prefix"},
		"a prefix with a line break":     {relock.WithPrefix("a\nb"), "prefix"},
		"a prefix with a NUL":            {relock.WithPrefix("a\x00b"), "prefix"},
		"a prefix with a DEL":            {relock.WithPrefix("a\x7fb"), "prefix"},
		"no logger":                      {relock.WithLogger(nil), "WithLogger"},
		"a nil option":                   {nil, "nil Option"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := relock.New(idle(t), relock.WithPrefix("fine"), c.opt, relock.WithTTL(time.Second))
			wantInvalid(t, err, c.names)
			if c2 != nil {
				t.Error("got a client beside the error")
			}
		})
	}
}

func TestNewTakesOptionsAtTheirLimits(t *testing.T) {
	for name, opts := range map[string][]relock.Option{
		"none": nil,
		"the least": {
			relock.WithTTL(relock.MinTTL), relock.WithCheckInterval(10 * time.Millisecond), relock.WithCallTimeout(time.Millisecond),
			relock.WithFenceRetention(time.Second), relock.WithPrefix("p"), relock.WithLogger(slog.New(slog.DiscardHandler)),
			relock.WithBatching(false),
		},
		"the greatest": {
			relock.WithTTL(relock.MaxTTL), relock.WithCheckInterval(time.Hour), relock.WithCallTimeout(time.Hour),
			relock.WithFenceRetention(relock.MaxTTL), relock.WithPrefix(strings.Repeat("p", 64)), relock.WithBatching(true),
		},
		"a prefix of parts": {relock.WithPrefix("app:v1/locks-ö")},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := relock.New(idle(t), opts...)
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
	prefix, ttl, check, call, retention := relock.DefaultsOf()
	if prefix != "relock" || ttl != 30*time.Second || check != 3*time.Second || call != 3*time.Second || retention != time.Hour {
		t.Errorf("got %q, %v, %v, %v and %v", prefix, ttl, check, call, retention)
	}
}

func TestNewRefusesClients(t *testing.T) {
	var none *redis.Client
	var noCluster *redis.ClusterClient
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	t.Cleanup(func() { _ = ring.Close() })
	for name, c := range map[string]struct {
		rdb   relock.Redis
		names string
	}{
		"nil":                        {nil, "nil"},
		"a nil *redis.Client":        {none, "nil *redis.Client"},
		"a nil *redis.ClusterClient": {noCluster, "nil *redis.ClusterClient"},
		"a *redis.Ring":              {ring, "Ring"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := relock.New(c.rdb)
			wantInvalid(t, err, c.names)
			wantInvalid(t, relock.NewGuard(c.rdb).Claim(t.Context(), "k", relock.Sequencer{"n", 1, "o"}), c.names)
		})
	}
}

func TestLocksRefuseNamesAndOptions(t *testing.T) {
	type options []relock.LockOption
	for name, c := range map[string]struct {
		lock  string
		opts  options
		names string
	}{
		"an empty name":                      {"", nil, "name"},
		"too long a name":                    {strings.Repeat("x", relock.MaxName+1), nil, "name"},
		"a nil option":                       {"a", options{nil}, "nil LockOption"},
		"a TTL below the least":              {"a", options{relock.WithTTL(relock.MinTTL - 1)}, "WithTTL"},
		"a TTL above the greatest":           {"a", options{relock.WithTTL(relock.MaxTTL + 1)}, "WithTTL"},
		"too short a lease":                  {"a", options{relock.WithLease(relock.MinTTL - 1)}, "WithLease"},
		"too long a lease":                   {"a", options{relock.WithLease(relock.MaxTTL + 1)}, "WithLease"},
		"too short a greatest hold":          {"a", options{relock.WithMaxHold(relock.MinTTL - 1)}, "WithMaxHold"},
		"too long a greatest hold":           {"a", options{relock.WithMaxHold(relock.MaxTTL + 1)}, "WithMaxHold"},
		"no least hold":                      {"a", options{relock.WithMinHold(0)}, "WithMinHold"},
		"too short a least hold":             {"a", options{relock.WithMinHold(time.Millisecond - 1)}, "WithMinHold"},
		"too long a least hold":              {"a", options{relock.WithMinHold(relock.MaxTTL + 1)}, "WithMinHold"},
		"a least hold beyond the greatest":   {"a", options{relock.WithMaxHold(time.Second), relock.WithMinHold(time.Second + 1)}, "WithMinHold"},
		"no replicas":                        {"a", options{relock.WithReplicas(0, time.Second)}, "WithReplicas"},
		"fewer replicas than none":           {"a", options{relock.WithReplicas(-1, time.Second)}, "WithReplicas"},
		"no time for replicas":               {"a", options{relock.WithReplicas(1, 0)}, "WithReplicas"},
		"less than a millisecond for them":   {"a", options{relock.WithReplicas(1, time.Millisecond-1)}, "WithReplicas"},
		"a negative wait":                    {"a", options{relock.WithWait(-1)}, "WithWait"},
		"a TTL and a lease":                  {"a", options{relock.WithTTL(time.Second), relock.WithLease(time.Second)}, "WithTTL and WithLease"},
		"a lease and a TTL":                  {"a", options{relock.WithLease(time.Second), relock.WithTTL(time.Second)}, "WithTTL and WithLease"},
		"a lease beyond the greatest hold":   {"a", options{relock.WithLease(2 * time.Second), relock.WithMaxHold(time.Second)}, "WithMaxHold"},
		"the same the other way round":       {"a", options{relock.WithMaxHold(time.Second), relock.WithLease(2 * time.Second)}, "WithMaxHold"},
		"replicas waited for a third of TTL": {"a", options{relock.WithTTL(3 * time.Second), relock.WithReplicas(1, time.Second)}, "WithReplicas"},
		"the same with the client's TTL":     {"a", options{relock.WithReplicas(1, relock.DefaultTTL/3)}, "WithReplicas"},
		"the first of two mistakes":          {"a", options{relock.WithWait(-1), relock.WithLease(0)}, "WithWait"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := relock.New(idle(t))
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			m, r := client.Mutex(c.lock, c.opts...), client.Reentrant(c.lock, c.opts...)
			for _, l := range []relock.Locker{m, r} {
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
	for name, opts := range map[string][]relock.LockOption{
		"none":                           nil,
		"the least TTL":                  {relock.WithTTL(relock.MinTTL)},
		"the greatest TTL":               {relock.WithTTL(relock.MaxTTL)},
		"a lease as long as a hold":      {relock.WithLease(time.Second), relock.WithMaxHold(time.Second)},
		"a TTL beyond the greatest hold": {relock.WithTTL(time.Minute), relock.WithMaxHold(time.Second)},
		"no wait":                        {relock.WithWait(0)},
		"the shortest least hold":        {relock.WithMinHold(time.Millisecond)},
		"the longest least hold":         {relock.WithMinHold(relock.MaxTTL)},
		"a least hold as the greatest":   {relock.WithMinHold(time.Second), relock.WithMaxHold(time.Second), relock.WithLease(relock.MinTTL)},
		"replicas":                       {relock.WithTTL(3 * time.Second), relock.WithReplicas(1, time.Second-1)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := relock.TermsOf(strings.Repeat("x", relock.MaxName), relock.DefaultTTL, opts); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTTLOfALock(t *testing.T) {
	for name, c := range map[string]struct {
		opts []relock.LockOption
		want time.Duration
	}{
		"the client's":    {nil, time.Minute},
		"its own":         {[]relock.LockOption{relock.WithTTL(time.Second)}, time.Second},
		"its fixed lease": {[]relock.LockOption{relock.WithLease(2 * time.Second)}, 2 * time.Second},
		"the last of two": {[]relock.LockOption{relock.WithTTL(time.Second), relock.WithTTL(3 * time.Second)}, 3 * time.Second},
	} {
		if ttl, err := relock.TermsOf("a", time.Minute, c.opts); ttl != c.want || err != nil {
			t.Errorf("%s: got TTL %v and error %v, want %v", name, ttl, err, c.want)
		}
	}
}

func TestOwnersOutOfRange(t *testing.T) {
	client, err := relock.New(idle(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []relock.Owner{"", relock.Owner(strings.Repeat("x", relock.MaxOwner+1)), relock.KeptOwner} {
		ctx := relock.WithOwner(t.Context(), owner)
		_, err := client.Reentrant("a").TryLock(ctx)
		wantInvalid(t, err, "owner")
		_, err = client.Reentrant("a").Lock(ctx)
		wantInvalid(t, err, "owner")
	}
	if err := relock.CheckOwner(relock.Owner(strings.Repeat("x", relock.MaxOwner))); err != nil {
		t.Error(err)
	}
	if err := relock.CheckOwner(relock.NewOwner()); err != nil {
		t.Error(err)
	}
}

func TestGuardRefusesArguments(t *testing.T) {
	ctx := t.Context()
	s := relock.Sequencer{"n", 1, "o"}
	for name, opt := range map[string]relock.GuardOption{
		"nil GuardOption": nil, "WithFenceRetention": relock.WithFenceRetention(0), "WithCallTimeout": relock.WithCallTimeout(0), "prefix": relock.WithPrefix("{"),
	} {
		wantInvalid(t, relock.NewGuard(idle(t), opt).Claim(ctx, "k", s), name)
	}
	g := relock.NewGuard(idle(t))
	wantInvalid(t, g.Claim(ctx, "", s), "empty key")
	wantInvalid(t, g.Claim(ctx, "k", relock.Sequencer{"n", 1, ""}), "owner")
	wantInvalid(t, g.Set(ctx, "k", s, "x", -2), "ttl")
	wantInvalid(t, g.HSet(ctx, "k", s), "pairs")
	wantInvalid(t, g.HSet(ctx, "k", s, "f"), "pairs")
	for _, token := range []relock.Token{0, -1} {
		err := g.Claim(ctx, "k", relock.Sequencer{"n", token, "o"})
		wantInvalid(t, err, "token")
		if !errors.Is(err, relock.ErrStaleToken) {
			t.Errorf("got error %v, want ErrStaleToken too", err)
		}
	}
}

func TestSequencerText(t *testing.T) {
	for _, s := range []relock.Sequencer{
		{"job", 1, "worker"},
		{"a:b", 1<<53 - 1, "host/1/x"},
		{"{a} %7D+&=\n\x00", 42, " :% +"},
		{"\U0001F512\xff", 1 << 62, relock.Owner(strings.Repeat("\x00", relock.MaxOwner))},
	} {
		text, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got, err := relock.ParseSequencer(string(text))
		if err != nil || got != s {
			t.Errorf("got %+v and error %v from %q, want %+v", got, err, text, s)
		}
		encoded, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var decoded relock.Sequencer
		if err := json.Unmarshal(encoded, &decoded); err != nil || decoded != s {
			t.Errorf("got %+v and error %v from %s, want %+v", decoded, err, encoded, s)
		}
	}
	text, err := relock.Sequencer{"my job", 42, "a:b"}.MarshalText()
	if got, want := string(text), "relock1:42:a%3Ab:my+job"; got != want || err != nil {
		t.Errorf("got %q and error %v, want %q", got, err, want)
	}
	var _ encoding.TextUnmarshaler = (*relock.Sequencer)(nil)
}

func TestSequencerRefuses(t *testing.T) {
	for _, s := range []relock.Sequencer{{}, {"", 1, "o"}, {"n", 1, ""}, {"n", 0, "o"}, {"n", -1, "o"}} {
		if text, err := s.MarshalText(); !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("%+v: got %q and error %v, want ErrInvalid", s, text, err)
		}
	}
	for _, text := range []string{
		"", ":", ":::", "relock1", "relock1:1:o", "relock1:1:o:n:", "relock2:1:o:n", "RELOCK1:1:o:n", " relock1:1:o:n",
		"relock1::o:n", "relock1:0:o:n", "relock1:-1:o:n", "relock1:x:o:n", "relock1:1.5:o:n", "relock1: 1:o:n", "relock1:0x1:o:n",
		"relock1:9223372036854775808:o:n", "relock1:1::n", "relock1:1:o:", "relock1:1:%:n", "relock1:1:o:%zz",
	} {
		got, err := relock.ParseSequencer(text)
		wantInvalid(t, err, "sequencer")
		if got != (relock.Sequencer{}) {
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
		if s, err := relock.ParseSequencer(text); err == nil {
			again, err := s.MarshalText()
			if err != nil {
				t.Fatalf("%q was read as %+v, which cannot be written: %v", text, s, err)
			}
			if back, err := relock.ParseSequencer(string(again)); err != nil || back != s {
				t.Errorf("%q was read as %+v, then as %+v, %v", text, s, back, err)
			}
		} else if !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("got error %v, want ErrInvalid", err)
		}
		s := relock.Sequencer{name, relock.Token(token), relock.Owner(owner)}
		written, err := s.MarshalText()
		if err != nil {
			return
		}
		if got, err := relock.ParseSequencer(string(written)); err != nil || got != s {
			t.Errorf("got %+v and error %v, want %+v", got, err, s)
		}
	})
}

func TestAReplicaTimeoutBeyondTheCallTimeoutIsInvalid(t *testing.T) {
	s := redistest.StartT(t)
	c := behaviour.ClientOn(t, s.Client(), relock.WithCallTimeout(300*time.Millisecond), relock.WithTTL(3*time.Second))
	ctx, cancel := context.WithTimeout(behaviour.Bg, 8*time.Second)
	defer cancel()
	start := time.Now()
	_, err := c.Mutex("a", relock.WithReplicas(1, 500*time.Millisecond)).Lock(ctx)
	t.Logf("%v after %v", err, time.Since(start))
	if !errors.Is(err, relock.ErrNotReplicated) && !errors.Is(err, relock.ErrInvalid) {
		t.Errorf("got %v, want ErrNotReplicated (or ErrInvalid)", err)
	}
}
