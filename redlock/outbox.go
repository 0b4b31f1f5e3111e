package redlock

import (
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// An outbox keeps the requests of one hold to one node in order: each leaves when
// the one before was answered, or given up by its call timeout. Nothing else
// orders the connections of a pool.
type outbox struct {
	letters []letter  // the first is under way
	until   time.Time // for so long a release is sent again
	resend  int       // how often it was
	late    int       // requests that the node was waited for in vain
	told    int       // of which other requests know
}

// A letter is an acquire of an attempt, or its release.
type letter struct {
	attempt *attempt
	release bool
}

func (o *outbox) busy() bool { return len(o.letters) > 0 }

// enter puts a letter into the outbox of node i.
func (r *request) enter(i int, l letter) {
	o := &r.outboxes[i]
	o.letters = append(o.letters, l)
	if len(o.letters) == 1 {
		r.leaves(i)
	}
}

// next has the next letter leave, after the one that was answered.
func (r *request) next(i int) {
	o := &r.outboxes[i]
	o.letters = o.letters[1:]
	r.leaves(i)
}

// leaves sends the first letter to node i that is still of use.
func (r *request) leaves(i int) {
	o := &r.outboxes[i]
	for ; len(o.letters) > 0; o.letters = o.letters[1:] {
		l := o.letters[0]
		v := &l.attempt.votes[i]
		switch {
		case !l.release && l.attempt.fate == lives:
			r.did.add(action{do: doSend, node: i, attempt: l.attempt, acquire: l.attempt.acquire(i)})
			return
		case !l.release: // given up before this left
			r.arrive(v, i)
		case v.trace == none || l.attempt.fate == stays && v.hasVote() && v.trace != unclear:
			v.back = absent
		default:
			o.resend, o.until = 0, r.now.Add(max(l.attempt.req.TTL, l.attempt.req.Life, r.facts.callTimeout(i)))
			r.sendRelease(l.attempt, i)
			return
		}
	}
	o.letters = nil
}

// arrive notes that node i owes no answer any more to what it was asked.
func (r *request) arrive(v *vote, i int) {
	if v.link.isLate() {
		r.outboxes[i].late--
	}
	v.link = idle
}

// hangs reports whether node i owes an answer, to whichever request.
func (r *request) hangs(i int) bool {
	o := &r.outboxes[i]
	return r.facts.owes(i)-o.told+o.late > 0
}

// giveBack releases what t may have at node i, behind everything that was sent
// there for it.
func (r *request) giveBack(t *attempt, i int) {
	v := &t.votes[i]
	if v.link == idle && v.trace == none {
		v.back = absent
		return
	}
	v.back = returning
	r.enter(i, letter{t, true})
}

func (r *request) sendRelease(t *attempt, i int) {
	v := &t.votes[i]
	leave := t.fate == stays
	r.did.add(action{do: doSend, node: i, attempt: t, resend: r.outboxes[i].resend, release: &engine.Release{
		Name: t.req.Name, Hold: t.id, Tombstone: v.trace == unclear || leave, Detach: leave,
	}})
}

// settle takes the answer to a release. It is sent until it is answered, or what
// it is about has expired: a node that hangs may execute the acquire whenever it
// goes on. "Gone" as the answer to a resend is the work of the copy before. A vote
// that does not count is none that was given back: another may have held the lock.
func (r *request) settle(t *attempt, i int, gone bool, err error) {
	o := &r.outboxes[i]
	v := &t.votes[i]
	switch {
	case err == nil && (gone && o.resend == 0 || t.isHeld() && v.says != counted):
		v.back = absent
	case err == nil:
		v.back = given
	case errors.Is(err, errStopped):
		v.back = stopped
	case errors.Is(err, engine.ErrDisconnected) || r.now.After(o.until):
		v.back, v.err = stopped, err
	default:
		v.back, v.err = retrying, err
		o.resend++
		r.sendRelease(t, i)
		return
	}
	r.next(i)
}

// errStopped is a release that was not sent again, since nothing is any more.
var errStopped = errors.New("stopped")

// releaseVerdict judges the release of the attempt that was given back last. A request
// that came to nothing is gone when every outbox is empty.
func (r *request) releaseVerdict() (verdict, error) {
	t := r.last
	if t == nil || !t.isHeld() {
		if r.busy() {
			return undecided, nil
		}
		return taken, nil
	}
	return t.returns(r.facts)
}
