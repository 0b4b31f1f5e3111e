package relock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// maxPipeline bounds how many requests of one tick share a round trip.
const maxPipeline = 1000

// single keeps locks on one Redis deployment: the engine behind a Client.
type single struct {
	rdb       Redis
	set       settings
	space     string  // before the kinds of its keys
	ballot    *ballot // of a node of a quorum; else nil
	channel   string
	notify    *notifier
	highWater atomic.Int64 // the greatest token this client has seen
}

var _ engine.Engine = (*single)(nil)

func newSingle(rdb Redis, id string, set settings) *single {
	s := &single{rdb: rdb, set: set, channel: channelOf(set.prefix, id)}
	s.notify = newNotifier(rdb, s.channel, set, s.parse)
	return s
}

func (s *single) Start(sink engine.Sink)           { s.notify.sink = sink }
func (s *single) Listening() bool                  { return s.notify.listening() }
func (s *single) Listen(ctx context.Context) error { return s.notify.listen(ctx) }
func (s *single) Deaf() bool                       { return s.notify.deaf.Load() }
func (s *single) Close()                           { s.notify.close() }

// sees raises the high-water mark.
func (s *single) sees(token int64) {
	for {
		old := s.highWater.Load()
		if token <= old || s.highWater.CompareAndSwap(old, token) {
			return
		}
	}
}

func (s *single) run(ctx context.Context, c *command) (any, error) {
	val, err := c.run(ctx, s.rdb)
	return val, s.suspect(err)
}

// suspect has a cluster client look for its masters again when one does not
// answer, and returns err: go-redis itself does so on a MOVED only, and else
// once a minute, which is longer than a lease.
func (s *single) suspect(err error) error {
	moved := redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK") || redis.HasErrorPrefix(err, "READONLY")
	if moved || errors.Is(err, engine.ErrUnknown) {
		lookAgain(s.rdb)
	}
	return err
}

func lookAgain(rdb Redis) {
	if cluster, ok := rdb.(interface{ ReloadState(ctx context.Context) }); ok {
		cluster.ReloadState(context.Background())
	}
}

func (s *single) command(sc *script, name string, args ...any) *command {
	keys := spaceKeys(s.set.prefix, s.space, name)
	return &command{sc, keys[:], args}
}

func (s *single) lockKey(name string) string { return keyOf(s.set.prefix, s.space+kindLock, name) }

// alone is part of a queue entry: it tells whoever grants to it whether a
// message that reaches nobody may be taken for that. On a cluster PUBLISH counts
// the subscribers of one node only; and a client that hears nothing anyway finds
// its grant by asking.
func (s *single) alone() int {
	if s.notify.alone.Load() && s.notify.ready.Load() {
		return 1
	}
	return 0
}

func (s *single) acquireCommand(r *engine.Request) *command {
	channel := ""
	if r.Wait {
		channel = s.channel
	}
	c := s.command(&acquireScript, r.Name, r.Hold, r.Owner, ms(r.TTL), channel,
		time.Since(r.Arrived).Microseconds(), ms(r.Life), s.highWater.Load(), s.retention(), s.alone())
	if s.ballot != nil {
		s.ballot.cast(c, s, r.Propose)
	}
	return c
}

// retention is for how long the scripts keep the fence; 0 is for a node of a
// quorum, which mints no tokens.
func (s *single) retention() int64 {
	if s.ballot != nil {
		return 0
	}
	return ms(s.set.retention)
}

func (s *single) renewCommand(r *engine.Renewal) *command {
	return &command{&renewScript, []string{s.lockKey(r.Name)}, []any{r.Hold, r.Token, ms(r.TTL)}}
}

func (s *single) readAnswer(val any, sent time.Time) (engine.Answer, error) {
	rd := readReply(val)
	ans := rd.answer(sent)
	s.sees(ans.Token)
	return ans, rd.err
}

func (s *single) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	sent := time.Now()
	val, err := s.run(ctx, s.acquireCommand(r))
	if err != nil {
		return engine.Answer{}, err
	}
	return s.readAnswer(val, sent)
}

