package redisengine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// maxPipeline bounds how many requests of one tick share a round trip.
const maxPipeline = 1000

// Config is what an engine on one Redis deployment is made with.
type Config struct {
	Prefix          string        // of every key and channel
	Call            time.Duration // bounds each request of a batch
	Retention       time.Duration // of the counter of a lock's tokens
	Batching        Batching
	NewSubscription NewSubscription
}

// NewSubscription makes the subscription to a channel, whose payloads parse reads. It
// does no I/O.
type NewSubscription func(channel string, parse func(payload string) (engine.Message, error)) Subscription

// A Subscription hears the grants of a client's waiters. Its methods are described
// in [engine.Engine].
type Subscription interface {
	Start(engine.Sink)
	Listening() bool
	Listen(context.Context) error
	CannotSubscribe() bool
	// Retry subscribes again, in the background, where that was refused and it is
	// time for it. Each request of a waiter calls it.
	Retry()
	Close()
}

// An Engine keeps locks on one Redis deployment: the engine behind a Client.
type Engine struct {
	rdb         Client
	cfg         Config
	space       string // before the kinds of its keys
	voter       *voter // of a node of a quorum; else nil
	channel     string
	keys        *keyCache
	inline      *inlineSender
	sender      *sender
	bounded     *boundedClient
	dispatchers *dispatchers
	Subscription
	highWater atomic.Int64 // the greatest token this client has seen
	kept      any          // the retention, in milliseconds
	millis    millisCache
}

var _ engine.Engine = (*Engine)(nil)

// New returns an engine on rdb. id is its own: it is in the name of its channel.
func New(rdb Client, id string, cfg Config) *Engine {
	s := &Engine{
		rdb: rdb, cfg: cfg, kept: millis(cfg.Retention), channel: channelOf(cfg.Prefix, id), keys: newKeyCache(cfg.Prefix, ""),
		inline: newInlineSender(rdb), sender: newSender(rdb, cfg.Call),
	}
	s.bounded = newBoundedClient(rdb, cfg.Call, true)
	s.dispatchers = newDispatchers(s)
	s.Subscription = cfg.NewSubscription(s.channel, s.Parse)
	return s
}

// sees raises the high-water mark.
func (s *Engine) sees(token int64) {
	for {
		old := s.highWater.Load()
		if token <= old || s.highWater.CompareAndSwap(old, token) {
			return
		}
	}
}

// refreshAfter has a cluster client look for its masters again when one does not
// answer, as err says: go-redis itself does so on a MOVED only, and else once a
// minute, which is longer than a lease.
func (s *Engine) refreshAfter(err error) {
	if err == nil {
		return
	}
	if moved(err) || hasPrefix(err, "READONLY") || engine.Unanswered(err) {
		RefreshTopology(s.rdb)
	}
}

// RefreshTopology has a cluster client look for its masters again.
func RefreshTopology(rdb Client) {
	if cluster, ok := rdb.(interface{ ReloadState(ctx context.Context) }); ok {
		cluster.ReloadState(context.Background())
	}
}

func (s *Engine) command(sc *Script, name string, args ...any) *command {
	return newCommand(sc, s.keys.of(name), args...)
}

func (s *Engine) lockKey(name string) string { return KeyOf(s.cfg.Prefix, s.space+KindLock, name) }

// subscribed is part of what joins a queue: it tells the script whether to look
// for the subscription. A client that hears nothing anyway finds its grant by
// asking.
func (s *Engine) subscribed() int {
	if s.Listening() {
		return 1
	}
	return 0
}

func (s *Engine) acquireCommand(r *engine.Request) *command { return s.acquireInto(new(command), r) }

func (s *Engine) acquireInto(c *command, r *engine.Request) *command {
	if s.voter != nil {
		return s.voter.cast(c, s, r)
	}
	return c.set(&acquireScript, s.keys.of(r.Name), s.appendAcquire(make([]any, 0, 9), c, r)...)
}

// appendAcquire appends the arguments of acquire.lua: those of a wait only where r
// waits.
func (s *Engine) appendAcquire(args []any, c *command, r *engine.Request) []any {
	c.hold.hold, c.floor.n = r.Hold, s.highWater.Load()
	args = append(args, &c.hold, "owner:"+r.Owner, s.millis.of(r.Grant()), &c.floor, s.retention())
	if r.Wait {
		s.Retry()
		args = s.appendWait(args, r)
	}
	return args
}

// appendWait appends what acquire.lua and release.lua are told of one that waits.
func (s *Engine) appendWait(args []any, r *engine.Request) []any {
	return append(args, s.channel, time.Since(r.Arrived).Microseconds(), millis(r.Life), s.subscribed())
}

// retention is for how long the scripts keep the fence; 0 is for a node of a
// quorum, which mints no tokens.
func (s *Engine) retention() any {
	if s.voter != nil {
		return int64(0)
	}
	return s.kept
}

func (s *Engine) renewCommand(r *engine.Renewal) *command { return s.renewInto(new(command), r) }

func (s *Engine) renewInto(c *command, r *engine.Renewal) *command {
	return c.set(&renewScript, s.keys.of(r.Name)[:1], r.Hold, r.Token, millis(r.TTL))
}

// readAnswer reads the reply to the acquire r, or to a renewal if r is nil.
func (s *Engine) readAnswer(val any, sent time.Time, r *engine.Request) (engine.Answer, error) {
	rd := readReply(val)
	ans := rd.answer(sent, r)
	s.sees(ans.Token)
	return ans, rd.err
}

