package relock

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redisengine"
)

// Token is a fencing token: a number above 0 that rises with every grant of a
// lock, whoever gets it. 0 is none. Tokens are ordered within one lock name
// only, and stay below 2^53.
type Token int64

// String returns the token in decimal.
func (t Token) String() string { return strconv.FormatInt(int64(t), 10) }

// Value makes a token an argument of database/sql.
func (t Token) Value() (driver.Value, error) { return int64(t), nil }

// Sequencer is what a holder hands to a storage, for it to tell a late request
// of an earlier holder from one of the latest (the word is Chubby's: Burrows,
// "The Chubby lock service", section 2.4). Its text form can travel in a header
// or a message.
type Sequencer struct {
	Name  string // of the lock
	Token Token
	Owner Owner
}

// MarshalText returns the text that [ParseSequencer] reads: four fields
// separated by colons, the last two escaped as in a URL's query.
//
//	relock1:<token>:<owner>:<name>
func (s Sequencer) MarshalText() ([]byte, error) {
	if s.Token <= 0 || s.Name == "" || s.Owner == "" {
		return nil, engine.Invalid("a Sequencer without name, token or owner")
	}
	return []byte(sequencerTag + ":" + s.Token.String() + ":" + url.QueryEscape(string(s.Owner)) + ":" + url.QueryEscape(s.Name)), nil
}

const sequencerTag = "relock1"

// UnmarshalText is [ParseSequencer] for package encoding.
func (s *Sequencer) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSequencer(string(text))
	return err
}

