package relock

import (
	"context"
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
	switch {
	case p.Renew != nil:
		return p.Renew.Name
	case p.Release != nil:
		return p.Release.Name
	}
	return p.CheckIn.Name
}

func (s *single) sendBatch(ctx context.Context, batch []engine.Pulse) {
	ctx, cancel := context.WithTimeout(ctx, s.set.call)
	defer cancel()
	commands := make([]*command, len(batch))
	for i, p := range batch {
		switch {
		case p.Renew != nil:
			commands[i] = s.renewCommand(p.Renew)
		case p.Release != nil:
			commands[i] = s.releaseCommand(p.Release)
		default:
			commands[i] = s.acquireCommand(p.CheckIn)
		}
	}
	sent := time.Now()
	vals, errs := runAll(ctx, s.rdb, commands)
	for i, p := range batch {
		err := s.suspect(fromServer(errs[i]))
		switch {
		case p.Release != nil:
			_, err = s.released(ctx, p.Release, commands[i], sent, vals[i], err)
			p.Done(engine.Answer{}, err)
		case err != nil:
			p.Done(engine.Answer{}, err)
		default:
			p.Done(s.readAnswer(vals[i], sent))
		}
	}
}

// runAll runs commands in one pipeline, and those whose script the server does
// not know in a further one, or in two where they are for several servers. It
// returns by the end of ctx.
func runAll(ctx context.Context, rdb interface{ Pipeline() redis.Pipeliner }, commands []*command) ([]any, []error) {
	type replies struct {
		vals []any
		errs []error
	}
	done := make(chan replies, 1)
	go func() {
		r := replies{make([]any, len(commands)), make([]error, len(commands))}
		cmds := make([]once, len(commands))
		pipe := rdb.Pipeline()
		for i, c := range commands {
			cmds[i] = c.evalSHA(ctx)
			_ = pipe.Process(ctx, cmds[i])
		}
		_, _ = pipe.Exec(ctx)
		if teach(ctx, rdb, commands, cmds, false) > 0 {
			teach(ctx, rdb, commands, cmds, true)
		}
		for i := range commands {
			r.vals[i], r.errs[i] = cmds[i].Result()
		}
		done <- r
	}()
	select {
	case r := <-done:
		return r.vals, r.errs
	case <-ctx.Done():
		errs := make([]error, len(commands))
		for i := range errs {
			errs[i] = ended(ctx)
		}
		return make([]any, len(commands)), errs
	}
}

// teach sends again what failed since its server does not know the script: each,
// or the first of a script, by its source, which is many times as long as all else,
// and what follows it by the name that the server knows from then on. It returns
// how many it sent.
func teach(ctx context.Context, rdb interface{ Pipeline() redis.Pipeliner }, commands []*command, cmds []once, each bool) (n int) {
	taught := map[*script]bool{}
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
		_, _ = pipe.Exec(ctx)
	}
	return n
}
