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
	sender    *sender
	notify    *notifier
	highWater atomic.Int64 // the greatest token this client has seen
}

var _ engine.Engine = (*single)(nil)

func newSingle(rdb Redis, id string, set settings) *single {
	s := &single{rdb: rdb, set: set, channel: channelOf(set.prefix, id), keys: newKeyCache(set.prefix, ""), direct: newDirect(rdb), sender: newSender(rdb, set.call)}
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

// run sends c, and copies of it while it is not answered.
func (s *single) run(ctx context.Context, c *command, copied again) outcome {
	got := outcome{sent: time.Now(), copies: 1}
	queue, queued := s.rdb.(submitter)
	switch {
	case ctx.Err() != nil:
		got.err = fmt.Errorf("%w: %w", engine.ErrUnsent, ctx.Err())
		return got
	case s.direct.enter():
		got.val, got.err = s.direct.run(ctx, c, got.sent)
		s.direct.saw(time.Since(got.sent), got.err)
		if errors.Is(got.err, engine.ErrUnsent) {
			// No connection was had in the time that a direct request has: that says
			// nothing of what can be had.
			t, _ := copied() // what was kept back once is not to leave
			got = s.sender.send(ctx, t, copied)
		}
	case queued && takes(queue):
		got.val, got.err = c.submit(ctx, s.rdb, queue)
	default:
		got = s.sender.send(ctx, c, copied)
		s.direct.saw(time.Since(got.sent), got.err)
	}
	s.suspect(got.err)
	return got
}

// repeat is again for a command that does nothing late.
func repeat(build func() *command) again {
	return func() (transmission, []*engine.Request) { return build(), nil }
}

// suspect has a cluster client look for its masters again when one does not
// answer, as err says: go-redis itself does so on a MOVED only, and else once a
// minute, which is longer than a lease.
func (s *single) suspect(err error) {
	if err == nil {
		return
	}
	if moved(err) || hasPrefix(err, "READONLY") || engine.Unanswered(err) {
		lookAgain(s.rdb)
	}
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

// subscribed is part of what joins a queue: it tells the script whether to look
// for the subscription. A client that hears nothing anyway finds its grant by
// asking.
func (s *single) subscribed() int {
	if s.notify.listening() {
		return 1
	}
	return 0
}

func (s *single) acquireCommand(r *engine.Request) *command {
	channel := ""
	if r.Wait {
		channel = s.channel
		s.notify.retry()
	}
	args := [...]any{
		r.Hold, r.Owner, ms(r.Grant()), channel,
		time.Since(r.Arrived).Microseconds(), ms(r.Life), s.highWater.Load(), s.retention(), s.subscribed(),
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
	got := s.run(ctx, s.acquireCommand(r), func() (transmission, []*engine.Request) {
		return s.acquireCommand(r), []*engine.Request{r}
	})
	if got.err != nil {
		return engine.Answer{}, got.err
	}
	return s.readAnswer(got.val, got.sent)
}

func (s *single) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	if r.Replicas > 0 {
		return s.renewReplicated(ctx, r)
	}
	got := s.run(ctx, s.renewCommand(r), repeat(func() *command { return s.renewCommand(r) }))
	if got.err != nil {
		return engine.Answer{}, got.err
	}
	return s.readAnswer(got.val, got.sent)
}

func (s *single) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	if r.Leave && !r.Bury {
		return engine.Released{}, nil
	}
	got := s.run(ctx, s.releaseCommand(r), func() (transmission, []*engine.Request) {
		if r.Next == nil {
			return s.releaseCommand(r), nil
		}
		return s.releaseCommand(r), []*engine.Request{r.Next}
	})
	return s.released(ctx, r, got)
}

// released reads the reply to the release r, and sends another where that was
// refused.
func (s *single) released(ctx context.Context, r *engine.Release, got outcome) (engine.Released, error) {
	if hasPrefix(got.err, "TRYAGAIN") || hasPrefix(got.err, "OOM") {
		if r.Leave {
			return engine.Released{}, got.err // there is nothing to give back, and to bury takes all keys
		}
		// Give back the lock itself, which is one key, and leave the queue to
		// its check-ins.
		part := func() *command {
			keys, args := s.releaseCommand(r).words()
			return newCommand(&releaseScript, keys[:1], args...)
		}
		before := got.copies
		got = s.run(ctx, part(), repeat(part))
		got.copies += before - 1
	}
	if got.err != nil {
		return engine.Released{}, got.err
	}
	rd := readReply(got.val)
	rel := rd.released(got.sent)
	rel.Copied = got.copies > 1
	s.sees(rel.Next.Token)
	return rel, rd.err
}

// noToken is one that no lock has: a release with it leaves the hold as it is.
const noToken = -1

func (s *single) releaseCommand(r *engine.Release) *command {
	bury := int64(0)
	if r.Bury {
		bury = ms(buryFor)
	}
	token := r.Token
	if r.Leave {
		token = noToken
	}
	args := make([]any, 0, 14)
	args = append(args, r.Hold, token, bury, s.highWater.Load(), s.retention())
	if n := r.Next; n != nil {
		args = append(args, n.Hold, n.Owner, ms(n.Grant()), s.channel, time.Since(n.Arrived).Microseconds(), ms(n.Life), s.subscribed())
	} else {
		args = append(args, "")
	}
	if r.Keep > 0 {
		args = append(args, ms(r.Keep), r.Lease)
	}
	return s.command(&releaseScript, r.Name, args...)
}

func (s *single) Force(ctx context.Context, name string, token int64) (bool, error) {
	c := func() *command { return s.command(&forceScript, name, token, s.highWater.Load(), s.retention()) }
	got := s.run(ctx, c(), repeat(c))
	if got.err != nil {
		return false, got.err
	}
	rd := readReply(got.val)
	return rd.int() == 1, rd.err
}

func (s *single) Status(ctx context.Context, name string) (engine.Status, error) {
	c := func() *command { return s.command(&statusScript, name) }
	got := s.run(ctx, c(), repeat(c))
	if got.err != nil {
		return engine.Status{}, got.err
	}
	rd := readReply(got.val)
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
