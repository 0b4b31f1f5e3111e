package redisengine

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/scripts"
)

// The writes of a Guard.
var (
	ClaimScript = NewGuarded("return 1")
	SetScript   = NewGuarded("return redis.call('SET', KEYS[1], unpack(ARGV))")
	HsetScript  = NewGuarded("return redis.call('HSET', KEYS[1], unpack(ARGV))")
	DelScript   = NewGuarded("return redis.call('DEL', KEYS[1])")
)

// NewGuarded puts the guard in front of a write. The write is a function of its
// own: what it returns is wrapped, and its names are its own.
func NewGuarded(write string) *Script {
	s := newScript(scripts.Source("guard.lua") + "\nlocal function write(KEYS, ARGV)\n" + write + "\nend\nreturn { 1, write(KEYS, ARGV) }\n")
	return &s
}

// Guarding is what a guard is asked to let through.
type Guarding struct {
	Prefix    string
	Token     int64
	Owner     string
	Retention time.Duration // of what it remembers
}

// Overtaken is who was at a key before, and is why a write was refused; without a
// token it is nobody that is remembered.
type Overtaken struct {
	Token int64
	Owner string
}

// Guarded runs the write for the holder that g says, at keys, of which the first
// is guarded. It returns what the write returned, as the server would have without
// the guard around it, or by whom the holder was overtaken: the write did not run
// then.
func (s *Script) Guarded(ctx context.Context, rdb Client, g Guarding, keys []string, args []any) (any, *Overtaken, error) {
	c := newCommand(s, append(anys(keys), KeyOf(g.Prefix, KindGuard, keys[0])),
		append(args[:len(args):len(args)], g.Token, g.Owner, millis(g.Retention))...)
	reply, err := c.run(ctx, rdb)
	if err != nil {
		return nil, nil, err
	}
	return readGuarded(reply)
}

var errAhead = engine.Invalid("its token is more than an hour ahead of the server's clock")

func readGuarded(reply any) (any, *Overtaken, error) {
	rd := readReply(reply)
	switch kind := rd.int(); {
	case rd.err == nil && kind == 1:
		val, err := written(rd.rest)
		return val, nil, err
	case rd.err == nil && kind == 2:
		return nil, nil, errAhead
	}
	by := &Overtaken{rd.int(), rd.string()}
	return nil, by, rd.err
}

// written is what a write returned: a nil ends an array, and false and an error
// stand in it.
func written(rest []any) (any, error) {
	if len(rest) == 0 || rest[0] == nil {
		return nil, redis.Nil
	}
	if err, failed := rest[0].(error); failed {
		return nil, FromServer(err)
	}
	return rest[0], nil
}
