package history

// checkAgain is the half of S5 that a caller sees: a second Unlock, and an
// Extend after it, is told that the lease is over. That it changes nothing is
// seen by S3 and S4.
func (h *History) checkAgain(v *Verdict) {
	for i := range h.Events {
		e := &h.Events[i]
		if e.Op != Again {
			continue
		}
		v.Checked["S5"]++
		if e.Result != Fail {
			v.Add("S5", e.Lock, e.Return, "hold %s was unlocked, and a further call says %s %q", e.Hold, e.Result, e.Err)
		}
	}
}
