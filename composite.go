package relock

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A Composite is several locks that are held together: what package redlock
// makes MultiLocks of. It is safe for concurrent use.
type Composite struct {
	name    string
	members []*part

	checked atomic.Bool // no member is there twice
}

// part is one member of a Composite.
type part struct {
	lock
	whose func(context.Context, *lock) (Owner, error)
	place int // as given
	id    string
}

var _ Locker = (*Composite)(nil)

// NewComposite makes one lock of several Mutexes and Reentrants. It does no I/O.
// It returns [ErrInvalid] for none, and for one that is given twice. It is for
// package redlock alone: its parameter is internal, and it is no part of what
// stays compatible.
func NewComposite(m engine.Members) (*Composite, error) {
	if len(m) == 0 {
		return nil, invalid("a MultiLock of nothing")
	}
	c := &Composite{}
	seen := map[heldKey]bool{}
	var names []string
	for i, member := range m {
		p := &part{place: i}
		switch l := member.(type) {
		case *Mutex:
			p.lock, p.whose = l.l, freshOwner
		case *Reentrant:
			p.lock, p.whose = l.l, reentrantOwner
		}
		if p.host == nil {
			return nil, invalid("member %d is a %T: a MultiLock is of locks of this module", i, member)
		}
		key := heldKey{p.host, p.name}
		if seen[key] {
			return nil, invalid("lock %q is a member twice", p.name)
		}
		seen[key] = true
		c.members = append(c.members, p)
		if !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	c.name = strings.Join(names, "+")
	return c, nil
}

// Name returns the members' names, joined by "+"; a name that several members
// have on different servers stands once.
func (c *Composite) Name() string { return c.name }

// patience is WithWait of the least patient member.
func (c *Composite) patience() (least lockSettings) {
	for _, p := range c.members {
		if p.set.hasWait && (!least.hasWait || p.set.wait < least.wait) {
			least.wait, least.hasWait = p.set.wait, true
		}
	}
	return least
}

// Lock returns a lease on all members. It first tries all at once; if one is
// taken it holds none of them, and then waits for one after the other, in an
// order that is the same in every process: two that want the same locks never
// wait for each other. What it has meanwhile the watchdog keeps; leases that are
// fixed begin when all are held. ctx bounds the wait only.
//
// It returns the errors of the members' Lock. A call that fails holds nothing.
func (c *Composite) Lock(ctx context.Context) (*Lease, error) {
	patience := c.patience()
	if patience.oneTry() {
		return c.TryLock(ctx)
	}
	ctx, cancel := patience.boundWait(ctx)
	defer cancel()
	holds, err := c.tryAll(ctx)
	if errors.Is(err, ErrNotAcquired) || err != nil && passes(err) {
		holds, err = c.collectAfter(ctx, err)
	}
	lease, err := c.seal(ctx, holds, err)
	// A member ended before the whole began, or the fixed ones could not begin.
	for n := 0; errors.Is(err, ErrLost) || err != nil && passes(err); n++ {
		if !engine.Sleep(ctx, engine.Pause(n)) {
			if !errors.Is(err, context.Cause(ctx)) {
				err = join(ended(ctx), err)
			}
			return nil, err
		}
		holds, err = c.collect(ctx)
		lease, err = c.seal(ctx, holds, err)
	}
	return lease, err
}

// TryLock returns a lease on all members if all are free. Members with
// [WithLease] cost a further round trip.
//
// It returns [ErrNotAcquired] with a holder if one is not free, [ErrLost] if a
// member ended before the whole began, and else the errors of the members'
// TryLock. A call that fails holds nothing: what was taken is given back in the
// background.
func (c *Composite) TryLock(ctx context.Context) (*Lease, error) {
	holds, err := c.tryAll(ctx)
	return c.seal(ctx, holds, err)
}

// owners returns in whose name each member is taken, by its place.
func (c *Composite) owners(ctx context.Context) ([]Owner, error) {
	owners := make([]Owner, len(c.members))
	for i, p := range c.members {
		if p.set.err != nil {
			return nil, p.set.err
		}
		var err error
		if owners[i], err = p.whose(ctx, &p.lock); err != nil {
			return nil, p.wrap(err)
		}
	}
	return owners, ended(ctx)
}

// watched is p's lock with a watchdog: a fixed lease begins when all are held.
func (p *part) watched() *lock {
	l := p.lock
	l.set.fixed = false
	return &l
}

// tryAll takes all members at once, those of one slot by one request.
func (c *Composite) tryAll(ctx context.Context) ([]*hold, error) {
	owners, err := c.owners(ctx)
	if err != nil {
		return nil, err
	}
	if !c.checked.Load() {
		if _, err := c.order(ctx); err != nil {
			return nil, err
		}
	}
	groups := c.groups()
	holds := make([]*hold, len(c.members))
	errs := make([]error, len(groups))
	var wg sync.WaitGroup
	for i, group := range groups {
		wg.Go(func() { errs[i] = take(ctx, group, owners, holds) })
	}
	wg.Wait()
	if err := worst(errs); err != nil {
		giveBackAll(holds)
		return nil, err
	}
	return holds, nil
}

// take takes the members of one group, each into its place in holds.
func take(ctx context.Context, group []*part, owners []Owner, holds []*hold) error {
	if len(group) == 1 {
		p := group[0]
		o, err := p.host.acquire(ctx, p.watched(), owners[p.place], false)
		holds[p.place] = o
		return p.wrap(err)
	}
	locks := make([]*lock, len(group))
	whose := make([]Owner, len(group))
	for i, p := range group {
		locks[i], whose[i] = p.watched(), owners[p.place]
	}
	had, err := group[0].host.tryAll(ctx, locks, whose)
	for i, o := range had {
		holds[group[i].place] = o
	}
	return group[0].wrap(err)
}

// groups are the members that one request can take.
func (c *Composite) groups() (groups [][]*part) {
	type slot struct {
		host *host
		name string
	}
	at := map[slot]int{}
	for _, p := range c.members {
		b, ok := p.host.eng.(engine.Batcher)
		var s slot
		if ok && p.set.replicas == 0 {
			s = slot{p.host, b.Slot(p.name)}
			if i, found := at[s]; found {
				groups[i] = append(groups[i], p)
				continue
			}
			at[s] = len(groups)
		}
		groups = append(groups, []*part{p})
	}
	return groups
}

// worst returns an error that says more than that a lock is taken, if there is
// one.
func worst(errs []error) (worst error) {
	for _, err := range errs {
		if err != nil && (worst == nil || errors.Is(worst, ErrNotAcquired)) {
			worst = err
		}
	}
	return worst
}

// collectAfter is collect after a try that failed with first, which says why where
// the end of ctx leaves collect without an answer.
func (c *Composite) collectAfter(ctx context.Context, first error) ([]*hold, error) {
	if ctx.Err() != nil {
		return nil, join(ended(ctx), first)
	}
	holds, err := c.collect(ctx)
	if ctx.Err() != nil && engine.Unanswered(err) && !errors.Is(first, ErrNotAcquired) {
		return nil, join(ended(ctx), first)
	}
	return holds, err
}

// collect waits for the members one by one. If one is lost meanwhile it begins
// again.
func (c *Composite) collect(ctx context.Context) ([]*hold, error) {
	for {
		began, call := time.Now(), c.members[0].host.set.call
		sorted, err := c.order(ctx)
		for n := 0; err != nil && passesAfter(err, int(time.Since(began)/call)) && engine.Sleep(ctx, engine.Pause(n)); n++ {
			sorted, err = c.order(ctx)
		}
		if err != nil {
			return nil, err
		}
		owners, err := c.owners(ctx)
		if err != nil {
			return nil, err
		}
		holds := make([]*hold, len(c.members))
		for _, p := range sorted {
			o, err := p.host.acquire(ctx, p.watched(), owners[p.place], true)
			if err != nil {
				giveBackAll(holds)
				return nil, p.wrap(err)
			}
			holds[p.place] = o
		}
		if !slices.ContainsFunc(holds, func(o *hold) bool { return o.err() != nil }) {
			return holds, nil
		}
		giveBackAll(holds)
	}
}

// seal makes a lease of the members' holds, if all are still held.
func (c *Composite) seal(ctx context.Context, holds []*hold, err error) (*Lease, error) {
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(holds))
	var wg sync.WaitGroup
	for i, o := range holds {
		if c.members[i].set.fixed {
			wg.Go(func() { errs[i] = o.fix(ctx) })
		} else {
			errs[i] = o.err()
		}
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		giveBackAll(holds)
		return nil, err
	}
	for _, o := range holds {
		o.had.Store(true)
	}
	return &Lease{newBundle(ctx, c.name, holds)}, nil
}

// fix makes of a lease that the watchdog has kept one that ends a TTL from now.
func (o *hold) fix(ctx context.Context) error {
	h := o.lock.host
	if err := o.renewNow(ctx, o.req.TTL); err != nil {
		return o.wrap(err)
	}
	h.dog.mu.Lock()
	defer h.dog.mu.Unlock()
	o.lock.set.fixed = true
	if o.index > 0 {
		h.dog.set(o, o.nextDue())
	}
	return o.err()
}

// giveBackAll releases in the background what was taken of a whole that is not
// to be.
func giveBackAll(holds []*hold) {
	for _, o := range holds {
		if o != nil {
			o.lock.host.spawn(func(ctx context.Context) { _ = o.unlock(ctx) })
		}
	}
}
