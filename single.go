package relock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

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
	keys      *keyCache
	direct    *direct
	notify    *notifier
	highWater atomic.Int64 // the greatest token this client has seen
}

var _ engine.Engine = (*single)(nil)

func newSingle(rdb Redis, id string, set settings) *single {
	s := &single{rdb: rdb, set: set, channel: channelOf(set.prefix, id), keys: newKeyCache(set.prefix, ""), direct: newDirect(rdb)}
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

func (s *single) run(ctx context.Context, c *command) (val any, err error) {
	began := time.Now()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", engine.ErrUnknown, ctx.Err())
	case s.direct.enter():
		val, err = s.direct.run(ctx, c, began)
	default:
		val, err = c.run(ctx, s.rdb)
	}
	s.direct.saw(time.Since(began), err)
	return val, s.suspect(err)
}

// suspect has a cluster client look for its masters again when one does not
// answer, and returns err: go-redis itself does so on a MOVED only, and else
// once a minute, which is longer than a lease.
func (s *single) suspect(err error) error {
	if err == nil {
		return nil
	}
	moved := hasPrefix(err, "MOVED") || hasPrefix(err, "ASK") || hasPrefix(err, "READONLY")
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
	return newCommand(sc, s.keys.of(name), args...)
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
	args := [...]any{
		r.Hold, r.Owner, ms(r.Grant()), channel,
		time.Since(r.Arrived).Microseconds(), ms(r.Life), s.highWater.Load(), s.retention(), s.alone(),
	}
	if s.ballot != nil {
		return s.ballot.cast(s, r, args[:])
	}
	return s.command(&acquireScript, r.Name, args[:]...)
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
	return newCommand(&renewScript, s.keys.of(r.Name)[:1], r.Hold, r.Token, ms(r.TTL))
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
	if hasPrefix(err, "TRYAGAIN") || hasPrefix(err, "OOM") {
		// Give back the lock itself, which is one key, and leave the queue to
		// its check-ins.
		val, err = s.run(ctx, newCommand(c.script, c.keys()[:1], c.args()...))
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
	args := make([]any, 0, 14)
	args = append(args, r.Hold, r.Token, bury, s.highWater.Load(), s.retention())
	if n := r.Next; n != nil {
		args = append(args, n.Hold, n.Owner, ms(n.Grant()), s.channel, time.Since(n.Arrived).Microseconds(), ms(n.Life), s.alone())
	} else {
		args = append(args, "")
	}
	if r.Keep > 0 {
		args = append(args, ms(r.Keep), r.Lease)
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

// parse reads a message: a grant (hold id, token, ttl_ms, lock key), or when one may
// be had (hold id, "kept", left_ms, lock key).
func (s *single) parse(payload string) (engine.Message, error) {
	hold, rest, _ := strings.Cut(payload, " ")
	token, rest, _ := strings.Cut(rest, " ")
	left, key, _ := strings.Cut(rest, " ")
	kept := token == "kept"
	if kept {
		token = "0"
	}
	name, ours := nameOf(s.set.prefix, s.space+kindLock, key)
	n, err1 := strconv.ParseInt(token, 10, 64)
	leftMS, err2 := strconv.ParseInt(left, 10, 64)
	if !ours || err1 != nil || err2 != nil {
		return engine.Message{}, fmt.Errorf("relock: not a grant: %q", payload)
	}
	s.sees(n)
	return engine.Message{Name: name, Hold: hold, Token: n, Left: time.Duration(leftMS) * time.Millisecond, Kept: kept}, nil
}