func (s *single) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	if r.Replicas > 0 {
		return s.renewReplicated(ctx, r)
	}
	sent := time.Now()
	val, err := s.run(ctx, s.renewCommand(r))
	if err != nil {
		return engine.Answer{}, err
	}
	return s.readAnswer(val, sent)
}

func (s *single) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	sent := time.Now()
	c := s.releaseCommand(r)
	val, err := s.run(ctx, c)
	if redis.HasErrorPrefix(err, "TRYAGAIN") || redis.HasErrorPrefix(err, "OOM") {
		// Give back the lock itself, which is one key, and leave the queue to
		// its check-ins.
		c.keys = c.keys[:1]
		val, err = s.run(ctx, c)
	}
	if err != nil {
		return engine.Released{}, err
	}
	rd := readReply(val)
	rel := rd.released(sent)
	s.sees(rel.Next.Token)
	return rel, rd.err
}

func (s *single) releaseCommand(r *engine.Release) *command {
	bury := int64(0)
	if r.Bury {
		bury = ms(buryFor)
	}
	args := []any{r.Hold, r.Token, bury, s.highWater.Load(), s.retention()}
	if n := r.Next; n != nil {
		args = append(args, n.Hold, n.Owner, ms(n.TTL), s.channel, time.Since(n.Arrived).Microseconds(), ms(n.Life), s.alone())
	} else {
		args = append(args, "")
	}
	return s.command(&releaseScript, r.Name, args...)
}

func (s *single) Force(ctx context.Context, name string, token int64) (bool, error) {
	val, err := s.run(ctx, s.command(&forceScript, name, token, s.highWater.Load(), s.retention()))
	if err != nil {
		return false, err
	}
	rd := readReply(val)
	return rd.int() == 1, rd.err
}

func (s *single) Status(ctx context.Context, name string) (engine.Status, error) {
	val, err := s.run(ctx, s.command(&statusScript, name))
	if err != nil {
		return engine.Status{}, err
	}
	rd := readReply(val)
	return rd.status(), rd.err
}

// parse reads the message that is a grant: hold id, token, ttl_ms, lock key.
func (s *single) parse(payload string) (engine.Message, error) {
	hold, rest, _ := strings.Cut(payload, " ")
	token, rest, _ := strings.Cut(rest, " ")
	left, key, _ := strings.Cut(rest, " ")
	name, ours := nameOf(s.set.prefix, s.space+kindLock, key)
	n, err1 := strconv.ParseInt(token, 10, 64)
	leftMS, err2 := strconv.ParseInt(left, 10, 64)
	if !ours || err1 != nil || err2 != nil {
		return engine.Message{}, fmt.Errorf("relock: not a grant: %q", payload)
	}
	s.sees(n)
	return engine.Message{Name: name, Hold: hold, Token: n, Left: time.Duration(leftMS) * time.Millisecond}, nil
}

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
	commands := make([]*command, len(batch))
	for i, p := range batch {
		if p.Renew != nil {
			commands[i] = s.renewCommand(p.Renew)
		} else {
			commands[i] = s.acquireCommand(p.CheckIn)
		}
	}
	sent := time.Now()
	vals, errs := runAll(ctx, s.rdb, commands)
	for i, p := range batch {
		if errs[i] != nil {
			p.Done(engine.Answer{}, s.suspect(fromServer(errs[i])))
			continue
		}
		p.Done(s.readAnswer(vals[i], sent))
	}
}

// runAll runs commands in one pipeline, and those whose script the server does
// not know in a second one. It returns by the end of ctx.
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
		again := rdb.Pipeline()
		for i, c := range commands {
			if unknownScript(cmds[i].Err()) {
				cmds[i] = c.eval(ctx)
				_ = again.Process(ctx, cmds[i])
			}
		}
		if again.Len() > 0 {
			_, _ = again.Exec(ctx)
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
		master, err := cluster.MasterForKey(ctx, c.keys[0])
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
			done <- reply{err: s.suspect(fromServer(err))}
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