// Acquire is described in [engine.Engine].
func (s *Engine) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	q := &request{name: r.Name, hold: r.Hold, acquire: r, alone: [1]*engine.Request{r}}
	q.carried = q.alone[:]
	return s.answer(s.run(ctx, q), r)
}

// answer reads the reply to the acquire r, or to a renewal if r is nil.
func (s *Engine) answer(got outcome, r *engine.Request) (ans engine.Answer, err error) {
	if err = got.err; err == nil {
		ans, err = s.readAnswer(got.val, got.sent, r)
	}
	ans.Copied = got.copies > 1
	return ans, err
}

// Renew is described in [engine.Engine].
func (s *Engine) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	if r.Replicas > 0 {
		return s.renewReplicated(ctx, r)
	}
	got := s.run(ctx, &request{name: r.Name, hold: r.Hold, renewal: r, urgent: true})
	if got.err != nil {
		return engine.Answer{}, got.err
	}
	return s.readAnswer(got.val, got.sent, nil)
}

// Release is described in [engine.Engine].
func (s *Engine) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	if r.Detach && !r.Tombstone {
		return engine.Released{}, nil
	}
	q := &request{name: r.Name, hold: r.Hold, release: r, alone: [1]*engine.Request{r.Next}, urgent: true, ends: true}
	if r.Next != nil {
		q.carried = q.alone[:]
	}
	return s.released(ctx, r, s.run(ctx, q))
}

// released reads the reply to the release r, and sends another where that was
// refused.
func (s *Engine) released(ctx context.Context, r *engine.Release, got outcome) (engine.Released, error) {
	if hasPrefix(got.err, "TRYAGAIN") || hasPrefix(got.err, "OOM") {
		if r.Detach {
			return engine.Released{}, got.err // there is nothing to give back, and a tombstone takes all keys
		}
		// Give back the lock itself, which is one key, and leave the queue to
		// its check-ins.
		part := func() *command {
			keys, args := s.releaseCommand(r).parts()
			return newCommand(&releaseScript, keys[:1], args...)
		}
		before := got.copies
		got = s.run(ctx, &request{name: r.Name, hold: r.Hold, urgent: true, ends: true, make: part})
		got.copies += before - 1
	}
	if got.err != nil {
		return engine.Released{Next: engine.Answer{Copied: got.copies > 1}}, got.err
	}
	rd := readReply(got.val)
	rel := rd.released(got.sent, r.Next)
	rel.Copied = got.copies > 1
	rel.Next.Copied = rel.Copied
	s.sees(rel.Next.Token)
	return rel, rd.err
}

// noToken is one that no lock has: a release with it leaves the hold as it is.
const noToken = -1

func (s *Engine) releaseCommand(r *engine.Release) *command { return s.releaseInto(new(command), r) }

func (s *Engine) releaseInto(c *command, r *engine.Release) *command {
	c.hold.hold, c.token.n, c.floor.n = r.Hold, r.Token, s.highWater.Load()
	if r.Detach {
		c.token.n = noToken
	}
	args := make([]any, 0, 14)
	args = append(args, &c.hold, &c.token, &c.floor, s.retention())
	if !r.Tombstone && r.Next == nil && r.Keep == 0 {
		return c.set(&releaseScript, s.keys.of(r.Name), args...) // as most are
	}
	tombstone := int64(0)
	if r.Tombstone {
		tombstone = millis(engine.TombstoneLife)
	}
	args = append(args, tombstone)
	if n := r.Next; n != nil {
		args = s.appendWait(append(args, holdPrefix+n.Hold, "owner:"+n.Owner, millis(n.Grant())), n)
	} else {
		args = append(args, "")
	}
	if r.Keep > 0 {
		args = append(args, millis(r.Keep), r.Lease)
	}
	return c.set(&releaseScript, s.keys.of(r.Name), args...)
}

// Force is described in [engine.Engine].
func (s *Engine) Force(ctx context.Context, name string, token int64) (bool, error) {
	c := func() *command { return s.command(&forceScript, name, token, s.highWater.Load(), s.retention()) }
	got := s.run(ctx, &request{name: name, make: c})
	if got.err != nil {
		return false, got.err
	}
	rd := readReply(got.val)
	return rd.int() == 1, rd.err
}

// Status is described in [engine.Engine].
func (s *Engine) Status(ctx context.Context, name string) (engine.Status, error) {
	c := func() *command { return s.command(&statusScript, name) }
	got := s.run(ctx, &request{name: name, make: c})
	if got.err != nil {
		return engine.Status{}, got.err
	}
	rd := readReply(got.val)
	return rd.status(), rd.err
}

// Parse reads a message: a grant (hold id, token, ttl_ms, lock key), or when one may
// be had (hold id, "kept", left_ms, lock key).
func (s *Engine) Parse(payload string) (engine.Message, error) {
	hold, rest, _ := strings.Cut(payload, " ")
	token, rest, _ := strings.Cut(rest, " ")
	left, key, _ := strings.Cut(rest, " ")
	kept := token == "kept"
	if kept {
		token = "0"
	}
	name, ours := nameOf(s.cfg.Prefix, s.space+KindLock, key)
	n, err1 := strconv.ParseInt(token, 10, 64)
	leftMS, err2 := strconv.ParseInt(left, 10, 64)
	if !ours || err1 != nil || err2 != nil {
		return engine.Message{}, fmt.Errorf("relock: not a grant: %q", payload)
	}
	s.sees(n)
	return engine.Message{Name: name, Hold: hold, Token: n, Left: time.Duration(leftMS) * time.Millisecond, Kept: kept}, nil
}
