package redlock

import (
	"context"
	"fmt"
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
	roster *roster
	sink   engine.Sink
	crowd  crowd
	seen   atomic.Int64 // the greatest token seen
	tries  atomic.Uint64

	bg     context.Context // ends some time after Close
	cancel context.CancelFunc
	tasks  tasks

	mu     sync.Mutex
	claims map[string]*claim
	owned  map[ownerKey]*ownedToken
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
		claims: map[string]*claim{}, owned: map[ownerKey]*ownedToken{},
	}
	q.bg, q.cancel = context.WithCancel(context.Background())
	for i, n := range nodes {
		q.peers = append(q.peers, &peer{node: n, addr: n.Addr(), index: i})
	}
	q.roster = newRoster(q)
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

// propose returns the first token to propose for r. For an owner that may have
// the lock elsewhere none: a node that had accepted a new one could not tell
// whether the owner's is still good.
func (q *quorum) propose(r *engine.Request) engine.Proposal {
	if !r.Shared {
		return first(q.seen.Load(), time.Now())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if mine := q.owned[ownerKey{r.Name, r.Owner}]; mine != nil {
		return engine.Proposal{Token: mine.token, Kind: engine.Owned}
	}
	return engine.Proposal{}
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

func (q *quorum) find(hold string) *claim {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.claims[hold]
}

func (q *quorum) claim(hold string) *claim {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.claims[hold]
	if c == nil {
		c = &claim{q: q, hold: hold, lanes: make([]lane, len(q.peers))}
		q.claims[hold] = c
	}
	return c
}

func (q *quorum) forget(c *claim) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.claims[c.hold] == c {
		delete(q.claims, c.hold)
	}
}

// Acquire asks for a hold, or checks in.
func (q *quorum) Acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	if err := q.roster.ready(ctx, q.set.patience(r.TTL)); err != nil {
		return engine.Answer{}, err
	}
	type outcome struct {
		ans engine.Answer
		err error
	}
	got := make(chan outcome, 1)
	for again := true; again; {
		c := q.claim(r.Hold)
		c.locked(func() {
			if again = c.gone; !again {
				c.acquire(r, func(ans engine.Answer, err error) { got <- outcome{ans, err} })
			}
		})
	}
	select {
	case o := <-got:
		return o.ans, o.err
	case <-ctx.Done():
		return engine.Answer{}, fmt.Errorf("%w: %w", engine.ErrUnknown, context.Cause(ctx))
	}
}

// acquire starts a try, or goes on with the one that is under way. It needs
// c.mu.
func (c *claim) acquire(r *engine.Request, done func(engine.Answer, error)) {
	if before := c.done; before != nil {
		// Its request is superseded by this one.
		c.after = append(c.after, func() { before(engine.Answer{}, engine.ErrUnknown) })
	}
	c.done, c.passing = done, false
	t := c.try
	switch {
	case c.ended:
		c.finish(engine.Answer{State: engine.Withdrawn}, nil)
	case t == nil:
		c.start(r)
	case t.phase == held:
		c.finish(t.answer, nil)
	default:
		t.req = *r
		c.checkIn(t)
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
		renewals = append(renewals, q.newRenewal(p.Renew, p.Done))
	}
	for i, p := range q.peers {
		var part []engine.Pulse
		for _, r := range renewals {
			if r.at(i) {
				part = append(part, engine.Pulse{Renew: r.request(), Done: func(ans engine.Answer, err error) { r.answer(i, ans, err) }})
			}
		}
		if len(part) > 0 {
			p.node.Pulse(ctx, part)
		}
	}
	for _, r := range renewals {
		r.judge()
	}
}

func (q *quorum) pulse(p engine.Pulse) {
	c := q.find(p.CheckIn.Hold)
	if c == nil { // released meanwhile
		p.Done(engine.Answer{State: engine.Withdrawn}, nil)
		return
	}
	c.locked(func() { c.acquire(p.CheckIn, p.Done) })
}

// Renew gives a hold its TTL again, on a quorum.
func (q *quorum) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	type outcome struct {
		ans engine.Answer
		err error
	}
	got := make(chan outcome, 1)
	n := q.newRenewal(r, func(ans engine.Answer, err error) { got <- outcome{ans, err} })
	for i, p := range q.peers {
		if n.at(i) {
			go func() {
				ctx, cancel := p.bounded(q.bg)
				defer cancel()
				ans, err := p.node.Renew(ctx, n.request())
				n.answer(i, ans, err)
			}()
		}
	}
	n.judge()
	select {
	case o := <-got:
		return o.ans, o.err
	case <-ctx.Done():
		return engine.Answer{}, fmt.Errorf("%w: %w", engine.ErrUnknown, context.Cause(ctx))
	}
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
