package cached

import "time"

// begin makes the first section of the server's grant. It brings one token and no
// block: a block that came with a grant would be issued twice by a server that lost
// that grant.
func (h *Hold) begin(e Event) {
	h.state, h.depth = Busy, 1
	h.token, h.from, h.to = e.Token, e.Token, e.Token
	h.contact, h.until = e.Contact, e.Until
	h.recalled = h.recalled || e.Others || !e.Subscribed
}

// serve has the next section begin, if it may: at once, after a renewal, or, by the
// release that names it, on a hold of its own.
func (h *Hold) serve(t Terms, subscribed bool, now time.Duration, fx *Effects) {
	switch {
	case h.recalled || !subscribed:
		h.giveBack(fx)
	case h.mustRenew(t, now):
		h.state = Renewing
		h.renew(fx)
	default:
		h.lend(fx)
		if h.shouldRenew(t, now) {
			h.renew(fx)
		}
	}
}

// mustRenew reports whether a renewal is to be answered before the next section: no
// token is left, others may have come since the last contact, or little is left.
func (h *Hold) mustRenew(t Terms, now time.Duration) bool {
	return h.from >= h.to || now-h.contact >= t.Check || h.until-now < t.TTL/3
}

// shouldRenew reports whether a renewal is to be under way meanwhile, so that none
// has to be waited for.
func (h *Hold) shouldRenew(t Terms, now time.Duration) bool {
	return h.to-h.from <= h.block/2 || now-h.contact >= t.Check/2 || h.until-now < t.TTL*2/3
}

func (h *Hold) renew(fx *Effects) {
	if !h.renewing {
		h.renewing = true
		fx.add(Effect{Do: Renew})
	}
}

// lend has a section begin under the next token.
func (h *Hold) lend(fx *Effects) {
	h.from++
	h.token, h.state, h.depth = h.from, Busy, 1
	h.lent++
	fx.add(Effect{Do: Lend, Token: h.token})
}

// end ends one lease of the section; the last ends the section.
func (h *Hold) end(t Terms, e Event, now time.Duration, fx *Effects) {
	h.depth--
	switch {
	case h.depth > 0:
	case e.Waiting:
		h.serve(t, e.Subscribed, now, fx)
	case h.recalled || !e.Subscribed:
		h.giveBack(fx)
	default:
		h.state, h.idleSince = Idle, now
		h.rest(t, now, fx)
	}
}

// rest keeps what is Idle until it is to be given back: it was idle for long enough,
// or others may have come since the last contact and not be heard, or too little is
// left for a section.
func (h *Hold) rest(t Terms, now time.Duration, fx *Effects) {
	at := min(h.idleSince+t.Idle, h.contact+t.Check, h.until-t.TTL/3)
	if now >= at {
		h.giveBack(fx)
		return
	}
	fx.add(Effect{Do: Schedule, At: at})
}

func (h *Hold) giveBack(fx *Effects) {
	h.state = Returning
	fx.add(Effect{Do: GiveBack})
}

// over has the hold be gone, and do be what becomes of who had it, or was to.
func (h *Hold) over(do Do, fx *Effects) {
	*h = Hold{token: h.token}
	fx.add(Effect{Do: do})
}

// renewed takes the answer to a renewal. Its block is above all that was used when
// the renewal left, and above the block before it.
func (h *Hold) renewed(e Event) {
	h.renewing = false
	h.contact, h.until = max(h.contact, e.Contact), max(h.until, e.Until)
	h.recalled = h.recalled || e.Others
	if from := max(e.From, h.token); e.To > from {
		h.from, h.to, h.block = from, e.To, e.To-from
	}
}

// goOn does what a renewal was waited for. One that does not do is not repeated: a
// server whose clock has stepped back has no block to give.
func (h *Hold) goOn(t Terms, e Event, now time.Duration, fx *Effects) {
	switch {
	case h.state == Busy:
	case h.recalled || !e.Subscribed:
		h.giveBack(fx)
	case h.state == Idle:
		h.rest(t, now, fx)
	case h.mustRenew(t, now):
		h.giveBack(fx)
	case e.Waiting:
		h.lend(fx)
	default:
		h.state, h.idleSince = Idle, now
		h.rest(t, now, fx)
	}
}
