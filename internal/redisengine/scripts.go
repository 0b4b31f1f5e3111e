package redisengine

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/scripts"
)

var (
	acquireScript = newScript(scripts.Source("acquire.lua"))
	releaseScript = newScript(scripts.Source("release.lua"))
	renewScript   = newScript(scripts.Source("renew.lua"))
	forceScript   = newScript(scripts.Source("force.lua"))
	statusScript  = newScript(scripts.Source("status.lua"))
	allScript     = newScript(scripts.Source("all.lua"))
	voteScript    = newScript(scripts.Source("vote.lua"))
	enrolScript   = newScript(scripts.Source("enrol.lua"))
	inspectScript = newScript(scripts.Source("inspect.lua"))
)

// A Script is the source of one operation, and the name the server knows it by.
type Script struct {
	source string
	name   any // by which the server knows it, as it is sent
}

func newScript(source string) Script {
	sum := sha1.Sum([]byte(source))
	return Script{source, hex.EncodeToString(sum[:])}
}

// ms rounds up: a TTL of 0 would be no TTL.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// ids of the states in the scripts' replies.
const (
	replyGranted   = 1
	replyWaiting   = 2
	replyTaken     = 3
	replyWithdrawn = 4
)

// What a release replies that is not just done.
const (
	replyGone = 0
	replyKept = 3
)

// reader takes a reply apart. The first thing that is not as it should be makes
// everything after it zero.
type reader struct {
	rest []any
	err  error
}

func readReply(val any) *reader {
	list, ok := val.([]any)
	if !ok {
		return &reader{err: fmt.Errorf("relock: script replied %T", val)}
	}
	return &reader{rest: list}
}

func (r *reader) next() any {
	if r.err == nil && len(r.rest) == 0 {
		r.err = fmt.Errorf("relock: script reply is too short")
	}
	if r.err != nil {
		return nil
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

func (r *reader) int() int64 {
	v := r.next()
	n, ok := v.(int64)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("relock: script replied %T where a number belongs", v)
	}
	return n
}

func (r *reader) string() string {
	v := r.next()
	s, ok := v.(string)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("relock: script replied %T where text belongs", v)
	}
	return s
}

func (r *reader) duration() time.Duration { return time.Duration(r.int()) * time.Millisecond }

// answer reads what acquire replies, and release about next.
func (r *reader) answer(sent time.Time) engine.Answer {
	a := engine.Answer{Sent: sent}
	switch r.int() {
	case replyGranted:
		a.State, a.Token, a.Count, a.Left = engine.Granted, r.int(), int(r.int()), r.duration()
		if len(r.rest) > 0 { // of a node of a quorum
			a.Accepted, a.Issued = r.int(), r.int() == 1
		}
	case replyWaiting:
		a.State = engine.Waiting
		r.holder(&a)
	case replyTaken:
		a.State = engine.Taken
		r.holder(&a)
	case replyWithdrawn:
		a.State = engine.Withdrawn
	}
	return a
}

func (r *reader) holder(a *engine.Answer) {
	a.Token, a.Owner, a.Left, a.Age, a.Place = r.int(), r.string(), r.duration(), r.duration(), int(r.int())
}

func (r *reader) released(sent time.Time) engine.Released {
	var rel engine.Released
	status := r.int()
	rel.Gone = status == replyGone
	left := r.duration()
	if status == replyKept {
		rel.Kept = max(left, time.Millisecond)
	}
	rel.Next = r.answer(sent)
	return rel
}

func (r *reader) status() engine.Status {
	var st engine.Status
	st.Held, st.Waiters = r.int() == 1, int(r.int())
	if st.Held {
		st.Token, st.Owner, st.Count, st.Left, st.Age = r.int(), r.string(), int(r.int()), r.duration(), r.duration()
	}
	return st
}

func (r *reader) queue() (engine.Status, []engine.Waiter) {
	st := engine.Status{Held: r.int() == 1, Waiters: int(r.int())}
	st.Token, st.Owner, st.Count, st.Left, st.Age = r.int(), r.string(), int(r.int()), r.duration(), r.duration()
	var queue []engine.Waiter
	for n := r.int(); n > 0 && r.err == nil; n-- {
		queue = append(queue, engine.Waiter{
			Hold: r.string(), Waited: r.duration(), Silent: r.duration(), Life: r.duration(), Owner: r.string(),
		})
	}
	return st, queue
}
