package redisengine

import (
	"context"
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

	// Guarded by the lane's mutex.
	place place
	wrote bool          // each of items is written
	limit time.Duration // when it ends by itself
	due   time.Time     // when it has gone without an answer for too long; zero: it carries nothing
	last  time.Time     // when it is given up
	timer *time.Timer   // calls overdue at due
}

// place is what a unit takes of its lane.
type place int

const (
	counted place = iota // it is one of those that may be under way
	stuck                // without an answer for too long: another may leave in its place
	extra                // beside all others, for what is urgent
	gone                 // given up, or ended
)

// room tells whether one more may be under way. It needs l.mu.
func (l *lane) room() bool {
	most := l.limit.most()
	return l.sending < most && l.sending+l.stuck < most+maxStuck
}

// admit starts one more unit, if there is something to send and room for it. It needs
// l.mu.
func (l *lane) admit() {
	switch {
	case len(l.urgent)+len(l.waiting) == 0:
	case l.room():
		l.sending++
		go l.work(&unit{place: counted})
	case len(l.urgent) > 0 && !l.extra && l.sending+l.stuck >= l.limit.most()+maxStuck:
		l.extra = true
		go l.work(&unit{place: extra})
	}
}

// work sends what waits until nothing does.
func (l *lane) work(u *unit) {
	for l.take(u) && l.send(u) {
	}
}

// take has u carry what waits, urgent requests first. It ends u where there is
// nothing, or more are under way than should be by now: these take it.
func (l *lane) take(u *unit) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resume(u) {
		u.items = l.takeFrom(u.items[:0], &l.urgent)
		if u.place != extra {
			u.items = l.takeFrom(u.items, &l.waiting)
		}
	}
	if len(u.items) == 0 {
		l.vacate(u)
		return false
	}
	u.wrote = false
	u.limit = l.limitOf(u)
	l.under = append(l.under, u)
	return true
}

// resume reports whether u may go on. One that was stuck counts again. It needs l.mu.
func (l *lane) resume(u *unit) bool {
	switch most := l.limit.most(); {
	case u.place == counted:
		return l.sending <= most
	case u.place == stuck && l.sending < most:
		l.vacate(u)
		l.sending++
		u.place = counted
	}
	return u.place != stuck
}

// vacate gives up u's place. It needs l.mu.
func (l *lane) vacate(u *unit) {
	switch u.place {
	case counted:
		l.sending--
	case stuck:
		l.stuck--
	case extra:
		l.extra = false
	}
	u.place = gone
}

// send sends u's requests, and lands each. It returns false if u was given up before
// there was an answer.
func (l *lane) send(u *unit) bool {
	ctx, cancel := context.WithTimeout(context.Background(), u.limit)
	defer cancel()
	sent := time.Now()
	commands := make([]*command, len(u.items))
	for i, it := range u.items {
		commands[i] = l.s.build(it.r)
	}
	l.watch(u, commands)
	got := l.transmit(ctx, commands)
	if !l.arrived(u, time.Since(sent), got) {
		return false
	}
	for i, it := range u.items {
		l.s.refreshAfter(got[i].err)
		it.land(outcome{val: got[i].val, err: got[i].err, sent: sent})
	}
	clear(u.items)
	u.items = u.items[:0]
	return true
}

// arrived takes note of u's answers.
func (l *lane) arrived(u *unit, took time.Duration, got []reply) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.place == gone {
		return false
	}
	u.timer.Stop()
	l.unload(u)
	l.observe(took, slices.ContainsFunc(got, func(r reply) bool { return engine.Unanswered(r.err) }))
	return true
}

// unload needs l.mu.
func (l *lane) unload(u *unit) {
	u.due = time.Time{}
	if l.patient == u {
		l.patient = nil
	}
	l.under = slices.DeleteFunc(l.under, func(other *unit) bool { return other == u })
}

// limitOf is when u ends by itself: soon enough for its requests to be sent again, and
// for those that wait to try other connections, by their calls' end. One at a time is
// given a call's whole time, by which a server that is slow shows that it is, and all are
// then. It needs l.mu.
func (l *lane) limitOf(u *unit) time.Duration {
	call := l.s.cfg.Call
	if l.patient == nil {
		l.patient = u
	}
	if l.patient == u {
		return call
	}
	return min(call, max(call/3, 2*time.Duration(l.s.sender.usual.Load())))
}

// watch has u, which carries commands now, not count any more once it is without an
// answer for too long.
func (l *lane) watch(u *unit, commands []*command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, it := range u.items {
		it.c = commands[i]
	}
	now := time.Now()
	// It should have ended by itself before, but go-redis minds no deadline of a
	// client whose connections have none.
	u.last = now.Add(u.limit * 5 / 4)
	u.due = now.Add(l.s.sender.stuckAfter())
	if u.place == extra {
		u.due = u.last
	}
	l.wake(u)
}

// wake needs l.mu.
func (l *lane) wake(u *unit) {
	after := time.Until(u.due)
	if u.timer == nil {
		u.timer = time.AfterFunc(after, func() { l.overdue(u) })
		return
	}
	u.timer.Reset(after)
}

// overdue gives u's place away, and at last u itself.
func (l *lane) overdue(u *unit) {
	for _, it := range l.giveUp(u) {
		it.land(outcome{err: it.c.fault(l.s.rdb, context.DeadlineExceeded), sent: time.Now()})
	}
}

// giveUp returns what is not waited for any longer. A timer that was late for one
// pipeline says nothing of the next.
func (l *lane) giveUp(u *unit) (lost []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.due.IsZero() || time.Now().Before(u.due) {
		return nil
	}
	if u.place == counted {
		l.vacate(u)
		l.stuck++
		u.place = stuck
		l.limit.timedOut()
		u.due = u.last
		l.wake(u)
	} else {
		l.vacate(u)
		l.unload(u)
		lost = u.items
	}
	l.admit()
	return lost
}

// written needs the lane's mutex.
func (u *unit) written() bool {
	u.wrote = u.wrote || !slices.ContainsFunc(u.items, func(it *item) bool { return !it.written() })
	return u.wrote
}

// transmit sends commands together, or one by itself.
func (l *lane) transmit(ctx context.Context, commands []*command) []reply {
	rdb := l.s.bounded.client()
	replies := make([]reply, len(commands))
	if len(commands) == 1 {
		val, err := commands[0].process(ctx, rdb)
		replies[0] = reply{val, commands[0].fault(l.s.rdb, err)}
		return replies
	}
	vals, errs := runAll(ctx, rdb, commands)
	for i, c := range commands {
		replies[i] = reply{vals[i], c.fault(l.s.rdb, errs[i])}
	}
	return replies
}
