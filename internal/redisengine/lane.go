package redisengine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Bounds of the pipelines of one server.
const (
	// maxBatch is how many requests share a pipeline: one whose key a cluster has
	// moved keeps the answers of the others back.
	maxBatch = 64
	// maxStuck is how many pipelines without an answer may be under way beside those
	// that count: a server that hangs does not take the whole pool of connections.
	maxStuck = 4
	// stuckLeast is how long a pipeline is waited for at the least before it does not
	// count any more.
	stuckLeast = 20 * time.Millisecond
)

// A lane is the requests to one server. What comes while as many requests are
// under way as the server has use for waits in it, and leaves together with what
// else has come, as one pipeline: the reads and writes of a connection, and the
// hand-over to a goroutine and back, are then paid once for all of them.
//
// How many may be under way at a time is found out by what answers take: see
// limit. Whoever finds fewer leaves at once, alone.
//
// No goroutine waits for work. One that sends is started by the request that finds
// none to go with, and ends when nothing waits.
type lane struct {
	s *Engine

	mu       sync.Mutex
	urgent   []*item // renewals and releases, which go first
	waiting  []*item
	limit    limit
	sending  int     // pipelines and single requests under way, but for those that are stuck
	stuck    int     // without an answer for too long
	extra    bool    // one more is under way, for what is urgent
	pipeline []*unit // those whose commands may not have been written yet
}

// An item is one copy of a request, in a lane.
type item struct {
	lane   *lane
	r      *request
	f      *flight
	landed func() // called when it has landed, or was taken out; nil: nobody minds

	// Guarded by the lane's mutex.
	state itemState
	c     *command // once it is sent
}

type itemState int

const (
	queued  itemState = iota
	taken             // it is being sent, or was
	dropped           // it was given up before
)

// unit is what is under way together: one goroutine's requests.
type unit struct {
	items []*item
	stuck bool
	extra bool
	sent  time.Time
	timer *time.Timer
}

func newLane(s *Engine) *lane {
	l := &lane{s: s}
	l.limit.init(s.poolSize())
	return l
}

// enter lets a request be sent by its caller, at once; leave follows it. It is not
// to overtake what waits.
func (l *lane) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.urgent)+len(l.waiting) > 0 || l.sending >= l.limit.most() {
		return false
	}
	l.sending++
	return true
}

// leave takes note of how long a request took that was sent by its caller.
func (l *lane) leave(took time.Duration, err error) {
	l.mu.Lock()
	l.observe(took, err)
	l.sending--
	start := l.admit()
	l.mu.Unlock()
	l.start(start)
}

// observe needs l.mu.
func (l *lane) observe(took time.Duration, err error) {
	if engine.Unanswered(err) {
		l.limit.timedOut()
		return
	}
	l.limit.observe(took, l.sending)
}

// add has it wait for its turn.
func (l *lane) add(it *item) {
	var stale []*item
	l.mu.Lock()
	if it.r.urgent {
		if it.r.ends {
			stale = l.dropRenewals(it.r.hold)
		}
		l.urgent = append(l.urgent, it)
	} else {
		l.waiting = append(l.waiting, it)
	}
	start := l.admit()
	l.mu.Unlock()
	for _, old := range stale {
		old.land(outcome{err: engine.ErrUnsent, sent: time.Now()})
	}
	l.start(start)
}

// dropRenewals takes out the renewals of a hold that is given back. It needs l.mu.
func (l *lane) dropRenewals(hold string) (out []*item) {
	l.urgent = slices.DeleteFunc(l.urgent, func(it *item) bool {
		stale := it.r.hold == hold && !it.r.ends
		if stale {
			it.state = dropped
			out = append(out, it)
		}
		return stale
	})
	return out
}

// admit reserves the place of one more unit, if there is something to send. It
// needs l.mu.
func (l *lane) admit() *unit {
	if len(l.urgent)+len(l.waiting) == 0 {
		return nil
	}
	most := l.limit.most()
	switch {
	case l.sending < most && l.sending+l.stuck < most+maxStuck:
		l.sending++
		return &unit{}
	case l.sending+l.stuck >= most+maxStuck && !l.extra && len(l.urgent) > 0:
		l.extra = true
		return &unit{extra: true}
	}
	return nil
}

func (l *lane) start(u *unit) {
	if u != nil {
		go l.work(u)
	}
}

// work sends what waits until nothing does.
func (l *lane) work(u *unit) {
	for l.take(u) {
		l.send(u)
	}
}

