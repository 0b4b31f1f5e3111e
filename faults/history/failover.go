package history

import "slices"

// issued returns the holds without those that repeat, in a failover, a token of
// their owner. A primary that takes over as of an earlier time holds what was
// given back since, and one that is cut off holds what another has granted anew:
// a further hold of that owner has its token, below what others have had in
// between. Nothing was issued, and a Guard that has seen theirs refuses it. Not
// known are those that repeat the token of a call which nobody saw the end of.
func (h *History) issued(byLock map[string][]*hold, r *Rules) map[string][]*hold {
	all := map[string][]*hold{}
	for name, list := range byLock {
		all[name] = slices.DeleteFunc(slices.Clone(list), func(o *hold) bool { return h.repeats(o, list, r) })
	}
	return all
}

func (h *History) repeats(o *hold, list []*hold, r *Rules) bool {
	earlier := slices.ContainsFunc(list, func(p *hold) bool {
		return p.Owner == o.Owner && p.Token == o.Token && p.Call < o.Call
	})
	return earlier && slices.ContainsFunc(h.Windows, func(w Window) bool {
		w.End += int64(r.Linger)
		return w.Failover && w.takes(o.Lock, o.Call, o.Return)
	})
}
