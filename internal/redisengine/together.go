package redisengine

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

var (
	_ engine.Batcher    = (*Engine)(nil)
	_ engine.Identified = (*Engine)(nil)
)

// Slot returns the same for names whose keys one script may take. Where there may
// be a cluster behind rdb, as behind an AutoPipeliner, only names that bring one
// tag are known to share a slot.
func (s *Engine) Slot(name string) string {
	if _, one := s.rdb.(*redis.Client); one {
		return ""
	}
	return tagOf(name)
}

// AcquireAll sends one script for all of the requests.
func (s *Engine) AcquireAll(ctx context.Context, rs []*engine.Request) ([]engine.Answer, error) {
	c := func() *command {
		var keys, args []any
		for _, r := range rs {
			k, a := s.acquireCommand(r).parts()
			keys, args = append(keys, k...), append(args, a...)
		}
		return newCommand(&allScript, keys, args...)
	}
	got := s.run(ctx, &request{make: c, carried: rs})
	answers := make([]engine.Answer, len(rs))
	rd := reader{err: got.err}
	if got.err == nil {
		rd = readReply(got.val)
	}
	for i := range answers {
		val := rd.next()
		answers[i], rd.err = s.answer(outcome{val: val, err: rd.err, sent: got.sent, copies: got.copies}, rs[i])
	}
	return answers, rd.err
}
