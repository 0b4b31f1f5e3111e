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
	// maxStuck is how many units without an answer may be under way beside those that
	// count: a server that hangs does not take the whole pool of connections.
	maxStuck = 4
)

// A dispatcher sends the requests to one server. What comes while as many requests are
// under way as the server has use for waits in it, and leaves together with what
// else has come, as one pipeline: the reads and writes of a connection, and the
// hand-over to a goroutine and back, are then paid once for all of them.
//
// How many may be under way at a time is found out by what answers take: see
// limit. Whoever finds fewer leaves at once, alone.
//
// No goroutine waits for work. One that sends is started by the request that finds
// none to go with, and ends when nothing waits.
//
// One that its caller gives up while it waits here is taken out, and has no effect; and
// one that is given up on its way to a connection is not overtaken by what comes after it
// about its hold.
type dispatcher struct {
	s *Engine

	mu      sync.Mutex
	urgent  []*item // renewals and releases, which go first
	waiting []*item
	limit   limit
	sending int     // units and requests sent by their callers that count
	stuck   int     // units without an answer for too long
	extra   bool    // one more is under way, for what is urgent
	under   []*unit // that carry something
	patient *unit   // the one of them that is waited for longest
}

// An item is one copy of a request, in a dispatcher.
type item struct {
	dispatcher *dispatcher
	r          *request
	f          *flight
	landed     func() // called when it has landed, or was taken out; nil: nobody minds

	// Guarded by the dispatcher's mutex.
	state itemState
	c     *command // once it is sent
}

type itemState int

const (
	queued    itemState = iota
	taken               // it is being sent, or was
	abandoned           // taken, and given up since
	dropped             // it was given up before
)

func newDispatcher(s *Engine) *dispatcher {
	d := &dispatcher{s: s}
	d.limit.init(s.poolSize())
	return d
}

// enter lets a request be sent by its caller, at once; leave follows it. It is to
// overtake neither what waits nor what is on its way to a connection.
func (d *dispatcher) enter(r *request) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.urgent)+len(d.waiting) > 0 || !d.room() || r.urgent && d.behind(r.hold) {
		return false
	}
	d.sending++
	return true
}

// leave takes note of how long a request took that was sent by its caller.
func (d *dispatcher) leave(took time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.observe(took, 1, engine.Unanswered(err))
	d.sending--
	d.admit()
}

// observe needs d.mu.
func (d *dispatcher) observe(took time.Duration, requests int, unanswered bool) {
	if unanswered {
		d.limit.timedOut()
		return
	}
	d.limit.observe(took, requests, d.sending)
}

// enqueue has it wait for its turn, unless it was recalled before it came here. It
// returns what it takes out for it.
func (d *dispatcher) enqueue(it *item, landed func()) (stale []*item, waits bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if it.state == dropped {
		return nil, false
	}
	it.landed = landed
	if it.r.ends {
		stale = d.dropRenewals(it.r.hold)
	}
	queue := d.queueOf(it)
	*queue = append(*queue, it)
	d.admit()
	return stale, true
}

// dropRenewals takes out the renewals of a hold that is given back. It needs d.mu.
func (d *dispatcher) dropRenewals(hold string) (out []*item) {
	d.urgent = slices.DeleteFunc(d.urgent, func(it *item) bool {
		stale := it.r.hold == hold && !it.r.ends
		if stale {
			it.state = dropped
			out = append(out, it)
		}
		return stale
	})
	return out
}

// queueOf needs d.mu.
func (d *dispatcher) queueOf(it *item) *[]*item {
	if it.r.urgent {
		return &d.urgent
	}
	return &d.waiting
}

// takeFrom moves what may leave from the front of queue to batch. It needs d.mu.
func (d *dispatcher) takeFrom(batch []*item, queue *[]*item) []*item {
	var held []*item
	n := 0
	for _, it := range *queue {
		if len(batch) == maxBatch {
			break
		}
		n++
		if it.r.urgent && d.behind(it.r.hold) {
			held = append(held, it)
			continue
		}
		it.state = taken
		batch = append(batch, it)
	}
	*queue = slices.Replace(*queue, 0, n, held...)
	return batch
}

// behind reports whether a request of a hold that was given up is on its way to a
// connection. What is about the same hold is not to leave before that: a withdrawal that
// came before its acquire would have no effect but its tombstone's. It needs d.mu.
func (d *dispatcher) behind(hold string) bool {
	return slices.ContainsFunc(d.under, func(u *unit) bool {
		return !u.written() && slices.ContainsFunc(u.items, func(it *item) bool {
			return it.state == abandoned && it.r.hold == hold && !it.written()
		})
	})
}

// written needs the dispatcher's mutex.
func (it *item) written() bool { return it.c != nil && it.c.written() }

// land hands the outcome to whoever waits for it.
func (it *item) land(got outcome) {
	it.f.land(it, got)
	if it.landed != nil {
		it.landed()
	}
}

// launch is described in [transmission].
func (it *item) launch(_ context.Context, _ *sender, f *flight, landed func()) {
	it.f = f
	stale, waits := it.dispatcher.enqueue(it, landed)
	for _, old := range stale {
		old.land(outcome{err: engine.ErrUnsent, sent: time.Now()})
	}
	if !waits && landed != nil {
		landed()
	}
}

// hangs is described in [transmission].
func (it *item) hangs() bool {
	it.dispatcher.mu.Lock()
	defer it.dispatcher.mu.Unlock()
	return it.written()
}

// bar lets it leave once it is being sent: what keeps one of a pipeline back keeps
// the others back too.
func (it *item) bar() bool {
	it.dispatcher.mu.Lock()
	defer it.dispatcher.mu.Unlock()
	if it.state == taken {
		it.state = abandoned
	}
	return it.state == abandoned
}

// recall is described in [transmission]. A copy that has joined its flight may be
// recalled before it is launched.
func (it *item) recall() bool {
	landed, waited := it.dispatcher.drop(it)
	if landed != nil {
		landed()
	}
	return waited
}

// drop takes it out, and tells whether it waited, and whom to tell.
func (d *dispatcher) drop(it *item) (landed func(), waited bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if it.state != queued {
		return nil, false
	}
	it.state = dropped
	queue := d.queueOf(it)
	*queue = slices.DeleteFunc(*queue, func(other *item) bool { return other == it })
	return it.landed, true
}