// take has u carry what waits, urgent requests first. It ends u where there is
// nothing, or u is not to go on.
func (l *lane) take(u *unit) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.stuck { // its place was given away
		u.stuck = false
		l.stuck--
		if l.sending >= l.limit.most() {
			return false
		}
		l.sending++
	}
	u.items = l.takeFrom(u.items[:0], &l.urgent)
	if !u.extra {
		u.items = l.takeFrom(u.items, &l.waiting)
	}
	if len(u.items) > 0 {
		l.pipeline = append(l.pipeline, u)
		return true
	}
	if u.extra {
		l.extra = false
	} else {
		l.sending--
	}
	return false
}

// takeFrom moves what may leave from the front of queue to batch. A withdrawal
// leaves once the acquire that it withdraws is written: one that came before it
// would have no effect but its tombstone's. It needs l.mu.
func (l *lane) takeFrom(batch []*item, queue *[]*item) []*item {
	var held []*item
	n := 0
	for _, it := range *queue {
		if len(batch) == maxBatch {
			break
		}
		n++
		if it.r.ends && it.r.late && l.unwritten(it.r.hold) {
			held = append(held, it)
			continue
		}
		it.state = taken
		batch = append(batch, it)
	}
	*queue = slices.Replace(*queue, 0, n, held...)
	return batch
}

// unwritten reports whether an acquire of a hold is on its way to a connection. It
// needs l.mu.
func (l *lane) unwritten(hold string) bool {
	for _, u := range l.pipeline {
		for _, it := range u.items {
			if it.r.hold == hold && !it.r.urgent && (it.c == nil || !it.c.written()) {
				return true
			}
		}
	}
	return false
}

// send sends u's requests, and lands each.
func (l *lane) send(u *unit) {
	ctx, cancel := context.WithTimeout(context.Background(), l.s.cfg.Call*2/3)
	defer cancel()
	u.sent = time.Now()
	commands := make([]*command, len(u.items))
	for i, it := range u.items {
		commands[i] = it.r.build()
	}
	l.mu.Lock()
	for i, it := range u.items {
		it.c = commands[i]
	}
	l.mu.Unlock()
	l.watch(u)
	got := l.transmit(ctx, commands)
	took := time.Since(u.sent)
	l.mu.Lock()
	u.timer.Stop()
	l.pipeline = slices.DeleteFunc(l.pipeline, func(other *unit) bool { return other == u })
	l.observe(took, got[0].err)
	l.mu.Unlock()
	for i, it := range u.items {
		l.s.refreshAfter(got[i].err)
		it.land(outcome{val: got[i].val, err: got[i].err, sent: u.sent})
	}
	clear(u.items)
}

// watch has u not count any more once it is without an answer for too long.
func (l *lane) watch(u *unit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	after := l.s.sender.stuckAfter()
	if u.timer != nil {
		u.timer.Reset(after)
		return
	}
	u.timer = time.AfterFunc(after, func() { l.give(u) })
}

// give gives u's place away.
func (l *lane) give(u *unit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.stuck || u.extra || !slices.Contains(l.pipeline, u) {
		return
	}
	u.stuck = true
	l.sending--
	l.stuck++
	l.limit.timedOut()
	l.start(l.admit())
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

// land hands the outcome to whoever waits for it.
func (it *item) land(got outcome) {
	it.f.land(it, got)
	if it.landed != nil {
		it.landed()
	}
}

// hangs is described in [transmission].
func (it *item) hangs() bool {
	it.lane.mu.Lock()
	defer it.lane.mu.Unlock()
	return it.c != nil && it.c.hangs()
}

// bar takes it out of its lane, unless it was sent.
func (it *item) bar() bool {
	it.lane.mu.Lock()
	before := it.state
	if before == queued {
		it.lane.drop(it)
	}
	it.lane.mu.Unlock()
	if before == queued && it.landed != nil {
		it.landed()
	}
	return before == taken
}

// drop needs l.mu.
func (l *lane) drop(it *item) {
	it.state = dropped
	queue := &l.waiting
	if it.r.urgent {
		queue = &l.urgent
	}
	*queue = slices.DeleteFunc(*queue, func(other *item) bool { return other == it })
}

// launch is described in [transmission].
func (it *item) launch(_ context.Context, _ *sender, f *flight, landed func()) {
	it.f, it.landed = f, landed
	it.lane.add(it)
}
