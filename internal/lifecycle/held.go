package lifecycle

import (
	"context"
	"slices"
)

// heldKey finds the leases that a context comes from. It is one for all locks, and
// empty: a key with a lock's name in it would have to be made at each call.
type heldKey struct{}

// heldContext is the context of a lease, of one hold or of several.
type heldContext struct {
	context.Context
	holds []*Hold
}

// Value is described in [context.Context].
func (c *heldContext) Value(key any) any {
	if key == (heldKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// heldIn returns the innermost lease's context that ctx comes from; nil: there is none.
func heldIn(ctx context.Context) *heldContext {
	c, _ := ctx.Value(heldKey{}).(*heldContext)
	return c
}

// outer returns the hold of this very lock that ctx comes from, if it is still
// held.
func (l *Lock) outer(ctx context.Context) *Hold {
	for c := heldIn(ctx); c != nil; c = heldIn(c.Context) {
		at := slices.IndexFunc(c.holds, func(o *Hold) bool { return o.lock.manager == l.manager && o.lock.Name == l.Name })
		switch {
		case at < 0:
			continue
		case c.holds[at].err() != nil:
			return nil
		}
		return c.holds[at]
	}
	return nil
}
