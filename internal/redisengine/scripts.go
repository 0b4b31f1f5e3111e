package redisengine

import (
	"cmp"
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

// millis rounds up: a TTL of 0 would be no TTL.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// ids of the states in the scripts' replies.
const (
	replyGranted    = 1
	replyWaiting    = 2
	replyTaken      = 3
	replyTombstoned = 4
)

// What a release replies of its hold.
const (
	replyGone     = 0
	replyReleased = 1
	replyKept     = 3
)

// reader takes a reply apart. The first thing that is not as it should be makes
// everything after it zero.
type reader struct {
	rest   []any
	number int64 // where it was no list, but that
	short  bool
	err    error
}

// readReply reads a list, or a number as the list of that alone.
func readReply(val any) reader {
	switch val := val.(type) {
	case []any:
		return reader{rest: val}
	case int64:
		return reader{number: val, short: true}
	}
	return reader{err: fmt.Errorf("relock: script replied %T", val)}
}

// fresh reads a token alone: of what the request r asked for, as its only hold.
func (r *reader) fresh(sent time.Time, req *engine.Request) engine.Answer {
	a := engine.Answer{State: engine.Granted, Token: r.number, Count: 1, Sent: sent}
	if req == nil || a.Token <= replyReleased {
		r.err = cmp.Or(r.err, fmt.Errorf("relock: script replied %d where a token belongs", a.Token))
		return engine.Answer{Sent: sent}
	}
	a.Left = time.Duration(millis(req.Grant())) * time.Millisecond
	if req.Propose.Token > 0 {
		a.Accepted = a.Token
	}
	return a
}

func (r *reader) next() any {
	if r.err == nil && r.short {
		r.err = fmt.Errorf("relock: script replied %d where a list belongs", r.number)
	} else if r.err == nil && len(r.rest) == 0 {
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

// answer reads what acquire replies to req, and release about its next; nil is what
// a renewal replies.
func (r *reader) answer(sent time.Time, req *engine.Request) engine.Answer {
	if r.short {
		return r.fresh(sent, req)
	}
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
	case replyTombstoned:
		a.State = engine.Tombstoned
	}
	return a
}

func (r *reader) holder(a *engine.Answer) {
	a.Token, a.Owner, a.Left, a.Age, a.Place = r.int(), r.string(), r.duration(), r.duration(), int(r.int())
}

func (r *reader) released(sent time.Time, next *engine.Request) engine.Released {
	var rel engine.Released
	if r.short && r.number == replyReleased {
		return rel
	} else if r.short {
		rel.Next = r.fresh(sent, next)
		return rel
	}
	status := r.int()
	rel.Gone = status == replyGone
	left := r.duration()
	if status == replyKept {
		rel.Kept = max(left, time.Millisecond)
	}
	rel.Next = r.answer(sent, next)
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
