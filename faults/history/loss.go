package history

import "time"

// checkLoss is L3. A lease whose end was watched ends by its deadline; how much
// later its holder's process was scheduled is reported. It never ends before its
// deadline, unless a fault took the lock away; or another member's deadline, of
// a MultiLock.
func (h *History) checkLoss(v *Verdict, slack time.Duration) {
	for name, list := range h.holds() {
		for _, o := range list {
			if o.ended > 0 {
				h.judgeLoss(v, name, o, slack)
			}
		}
	}
}

func (h *History) judgeLoss(v *Verdict, name string, o *hold, slack time.Duration) {
	v.Checked["L3"]++
	late := time.Duration(o.ended - max(o.valid, h.awake(o.Worker, o.valid, o.ended)))
	if late < 0 {
		if _, taken := h.lossy(o, o.ended); !taken && o.Kind != Multi {
			v.Add("L3", name, o.ended, "hold %s was lost %v before its deadline, and no fault took it", o.Hold, -late)
		}
		return
	}
	v.Delay("L3 lost after its deadline", late)
	if late > slack {
		v.Add("L3", name, o.ended, "the context of hold %s ended %v after its deadline", o.Hold, late)
	}
}

// awake returns when a worker that was stopped in [from, to] was woken, or from.
func (h *History) awake(worker int, from, to int64) int64 {
	for i := range h.Windows {
		w := &h.Windows[i]
		if w.Worker == worker && w.Start <= to && from <= w.End {
			from = max(from, w.End)
		}
	}
	return min(from, to)
}
