package relock

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
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
		return nil, invalid("a Sequencer without name, token or owner")
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
		return Sequencer{}, invalid("sequencer %q: not %s:<token>:<owner>:<name>", text, sequencerTag)
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || n <= 0 {
		return Sequencer{}, invalid("sequencer %q: its token is no number above 0", text)
	}
	owner, err1 := url.QueryUnescape(fields[2])
	name, err2 := url.QueryUnescape(fields[3])
	if err1 != nil || err2 != nil || owner == "" || name == "" {
		return Sequencer{}, invalid("sequencer %q: its owner or name cannot be read", text)
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
// (a MultiLock's own) is refused likewise, and with [ErrInvalid]. Where nothing
// is remembered of the key, a token older than the retention is refused. Any
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
			g.set.fail(invalid("a nil GuardOption"))
			continue
		}
		o.guard(&g.set)
	}
	return g
}

var (
	claimScript = newGuarded("return 1")
	setScript   = newGuarded("return redis.call('SET', KEYS[1], unpack(ARGV))")
	hsetScript  = newGuarded("return redis.call('HSET', KEYS[1], unpack(ARGV))")
	delScript   = newGuarded("return redis.call('DEL', KEYS[1])")
)

// newGuarded puts the guard in front of a write. The write is a function of its
// own: what it returns is wrapped, and its names are its own.
func newGuarded(write string) *script {
	s := newScript(source("guard.lua") + "\nlocal function write(KEYS, ARGV)\n" + write + "\nend\nreturn { 1, write(KEYS, ARGV) }\n")
	return &s
}

// Claim makes s the last holder seen at key, without touching the data: from
// here on earlier holders are refused. It comes before the first read.
func (g *Guard) Claim(ctx context.Context, key string, s Sequencer) error {
	_, err := g.run(ctx, claimScript, []string{key}, s, nil)
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
		return invalid("Guard.Set: a ttl of %v", ttl)
	case ttl > 0:
		args = append(args, "PX", ms(ttl))
	}
	_, err := g.run(ctx, setScript, []string{key}, s, args)
	return err
}

// HSet sets fields of the hash at key: name, value, name, value.
func (g *Guard) HSet(ctx context.Context, key string, s Sequencer, values ...any) error {
	if len(values) == 0 || len(values)%2 != 0 {
		return invalid("Guard.HSet: %d arguments: names and values come in pairs", len(values))
	}
	_, err := g.run(ctx, hsetScript, []string{key}, s, values)
	return err
}

// Del deletes key. What the Guard remembers of it stays.
func (g *Guard) Del(ctx context.Context, key string, s Sequencer) error {
	_, err := g.run(ctx, delScript, []string{key}, s, nil)
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
		sc, _ = guarded.LoadOrStore(source, newGuarded(source))
	}
	return g.run(ctx, sc.(*script), append([]string{key}, keys...), s, args)
}

func (g *Guard) run(ctx context.Context, sc *script, keys []string, s Sequencer, args []any) (any, error) {
	switch {
	case g.set.err != nil:
		return nil, g.set.err
	case keys[0] == "":
		return nil, invalid("Guard: an empty key")
	case s.Token <= 0:
		return nil, fmt.Errorf("%w: %w", ErrStaleToken, invalid("Guard: a Sequencer of token %d", s.Token))
	case s.Owner == "":
		return nil, invalid("Guard: a Sequencer without owner")
	case ctx.Err() != nil:
		return nil, ended(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, g.set.call)
	defer cancel()
	c := newCommand(sc, append(anys(keys), keyOf(g.set.prefix, kindGuard, keys[0])),
		append(args[:len(args):len(args)], int64(s.Token), string(s.Owner), ms(g.set.retention))...)
	val, err := c.run(bounded, g.rdb)
	if err != nil {
		return nil, fmt.Errorf("relock: guarded write to %q: %w", keys[0], err)
	}
	return guardReply(val, keys[0], s)
}

// written returns what the write returned, as the server would have without the
// guard around it: a nil ends an array, and false and an error stand in it.
func written(rest []any, key string) (any, error) {
	if len(rest) == 0 || rest[0] == nil {
		return nil, redis.Nil
	}
	if err, failed := rest[0].(error); failed {
		return nil, fmt.Errorf("relock: guarded write to %q: %w", key, fromServer(err))
	}
	return rest[0], nil
}

func guardReply(val any, key string, s Sequencer) (any, error) {
	rd := readReply(val)
	if rd.int() == 1 && rd.err == nil {
		return written(rd.rest, key)
	}
	token, owner := rd.int(), rd.string()
	switch {
	case rd.err != nil:
		return nil, rd.err
	case token == 0:
		return nil, fmt.Errorf("%w: nothing is remembered of %q, and token %d is older than that may be", ErrStaleToken, key, s.Token)
	}
	return nil, fmt.Errorf("%w: token %d of %q came to %q after token %d of %q", ErrStaleToken, s.Token, s.Owner, key, token, owner)
}
