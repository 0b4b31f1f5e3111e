package lifecycle

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/relock-go/relock/internal/engine"
)

// order returns the members in the order of their names, and of the ids of
// their servers where names are alike. Ids are asked for each time: a server may
// have lost its own, and processes that began later know the new one only.
func (c *Group) order(ctx context.Context) ([]*part, error) {
	sorted := make([]*part, len(c.members))
	for i, p := range c.members {
		q := *p
		sorted[i] = &q
	}
	slices.SortFunc(sorted, (*part).compare)
	for i, p := range sorted {
		alike := i > 0 && sorted[i-1].Name == p.Name || i+1 < len(sorted) && sorted[i+1].Name == p.Name
		if alike {
			if err := p.identify(ctx); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(sorted, (*part).compare)
	for i, p := range sorted[1:] {
		if p.compare(sorted[i]) == 0 {
			return nil, engine.Invalid("lock %q is a member twice, by two clients of one server", p.Name)
		}
	}
	c.checked.Store(true)
	return sorted, nil
}

func (p *part) compare(q *part) int {
	return cmp.Or(strings.Compare(p.Name, q.Name), strings.Compare(p.id, q.id))
}

func (p *part) identify(ctx context.Context) error {
	known, ok := p.manager.eng.(engine.Identified)
	if !ok {
		return engine.Invalid("lock %q: its servers have no ids to order it by", p.Name)
	}
	err := p.manager.ask(ctx, func(ctx context.Context) (err error) {
		p.id, err = known.ServerID(ctx)
		return err
	})
	return p.wrap(err)
}