// ParseSequencer reads what MarshalText wrote. It returns [ErrInvalid] for
// anything else.
func ParseSequencer(text string) (Sequencer, error) {
	fields := strings.Split(text, ":")
	if len(fields) != 4 || fields[0] != sequencerTag {
		return Sequencer{}, engine.Invalid("sequencer %q: not %s:<token>:<owner>:<name>", text, sequencerTag)
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || n <= 0 {
		return Sequencer{}, engine.Invalid("sequencer %q: its token is no number above 0", text)
	}
	owner, err1 := url.QueryUnescape(fields[2])
	name, err2 := url.QueryUnescape(fields[3])
	if err1 != nil || err2 != nil || owner == "" || name == "" {
		return Sequencer{}, engine.Invalid("sequencer %q: its owner or name cannot be read", text)
	}
	return Sequencer{Name: name, Token: Token(n), Owner: Owner(owner)}, nil
}

// DefaultGuardRetention is how long a Guard remembers the last holder at a
// resource.
const DefaultGuardRetention = 7 * 24 * time.Hour

// GuardOption configures a [Guard]: [WithPrefix], [WithFenceRetention] (default
// [DefaultGuardRetention]) and [WithCallTimeout].
type GuardOption interface{ guard(*settings) }

// A Guard writes to Redis data on behalf of lock holders and refuses those that
// a later holder has overtaken. It keeps, beside each key, the token and the
// owner of the last holder that was there; check and write are one script. A
// Guard is safe for concurrent use.
//
// A holder calls [Guard.Claim] before its first read, so that nobody whom it has
// overtaken can write between its read and its write. A resource is guarded by
// one lock only: tokens of different locks say nothing about each other. Every
// write to the resource goes through a Guard with the same prefix.
//
// Every call returns [ErrStaleToken] for a token that is smaller than the last
// one seen, or equal with another owner: the data were not touched. A token of 0
// (a MultiLock's own) is refused likewise, and with [ErrInvalid]; so are an empty
// key and an owner of no or more than [MaxOwner] bytes, with that alone. Where nothing
// is remembered of the key, a token older than the retention is refused. A token
// more than an hour ahead of the clock of rdb is [ErrInvalid]: no lock issues one
// while clocks agree, and remembering it would refuse every holder until then. Any
// other error is what Redis said; where no answer came the write may have
// happened, or happen yet, and nothing is sent twice ("not sent" says that it did
// not, and will not). The memory of the last
// holder outlives the data. On a Cluster, a key with a } outside a hash tag
// cannot be guarded (CROSSSLOT).
type Guard struct {
	rdb Redis
	set settings
}

// NewGuard returns a Guard on rdb, which is where the data are: it need not be
// where the lock is. It does no I/O; a nil rdb or a wrong option is returned as
// [ErrInvalid] by every call.
func NewGuard(rdb Redis, opts ...GuardOption) *Guard {
	g := &Guard{rdb: rdb, set: newSettings(nil)}
	g.set.retention = DefaultGuardRetention
	g.set.fail(checkRedis(rdb))
	for _, o := range opts {
		if o == nil {
			g.set.fail(engine.Invalid("a nil GuardOption"))
			continue
		}
		o.guard(&g.set)
	}
	return g
}

// Claim makes s the last holder seen at key, without touching the data: from
// here on earlier holders are refused. It comes before the first read.
func (g *Guard) Claim(ctx context.Context, key string, s Sequencer) error {
	_, err := g.run(ctx, redisengine.ClaimScript, []string{key}, s, nil)
	return err
}

// Set sets key to value, to expire after ttl (0: never; redis.KeepTTL: as it
// does now).
func (g *Guard) Set(ctx context.Context, key string, s Sequencer, value any, ttl time.Duration) error {
	args := []any{value}
	switch {
	case ttl == redis.KeepTTL:
		args = append(args, "KEEPTTL")
	case ttl < 0:
		return engine.Invalid("Guard.Set: a ttl of %v", ttl)
	case ttl > 0:
		args = append(args, "PX", (ttl + time.Millisecond - 1).Milliseconds())
	}
	_, err := g.run(ctx, redisengine.SetScript, []string{key}, s, args)
	return err
}

// HSet sets fields of the hash at key: name, value, name, value.
func (g *Guard) HSet(ctx context.Context, key string, s Sequencer, values ...any) error {
	if len(values) == 0 || len(values)%2 != 0 {
		return engine.Invalid("Guard.HSet: %d arguments: names and values come in pairs", len(values))
	}
	_, err := g.run(ctx, redisengine.HsetScript, []string{key}, s, values)
	return err
}

// Del deletes key. What the Guard remembers of it stays.
func (g *Guard) Del(ctx context.Context, key string, s Sequencer) error {
	_, err := g.run(ctx, redisengine.DelScript, []string{key}, s, nil)
	return err
}

// guarded caches the scripts of Eval by their source.
var guarded sync.Map

// Eval runs a Lua script of the caller's as the write, and returns its reply
// (redis.Nil for nil). The script sees keys and args as KEYS and ARGV; key is
// what is guarded, and is KEYS[1]. It runs only if s is not refused. A source is
// kept for the life of the process: data belong into args.
func (g *Guard) Eval(ctx context.Context, key string, s Sequencer, source string, keys []string, args ...any) (any, error) {
	sc, ok := guarded.Load(source)
	if !ok {
		sc, _ = guarded.LoadOrStore(source, redisengine.NewGuarded(source))
	}
	return g.run(ctx, sc.(*redisengine.Script), append([]string{key}, keys...), s, args)
}

func (g *Guard) run(ctx context.Context, sc *redisengine.Script, keys []string, s Sequencer, args []any) (any, error) {
	switch {
	case g.set.err != nil:
		return nil, g.set.err
	case keys[0] == "":
		return nil, engine.Invalid("Guard: an empty key")
	case s.Token <= 0:
		return nil, fmt.Errorf("%w: %w", ErrStaleToken, engine.Invalid("Guard: a Sequencer of token %d", s.Token))
	case s.Owner == "" || len(s.Owner) > MaxOwner:
		return nil, engine.Invalid("Guard: a Sequencer of an owner of %d bytes: 1 to %d", len(s.Owner), MaxOwner)
	case ctx.Err() != nil:
		return nil, engine.ContextError(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, g.set.call)
	defer cancel()
	val, by, err := sc.Guarded(bounded, g.rdb, redisengine.Guarding{
		Prefix: g.set.prefix, Token: int64(s.Token), Owner: string(s.Owner), Retention: g.set.retention,
	}, keys, args)
	switch {
	case errors.Is(err, redis.Nil):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("relock: guarded write to %q: %w", keys[0], err)
	case by == nil:
		return val, nil
	case by.Token == 0:
		return nil, fmt.Errorf("%w: nothing is remembered of %q, and token %d is older than that may be", ErrStaleToken, keys[0], s.Token)
	}
	return nil, fmt.Errorf("%w: token %d of %q came to %q after token %d of %q", ErrStaleToken, s.Token, s.Owner, keys[0], by.Token, by.Owner)
}
