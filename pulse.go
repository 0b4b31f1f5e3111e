package relock

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// masters is what a cluster client has: which shard a key is on.
type masters interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
}

// Pulse sends the batch as pipelines, one a shard: a shard that hangs keeps
// nobody else's answers back. A renewal that waits for replicas goes alone,
// since WAIT holds up what is behind it.
func (s *single) Pulse(ctx context.Context, batch []engine.Pulse) {
	cluster, _ := s.rdb.(masters)
	groups := map[*redis.Client][]engine.Pulse{}
	for _, p := range batch {
		if p.Renew != nil && p.Renew.Replicas > 0 {
			go func() {
				ctx, cancel := context.WithTimeout(ctx, s.set.call)
				defer cancel()
				p.Done(s.renewReplicated(ctx, p.Renew))
			}()
			continue
		}
		var shard *redis.Client
		if cluster != nil {
			// Where the shard cannot be told the pipeline will say why.
			shard, _ = cluster.MasterForKey(ctx, s.lockKey(nameOfPulse(p)))
		}
		groups[shard] = append(groups[shard], p)
	}
	for _, group := range groups {
		for len(group) > 0 {
			n := min(len(group), maxPipeline)
			part := group[:n:n]
			group = group[n:]
			go s.sendBatch(ctx, part)
		}
	}
}

func nameOfPulse(p engine.Pulse) string {
	if p.Renew != nil {
		return p.Renew.Name
	}
	return p.CheckIn.Name
}

func (s *single) sendBatch(ctx context.Context, batch []engine.Pulse) {
	ctx, cancel := context.WithTimeout(ctx, s.set.call)
	defer cancel()
	var checkIns []*engine.Request
	for _, p := range batch {
		if p.CheckIn != nil {
			checkIns = append(checkIns, p.CheckIn)
		}
	}
	got, sent := s.sendAll(ctx, len(batch), checkIns, func(i int) *command {
		if renew := batch[i].Renew; renew != nil {
			return s.renewCommand(renew)
		}
		return s.acquireCommand(batch[i].CheckIn)
	})
	for i, p := range batch {
		if err := got[i].err; err != nil {
			s.suspect(err)
			p.Done(engine.Answer{}, err)
			continue
		}
		p.Done(s.readAnswer(got[i].val, sent))
	}
}

// sendAll sends n commands in one pipeline, and copies of it while it is not
// answered. It returns the reply to each, and when the pipeline left. carried are
// the requests in it that may take effect late.
func (s *single) sendAll(ctx context.Context, n int, carried []*engine.Request, build func(i int) *command) ([]reply, time.Time) {
	pipeline := func() (transmission, []*engine.Request) {
		all := make([]*command, n)
		for i := range all {
			all[i] = build(i)
		}
		return &commands{all}, carried
	}
	first, _ := pipeline()
	got := s.sender.send(ctx, first, pipeline)
	if replies, ok := got.val.([]reply); ok {
		return replies, got.sent
	}
	replies := make([]reply, n)
	for i := range replies {
		replies[i].err = got.err
	}
	return replies, got.sent
}

// commands are sent together.
type commands struct{ all []*command }

// reply is what came of one command of several.
type reply struct {
	val any
	err error
}

// transmit returns the replies. Its error is that of one that may have no answer,
// or of all of them that did not leave.
func (cs *commands) transmit(ctx context.Context, rdb Redis) (any, error) {
	vals, errs := runAll(ctx, rdb, cs.all)
	replies := make([]reply, len(cs.all))
	var unknown, unsent error
	answered := false
	for i, c := range cs.all {
		replies[i] = reply{vals[i], c.fault(rdb, errs[i])}
		switch err := replies[i].err; {
		case errors.Is(err, engine.ErrUnknown):
			unknown = err
		case errors.Is(err, engine.ErrUnsent):
			unsent = err
		default:
			answered = true
		}
	}
	switch {
	case unknown != nil:
		return replies, unknown
	case !answered:
		return replies, unsent
	}
	return replies, nil
}

func (cs *commands) hangs() bool { return slices.ContainsFunc(cs.all, (*command).hangs) }

// runAll runs commands in one pipeline, and those whose script the server does
// not know in a second one.
func runAll(ctx context.Context, rdb interface{ Pipeline() redis.Pipeliner }, all []*command) ([]any, []error) {
	vals, errs := make([]any, len(all)), make([]error, len(all))
	cmds := make([]once, len(all))
	pipe := rdb.Pipeline()
	for i, c := range all {
		cmds[i] = c.evalSHA(ctx)
		_ = pipe.Process(ctx, cmds[i])
	}
	_, failure := pipe.Exec(ctx)
	again := rdb.Pipeline()
	for i, c := range all {
		if unknownScript(cmds[i].Err()) {
			cmds[i] = c.eval(ctx)
			_ = again.Process(ctx, cmds[i])
		}
	}
	if again.Len() > 0 {
		_, failure = again.Exec(ctx)
	}
	for i := range all {
		vals[i], errs[i] = cmds[i].Result()
		if vals[i] == nil && errs[i] == nil {
			errs[i] = failure // a pipeline that could not log in says so itself
		}
	}
	return vals, errs
}
