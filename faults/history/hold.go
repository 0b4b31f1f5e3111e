package history

import "slices"

// hold is the life of one granted Lock call.
type hold struct {
	Event               // the Lock call
	valid        int64  // the last deadline that was seen
	until        int64  // when its holder stopped believing in it, at the latest
	unlock       *Event // nil: none that was recorded
	lastSeen     int64
	ended        int64 // its context ended with ErrLost; 0: not seen
	claimed      bool  // a Claim is recorded
	released     bool  // Unlock has returned nil
	releaseCall  int64
	releaseReply int64
	locks        []string // all that the call took
	asked        int64    // when it was called, whatever is known of this lock's grant
}

// holds assembles the lives of all holds, by lock, each in the order of their
// Lock's return.
func (h *History) holds() map[string][]*hold {
	byID := map[[2]string]*hold{}
	for i := range h.Events {
		if e := &h.Events[i]; e.Op == Lock && e.Result == OK {
			byID[[2]string{e.Lock, e.Hold}] = &hold{Event: *e, valid: e.Valid, lastSeen: e.Return, asked: e.Call}
		}
	}
	for i := range h.Events {
		e := &h.Events[i]
		if o := byID[[2]string{e.Lock, e.Hold}]; o != nil {
			o.see(e)
		}
	}
	together := map[string][]*hold{} // the members of a MultiLock's hold
	for _, o := range byID {
		o.until = o.believedUntil()
		together[o.Hold] = append(together[o.Hold], o)
	}
	byLock := map[string][]*hold{}
	for _, o := range byID {
		o.share(together[o.Hold])
		byLock[o.Lock] = append(byLock[o.Lock], o)
	}
	for _, list := range byLock {
		slices.SortFunc(list, func(a, b *hold) int { return order(a.Return, b.Return, a.Hold, b.Hold) })
	}
	return byLock
}

// share takes note of the other members of a MultiLock's hold. The loss of one is
// the loss of all, so nobody believes in any past the first deadline, nor once
// one of the locks was taken away.
func (o *hold) share(all []*hold) {
	o.locks = nil
	first := Never
	for _, m := range all {
		o.locks = append(o.locks, m.Lock)
		first = min(first, m.valid)
	}
	if o.unlock == nil || o.unlock.Result == Lost {
		o.until = min(o.until, first)
	}
}

func order(a, b int64, x, y string) int {
	switch {
	case a != b && a < b, a == b && x < y:
		return -1
	case a == b && x == y:
		return 0
	}
	return 1
}

// see adds what another event tells of the hold.
func (o *hold) see(e *Event) {
	o.lastSeen = max(o.lastSeen, e.Call)
	o.valid = max(o.valid, e.Valid)
	switch e.Op {
	case Ended:
		o.ended = e.Return
	case Claim:
		o.claimed = true
	case Unlock:
		o.unlock = e
		o.released = e.Result == OK
		o.releaseCall, o.releaseReply = e.Call, e.Return
	}
}

// believedUntil is when the holder stopped believing: at its Unlock, at its
// deadline or with its loss. Of one that was killed it is the last that was
// heard of it. It is before Lock's return where the process was stopped in Lock,
// past the deadline.
func (o *hold) believedUntil() int64 {
	until := o.lastSeen
	if o.unlock != nil {
		until = o.unlock.Call
	}
	if o.ended > 0 {
		until = min(until, o.ended)
	}
	return min(until, o.valid)
}
