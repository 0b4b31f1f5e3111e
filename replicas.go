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
	renewal := func() (transmission, []*engine.Request) { return &replicated{s.renewCommand(r), s, r, time.Now()}, nil }
	first, _ := renewal()
	got := s.sender.send(ctx, first, renewal)
	s.suspect(got.err)
	if got.err != nil {
		return engine.Answer{}, got.err
	}
	return got.val.(engine.Answer), nil
}

// replicated is a renewal with its WAIT.
type replicated struct {
	*command
	s    *single
	r    *engine.Renewal
	made time.Time
}

// hangs is true once WAIT must have ended.
func (t *replicated) hangs() bool {
	return t.command.hangs() && time.Since(t.made) > t.r.ReplicaTimeout
}

func (t *replicated) transmit(ctx context.Context, rdb Redis) (any, error) {
	s, r := t.s, t.r
	var node interface{ Pipeline() redis.Pipeliner } = rdb
	if cluster, ok := rdb.(masters); ok {
		master, err := cluster.MasterForKey(ctx, s.lockKey(r.Name))
		if err != nil {
			return nil, translate(err, false)
		}
		node = master
	}
	sent := time.Now()
	val, replicas, err := evalAndWait(ctx, node, t.evalSHA(ctx), r)
	if unknownScript(err) {
		val, replicas, err = evalAndWait(ctx, node, t.eval(ctx), r)
	}
	if err != nil {
		return nil, t.fault(rdb, err)
	}
	ans, err := s.readAnswer(val, sent)
	if err == nil && ans.State == engine.Granted && replicas < int64(r.Replicas) {
		err = fmt.Errorf("%w: %d of %d replicas acknowledged within %v", ErrNotReplicated, replicas, r.Replicas, r.ReplicaTimeout)
	}
	return ans, err
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
