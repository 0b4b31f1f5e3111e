package redisengine

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// masters is what a cluster client has: which shard a key is on.
type masters interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
}

// SendBatch sends the batch as pipelines, one a shard: a shard that hangs keeps
// nobody else's answers back. A renewal that waits for replicas goes alone,
// since WAIT holds up what is behind it.
func (s *Engine) SendBatch(ctx context.Context, batch []engine.BatchItem) {
	most := maxPipeline
	cluster, ok := s.rdb.(masters)
	if ok {
		most = maxBatch
	}
	groups := map[*redis.Client][]engine.BatchItem{}
	for _, p := range batch {
		if p.Renew != nil && p.Renew.Replicas > 0 {
			go func() {
				ctx, cancel := context.WithTimeout(ctx, s.cfg.Call)
				defer cancel()
				p.Done(s.renewReplicated(ctx, p.Renew))
			}()
			continue
		}
		var shard *redis.Client
		if cluster != nil {
			// Where the shard cannot be told the pipeline will say why.
			shard, _ = cluster.MasterForKey(ctx, s.lockKey(nameOfItem(p)))
		}
		groups[shard] = append(groups[shard], p)
	}
	for _, group := range groups {
		for len(group) > 0 {
			n := min(len(group), most)
			part := group[:n:n]
			group = group[n:]
			go s.sendBatch(ctx, part)
		}
	}
}

func nameOfItem(p engine.BatchItem) string {
	switch {
	case p.Renew != nil:
		return p.Renew.Name
	case p.Release != nil:
		return p.Release.Name
	}
	return p.CheckIn.Name
}

func (s *Engine) sendBatch(ctx context.Context, batch []engine.BatchItem) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Call)
	defer cancel()
	var checkIns []*engine.Request
	for _, p := range batch {
		if p.CheckIn != nil {
			checkIns = append(checkIns, p.CheckIn)
		}
	}
	got := s.sendAll(ctx, len(batch), checkIns, func(i int) *command { return s.itemCommand(batch[i]) })
	for i, p := range batch {
		err := got[i].err
		s.refreshAfter(err)
		if p.Release != nil {
			_, err = s.released(ctx, p.Release, got[i])
			p.Done(engine.Answer{}, err)
			continue
		}
		p.Done(s.answer(got[i], p.CheckIn))
	}
}

func (s *Engine) itemCommand(p engine.BatchItem) *command {
	switch {
	case p.Renew != nil:
		return s.renewCommand(p.Renew)
	case p.Release != nil:
		return s.releaseCommand(p.Release)
	}
	return s.acquireCommand(p.CheckIn)
}

// sendAll sends n commands in one pipeline, and copies of it while it is not
// answered. It returns what came of each. carried are the requests in it that may
// take effect late.
func (s *Engine) sendAll(ctx context.Context, n int, carried []*engine.Request, build func(i int) *command) []outcome {
	pipeline := func() (transmission, []*engine.Request) {
		all := make([]*command, n)
		for i := range all {
			all[i] = build(i)
		}
		return &commands{all}, carried
	}
	first, _ := pipeline()
	got := s.sender.send(ctx, &flight{decided: make(chan struct{})}, first, pipeline)
	replies, answered := got.val.([]reply)
	all := make([]outcome, n)
	for i := range all {
		all[i] = outcome{err: got.err, sent: got.sent, copies: got.copies}
		if answered {
			all[i].val, all[i].err = replies[i].val, replies[i].err
		}
	}
	return all
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
func (cs *commands) transmit(ctx context.Context, rdb Client) (any, error) {
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

func (cs *commands) launch(ctx context.Context, s *sender, f *flight, landed func()) {
	launchAlone(ctx, s, f, cs, landed)
}

func (cs *commands) recall() bool { return false }

// bar lets them leave: what keeps one of them back keeps the others back too.
func (cs *commands) bar() bool { return true }

func (cs *commands) hangs() bool { return slices.ContainsFunc(cs.all, (*command).hangs) }

// runAll runs commands in one pipeline, and those whose script the server does
// not know in a further one, or in two where they are for several servers.
func runAll(ctx context.Context, rdb pipeliner, all []*command) ([]any, []error) {
	vals, errs := make([]any, len(all)), make([]error, len(all))
	cmds := make([]once, len(all))
	pipe := rdb.Pipeline()
	for i, c := range all {
		cmds[i] = c.evalSHA(ctx)
		_ = pipe.Process(ctx, cmds[i])
	}
	_, failure := pipe.Exec(ctx)
	if n, err := teach(ctx, rdb, all, cmds, false); n > 0 {
		failure = err
		if n, err := teach(ctx, rdb, all, cmds, true); n > 0 {
			failure = err
		}
	}
	for i := range all {
		vals[i], errs[i] = cmds[i].Result()
		if vals[i] == nil && errs[i] == nil {
			errs[i] = failure // a pipeline that could not log in says so itself
		}
	}
	return vals, errs
}

// teach sends again what failed since its server does not know the script: each,
// or the first of a script, by its source, which is many times as long as all else,
// and what follows it by the name that the server knows from then on. It returns
// how many it sent, and what came of that.
func teach(ctx context.Context, rdb pipeliner, commands []*command, cmds []once, each bool) (n int, err error) {
	taught := map[*Script]bool{}
	pipe := rdb.Pipeline()
	for i, c := range commands {
		if !unknownScript(cmds[i].Err()) {
			continue
		}
		if cmds[i] = c.evalSHA(ctx); each || !taught[c.script] {
			cmds[i], taught[c.script] = c.eval(ctx), true
		}
		_ = pipe.Process(ctx, cmds[i])
		n++
	}
	if n > 0 {
		_, err = pipe.Exec(ctx)
	}
	return n, err
}
