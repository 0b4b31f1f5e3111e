package history

import "slices"

// issued returns the holds of one lock without those that a failover brought
// back. A primary that takes over as of an earlier time holds what was given back
// since, for an owner that may be another worker's too; a further hold of that
// owner repeats its token, below what others have had in between. Nothing was
// issued, and a Guard refuses it.
func (h *History) issued(list []*hold) []*hold {
	return slices.DeleteFunc(slices.Clone(list), func(o *hold) bool { return h.broughtBack(o, list) })
}

// broughtBack tells whether o may have entered a hold that its owner had given
// back, within one failover.
func (h *History) broughtBack(o *hold, list []*hold) bool {
	if o.Kind != Shared {
		return false
	}
	for i := range h.Windows {
		w := &h.Windows[i]
		if !w.Failover || !w.takes(o.Lock, o.Call, o.Return) {
			continue
		}
		if slices.ContainsFunc(list, func(p *hold) bool {
			return p.Owner == o.Owner && p.Token == o.Token && p.unlock != nil && p.releaseReply < o.Call &&
				w.takes(o.Lock, p.Call, p.releaseReply)
		}) {
			return true
		}
	}
	return false
}
