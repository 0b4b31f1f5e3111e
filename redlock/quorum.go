package redlock

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

// tokenLead is how far ahead of the local clock the first token of a lock is
// proposed. A node that has no record of the lock takes its own clock for the
// greatest token it has accepted: this much may the node's clock be ahead, and
// the request be under way, for one round trip to suffice.
const tokenLead = 10 * time.Millisecond

// quorum keeps locks on a majority of independent nodes: the engine behind a
// RedLock.
type quorum struct {
	peers  []*peer
	need   int
	set    settings
	sink   engine.Sink
	seen   atomic.Int64  // the greatest token seen
	serial atomic.Uint64 // of the last driver

	membership *membership
	contended  contended

	bg     context.Context // ends some time after Close
	cancel context.CancelFunc
	tasks  tasks

	mu      sync.Mutex
	drivers map[string]*driver // by hold
	owned   map[ownerKey]*ownedToken
}

// ownedToken is the token of an owner that holds a lock in this process.
type ownedToken struct {
	token int64
	holds int
}

type ownerKey struct{ name, owner string }

var (
	_ engine.Engine     = (*quorum)(nil)
	_ engine.Identified = (*quorum)(nil)
)

func newQuorum(nodes []engine.Node, set settings) *quorum {
	q := &quorum{
		need: set.quorum, set: set,
		drivers: map[string]*driver{}, owned: map[ownerKey]*ownedToken{},
	}
	q.bg, q.cancel = context.WithCancel(context.Background())
	for i, n := range nodes {
		q.peers = append(q.peers, &peer{node: n, addr: n.Addr(), index: i})
	}
	q.membership = newMembership(q)
	return q
}

// sees raises the greatest token seen, but not far beyond the clock: a node
// would refuse what is built on that.
func (q *quorum) sees(token int64) {
	if token > time.Now().Add(tooFar).UnixMicro() {
		return
	}
	for {
		old := q.seen.Load()
		if token <= old || q.seen.CompareAndSwap(old, token) {
			return
		}
	}
}

// holds notes that r's owner has the lock under token.
func (q *quorum) holds(r *engine.Request, token int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := ownerKey{r.Name, r.Owner}
	if q.owned[key] == nil {
		q.owned[key] = &ownedToken{}
	}
	q.owned[key].token = token
	q.owned[key].holds++
}

func (q *quorum) heldNoMore(r *engine.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := ownerKey{r.Name, r.Owner}
	if mine := q.owned[key]; mine != nil {
		if mine.holds--; mine.holds == 0 {
			delete(q.owned, key)
		}
	}
}

// find returns who drives the request for hold, or nil.
func (q *quorum) find(hold string) *driver {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drivers[hold]
}

// driverOf returns who drives the request for hold.
func (q *quorum) driverOf(hold string) *driver {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.drivers[hold]
	if d == nil {
		d = &driver{q: q, request: newRequest(view{q}, hold, strconv.FormatUint(q.serial.Add(1), 36), len(q.peers))}
		q.drivers[hold] = d
	}
	return d
}

func (q *quorum) forget(d *driver) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if hold := d.request.hold; q.drivers[hold] == d {
		delete(q.drivers, hold)
	}
}

// outcome is what a question of the manager's came to.
type outcome struct {
	ans engine.Answer
	err error
}

// Acquire asks for a hold, or checks in.
func (q *quorum) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	if err := q.membership.ready(ctx, q.set.patience(r.TTL)); err != nil {
		return engine.Answer{}, err
	}
	got := make(chan outcome, 1)
	done := func(ans engine.Answer, err error) { got <- outcome{ans, err} }
	for !q.driverOf(r.Hold).acquire(r, done) { // until it is not one that is over
	}
	return await(ctx, got)
}

// await returns what comes of a question, or that its time is over.
func await(ctx context.Context, got <-chan outcome) (engine.Answer, error) {
	select {
	case o := <-got:
		return o.ans, o.err
	case <-ctx.Done():
		return engine.Answer{}, fmt.Errorf("%w: %w", engine.ErrUnknown, context.Cause(ctx))
	}
}

// Pulse sends check-ins and releases one by one, of which a check-in asks one node
// as long as it is queued, and renewals as one batch a node.
func (q *quorum) Pulse(ctx context.Context, batch []engine.Pulse) {
	var renewals []*renewal
	for _, p := range batch {
		switch {
		case p.CheckIn != nil:
			go q.pulse(p)
			continue
		case p.Release != nil:
			go func() {
				_, err := q.Release(ctx, p.Release)
				p.Done(engine.Answer{}, err)
			}()
			continue
		}
		if n := q.renewal(p.Renew, p.Done); n.attempt != nil {
			renewals = append(renewals, n)
		}
	}
	for i, p := range q.peers {
		var part []engine.Pulse
		for _, r := range renewals {
			if r.asks(i) {
				part = append(part, engine.Pulse{Renew: r.question(), Done: func(ans engine.Answer, err error) { r.renewed(i, ans, err) }})
			}
		}
		if len(part) > 0 {
			p.node.Pulse(ctx, part)
		}
	}
}

func (q *quorum) pulse(p engine.Pulse) {
	d := q.find(p.CheckIn.Hold)
	if d == nil || !d.acquire(p.CheckIn, p.Done) { // released meanwhile
		p.Done(engine.Answer{State: engine.Withdrawn}, nil)
	}
}

// Renew gives a hold its TTL again, on a quorum.
func (q *quorum) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	got := make(chan outcome, 1)
	n := q.renewal(r, func(ans engine.Answer, err error) { got <- outcome{ans, err} })
	for i, p := range q.peers {
		if n.asks(i) {
			go func() {
				ctx, cancel := p.bounded(q.bg)
				defer cancel()
				ans, err := p.node.Renew(ctx, n.question())
				n.renewed(i, ans, err)
			}()
		}
	}
	return await(ctx, got)
}

// renewal returns a renewal whose answers are to come; done is told what it came to.
func (q *quorum) renewal(r *engine.Renewal, done func(engine.Answer, error)) *renewal {
	n := &renewal{req: *r, driver: q.find(r.Hold), done: done}
	if n.driver != nil {
		n.driver.take(&event{kind: renews, renewal: n})
	} else {
		done(engine.Answer{}, nil) // it was given up
	}
	return n
}

// renewed hands over the answer of node i.
func (n *renewal) renewed(i int, ans engine.Answer, err error) {
	n.driver.take(&event{kind: renewed, renewal: n, node: i, answer: ans, err: err})
}

// SupportsReplicas refuses: the copies of a RedLock are its nodes.
func (q *quorum) SupportsReplicas() error {
	return invalid("WithReplicas: not on a RedLock, whose nodes are the copies")
}

// Close ends the subscriptions, gives what is under way the time of one node's
// answer, and then leaves it to expire.
func (q *quorum) Close() {
	for _, p := range q.peers {
		p.node.Close()
	}
	t := time.NewTimer(q.set.patience(relock.DefaultTTL))
	defer t.Stop()
	select {
	case <-q.tasks.done():
	case <-t.C:
	}
	q.cancel()
}
