package relock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

func (s *single) SupportsReplicas() error {
	switch s.rdb.(type) {
	case *redis.Client, *redis.ClusterClient:
		return nil
	}
	return invalid("WithReplicas: WAIT cannot be kept on the connection of its write with a %T", s.rdb)
}

// renewReplicated sends the renewal and WAIT on one connection, that of the
// key's master: WAIT is about the writes of its own connection.
func (s *single) renewReplicated(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	var node interface{ Pipeline() redis.Pipeliner } = s.rdb
	c := s.renewCommand(r)
	if cluster, ok := s.rdb.(masters); ok {
		master, err := cluster.MasterForKey(ctx, s.lockKey(r.Name))
		if err != nil {
			return engine.Answer{}, s.suspect(fromServer(err))
		}
		node = master
	}
	type reply struct {
		ans engine.Answer
		err error
	}
	done := make(chan reply, 1)
	go func() {
		sent := time.Now()
		val, replicas, err := evalAndWait(ctx, node, c.evalSHA(ctx), r)
		if unknownScript(err) {
			val, replicas, err = evalAndWait(ctx, node, c.eval(ctx), r)
		}
		if err != nil {
			done <- reply{err: s.suspect(c.fault(s.rdb, err))}
			return
		}
		ans, err := s.readAnswer(val, sent)
		if err == nil && ans.State == engine.Granted && replicas < int64(r.Replicas) {
			err = fmt.Errorf("%w: %d of %d replicas acknowledged within %v", ErrNotReplicated, replicas, r.Replicas, r.ReplicaTimeout)
		}
		done <- reply{ans, err}
	}()
	select {
	case got := <-done:
		return got.ans, got.err
	case <-ctx.Done():
		return engine.Answer{}, fmt.Errorf("%w: %w", engine.ErrUnknown, ended(ctx))
	}
}

// evalAndWait returns the script's reply and how many replicas have it. WAIT's
// answer says nothing where the script failed.
func evalAndWait(ctx context.Context, node interface{ Pipeline() redis.Pipeliner }, eval once, r *engine.Renewal) (any, int64, error) {
	pipe := node.Pipeline()
	_ = pipe.Process(ctx, eval)
	wait := once{redis.NewCmd(ctx, "wait", r.Replicas, r.ReplicaTimeout.Milliseconds())}
	_ = pipe.Process(ctx, wait)
	_, _ = pipe.Exec(ctx)
	val, err := eval.Result()
	if err != nil {
		return nil, 0, err
	}
	n, err := wait.Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, 0, err
	}
	return val, n, nil
}
