package cached

import "time"

// Step takes an event to the hold, and returns what is to be done. It is the one
// table of what happens in which state. An event that cannot come in a state is
// reported by ok.
func (h *Hold) Step(t Terms, e Event, now time.Duration) (fx Effects, ok bool) {
	switch e.Kind {
	case Sent:
		switch h.state {
		case Over:
			*h = Hold{state: Asked, token: h.token, recalled: !e.Subscribed}
			return fx, true
		}
	case Began:
		switch h.state {
		case Asked:
			h.begin(e)
			return fx, true
		}
	case Wanted:
		switch h.state {
		case Idle:
			h.serve(t, e.Subscribed, now, &fx)
			return fx, true
		case Over:
			fx.add(Effect{Do: Ask})
			return fx, true
		case Asked, Busy, Renewing, Returning: // it has its turn at the answer, or at the section's end
			return fx, true
		}
	case Reentered:
		switch h.state {
		case Busy: // whatever else is so: who waits, waits for this section's end
			h.depth++
			return fx, true
		}
	case Ended:
		switch h.state {
		case Busy:
			h.end(t, e, now, &fx)
			return fx, true
		}
	case Recalled, Unsubscribed, Dropped:
		switch h.state {
		case Asked, Busy: // of one that is asked for, the grant may be on its way
			h.recalled = true
			return fx, true
		case Idle, Renewing:
			h.recalled = true
			h.giveBack(&fx)
			return fx, true
		case Over, Returning:
			return fx, true
		}
	case Due:
		switch h.state {
		case Idle:
			h.rest(t, now, &fx)
			return fx, true
		case Over, Asked, Busy, Renewing, Returning: // its timer fired as the state changed
			return fx, true
		}
	case Renewed:
		switch h.state {
		case Busy, Idle, Renewing:
			h.renewed(e)
			h.goOn(t, e, now, &fx)
			return fx, true
		case Over, Returning: // what it brings is nobody's
			return fx, true
		}
	case Unrenewed:
		h.renewing = false
		switch h.state {
		case Renewing:
			h.giveBack(&fx)
			return fx, true
		case Over, Busy, Idle, Returning:
			return fx, true
		}
	case Gone:
		switch h.state {
		case Busy:
			h.over(Lose, &fx)
			return fx, true
		case Renewing:
			h.over(Ask, &fx)
			return fx, true
		case Idle, Asked:
			*h = Hold{token: h.token}
			return fx, true
		case Returning, Over: // its release says so too
			return fx, true
		}
	case Returned:
		switch h.state {
		case Returning:
			*h = Hold{token: h.token}
			return fx, true
		}
	}
	return fx, false
}
