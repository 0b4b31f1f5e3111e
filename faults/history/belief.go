package history

import (
	"slices"
	"time"
)

// checkBelief is S3: the times in which two owners believe in one lock are
// disjoint. Holds of one owner may overlap. Inside a fault that loses
// acknowledged locks a breach is counted as excused.
func (h *History) checkBelief(v *Verdict, byLock map[string][]*hold) {
	for name, list := range byLock {
		v.Checked["S3"] += len(list)
		h.overlaps(v, name, list)
	}
}

// overlaps compares each hold, in the order of their beginnings, with the
// hold of the latest end among those of each of the two latest-ending owners:
// if any of another owner reaches into it, one of these does.
func (h *History) overlaps(v *Verdict, name string, list []*hold) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b *hold) int { return order(a.Return, b.Return, a.Hold, b.Hold) })
	var first, second *hold // of different owners, by their ends
	for _, o := range list {
		if o.until < o.Return {
			continue // had by a process that was stopped meanwhile: over before it could be believed in
		}
		for _, other := range []*hold{first, second} {
			if other != nil && other.Owner != o.Owner && other.until > o.Return {
				h.reportOverlap(v, name, other, o)
				break
			}
		}
		switch {
		case first == nil || o.Owner == first.Owner:
			if first == nil || o.until > first.until {
				first = o
			}
		case o.until > first.until:
			first, second = o, first
		case second == nil || o.until > second.until:
			second = o
		}
	}
}

func (h *History) reportOverlap(v *Verdict, name string, a, b *hold) {
	_, lossA := h.lossy(a, a.until)
	_, lossB := h.lossy(b, b.until)
	if lossA || lossB {
		v.Excused++
		return
	}
	v.Add("S3", name, b.Return, "hold %s of %q (token %d) was believed in until %d, and hold %s of %q (token %d) was had %v before that",
		a.Hold, a.Owner, a.Token, a.until, b.Hold, b.Owner, b.Token, time.Duration(a.until-b.Return))
}
