package lifecycle

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

// A Group is several locks that are held together. It is safe for concurrent
// use.
type Group struct {
	name    string
	members []*part

	checked atomic.Bool // no member is there twice
}

// Member is a lock that is to be part of a group.
type Member struct {
	Lock  Lock
	Whose Whose
}

// part is one member of a group.
type part struct {
	Lock
	whose Whose
	place int // as given
	id    string
}

// NewGroup makes one lock of several, none of which may be there twice.
func NewGroup(members []Member) (*Group, error) {
	if len(members) == 0 {
		return nil, engine.Invalid("a MultiLock of nothing")
	}
	c := &Group{}
	type lock struct {
		manager *Manager
		name    string
	}
	seen := map[lock]bool{}
	var names []string
	for i, m := range members {
		p := &part{Lock: m.Lock, whose: m.Whose, place: i}
		if p.manager == nil {
			return nil, engine.Invalid("member %d is a zero lock", i)
		}
		key := lock{p.manager, p.Name}
		if seen[key] {
			return nil, engine.Invalid("lock %q is a member twice", p.Name)
		}
		seen[key] = true
		c.members = append(c.members, p)
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	c.name = strings.Join(names, "+")
	return c, nil
}

// Name is that of redlock's MultiLock.
func (c *Group) Name() string { return c.name }

// patience is WithWait of the least patient member.
func (c *Group) patience() (least Terms) {
	for _, p := range c.members {
		if p.terms.HasWait && (!least.HasWait || p.terms.Wait < least.Wait) {
			least.Wait, least.HasWait = p.terms.Wait, true
		}
	}
	return least
}

// Lock is that of redlock's MultiLock.
func (c *Group) Lock(ctx context.Context) (Lease, error) {
	patience := c.patience()
	if patience.oneTry() {
		return c.TryLock(ctx)
	}
	ctx, cancel := patience.boundWait(ctx)
	defer cancel()
	holds, err := c.tryAll(ctx)
	if errors.Is(err, engine.ErrNotAcquired) || err != nil && engine.IsTransient(err) {
		holds, err = c.collectAfter(ctx, err)
	}
	lease, err := c.seal(ctx, holds, err)
	// A member ended before the whole began, or the fixed ones could not begin.
	for n := 0; errors.Is(err, engine.ErrLost) || err != nil && engine.IsTransient(err); n++ {
		if !engine.Sleep(ctx, engine.Pause(n)) {
			if !errors.Is(err, context.Cause(ctx)) {
				err = engine.Join(engine.ContextError(ctx), err)
			}
			return nil, err
		}
		holds, err = c.collect(ctx)
		lease, err = c.seal(ctx, holds, err)
	}
	return lease, err
}

// TryLock is that of redlock's MultiLock.
func (c *Group) TryLock(ctx context.Context) (Lease, error) {
	holds, err := c.tryAll(ctx)
	return c.seal(ctx, holds, err)
}

// owners returns in whose name each member is taken, by its place.
func (c *Group) owners(ctx context.Context) ([]string, error) {
	owners := make([]string, len(c.members))
	for i, p := range c.members {
		if p.terms.Err != nil {
			return nil, p.terms.Err
		}
		var err error
		if owners[i], err = p.whose(ctx, &p.Lock); err != nil {
			return nil, p.wrap(err)
		}
	}
	return owners, engine.ContextError(ctx)
}

// watched is p's lock with a watchdog: a fixed lease begins when all are held.
func (p *part) watched() *Lock {
	l := p.Lock
	l.terms.Fixed = false
	return &l
}

// tryAll takes all members at once, those of one slot by one request.
func (c *Group) tryAll(ctx context.Context) ([]*Hold, error) {
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
	holds := make([]*Hold, len(c.members))
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
func take(ctx context.Context, group []*part, owners []string, holds []*Hold) error {
	if len(group) == 1 {
		p := group[0]
		o, err := p.manager.acquire(ctx, p.watched(), owners[p.place], false)
		holds[p.place] = o
		return p.wrap(err)
	}
	locks := make([]*Lock, len(group))
	whose := make([]string, len(group))
	for i, p := range group {
		locks[i], whose[i] = p.watched(), owners[p.place]
	}
	had, err := group[0].manager.tryAll(ctx, locks, whose)
	for i, o := range had {
		holds[group[i].place] = o
	}
	return group[0].wrap(err)
}

// groups are the members that one request can take.
func (c *Group) groups() (groups [][]*part) {
	type slot struct {
		manager *Manager
		name    string
	}
	at := map[slot]int{}
	for _, p := range c.members {
		b, ok := p.manager.eng.(engine.Batcher)
		var s slot
		if ok && p.terms.Replicas == 0 {
			s = slot{p.manager, b.Slot(p.Name)}
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
		if err != nil && (worst == nil || errors.Is(worst, engine.ErrNotAcquired)) {
			worst = err
		}
	}
	return worst
}

// collectAfter is collect after a try that failed with first, which says why where
// the end of ctx leaves collect without an answer.
func (c *Group) collectAfter(ctx context.Context, first error) ([]*Hold, error) {
	if ctx.Err() != nil {
		return nil, engine.Join(engine.ContextError(ctx), first)
	}
	holds, err := c.collect(ctx)
	if ctx.Err() != nil && engine.Unanswered(err) && !errors.Is(first, engine.ErrNotAcquired) {
		return nil, engine.Join(engine.ContextError(ctx), first)
	}
	return holds, err
}

// collect waits for the members one by one. If one is lost meanwhile it begins
// again.
func (c *Group) collect(ctx context.Context) ([]*Hold, error) {
	for {
		sorted, err := c.orderUntil(ctx)
		if err != nil {
			return nil, err
		}
		owners, err := c.owners(ctx)
		if err != nil {
			return nil, err
		}
		holds, err := c.await(ctx, sorted, owners)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(holds, func(o *Hold) bool { return o.err() != nil }) {
			return holds, nil
		}
		giveBackAll(holds)
	}
}

// await waits for the members in this order. Where one cannot be had, or a hook
// panics, it gives back those before it.
func (c *Group) await(ctx context.Context, sorted []*part, owners []string) ([]*Hold, error) {
	holds, all := make([]*Hold, len(c.members)), false
	defer func() {
		if !all {
			giveBackAll(holds)
		}
	}()
	for _, p := range sorted {
		o, err := p.manager.acquire(ctx, p.watched(), owners[p.place], true)
		if err != nil {
			return nil, p.wrap(err)
		}
		holds[p.place] = o
	}
	all = true
	return holds, nil
}

// orderUntil is order, asked for until it is known, fails for good, or ctx ends.
func (c *Group) orderUntil(ctx context.Context) (sorted []*part, err error) {
	began, call := time.Now(), c.members[0].manager.cfg.Call
	err = retry(ctx, func() (err error) {
		sorted, err = c.order(ctx)
		return err
	}, func(_ int, err error) bool { return !engine.IsTransientAfter(err, int(time.Since(began)/call)) })
	return sorted, err
}

// seal makes a lease of the members' holds, if all are still held.
func (c *Group) seal(ctx context.Context, holds []*Hold, err error) (Lease, error) {
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(holds))
	var wg sync.WaitGroup
	for i, o := range holds {
		if c.members[i].terms.Fixed {
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
	return newGroupLease(ctx, c.name, holds), nil
}

// fix makes of a lease that the watchdog has kept one that ends a TTL from now.
func (o *Hold) fix(ctx context.Context) error {
	m := o.lock.manager
	if err := o.renewNow(ctx, o.req.TTL); err != nil {
		return o.wrap(err)
	}
	m.dog.fix(o)
	return o.err()
}

// giveBackAll releases in the background what was taken of a whole that is not
// to be.
func giveBackAll(holds []*Hold) {
	for _, o := range holds {
		if o != nil {
			o.lock.manager.spawn(func(ctx context.Context) { _ = o.unlock(ctx) })
		}
	}
}
