package redisengine

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// stuckLeast is how long a unit is waited for at the least before it does not count
// any more.
const stuckLeast = 20 * time.Millisecond

// A unit is what is under way together, on one connection or, where a cluster has
// moved a key, on several: a goroutine, one pipeline after the other.
type unit struct {
	items []*item

	// Guarded by the dispatcher's mutex.
	place place
	wrote bool          // each of items is written
	limit time.Duration // when it ends by itself
	due   time.Time     // when it has gone without an answer for too long; zero: it carries nothing
	last  time.Time     // when it is given up
	timer *time.Timer   // calls overdue at due
}

// place is what a unit takes of its dispatcher.
type place int

const (
	counted place = iota // it is one of those that may be under way
	stuck                // without an answer for too long: another may leave in its place
	extra                // beside all others, for what is urgent
	gone                 // given up, or ended
)

// room tells whether one more may be under way. It needs d.mu.
func (d *dispatcher) room() bool {
	most := d.limit.most()
	return d.sending < most && d.sending+d.stuck < most+maxStuck
}

// admit starts one more unit, if there is something to send and room for it. It needs
// d.mu.
func (d *dispatcher) admit() {
	switch {
	case len(d.urgent)+len(d.waiting) == 0:
	case d.room():
		d.sending++
		go d.work(&unit{place: counted})
	case len(d.urgent) > 0 && !d.extra && d.sending+d.stuck >= d.limit.most()+maxStuck:
		d.extra = true
		go d.work(&unit{place: extra})
	}
}

// work sends what waits until nothing does. Those whose answers have come go on first:
// what they ask for next leaves together.
func (d *dispatcher) work(u *unit) {
	for d.take(u) && d.send(u) {
		runtime.Gosched()
	}
}

// take has u carry what waits, urgent requests first. It ends u where there is
// nothing, or more are under way than should be by now: these take it.
func (d *dispatcher) take(u *unit) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.resume(u) {
		u.items = d.takeFrom(u.items[:0], &d.urgent)
		if u.place != extra {
			u.items = d.takeFrom(u.items, &d.waiting)
		}
	}
	if len(u.items) == 0 {
		d.vacate(u)
		return false
	}
	u.wrote = false
	u.limit = d.limitOf(u)
	d.under = append(d.under, u)
	return true
}

// resume reports whether u may go on. One that was stuck counts again. It needs d.mu.
func (d *dispatcher) resume(u *unit) bool {
	switch most := d.limit.most(); {
	case u.place == counted:
		return d.sending <= most
	case u.place == stuck && d.sending < most:
		d.vacate(u)
		d.sending++
		u.place = counted
	}
	return u.place != stuck
}

// vacate gives up u's place. It needs d.mu.
func (d *dispatcher) vacate(u *unit) {
	switch u.place {
	case counted:
		d.sending--
	case stuck:
		d.stuck--
	case extra:
		d.extra = false
	}
	u.place = gone
}

// send sends u's requests, and lands each. It returns false if u was given up before
// there was an answer.
func (d *dispatcher) send(u *unit) bool {
	ctx, cancel := context.WithTimeout(context.Background(), u.limit)
	defer cancel()
	sent := time.Now()
	commands := make([]*command, len(u.items))
	for i, it := range u.items {
		commands[i] = d.s.build(it.r)
	}
	d.watch(u, commands)
	got := d.transmit(ctx, commands)
	if !d.arrived(u, time.Since(sent), got) {
		return false
	}
	for i, it := range u.items {
		d.s.refreshAfter(got[i].err)
		it.land(outcome{val: got[i].val, err: got[i].err, sent: sent})
	}
	clear(u.items)
	u.items = u.items[:0]
	return true
}

// arrived takes note of u's answers.
func (d *dispatcher) arrived(u *unit, took time.Duration, got []reply) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u.place == gone {
		return false
	}
	u.timer.Stop()
	d.unload(u)
	d.observe(took, len(got), slices.ContainsFunc(got, func(r reply) bool { return engine.Unanswered(r.err) }))
	return true
}

// unload needs d.mu.
func (d *dispatcher) unload(u *unit) {
	u.due = time.Time{}
	if d.patient == u {
		d.patient = nil
	}
	d.under = slices.DeleteFunc(d.under, func(other *unit) bool { return other == u })
}

// limitOf is when u ends by itself: soon enough for its requests to be sent again, and
// for those that wait to try other connections, by their calls' end. One at a time is
// given a call's whole time, by which a server that is slow shows that it is, and all are
// then. It needs d.mu.
func (d *dispatcher) limitOf(u *unit) time.Duration {
	call := d.s.cfg.Call
	if d.patient == nil {
		d.patient = u
	}
	if d.patient == u {
		return call
	}
	return min(call, max(call/3, 2*time.Duration(d.s.sender.usual.Load())))
}

// watch has u, which carries commands now, not count any more once it is without an
// answer for too long.
func (d *dispatcher) watch(u *unit, commands []*command) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, it := range u.items {
		it.c = commands[i]
	}
	now := time.Now()
	// It should have ended by itself before, but go-redis minds no deadline of a
	// client whose connections have none.
	u.last = now.Add(u.limit * 5 / 4)
	u.due = now.Add(d.s.sender.stuckAfter())
	if u.place == extra {
		u.due = u.last
	}
	d.wake(u)
}

// wake needs d.mu.
func (d *dispatcher) wake(u *unit) {
	after := time.Until(u.due)
	if u.timer == nil {
		u.timer = time.AfterFunc(after, func() { d.overdue(u) })
		return
	}
	u.timer.Reset(after)
}

// overdue gives u's place away, and at last u itself.
func (d *dispatcher) overdue(u *unit) {
	for _, it := range d.giveUp(u) {
		it.land(outcome{err: it.c.fault(d.s.rdb, context.DeadlineExceeded), sent: time.Now()})
	}
}

// giveUp returns what is not waited for any longer. A timer that was late for one
// pipeline says nothing of the next.
func (d *dispatcher) giveUp(u *unit) (lost []*item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u.due.IsZero() || time.Now().Before(u.due) {
		return nil
	}
	if u.place == counted {
		d.vacate(u)
		d.stuck++
		u.place = stuck
		d.limit.timedOut()
		u.due = u.last
		d.wake(u)
	} else {
		d.vacate(u)
		d.unload(u)
		lost = u.items
	}
	d.admit()
	return lost
}

// written needs the dispatcher's mutex.
func (u *unit) written() bool {
	u.wrote = u.wrote || !slices.ContainsFunc(u.items, func(it *item) bool { return !it.written() })
	return u.wrote
}

// transmit sends commands together, or one by itself.
func (d *dispatcher) transmit(ctx context.Context, commands []*command) []reply {
	rdb := d.s.bounded.client()
	replies := make([]reply, len(commands))
	if len(commands) == 1 {
		val, err := commands[0].process(ctx, rdb)
		replies[0] = reply{val, commands[0].fault(d.s.rdb, err)}
		return replies
	}
	vals, errs := runAll(ctx, rdb, commands)
	for i, c := range commands {
		replies[i] = reply{vals[i], c.fault(d.s.rdb, errs[i])}
	}
	return replies
}
