package history

import (
	"slices"
	"time"
)

// checkHeal is L1 as the history tells it: how long after a fault's heal each of
// the contended locks was had again. It is judged where no other fault began in
// between; that a lock is stuck for good is found by the final Lock of a run.
func (h *History) checkHeal(v *Verdict, byLock map[string][]*hold, contended []string, bound time.Duration) {
	for _, name := range contended {
		for i := range h.Windows {
			w := &h.Windows[i]
			if o := firstAfter(byLock[name], w.End); o != nil && h.nextFault(w.End) > o.Return {
				h.judgeHeal(v, w, o, bound)
			}
		}
	}
}

func (h *History) judgeHeal(v *Verdict, w *Window, o *hold, bound time.Duration) {
	v.Checked["L1"]++
	took := time.Duration(o.Return - w.End)
	v.Delay("L1 had again after the heal", took)
	if took > bound {
		v.Add("L1", o.Lock, o.Return, "it was had again %v after %s was healed", took, w.Kind)
	}
}

// firstAfter returns the first hold of list that was had after at.
func firstAfter(list []*hold, at int64) *hold {
	i, _ := slices.BinarySearchFunc(list, at, func(o *hold, at int64) int {
		if o.Return <= at {
			return -1
		}
		return 1
	})
	if i == len(list) {
		return nil
	}
	return list[i]
}

// nextFault is when the first fault began after at.
func (h *History) nextFault(at int64) int64 {
	next := Never
	for i := range h.Windows {
		if w := &h.Windows[i]; w.Start > at {
			next = min(next, w.Start)
		}
	}
	return next
}
