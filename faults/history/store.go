package history

import (
	"fmt"
	"slices"
	"strings"
)

// checkStore is S2, as the store's own log of writes tells it. Every write is a
// read-modify-write that adds one: the values must be 1, 2, 3 without a gap (an
// update was lost where one comes twice), the tokens must never fall, no two
// owners may share one, and every write that was acknowledged must be there, and
// none that was refused.
//
// It holds in every fault: the store loses nothing.
func (h *History) checkStore(v *Verdict) {
	for name, log := range h.Store {
		v.Checked["S2"] += len(log)
		logInOrder(v, name, log)
	}
	h.writesInLog(v)
}

func logInOrder(v *Verdict, name string, log []Entry) {
	last := Entry{}
	for i, e := range log {
		if e.Value != last.Value+1 {
			v.Add("S2", name, 0, "write %d of the store has value %d after %d: an update was lost", i, e.Value, last.Value)
		}
		if e.Token < last.Token {
			v.Add("S2", name, 0, "write %d of the store has token %d after %d", i, e.Token, last.Token)
		}
		if e.Token == last.Token && e.Owner != last.Owner {
			v.Add("S2", name, 0, "writes of %q and %q have token %d", last.Owner, e.Owner, e.Token)
		}
		last = e
	}
}

type writeID struct {
	lock, hold string
	value      int64
}

func (h *History) applied() map[writeID]bool {
	applied := map[writeID]bool{}
	for name, log := range h.Store {
		for _, e := range log {
			applied[writeID{name, e.Hold, e.Value}] = true
		}
	}
	return applied
}

// unrecorded are the writes of the store's log that no worker tells of.
func (h *History) unrecorded() (list []*Event) {
	told := map[writeID]bool{}
	for i := range h.Events {
		if e := &h.Events[i]; e.Op == Write {
			told[writeID{e.Lock, e.Hold, e.Value}] = true
		}
	}
	for name, log := range h.Store {
		for _, e := range log {
			if !told[writeID{name, e.Hold, e.Value}] {
				list = append(list, &Event{Op: Write, Lock: name, Hold: e.Hold, Owner: e.Owner, Token: e.Token, Value: e.Value})
			}
		}
	}
	return list
}

// killed tells whether the worker of a hold was.
func (h *History) killed(hold string) bool {
	return slices.ContainsFunc(h.Windows, func(w Window) bool {
		return w.Kind == WorkerKilled && strings.HasPrefix(hold, fmt.Sprintf("w%d-", w.Worker))
	})
}

func (h *History) writesInLog(v *Verdict) {
	for _, e := range h.unrecorded() {
		if !h.killed(e.Hold) {
			v.Add("S2", e.Lock, 0, "the store has a write of %d by hold %s, whose worker lives and does not tell of it", e.Value, e.Hold)
		}
	}
	applied := h.applied()
	for i := range h.Events {
		e := &h.Events[i]
		if e.Op != Write {
			continue
		}
		is := applied[writeID{e.Lock, e.Hold, e.Value}]
		switch {
		case e.Result == OK && !is:
			v.Add("S2", e.Lock, e.Return, "the acknowledged write of %d by hold %s is not in the store", e.Value, e.Hold)
		case e.Result == Stale && is:
			v.Add("S2", e.Lock, e.Return, "the refused write of %d by hold %s is in the store", e.Value, e.Hold)
		}
	}
}
