package redisengine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// keyKinds are those of the keys of one lock, and the guard's.
var keyKinds = []string{KindLock, KindFence, KindQueue, KindWaiters, KindTombstones, KindGuard}

// hostileNames are lock names that look like keys, tags, escapes and each
// other.
var hostileNames = []string{
	"a", "job", "a:b", ":", "::", ":a", ":{a}", ":{a", "{", "}", "{}", "}{", "{{}}", "{a}", "{a", "a}", "a{", "}a", "}a{b}",
	"{}a", "{}{a}", "{a}{b}", "a{b}c", "a{b}c}", "{a}%7D", "a%7D", "a%7d", "a%25", "a%257D", "a%", "%", "%%", "%7D", "%257D", "%7", "%2",
	"{%7D}", "{a%7D", "a b", "a\nb", "\n", "\x00", "a\x00b", "\x00{\x00}\x00", "{\x00}", "\U0001F512", "{\U0001F512}", "\U0001F512}",
	"\xff\xfe", "lock:{a}", "relock:lock:{a}", "t:lock::a", "queue:a",
	strings.Repeat("x", engine.MaxName), strings.Repeat("}", engine.MaxName), strings.Repeat("%", engine.MaxName), strings.Repeat("\U0001F512", engine.MaxName/4),
	"{" + strings.Repeat("x", engine.MaxName-2) + "}",
}

func lockKeys(prefix, name string) [5]string { return SpaceKeys(prefix, "", name) }

func TestKeysAreOfOneNameAndKind(t *testing.T) {
	prefixes := []string{"relock", "t", "lock", "a:lock", "%7D", "\U0001F512"}
	seen := map[string]string{}
	for _, prefix := range prefixes {
		for _, kind := range keyKinds {
			for _, name := range hostileNames {
				key, what := KeyOf(prefix, kind, name), fmt.Sprintf("%q %s %q", prefix, kind, name)
				if other, taken := seen[key]; taken {
					t.Errorf("key %q is that of %s and of %s", key, other, what)
				}
				seen[key] = what
				if got, ok := nameOf(prefix, kind, key); !ok || got != name {
					t.Errorf("%s: got name %q, %v from key %q", what, got, ok, key)
				}
			}
		}
	}
}

func TestKeysOfOneNameShareASlot(t *testing.T) {
	for _, name := range hostileNames {
		keys := lockKeys("relock", name)
		for _, key := range keys[1:] {
			if got, want := slotOf(key), slotOf(keys[0]); got != want {
				t.Errorf("%q: got slot %d of %q, want %d as of %q", name, got, key, want, keys[0])
			}
		}
		if hasTag(name) && slotOf(keys[0]) != slotOf(name) {
			t.Errorf("%q: got slot %d, want %d, its own tag's", name, slotOf(keys[0]), slotOf(name))
		}
	}
}

func TestKeysAreThoseOfTheDocumentation(t *testing.T) {
	for name, want := range map[string]string{
		"job":       "relock:lock:{job}",
		"50%}":      "relock:lock:%{50%25%7D}",
		"{a}:job":   "relock:lock::{a}:job",
		"a{}":       "relock:lock:%{a{%7D}",
		"{job":      "relock:lock:{{job}",
		"line\nend": "relock:lock:{line\nend}",
	} {
		if got := KeyOf("relock", KindLock, name); got != want {
			t.Errorf("%q: got key %q, want %q", name, got, want)
		}
	}
	if got, want := channelOf("relock", "id"), "relock:wake:id"; got != want {
		t.Errorf("got channel %q, want %q", got, want)
	}
}

func TestNameOfRefusesWhatIsNoKeyOfTheKind(t *testing.T) {
	for _, key := range []string{
		"", "t", "t:lock", "t:lock:", "t:lock::", "t:lock::a", "t:lock::{}", "t:lock:a", "t:lock:{}", "t:lock:{", "t:lock:}",
		"t:lock:{a", "t:lock:{a}b", "t:lock:{a}}", "t:queue:{a}", "u:lock:{a}", "xt:lock:{a}", "t:lock :{a}",
	} {
		if name, ok := nameOf("t", KindLock, key); ok {
			t.Errorf("got name %q from %q, want none", name, key)
		}
	}
}

// The slots of the specification are those of a server.
func TestKeysShareASlotOnAServer(t *testing.T) {
	rdb := redistest.StartT(t, redistest.WithArgs("--cluster-enabled", "yes")).Client()
	ctx := context.Background()
	for _, name := range hostileNames {
		keys := lockKeys("relock", name)
		for _, key := range append(keys[:], name) {
			got, err := rdb.ClusterKeySlot(ctx, key).Result()
			if err != nil {
				t.Fatal(err)
			}
			if want := int64(slotOf(key)); got != want {
				t.Errorf("got slot %d of %q, want %d", got, key, want)
			}
		}
	}
}

func TestSlotOf(t *testing.T) {
	// The examples of the Redis Cluster specification, "Hash tags" and its
	// appendix on CRC16.
	if got, want := crc16("123456789"), uint16(0x31C3); got != want {
		t.Errorf("got CRC16 %#x, want %#x", got, want)
	}
	for _, same := range [][2]string{
		{"{user1000}.following", "user1000"}, {"foo{}{bar}", "foo{}{bar}"}, {"foo{{bar}}zap", "{bar"}, {"foo{bar}{zap}", "bar"},
	} {
		if got, want := slotOf(same[0]), crc16(same[1])%16384; got != want {
			t.Errorf("got slot %d of %q, want %d", got, same[0], want)
		}
	}
}

// FuzzKeys checks that two names never share a key, that a key gives its name
// back, and that no text is read as a key that is none.
func FuzzKeys(f *testing.F) {
	for i, name := range hostileNames {
		f.Add(name, hostileNames[(i+1)%len(hostileNames)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" {
			return
		}
		as, bs := lockKeys("t", a), lockKeys("t", b)
		for i, key := range as {
			if name, ok := nameOf("t", keyKinds[i], key); !ok || name != a {
				t.Errorf("got name %q, %v from key %q of %q", name, ok, key, a)
			}
			if slotOf(key) != slotOf(as[0]) {
				t.Errorf("%q is in another slot than %q", key, as[0])
			}
			if at := slices.Index(bs[:], key); at >= 0 && (a != b || at != i) {
				t.Errorf("%q is a key of %q and of %q", key, a, b)
			}
		}
		if hasTag(a) && slotOf(as[0]) != slotOf(a) {
			t.Errorf("%q is not in the slot of the name's own tag", as[0])
		}
		text := "t:lock:" + a
		if name, ok := nameOf("t", KindLock, text); ok && KeyOf("t", KindLock, name) != text {
			t.Errorf("%q was read as the key of %q, which has %q", text, name, KeyOf("t", KindLock, name))
		}
	})
}
