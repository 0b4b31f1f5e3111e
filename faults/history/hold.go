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
	released     bool  // Unlock has returned nil
	releaseCall  int64
	releaseReply int64
}

// holds assembles the lives of all holds, by lock, each in the order of their
// Lock's return.
func (h *History) holds() map[string][]*hold {
	byID := map[[2]string]*hold{}
	for i := range h.Events {
		if e := &h.Events[i]; e.Op == Lock && e.Result == OK {
			byID[[2]string{e.Lock, e.Hold}] = &hold{Event: *e, valid: e.Valid, lastSeen: e.Return}
		}
	}
	for i := range h.Events {
		e := &h.Events[i]
		if o := byID[[2]string{e.Lock, e.Hold}]; o != nil {
			o.see(e)
		}
	}
	byLock := map[string][]*hold{}
	for _, o := range byID {
		o.until = o.believedUntil()
		byLock[o.Lock] = append(byLock[o.Lock], o)
	}
	for _, list := range byLock {
		slices.SortFunc(list, func(a, b *hold) int { return order(a.Return, b.Return, a.Hold, b.Hold) })
	}
	return byLock
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
	switch e.Op {
	case Extend:
		if e.Result == OK {
			o.valid = max(o.valid, e.Valid)
		}
	case Ended:
		o.ended = e.Return
		o.valid = max(o.valid, e.Valid)
	case Unlock:
		o.unlock = e
		o.valid = max(o.valid, e.Valid)
		o.released = e.Result == OK
		o.releaseCall, o.releaseReply = e.Call, e.Return
	}
}

// believedUntil is when the holder stopped believing: at its Unlock, at its
// deadline or with its loss. Of one that was killed it is the last that was
// heard of it.
func (o *hold) believedUntil() int64 {
	until := o.lastSeen
	if o.unlock != nil {
		until = min(o.unlock.Call, o.valid)
	}
	if o.ended > 0 {
		until = min(until, o.ended)
	}
	return max(until, o.Return)
}
