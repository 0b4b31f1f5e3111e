package redlock

import (
	"github.com/relock-go/relock/internal/engine"
)

// The coordinator is the first live node in the order of the node ids. Waiters
// queue there and hold nothing; the one that is granted there queues at the
// others. So there is one at a time that collects votes, and votes are not split.

// queue begins an attempt at the first live node from place on in the order;
// before is the attempt that found those before it dead.
func (r *request) queue(q *engine.Request, place int, before *attempt) {
	t := r.begin(q)
	t.phase = joining
	if before != nil {
		for i := range before.votes {
			t.votes[i].err = before.votes[i].err
		}
	}
	order := r.facts.order()
	for ; place < len(order); place++ {
		if t.coordinator = order[place]; r.ask(t, t.coordinator, true) {
			r.watch(t)
			return
		}
	}
	r.fail(silent)
}

// requeue begins anew at the first live node from place on.
func (r *request) requeue(t *attempt, place int, before *attempt) {
	r.drop()
	r.queue(&t.req, place, before)
}

// place returns where in the order node i stands.
func (r *request) place(i int) int {
	for n, other := range r.facts.order() {
		if other == i {
			return n
		}
	}
	return 0
}

// atCoordinator draws the conclusions for an attempt that waits there.
func (r *request) atCoordinator(t *attempt) {
	v := &t.votes[t.coordinator]
	switch {
	case v.link.isPending():
	case v.hasVote():
		if t.phase == joining { // it was granted at once: nobody waits here any more
			r.did.add(action{do: doUncontended, attempt: t})
		}
		r.collect(t)
	case v.says == inQueue && !v.link.isLate():
		t.phase = queued
		r.did.add(action{do: doContended, attempt: t})
		r.finish(v.answer, nil)
	default: // this one is dead: the next one is the coordinator
		r.requeue(t, r.place(t.coordinator)+1, t)
	}
}

// collect queues at the other nodes for the one that is granted at the coordinator.
func (r *request) collect(t *attempt) {
	t.phase, t.since = collecting, r.now
	t.proposal = r.facts.propose(&t.req, r.now)
	t.votes[t.coordinator].link.recheck()
	r.askAll(t, true)
	r.decide(t)
}

// collected draws the conclusions for an attempt that collects.
func (r *request) collected(t *attempt) {
	hopeful := t.count((*vote).isHopeful)
	queues := t.count(func(v *vote) bool { return v.says == inQueue && v.link == idle })
	switch n := t.count((*vote).hasVote); {
	case n >= r.facts.need():
		r.agree(t)
	case n+queues+hopeful < r.facts.need():
		r.fail(silent)
	case hopeful == 0:
		ans, _ := t.inTheWay()
		ans.State, ans.Place = engine.Waiting, 0
		r.finish(ans, nil)
	}
}

// checkIn asks again for an attempt that waits: what it knows may be out of date.
func (r *request) checkIn(t *attempt) {
	r.did.add(action{do: doRefresh, attempt: t}) // a node that is known by now may be the coordinator
	switch t.phase {
	case joining, queued:
		if t.votes[t.coordinator].link == idle {
			r.ask(t, t.coordinator, true)
		}
		r.watch(t)
		r.probe(t)
	case collecting:
		if r.now.Sub(t.since) > t.req.Life/3 && r.stuck(t) && r.facts.yields() {
			r.requeue(t, 0, nil)
			return
		}
		r.askAll(t, true)
		r.probe(t)
	}
	r.decide(t)
}

// stuck reports whether votes may be split: we have some beside the coordinator's,
// and nobody else is seen with a quorum. That takes two who collect at once, which
// happens only while they disagree on which node is the coordinator. Each may have
// what the other needs; chance decides who gives way.
func (r *request) stuck(t *attempt) bool {
	_, theirs := t.inTheWay()
	return t.count((*vote).hasVote) > 1 && theirs < r.facts.need()
}

// probe moves an attempt to an earlier coordinator if that answers again: others
// that wait queue there.
func (r *request) probe(t *attempt) {
	for _, i := range r.facts.order() {
		if i == t.coordinator {
			return
		}
		if !r.hangs(i) {
			r.probes++
			r.did.add(action{do: doProbe, attempt: t, node: i})
		}
	}
}

func (r *request) probed(t *attempt, i int, err error) {
	r.probes--
	if err == nil && t.fate == lives && t.waits() && r.place(i) < r.place(t.coordinator) {
		r.requeue(t, 0, nil)
	}
}
