package redisengine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// SupportsReplicas is described in [engine.Engine].
func (s *Engine) SupportsReplicas() error {
	switch s.rdb.(type) {
	case *redis.Client, *redis.ClusterClient:
		return nil
	}
	return engine.Invalid("WithReplicas: WAIT cannot be kept on the connection of its write with a %T", s.rdb)
}

// renewReplicated sends the renewal and WAIT on one connection, that of the
// key's master: WAIT is about the writes of its own connection.
func (s *Engine) renewReplicated(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	renewal := func() (transmission, []*engine.Request) { return &replicated{s.renewCommand(r), s, r, time.Now()}, nil }
	first, _ := renewal()
	got := s.sender.send(ctx, &flight{decided: make(chan struct{})}, first, renewal)
	s.refreshAfter(got.err)
	if got.err != nil {
		return engine.Answer{}, got.err
	}
	return got.val.(engine.Answer), nil
}

// replicated is a renewal with its WAIT.
type replicated struct {
	*command
	s    *Engine
	r    *engine.Renewal
	made time.Time
}

// hangs is true once WAIT must have ended.
func (t *replicated) hangs() bool {
	return t.command.hangs() && time.Since(t.made) > t.r.ReplicaTimeout
}

func (t *replicated) launch(ctx context.Context, s *sender, f *flight, landed func()) {
	launchAlone(ctx, s, f, t, landed)
}

func (t *replicated) transmit(ctx context.Context, rdb Client) (any, error) {
	s, r := t.s, t.r
	key := s.lockKey(r.Name)
	conn, err := together(ctx, rdb, key)
	if err != nil {
		return nil, translate(err, false)
	}
	sent := time.Now()
	val, replicas, err := evalAndWait(ctx, conn, t.evalSHA(ctx), newWait(ctx, r, key))
	if unknownScript(err) {
		val, replicas, err = evalAndWait(ctx, conn, t.eval(ctx), newWait(ctx, r, key))
	}
	if err != nil {
		return nil, t.fault(rdb, err)
	}
	ans, err := s.readAnswer(val, sent, nil)
	if err == nil && ans.State == engine.Granted && replicas < int64(r.Replicas) {
		err = fmt.Errorf("%w: %d of %d replicas acknowledged within %v", engine.ErrNotReplicated, replicas, r.Replicas, r.ReplicaTimeout)
	}
	return ans, err
}

type pipeliner interface{ Pipeline() redis.Pipeliner }

// together returns what keeps the commands of one pipeline that are about key on
// one connection: the client that was handed in, whose hooks then see them. Only
// where a cluster client would part them is it that of the key's master.
func together(ctx context.Context, rdb Client, key string) (pipeliner, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return rdb, nil
	}
	master, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, err
	}
	if parts(ctx, cluster, key, master) {
		return master, nil
	}
	return cluster, nil
}

// parts tells whether a cluster client would send commands about one key to
// several nodes, or refuse to.
func parts(ctx context.Context, cluster *redis.ClusterClient, key string, master *redis.Client) bool {
	if resolver := cluster.GetResolver(); resolver != nil {
		// With the server's own routing policies WAIT is for all shards.
		policy := resolver.GetCommandPolicy(ctx, redis.NewCmd(ctx, "wait"))
		if policy != nil && !policy.CanBeUsedInPipeline() {
			return true
		}
	}
	// A slot that is in no shard it knows of is any node's, anew for each command:
	// that many draws are not alike by chance.
	for range 16 {
		if again, err := cluster.MasterForKey(ctx, key); err != nil || again != master {
			return true
		}
	}
	return false
}

// A wait is WAIT, which names no key, for the connection of a write to one. A
// cluster client finds the node by the arguments that the command was made with;
// what is sent, and what hooks see, is without the key.
type wait struct{ once }

const waitArgs = 3 // "wait", how many, for how long

func newWait(ctx context.Context, r *engine.Renewal, key string) wait {
	cmd := redis.NewCmd(ctx, "wait", r.Replicas, r.ReplicaTimeout.Milliseconds(), key)
	cmd.SetFirstKeyPos(waitArgs)
	return wait{once{cmd}}
}

func (w wait) Args() []any { return w.Cmd.Args()[:waitArgs] }

// A followed is a command that knows whether a cluster client has sent it on to
// another node than the one it was to go to.
type followed struct {
	once
	away bool
}

func (f *followed) SetErr(err error) {
	f.away = f.away || moved(err)
	f.once.SetErr(err)
}

// evalAndWait returns the script's reply and how many replicas have it. WAIT's
// answer says nothing where the script failed, or ran on another node in the end:
// WAIT names no key, and is not sent on.
func evalAndWait(ctx context.Context, rdb pipeliner, eval once, wait wait) (any, int64, error) {
	pipe := rdb.Pipeline()
	write := &followed{once: eval}
	_ = pipe.Process(ctx, write)
	_ = pipe.Process(ctx, wait)
	_, _ = pipe.Exec(ctx)
	val, err := write.Result()
	if err != nil {
		return nil, 0, err
	}
	if write.away {
		return nil, 0, fmt.Errorf("%w: the key's shard has moved, and WAIT asked the one before", engine.ErrUnknown)
	}
	n, err := wait.Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, 0, err
	}
	return val, n, nil
}
